"""What a daemon's log says of one flood, told as it comes and kept as figures."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bench.defences.follow import LogEvent
from bench.flood.plan import FloodReport
from bench.measure.alerts import RESPONSES, AlertStory, stories

_DOES = {"drop": "are dropped", "greylist": "are greylisted", "cookie": "are answered with cookies"}


class Chronicle:
    """Follows one daemon's alerts and actions; times count from the first packet of its flood."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._first_ns = 0
        self._flooding = threading.Event()
        self._events: list[LogEvent] = []

    @property
    def has_alerts(self) -> bool:
        """Whether there was any alert so far."""
        return bool(self._alerts)

    @property
    def all_closed(self) -> bool:
        """Whether there was an alert and none is open."""
        return self.has_alerts and all(alert.closed for alert in self._alerts)

    @property
    def alert_class(self) -> str | None:
        """The first alert's class as it was raised."""
        return str(self._alerts[0].raised.fields["class"]) if self._alerts else None

    @property
    def time_to_alert_ms(self) -> float | None:
        """From the first packet until the log told of the first alert."""
        return self._ms_since_first(self._alerts[0].raised) if self._alerts else None

    @property
    def time_to_act_ms(self) -> float | None:
        """From the first packet until the log told of the first response."""
        return self._ms_since_first(self._responses[0]) if self._responses else None

    @property
    def action(self) -> str | None:
        """The response that was begun last: ``drop``, ``greylist`` or ``cookie``."""
        return RESPONSES[self._responses[-1].name] if self._responses else None

    def time_to_close_ms(self, report: FloodReport) -> float | None:
        """From the flood's last packet until the log told that the last alert had closed."""
        closed_ns = [alert.closed.seen_ns for alert in self._alerts if alert.closed]
        if not self.all_closed:
            return None
        return round((max(closed_ns) - report.last_ns) / 1e6, 1)

    @property
    def answered_sources(self) -> set[str]:
        """Sources that a response was about."""
        about = (event for event in self._responses if event.name.startswith("source."))
        return {str(event.fields["target"]) for event in about}

    @property
    def _alerts(self) -> list[AlertStory]:
        return stories(list(self._events))

    @property
    def _responses(self) -> list[LogEvent]:
        return [event for event in self._events if event.name in RESPONSES]

    def flood_began(self, first_ns: int) -> None:
        """Count times from this moment (CLOCK_MONOTONIC) on."""
        self._first_ns = first_ns
        self._flooding.set()
        self._tell("flood: the first packet has left")

    def heard(self, event: LogEvent) -> None:
        """Take in one event of the daemon's log."""
        self._events.append(event)
        fields = event.fields
        match event.name:
            case "alert.raised":
                what = f"alert {fields['alert_id']} raised, {fields['kind']} {fields['class']}"
                self._tell(f"daemon: {self._when(event)}: {what}")
            case "alert.refined":
                what = f"alert {fields['alert_id']} has changed: {fields['changed']}"
                self._tell(f"daemon: {self._when(event)}: {what}")
            case name if name in RESPONSES:
                whose = "from" if name.startswith("source.") else "to"
                does = _DOES[RESPONSES[name]]
                self._tell(f"daemon: {self._when(event)}: SYNs {whose} {fields['target']} {does}")
            case "cookies.for_everybody":
                self._tell(f"daemon: {self._when(event)}: a client came back, so everybody gets cookies")
            case "alert.closed":
                self._tell(f"daemon: alert {fields['alert_id']} closed")

    def _when(self, event: LogEvent) -> str:
        if not self._flooding.is_set():
            return "before any flood"
        return f"{self._ms_since_first(event):.0f} ms after the first packet"

    def _ms_since_first(self, event: LogEvent) -> float:
        return round((event.seen_ns - self._first_ns) / 1e6, 1)

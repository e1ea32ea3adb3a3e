"""What a daemon's log says of one flood, told as it comes and kept as figures."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bench.defences.guard import LogEvent
from bench.flood.plan import FloodReport


class Chronicle:
    """Follows one daemon's alerts and actions; times count from the first packet of its flood."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._first_ns = 0
        self._flooding = threading.Event()
        self._raised: dict[int, LogEvent] = {}
        self._closed: dict[int, LogEvent] = {}
        self._blocked: list[LogEvent] = []

    @property
    def has_alerts(self) -> bool:
        """Whether there was any alert so far."""
        return bool(self._raised)

    @property
    def all_closed(self) -> bool:
        """Whether there was an alert and none is open."""
        return self.has_alerts and self._raised.keys() <= self._closed.keys()

    @property
    def alert_class(self) -> str | None:
        """The first alert's class as it was raised."""
        return str(self._first_alert.fields["class"]) if self._first_alert else None

    @property
    def time_to_alert_ms(self) -> float | None:
        """From the first packet until the log told of the first alert."""
        return self._ms_since_first(self._first_alert) if self._first_alert else None

    @property
    def time_to_act_ms(self) -> float | None:
        """From the first packet until the log told of the first block."""
        return self._ms_since_first(self._blocked[0]) if self._blocked else None

    def time_to_close_ms(self, report: FloodReport) -> float | None:
        """From the flood's last packet until the log told that the last alert had closed."""
        if not self.all_closed:
            return None
        return round((max(event.seen_ns for event in self._closed.values()) - report.last_ns) / 1e6, 1)

    @property
    def blocked(self) -> set[str]:
        """Whose SYNs were dropped."""
        return {str(event.fields["target"]) for event in self._blocked}

    @property
    def _first_alert(self) -> LogEvent | None:
        return next(iter(self._raised.values()), None)

    def flood_began(self, first_ns: int) -> None:
        """Count times from this moment (CLOCK_MONOTONIC) on."""
        self._first_ns = first_ns
        self._flooding.set()
        self._tell("flood: the first packet has left")

    def heard(self, event: LogEvent) -> None:
        """Take in one event of the daemon's log."""
        fields = event.fields
        match event.name:
            case "alert.raised":
                self._raised[fields["alert_id"]] = event
                what = f"alert {fields['alert_id']} raised, {fields['kind']} {fields['class']}"
                self._tell(f"daemon: {self._when(event)}: {what}")
            case "alert.refined":
                what = f"alert {fields['alert_id']} is now {fields['kind']} {fields['class']}"
                self._tell(f"daemon: {self._when(event)}: {what}")
            case "source.blocked":
                self._blocked.append(event)
                self._tell(f"daemon: {self._when(event)}: SYNs from {fields['target']} are dropped")
            case "alert.closed":
                self._closed[fields["alert_id"]] = event
                self._tell(f"daemon: alert {fields['alert_id']} closed")

    def _when(self, event: LogEvent) -> str:
        if not self._flooding.is_set():
            return "before any flood"
        return f"{self._ms_since_first(event):.0f} ms after the first packet"

    def _ms_since_first(self, event: LogEvent) -> float:
        return round((event.seen_ns - self._first_ns) / 1e6, 1)

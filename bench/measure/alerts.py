"""Judges a detector's alerts: which was the right one, which class it gave, and which nothing justified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from bench.defences.follow import LogEvent
from bench.measure.observation import Observation

#: What ``expected_class`` and ``class`` say where there should be, or was, no alert.
SILENCE = "(none)"
#: What a detector logs when a response begins, and which one it is.
RESPONSES = {
    "source.blocked": "drop",
    "source.greylisted": "greylist",
    "listener.greylisted": "greylist",
    "listener.cookies_begun": "cookie",
}
#: Those that name a source, and so hit it alone.
_TO_SOURCES = ("source.blocked", "source.greylisted")
#: An alert so long after a flood's last packet has nothing to do with it any more.
_LATE_NS = 3 * 10**9


@dataclass(slots=True)
class AlertStory:
    """One alert from its first log line to its last."""

    raised: LogEvent
    last: LogEvent
    closed: LogEvent | None = None

    @property
    def alert_class(self) -> str:
        """What it was called in the end; the kind where it has no class."""
        fields = self.last.fields
        return str(fields.get("class") or fields["kind"])


def stories(events: Sequence[LogEvent]) -> list[AlertStory]:
    """Return the alerts that a log tells of, in the order in which they were raised."""
    told: dict[int, AlertStory] = {}
    for event in events:
        number = int(event.fields.get("alert_id") or 0)
        match event.name:
            case "alert.raised":
                told[number] = AlertStory(event, event)
            case "alert.refined" if number in told:
                told[number].last = event
            case "alert.closed" if number in told:
                told[number].last = told[number].closed = event
    return list(told.values())


def is_right(story: AlertStory, observed: Observation) -> bool:
    """Tell whether an alert is about what was expected, whatever class it gave."""
    expected = observed.scenario.expect
    fields = story.last.fields
    if expected is None or fields["kind"] != expected.kind:
        return False
    if not observed.first_ns <= story.raised.seen_ns <= observed.ended_ns + _LATE_NS:
        return False
    if names_somebody_else(story, observed):
        return False
    return fields.get("listener") is None or fields["listener"] in observed.targets


def names_somebody_else(story: AlertStory, observed: Observation) -> bool:
    """Tell whether an alert names a source that it should not: another than expected, or a good client."""
    source = story.last.fields.get("source")
    if source is None:
        return False
    if observed.expected_source is not None:
        return not _overlap(source, observed.expected_source)
    return is_innocent(source, observed)


def is_innocent(source: str, observed: Observation) -> bool:
    """Tell whether a source is, or holds, an address of a good client's."""
    return any(_overlap(source, other) for other in observed.innocent)


def _overlap(one: str, other: str) -> bool:
    a, b = ip_network(one), ip_network(other)
    return a.version == b.version and a.overlaps(b)


def innocents_blocked(observed: Observation) -> int:
    """Return how many responses to a source hit a good client."""
    targets = (event.fields.get("target") for event in observed.events if event.name in _TO_SOURCES)
    return sum(is_innocent(str(target), observed) for target in targets if target is not None)


def alert_figures(observed: Observation) -> dict[str, float | None]:
    """Return the figures of a detector's alerts."""
    told = stories(observed.events)
    right = [story for story in told if is_right(story, observed)]
    expected = observed.scenario.expect
    figures: dict[str, float | None] = {
        "alerts": len(told),
        "false_alarms": len(told) - len(right),
        "innocents_blocked": innocents_blocked(observed),
        "time_to_act_ms": _first_response_ms(observed),
        "time_to_close_ms": _close_ms(told, observed),
    }
    if expected is not None:
        seen_ns = right[0].raised.seen_ns if right else None
        figures["missed"] = float(not right)
        figures["time_to_alert_ms"] = None if seen_ns is None else _ms(seen_ns - observed.first_ns)
    if expected is not None and expected.alert_class is not None and right:
        figures["wrong_class"] = float(right[-1].alert_class != expected.alert_class)
    return figures


def alert_facts(observed: Observation) -> dict[str, str | None]:
    """Return what was expected and what was said, in words."""
    expected = observed.scenario.expect
    told = stories(observed.events)
    right = [story for story in told if is_right(story, observed)]
    said = right[-1:] or told[-1:]
    return {
        "expected_class": expected.alert_class if expected else SILENCE,
        "class": said[0].alert_class if said else SILENCE,
    }


def _ms(span_ns: int) -> float:
    return round(span_ns / 1e6, 1)


def _first_response_ms(observed: Observation) -> float | None:
    begun = (event.seen_ns for event in observed.events if event.name in RESPONSES)
    return next((_ms(seen_ns - observed.first_ns) for seen_ns in _from(begun, observed.first_ns)), None)


def _from(moments_ns: Iterator[int], began_ns: int) -> Iterator[int]:
    return (moment_ns for moment_ns in moments_ns if moment_ns >= began_ns)


def _close_ms(told: Sequence[AlertStory], observed: Observation) -> float | None:
    """Return when the last alert had closed; None while one is open, or when it was not waited for."""
    closed = [story.closed.seen_ns for story in told if story.closed is not None]
    if not closed or len(closed) < len(told) or observed.scenario.close_timeout_s == 0:
        return None
    return _ms(max(closed) - observed.ended_ns)

"""The naive detector's rule: too many handshakes of one source begun and not completed within a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: More than this many of one source in a second, which is also synguard's default ...
HALF_OPEN_PER_S = 50.0
#: ... and more than this share of all that it began.
HALF_OPEN_RATIO = 0.5
#: Seconds of quiet after which it is over.
CLOSE_AFTER_S = 3.0

#: SYNs and completed handshakes of a source since the start.
Counts = tuple[int, int]


@dataclass(slots=True)
class _Alert:
    number: int
    quiet_s: float = 0.0


class Rule:
    """Compares each poll with the one before."""

    def __init__(self) -> None:
        self._before: Mapping[bytes, Counts] = {}
        self._open: dict[bytes, _Alert] = {}
        self._raised = 0

    def judge(self, counts: Mapping[bytes, Counts], span_s: float) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield the alerts that this poll raises and closes, as log fields, each with its source.

        ``counts`` are those of every source in the table, ``span_s`` the seconds since the last poll.
        """
        for source, (syns, completed) in counts.items():
            before = self._before.get(source, (0, 0))
            # An entry that was forgotten and came back counts from nothing.
            begun = syns - before[0] if syns >= before[0] else syns
            half_open = begun - (completed - before[1] if completed >= before[1] else completed)
            if half_open > HALF_OPEN_PER_S * span_s and half_open > HALF_OPEN_RATIO * begun:
                yield from self._flooding(source, begun, half_open, span_s)
            elif source in self._open:
                yield from self._quiet(source, span_s)
        for source in self._open.keys() - counts.keys():
            yield from self._quiet(source, span_s)
        self._before = counts

    def _flooding(
        self, source: bytes, begun: int, half_open: int, span_s: float
    ) -> Iterator[tuple[bytes, dict[str, Any]]]:
        alert = self._open.get(source)
        if alert is not None:
            alert.quiet_s = 0.0
            return
        self._raised += 1
        self._open[source] = _Alert(self._raised)
        measured = {"half_open_ratio": round(half_open / begun, 3), "syn_per_s": round(begun / span_s, 1)}
        yield source, {"event": "alert.raised", "alert_id": self._raised, "attempts": begun, **measured}

    def _quiet(self, source: bytes, span_s: float) -> Iterator[tuple[bytes, dict[str, Any]]]:
        alert = self._open[source]
        alert.quiet_s += span_s
        if alert.quiet_s >= CLOSE_AFTER_S:
            del self._open[source]
            yield source, {"event": "alert.closed", "alert_id": alert.number, "because": "ended"}

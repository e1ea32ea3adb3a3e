"""One incident from its opening to its close: the state machine, and the figures of its alert.

Phases move by what is said of the flood, and by nothing else::

    OPEN ──quiet──► CLOSING ──expired──► CLOSED
     ▲ └─seen─┐        │ └─quiet─┐          ▲
     └────────┴──seen──┘─────────┘          │
     OPEN, CLOSING ─────────stopped─────────┘

A flood that pauses for less than the closing time is one incident. It is *seen* by half of what raises an
alert, so that one near its threshold does not flicker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from synguard.detect.counts import Counted, CountHistory, Tally
from synguard.endpoint import Listener, Network
from synguard.model import (
    Alert,
    AlertClass,
    AlertKind,
    AlertState,
    ClosedBecause,
    Evidence,
    HandshakeCounts,
    Measurement,
    Severity,
    TopSource,
)

#: Sources that an alert names, at most.
MOST_TOP_SOURCES = 50
#: Sources whose counts an incident keeps, at most; the smallest make room.
MOST_TALLIES = 100


class Phase(Enum):
    """Where an incident is on its way."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Word(Enum):
    """What a snapshot, or the caller, says of an incident's flood."""

    SEEN = "seen"
    QUIET = "quiet"
    EXPIRED = "expired"
    STOPPED = "stopped"


TRANSITIONS = {
    (Phase.OPEN, Word.SEEN): Phase.OPEN,
    (Phase.OPEN, Word.QUIET): Phase.CLOSING,
    (Phase.OPEN, Word.STOPPED): Phase.CLOSED,
    (Phase.CLOSING, Word.SEEN): Phase.OPEN,
    (Phase.CLOSING, Word.QUIET): Phase.CLOSING,
    (Phase.CLOSING, Word.EXPIRED): Phase.CLOSED,
    (Phase.CLOSING, Word.STOPPED): Phase.CLOSED,
}

_SEVERITY_ORDER = list(Severity)


@dataclass(slots=True, eq=False)
class Incident:
    """A flood from when it was found until it is over. Times are the snapshots'."""

    id: int
    #: Whose window raised it, and keeps it open.
    basis: Listener | Network
    #: What came since the flood began.
    tally: Tally
    started_at_s: float
    #: Start of the flood's first slice that was seen.
    started_ns: int
    #: Until when the flood counts as seen; in the future where its attempts are still too young to judge.
    seen_until_ns: int
    #: When the flood was last seen, in wall-clock seconds.
    last_seen_s: float
    alert_class: AlertClass = AlertClass.SINGLE_SOURCE
    listener: Listener | None = None
    source: Network | None = None
    severity: Severity = Severity.LOW
    evidence: tuple[Evidence, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    phase: Phase = Phase.OPEN
    sources_estimated: int | None = None
    #: Whether a part of it was seen in one direction only: what was answered is then unknown.
    one_way: bool = False
    peak_syn_per_s: float = 0.0
    #: Cohorts from here on are not yet part of ``ratio_attempts`` and ``ratio_half_open``.
    judged_until_ns: int = 0
    ratio_attempts: int = 0
    ratio_half_open: int = 0
    #: The ratio of the window that raised it; stands in until cohorts since then have matured.
    first_ratio: float = 0.0
    #: Another class (and source) that the picture shows, and since when.
    other_class: tuple[AlertClass, Network | None] | None = None
    other_since_ns: int = 0
    looked_ns: int = 0
    told_ns: int = 0
    told: Alert | None = None
    _tallies: dict[Network, Tally] = field(default_factory=dict)

    def hear(self, word: Word) -> None:
        """Move to the phase that ``word`` leads to; KeyError where none does, which is our own fault."""
        self.phase = TRANSITIONS[self.phase, word]

    def see(self, until_ns: int, last_seen_s: float) -> None:
        """Note that the flood goes on."""
        self.hear(Word.SEEN)
        self.seen_until_ns = max(self.seen_until_ns, until_ns)
        self.last_seen_s = max(self.last_seen_s, last_seen_s)

    def raise_severity(self, severity: Severity) -> None:
        """Take a severity if it is worse than the one before: an incident is as bad as its worst moment."""
        self.severity = max(self.severity, severity, key=_SEVERITY_ORDER.index)

    def picture(self, alert_class: AlertClass, source: Network | None, now_ns: int, hold_ns: int) -> bool:
        """Take on another class once the picture has shown it for ``hold_ns``; tell whether it did now."""
        shown = (alert_class, source)
        if shown == (self.alert_class, self.source):
            self.other_class = None
            return False
        if shown != self.other_class:
            self.other_class, self.other_since_ns = shown, now_ns
        if now_ns - self.other_since_ns < hold_ns:
            return False
        self.alert_class, self.source = shown
        self.other_class = None
        return True

    def count_source(self, source: Network, counts: HandshakeCounts, history: CountHistory) -> None:
        """Count a source that has part in the flood, from the flood's beginning."""
        tally = self._tallies.get(source)
        if tally is None:
            base: Counted = history.before(self.started_ns)
            tally = self._tallies[source] = Tally(base.counts)
        tally.absorb(counts)
        if len(self._tallies) > MOST_TALLIES:
            least = min(self._tallies, key=lambda key: (self._tallies[key].total.attempts, str(key)))
            del self._tallies[least]

    def top_sources(self) -> tuple[TopSource, ...]:
        """Return the sources with most attempts since the flood began, the greatest first."""
        totals = [(source, tally.total) for source, tally in self._tallies.items()]
        totals.sort(key=lambda item: (-item[1].attempts, str(item[0])))
        return tuple(
            TopSource(source, total.attempts, total.completed) for source, total in totals[:MOST_TOP_SOURCES]
        )

    def half_open_ratio(self) -> float:
        """Return the share (0..1) of half-open attempts among those that matured since the beginning."""
        if self.ratio_attempts == 0:
            return self.first_ratio
        return self.ratio_half_open / self.ratio_attempts

    def alert(self, because: ClosedBecause | None = None, ended_at_s: float | None = None) -> Alert:
        """Return the incident's alert as it stands: closed where it is said why."""
        counts = self.tally.total
        return Alert(
            id=self.id,
            kind=AlertKind.SYN_FLOOD,
            alert_class=self.alert_class,
            severity=self.severity,
            state=AlertState.OPEN if because is None else AlertState.CLOSED,
            started_at_s=self.started_at_s,
            listener=self.listener,
            source=self.source,
            closed_because=because,
            ended_at_s=ended_at_s,
            sources_estimated=self.sources_estimated,
            attempts=counts.attempts,
            answered=None if self.one_way else counts.answered,
            completed=None if self.one_way else counts.completed,
            aborted=counts.aborted,
            refused=counts.refused,
            dropped_by_us=counts.dropped_by_us,
            half_open_ratio=None if self.one_way else round(self.half_open_ratio(), 4),
            peak_syn_per_s=round(self.peak_syn_per_s, 1),
            evidence=self.evidence,
            measurements=self.measurements,
            top_sources=self.top_sources(),
        )

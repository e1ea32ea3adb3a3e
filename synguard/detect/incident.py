"""One flood from when it is suspected until it is over, with the figures of its alert.

It is on one source or prefix, or on one listener, or on several that are attacked alike: those are its
members, each with its own count. What the alert says is their sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from synguard.detect.counts import ZERO, Counted, CountHistory, Tally, plus
from synguard.detect.lifecycle import Phase, Word, moved
from synguard.detect.severity import severity as severity_of
from synguard.detect.severity import worse, worse_impact
from synguard.detect.timeline import Timeline
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
#: Listeners that one incident may be on.
MOST_MEMBERS = 64

#: Whose window raises an incident, and keeps it open.
Basis = Listener | Network


@dataclass(slots=True, eq=False)
class Member:
    """What came to one listener, or of one source or prefix, since it became part of an incident."""

    #: None for a prefix: whom it is merged of may change, so what matured in its cohorts is its count.
    tally: Tally | None
    looked_ns: int
    #: Cohorts from here on are not yet part of ``ratio_attempts`` and ``ratio_half_open``.
    judged_until_ns: int
    #: The ratio of the window that raised it; stands in until cohorts since then have matured.
    first_ratio: float
    ratio_attempts: int = 0
    ratio_half_open: int = 0
    #: Of a prefix, how many of its SYNs we dropped.
    dropped: int = 0
    sources_estimated: int = 0

    @property
    def counts(self) -> HandshakeCounts:
        """Return what came since it became part of the incident."""
        if self.tally is not None:
            return self.tally.total
        completed = self.ratio_attempts - self.ratio_half_open
        return HandshakeCounts(self.ratio_attempts, completed=completed, dropped_by_us=self.dropped)


@dataclass(slots=True, eq=False)
class Incident:
    """A flood. Times are the snapshots'."""

    id: int
    members: dict[Basis, Member]
    started_at_s: float
    #: Start of the flood's first slice that was seen.
    started_ns: int
    #: Until when the flood counts as seen; in the future where its attempts are still too young to judge.
    seen_until_ns: int
    #: When the flood was last seen, in wall-clock seconds.
    last_seen_s: float
    alert_class: AlertClass
    source: Network | None
    evidence: tuple[Evidence, ...]
    measurements: tuple[Measurement, ...]
    #: The least that a flood has, until its margin and its impact are taken in.
    severity: Severity = Severity.LOW
    #: Where it is on a source or prefix: the listeners that it likely asks.
    targets: list[Listener] = field(default_factory=list)
    impact: str = "unknown"
    impact_measurements: tuple[Measurement, ...] = ()
    phase: Phase = Phase.SUSPECTED
    timeline: Timeline = field(default_factory=Timeline)
    #: Whether a part of it was seen in one direction only: what was answered is then unknown.
    one_way: bool = False
    peak_syn_per_s: float = 0.0
    #: Another class (and source) that the picture shows, and since when.
    other_class: tuple[AlertClass, Network | None] | None = None
    other_since_ns: int = 0
    #: When it was first told of.
    opened_ns: int = 0
    told_ns: int = 0
    told: Alert | None = None
    _tallies: dict[Network, Tally] = field(default_factory=dict)
    #: Sources that somebody lives at, as was seen while it lasted.
    _spared: dict[Network, None] = field(default_factory=dict)

    def hear(self, word: Word) -> None:
        """Move to the phase that ``word`` leads to; KeyError where none does, which is our own fault."""
        self.phase = moved(self.phase, word)

    @property
    def is_on_listeners(self) -> bool:
        """Tell whether listeners' windows raised it, and not a source's."""
        return all(isinstance(basis, Listener) for basis in self.members)

    def listeners(self) -> tuple[Listener, ...]:
        """Return the listeners that it is on, the hardest hit first."""
        hit = [(m.counts.attempts, b) for b, m in self.members.items() if isinstance(b, Listener)]
        hit.sort(key=lambda item: (-item[0], str(item[1])))
        return tuple(dict.fromkeys([*(listener for _, listener in hit), *self.targets]))

    def see(self, until_ns: int, last_seen_s: float) -> None:
        """Note that the flood goes on."""
        self.hear(Word.SEEN)
        self.seen_until_ns = max(self.seen_until_ns, until_ns)
        self.last_seen_s = max(self.last_seen_s, last_seen_s)

    def take_margin(self, margin: float, at_s: float) -> None:
        """Take by how many times it passes its threshold: an incident is as severe as its worst moment."""
        worst = worse(self.severity, severity_of(margin, self.impact))
        because = f"{margin:,.{0 if margin >= 10 else 1}f} times the threshold, impact {self.impact}"
        self._note(at_s, "severity", self.severity, worst, because)
        self.severity = worst

    def _note(self, at_s: float, what: str, before: str, after: str, because: str = "") -> None:
        """Note a change in the timeline; what it was like before anybody was told of it is none."""
        if self.told is not None:
            self.timeline.note(at_s, what, before, after, because)

    def take_impact(self, impact: str, measurements: tuple[Measurement, ...], at_s: float) -> None:
        """Take what the kernel says of the flood's impact; once it hurt, only what is as bad or worse."""
        if self.impact in ("none", "unknown") or worse_impact(self.impact, impact) == impact:
            self._note(at_s, "impact", self.impact, impact)
            self.impact, self.impact_measurements = impact, measurements

    def picture(self, alert_class: AlertClass, source: Network | None, now_ns: int, hold_ns: int) -> bool:
        """Tell whether the picture has shown another class or source for ``hold_ns`` now."""
        shown = (alert_class, source)
        if shown == (self.alert_class, self.source):
            self.other_class = None
            return False
        if shown != self.other_class:
            self.other_class, self.other_since_ns = shown, now_ns
        return now_ns - self.other_since_ns >= hold_ns

    def reclassify(
        self,
        alert_class: AlertClass,
        source: Network | None,
        evidence: tuple[Evidence, ...],
        at_s: float,
    ) -> None:
        """Take on another class or source, and note in the timeline what it was called before."""
        because = ", ".join(f"{item.name} {item.value}" for item in evidence if item.weight)
        self.timeline.note(at_s, "class", self.alert_class, alert_class, because)
        self.timeline.note(at_s, "source", self.source, source, because)
        self.alert_class, self.source, self.evidence = alert_class, source, evidence
        self.other_class = None

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

    def spare_source(self, source: Network, *, for_good: bool) -> None:
        """Do not name a source, or never again: somebody lives there, who completes handshakes."""
        self._tallies.pop(source, None)
        if for_good:
            self._spared[source] = None
            if len(self._spared) > MOST_TALLIES:
                del self._spared[next(iter(self._spared))]

    def spares(self, source: Network | None) -> bool:
        """Tell whether a source is never to be named, for somebody lived there while the flood lasted."""
        return source in self._spared

    def top_sources(self) -> tuple[TopSource, ...]:
        """Return the sources with most attempts since the flood began, the greatest first."""
        totals = [(source, tally.total) for source, tally in self._tallies.items()]
        totals.sort(key=lambda item: (-item[1].attempts, str(item[0])))
        return tuple(
            TopSource(source, total.attempts, total.completed) for source, total in totals[:MOST_TOP_SOURCES]
        )

    def half_open_ratio(self) -> float:
        """Return the share (0..1) of half-open attempts among those that matured since the beginning."""
        members = self.members.values()
        attempts = sum(member.ratio_attempts for member in members)
        if attempts == 0:
            return max(member.first_ratio for member in members)
        return sum(member.ratio_half_open for member in members) / attempts

    def total(self) -> HandshakeCounts:
        """Return what came since the flood began, to all its members."""
        total = ZERO
        for member in self.members.values():
            total = plus(total, member.counts)
        return total

    def _sources_estimated(self) -> int | None:
        """Return how many sources it has; several listeners may well have the same ones."""
        if self.alert_class is AlertClass.SINGLE_SOURCE and self.source is not None:
            return 1
        return max((member.sources_estimated for member in self.members.values()), default=0) or None

    def alert(self, because: ClosedBecause | None = None, ended_at_s: float | None = None) -> Alert:
        """Return the incident's alert as it stands: closed where it is said why."""
        counts, listeners = self.total(), self.listeners()
        uncounted = self.one_way or any(member.tally is None for member in self.members.values())
        return Alert(
            id=self.id,
            kind=AlertKind.SYN_FLOOD,
            alert_class=self.alert_class,
            severity=self.severity,
            state=AlertState.OPEN if because is None else AlertState.CLOSED,
            started_at_s=self.started_at_s,
            listener=listeners[0] if listeners else None,
            source=self.source,
            closed_because=because,
            ended_at_s=ended_at_s,
            sources_estimated=self._sources_estimated(),
            attempts=counts.attempts,
            answered=None if uncounted else counts.answered,
            completed=None if self.one_way else counts.completed,
            aborted=counts.aborted,
            refused=counts.refused,
            dropped_by_us=counts.dropped_by_us,
            half_open_ratio=None if self.one_way else round(self.half_open_ratio(), 4),
            peak_syn_per_s=round(self.peak_syn_per_s, 1),
            impact=self.impact,
            evidence=self.evidence,
            measurements=(*self.measurements, *self.impact_measurements),
            top_sources=self.top_sources(),
            listeners=listeners,
            timeline=self.timeline.changes(),
        )


def distinct(incidents: Iterable[Incident]) -> list[Incident]:
    """Return each incident once, in order: one with several members stands under each of them."""
    return list(dict.fromkeys(incidents))

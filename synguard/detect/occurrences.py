"""Scans, overloads and reflections from their opening to their close: no floods, and still worth a word.

What a snapshot shows of one is an :class:`Occurrence`. Those with the same key are one incident, with the
phases that floods have; it closes once nothing of it was seen for ``close_after_s``.

Scans and reflections come in whatever name somebody writes into his packets, so no kind of them may take more
than a part of the room that alerts have: what is left is that of floods.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from synguard.detect.counts import ZERO, Tally, plus
from synguard.detect.lifecycle import TOLD, UPDATE_EVERY_NS, Phase, Word, moved
from synguard.detect.severity import worse, worse_impact
from synguard.detect.thresholds import NS_PER_S, Thresholds
from synguard.detect.timeline import Timeline
from synguard.detect.windows import RING_NS, peak_per_s
from synguard.endpoint import Listener, Network
from synguard.model import (
    Action,
    Alert,
    AlertClass,
    AlertClosed,
    AlertKind,
    AlertOpened,
    AlertState,
    AlertUpdated,
    ClosedBecause,
    Evidence,
    HandshakeCounts,
    ListenerReading,
    Measurement,
    Severity,
    Snapshot,
    SourceReading,
    TopSource,
)

#: Those whose counts an incident keeps apart, at most: a /32 of IPv6 has more prefixes than anybody asks for.
MOST_TALLIES = 4096


@dataclass(frozen=True, slots=True)
class Part:
    """One whose counts are part of an occurrence, with those from before it began."""

    who: Listener | Network
    reading: ListenerReading | SourceReading
    before: HandshakeCounts
    #: Length of its cohorts.
    slice_ns: int


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What one snapshot shows of something that is no flood."""

    key: Hashable
    kind: AlertKind
    alert_class: AlertClass | None
    severity: Severity
    listener: Listener | None
    source: Network | None
    parts: tuple[Part, ...]
    evidence: tuple[Evidence, ...]
    measurements: tuple[Measurement, ...]
    #: Rises while it goes on; None where being found again says that it does.
    progress: int | None = None
    #: It opens when it was found for so long.
    persists_ns: int = 0
    impact: str = "unknown"
    sources_estimated: int | None = None

    def goes_on_since(self, before: Occurrence) -> bool:
        """Tell whether it has gone on since it was found before."""
        return self.progress is None or before.progress is None or self.progress > before.progress


@dataclass(slots=True, eq=False)
class _Affair:
    """One occurrence from when it was first found until it is over."""

    id: int
    last: Occurrence
    started_at_s: float
    found_ns: int
    seen_ns: int
    seen_s: float
    severity: Severity
    impact: str
    one_way: bool
    phase: Phase = Phase.SUSPECTED
    timeline: Timeline = field(default_factory=Timeline)
    #: Of whoever had part in it, the latest at the end; and what those came to who are kept no more.
    tallies: dict[Listener | Network, Tally] = field(default_factory=dict)
    gone: HandshakeCounts = ZERO
    peak_per_s: float = 0.0
    looked_ns: int = 0
    told_ns: int = 0
    told: Alert | None = None

    def take(self, occurrence: Occurrence, snapshot: Snapshot) -> None:
        """Note what a snapshot shows of it."""
        before, self.last = self.last, occurrence
        if before is occurrence or occurrence.goes_on_since(before):
            self.seen_ns, self.seen_s = snapshot.time_ns, snapshot.wall_s
            self.phase = moved(self.phase, Word.SEEN)
        peak = 0.0
        for part in occurrence.parts:
            tally = self.tallies.pop(part.who, None) or Tally(part.before)
            tally.absorb(part.reading.counts)
            self.tallies[part.who] = tally
            peak += peak_per_s(part.reading.cohorts, part.slice_ns, self.looked_ns, snapshot.time_ns)
        while len(self.tallies) > MOST_TALLIES:
            self.gone = plus(self.gone, self.tallies.pop(next(iter(self.tallies))).total)
        self.peak_per_s, self.looked_ns = max(self.peak_per_s, peak), snapshot.time_ns
        self.one_way |= snapshot.one_way
        if occurrence.alert_class is not before.alert_class:
            self.timeline.note(snapshot.wall_s, "class", before.alert_class, occurrence.alert_class)
        worst = worse(self.severity, occurrence.severity)
        if worst is not self.severity and self.phase is not Phase.SUSPECTED:
            self.timeline.note(snapshot.wall_s, "severity", self.severity, worst)
        self.severity = worst
        self.impact = worse_impact(self.impact, occurrence.impact)

    def total(self) -> HandshakeCounts:
        """Return what came since it began."""
        total = self.gone
        for tally in self.tallies.values():
            total = plus(total, tally.total)
        return total

    def alert(self, because: ClosedBecause | None = None, ended_at_s: float | None = None) -> Alert:
        """Return its alert as it stands: closed where it is said why."""
        counts, last = self.total(), self.last
        unfinished = max(0, counts.attempts - counts.completed)
        return Alert(
            id=self.id,
            kind=last.kind,
            alert_class=last.alert_class,
            severity=self.severity,
            state=AlertState.OPEN if because is None else AlertState.CLOSED,
            started_at_s=self.started_at_s,
            listener=last.listener,
            source=last.source,
            closed_because=because,
            ended_at_s=ended_at_s,
            sources_estimated=last.sources_estimated,
            attempts=counts.attempts,
            answered=None if self.one_way else counts.answered,
            completed=None if self.one_way else counts.completed,
            aborted=counts.aborted,
            refused=counts.refused,
            dropped_by_us=counts.dropped_by_us,
            half_open_ratio=_ratio(unfinished, counts.attempts, one_way=self.one_way),
            peak_syn_per_s=round(self.peak_per_s, 1),
            impact=self.impact,
            evidence=last.evidence,
            measurements=last.measurements,
            top_sources=self._top_sources(),
            listeners=() if last.listener is None else (last.listener,),
            timeline=self.timeline.changes(),
        )

    def _top_sources(self) -> tuple[TopSource, ...]:
        if self.last.kind is not AlertKind.SCAN or self.last.source is None:
            return ()
        counts = self.total()
        return (TopSource(self.last.source, counts.attempts, counts.completed),)


def _ratio(unfinished: int, attempts: int, *, one_way: bool) -> float | None:
    return None if one_way or not attempts else round(unfinished / attempts, 4)


class Occurrences:
    """Turns what snapshots show into openings, updates and closings of alerts."""

    def __init__(self, thresholds: Thresholds, take_id: Callable[[], int | None]) -> None:
        self.adjust(thresholds)
        self._take_id = take_id
        self._affairs: dict[Hashable, _Affair] = {}
        #: For which there was no room: those of the last snapshot, and how many in all.
        self._turned_away: set[Hashable] = set()
        self.not_opened = 0

    def adjust(self, thresholds: Thresholds) -> None:
        """Close and limit by these from now on."""
        self._close_after_ns = round(thresholds.close_after_s * NS_PER_S)
        self._most_of_a_kind = thresholds.most_of_a_kind

    def observe(self, found: Iterable[Occurrence], snapshot: Snapshot) -> tuple[Action, ...]:
        """Return what a snapshot's occurrences change, in this order: openings, updates, closings."""
        seen: set[Hashable] = set()
        turned_away: set[Hashable] = set()
        of_kind = Counter(affair.last.kind for affair in self._affairs.values())
        for occurrence in sorted(found, key=_rank):
            affair = self._affairs.get(occurrence.key)
            if affair is None and of_kind[occurrence.kind] >= self._most_of_a_kind:
                turned_away.add(occurrence.key)
                continue
            if affair is None:
                affair = self._affairs[occurrence.key] = _begin(occurrence, snapshot)
                of_kind[occurrence.kind] += 1
            seen.add(occurrence.key)
            affair.take(occurrence, snapshot)
        self.not_opened += len(turned_away - self._turned_away)
        self._turned_away = turned_away
        opened = tuple(self._openings(seen, snapshot))
        return (*opened, *self._updates(snapshot), *self._closings(snapshot))

    def _openings(self, seen: set[Hashable], snapshot: Snapshot) -> Iterator[AlertOpened]:
        for key, affair in list(self._affairs.items()):
            if affair.phase is not Phase.SUSPECTED:
                continue
            if key not in seen:
                affair.phase = moved(affair.phase, Word.QUIET)
                del self._affairs[key]
            elif snapshot.time_ns - affair.found_ns >= affair.last.persists_ns:
                number = self._take_id()
                if number is None:
                    continue
                affair.id, affair.phase = number, moved(affair.phase, Word.CONFIRMED)
                affair.timeline.note(snapshot.wall_s, "state", None, AlertState.OPEN)
                affair.told_ns, affair.told = snapshot.time_ns, affair.alert()
                yield AlertOpened(affair.told)

    def _updates(self, snapshot: Snapshot) -> Iterator[AlertUpdated]:
        for affair in self._affairs.values():
            if affair.phase not in TOLD or snapshot.time_ns - affair.told_ns < UPDATE_EVERY_NS:
                continue
            alert = affair.alert()
            if alert != affair.told:
                affair.told_ns, affair.told = snapshot.time_ns, alert
                yield AlertUpdated(alert)

    def _closings(self, snapshot: Snapshot) -> Iterator[AlertClosed]:
        for key, affair in list(self._affairs.items()):
            quiet_ns = snapshot.time_ns - affair.seen_ns
            if affair.phase not in TOLD or quiet_ns == 0:
                continue
            affair.phase = moved(affair.phase, Word.QUIET)
            if quiet_ns >= self._close_after_ns:
                affair.phase = moved(affair.phase, Word.EXPIRED)
                del self._affairs[key]
                affair.timeline.note(snapshot.wall_s, "state", AlertState.OPEN, AlertState.CLOSED, "it ended")
                # The wall's clock may have been set back meanwhile.
                ended_at_s = max(affair.seen_s, affair.started_at_s)
                yield AlertClosed(affair.alert(ClosedBecause.ENDED, ended_at_s))

    def count(self) -> int:
        """Return how many are open."""
        return sum(affair.phase is not Phase.SUSPECTED for affair in self._affairs.values())

    def rewind(self, now_ns: int) -> None:
        """Let what is open go on under another clock, and forget what was only suspected."""
        self._affairs = {k: a for k, a in self._affairs.items() if a.phase is not Phase.SUSPECTED}
        for affair in self._affairs.values():
            affair.seen_ns = affair.told_ns = now_ns

    def stop(self, wall_s: float) -> tuple[AlertClosed, ...]:
        """Close everything because the daemon stops."""
        closed = []
        for affair in self._affairs.values():
            if affair.phase is Phase.SUSPECTED:
                continue
            affair.phase = moved(affair.phase, Word.STOPPED)
            affair.timeline.note(wall_s, "state", AlertState.OPEN, AlertState.CLOSED, "synguard was stopped")
            closed.append(AlertClosed(affair.alert(ClosedBecause.STOPPED, max(wall_s, affair.started_at_s))))
        self._affairs.clear()
        return tuple(closed)

    def open_alerts(self) -> tuple[Alert, ...]:
        """Return the open alerts as they stand."""
        return tuple(a.alert() for a in self._affairs.values() if a.phase is not Phase.SUSPECTED)


def _rank(occurrence: Occurrence) -> tuple[str, str, str, str]:
    """Return what puts the occurrences of a snapshot into an order of their own."""
    about = str(occurrence.source), str(occurrence.listener)
    return str(occurrence.kind), *about, str(occurrence.alert_class)


def _begin(occurrence: Occurrence, snapshot: Snapshot) -> _Affair:
    return _Affair(
        id=0,
        last=occurrence,
        started_at_s=snapshot.wall_s,
        found_ns=snapshot.time_ns,
        looked_ns=snapshot.time_ns - RING_NS,
        seen_ns=snapshot.time_ns,
        seen_s=snapshot.wall_s,
        severity=occurrence.severity,
        impact=occurrence.impact,
        one_way=snapshot.one_way,
    )

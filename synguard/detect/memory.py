"""What the detector remembers of listeners and sources between snapshots, bounded by what those name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from synguard.detect.allowance import HandshakeTimes, Usual
from synguard.detect.counts import Counted, CountHistory, rise
from synguard.detect.thresholds import NS_PER_MS, NS_PER_S, Thresholds
from synguard.detect.windows import RING_NS, matured, measure
from synguard.endpoint import Listener, Network
from synguard.model import Cohort, ListenerReading, Snapshot, SourceReading

#: Whoever is in no snapshot for this long is forgotten; sooner where memory is needed for others.
FORGET_AFTER_NS = 30 * NS_PER_S
#: A source's unanswered attempts are looked at over this long.
WAITING_SPAN_NS = 3 * NS_PER_S
#: By this age an unanswered SYN has been sent again: a second, and what slices and timers are apart.
RETRIED_AFTER_NS = 1200 * NS_PER_MS
#: The share (0..1) of such SYNs that a real client sends again; many give up soon after.
RETRIED = 0.3
#: So many must be that old before they tell anything.
LEAST_TELLING = 20
#: A source that completed this share (0..1) of all its attempts is a client, whatever goes unanswered now.
KNOWN_CLIENT = 0.2
#: Remembered besides those that the last snapshot names.
SPARE = 512


def counted_from_zero(attempts: int, cohorts: Iterable[Cohort]) -> bool:
    """Tell whether all attempts that a reading counts are still in its ring."""
    return sum(cohort.attempts for cohort in cohorts) >= attempts


@dataclass(frozen=True, slots=True)
class ListenerView:
    """What is known of a listener beyond its counts, for people to look at."""

    #: How long a handshake is given here before it may be called half-open, in milliseconds.
    allowance_ms: float
    #: SYN-ACK→ACK times, in milliseconds (upper edges of bins that double); None before any completed.
    handshake_p50_ms: float | None
    handshake_p99_ms: float | None
    #: Share (0..1) of half-open attempts over the matured part of the ring; None without attempts there.
    half_open_ratio: float | None
    #: Attempts per second over the last second.
    attempts_per_s: float


class ListenerMemory:
    """One listener's handshake times, its usual half-open figures and its latest counts."""

    def __init__(self, reading: ListenerReading) -> None:
        self.reading = reading
        self.times = HandshakeTimes()
        self.usual = Usual()
        self.history = CountHistory(100 * NS_PER_MS, RING_NS)
        self.met_ns = 0
        #: Since when its window is that of a flood without an alert being open yet.
        self.suspected_ns: int | None = None
        self._usual_until_ns = 0

    def meet(self, reading: ListenerReading, snapshot: Snapshot, *, frozen: bool) -> None:
        """Take in a new reading; learn nothing from it while ``frozen``."""
        first = self.met_ns == 0
        from_zero = first and counted_from_zero(reading.counts.attempts, reading.cohorts)
        self.reading, self.met_ns = reading, snapshot.time_ns
        self.times.learn(reading.handshake_ms_histogram, snapshot.time_ns, frozen=frozen)
        entry = Counted(snapshot.time_ns, reading.counts, reading.bare_attempts)
        self.history.add(entry, counted_from_zero=from_zero)

    def learn_usual(self, snapshot: Snapshot, age_ns: int) -> None:
        """Once a second, take the second that has newly matured for a usual one."""
        if snapshot.time_ns - self._usual_until_ns < NS_PER_S:
            return
        self._usual_until_ns = snapshot.time_ns
        window = matured(
            self.reading.cohorts, snapshot.listener_cohort_ns, snapshot.time_ns, age_ns, NS_PER_S
        )
        sources = self.reading.sources_estimated or 0
        self.usual.learn(window.attempts, window.half_open, sources, window.length_s)

    def view(self, thresholds: Thresholds, now_ns: int, slice_ns: int) -> ListenerView:
        """Return what people may want to know of this listener."""
        allowance_ns = self.times.allowance_ns(thresholds)
        cohorts = self.reading.cohorts
        old = matured(cohorts, slice_ns, now_ns, allowance_ns, RING_NS)
        recent = measure(cohorts, slice_ns, now_ns - NS_PER_S, now_ns)
        return ListenerView(
            allowance_ms=allowance_ns / NS_PER_MS,
            handshake_p50_ms=_ms(self.times.percentile_ns(0.5)),
            handshake_p99_ms=_ms(self.times.percentile_ns(0.99)),
            half_open_ratio=old.half_open_ratio if old.attempts else None,
            attempts_per_s=recent.attempts_per_s,
        )


class SourceMemory:
    """One watched source's latest counts."""

    def __init__(self, reading: SourceReading) -> None:
        self.reading = reading
        self.history = CountHistory(NS_PER_S, RING_NS)
        self.met_ns = 0

    def meet(self, reading: SourceReading, snapshot: Snapshot) -> None:
        """Take in a new reading."""
        first = self.met_ns == 0
        from_zero = first and counted_from_zero(reading.counts.attempts, reading.cohorts)
        self.reading, self.met_ns = reading, snapshot.time_ns
        self.history.add(Counted(snapshot.time_ns, reading.counts, 0), counted_from_zero=from_zero)

    def is_waiting(self, now_ns: int) -> bool:
        """Tell whether a source is a client of a server that does not answer, rather than its flooder.

        While somebody else's flood fills a SYN queue, or a slow application its accept queue, real clients'
        SYNs go unanswered, and so stay unfinished. Those clients are known by what they completed before,
        or by sending each SYN again after a second, as every stack does (RFC 6298: one second at first).
        Before that second is over nothing tells them from a flood, so nobody is blamed yet.
        """
        lately = rise(self.history.before(now_ns - WAITING_SPAN_NS).counts, self.reading.counts)
        unheard = lately.attempts - lately.answered - lately.refused - lately.dropped_by_us
        if unheard <= 0 or 2 * unheard < lately.attempts - lately.completed:
            return False
        counts = self.reading.counts
        if counts.completed >= KNOWN_CLIENT * counts.attempts:
            return True
        old = sum(
            cohort.attempts - cohort.completed
            for cohort in self.reading.cohorts
            if now_ns - WAITING_SPAN_NS <= cohort.start_ns < now_ns - RETRIED_AFTER_NS
        )
        return old < LEAST_TELLING or lately.syn_retransmits >= RETRIED * old


def _ms(time_ns: int | None) -> float | None:
    return None if time_ns is None else time_ns / NS_PER_MS


Key = TypeVar("Key", Listener, Network)
Kept = TypeVar("Kept", ListenerMemory, SourceMemory)


class _Kept(dict[Key, Kept], Generic[Key, Kept]):
    """Memories by whom they are of."""

    def forget(self, now_ns: int, named: int, needed: Collection[Key]) -> None:
        """Drop who is long gone, and the longest gone beyond the room that ``named`` ones leave."""
        gone = [key for key, kept in self.items() if kept.met_ns != now_ns and key not in needed]
        if not gone:
            return
        gone.sort(key=lambda key: self[key].met_ns)
        crowded = len(self) - named - SPARE
        for rank, key in enumerate(gone):
            if rank < crowded or now_ns - self[key].met_ns > FORGET_AFTER_NS:
                del self[key]


class Memory:
    """Everybody whom the snapshots named lately."""

    def __init__(self) -> None:
        self.listeners: _Kept[Listener, ListenerMemory] = _Kept()
        self.sources: _Kept[Network, SourceMemory] = _Kept()

    def meet(self, snapshot: Snapshot, alarmed: Collection[Listener]) -> None:
        """Take in a snapshot. Listeners that are ``alarmed`` learn nothing, and are not forgotten."""
        for listener_reading in snapshot.listeners:
            listener = listener_reading.listener
            known = self.listeners.get(listener)
            if known is None:
                known = self.listeners[listener] = ListenerMemory(listener_reading)
            known.meet(listener_reading, snapshot, frozen=listener in alarmed)
        for source_reading in snapshot.sources:
            watched = self.sources.get(source_reading.source)
            if watched is None:
                watched = self.sources[source_reading.source] = SourceMemory(source_reading)
            watched.meet(source_reading, snapshot)
        self.listeners.forget(snapshot.time_ns, len(snapshot.listeners), alarmed)
        self.sources.forget(snapshot.time_ns, len(snapshot.sources), ())

    def clear(self) -> None:
        """Forget everybody."""
        self.listeners.clear()
        self.sources.clear()

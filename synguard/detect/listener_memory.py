"""What the detector remembers of one listener: its handshake times, what is usual, its latest counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from synguard.detect.allowance import HandshakeTimes
from synguard.detect.baseline import Baseline, Second
from synguard.detect.counts import NO_MARKS, Counted, CountHistory, Marks, rise
from synguard.detect.responses import OwnResponses, booked_back, counted_once
from synguard.detect.shift import Shift
from synguard.detect.thresholds import NS_PER_MS, NS_PER_S, Thresholds
from synguard.detect.windows import RING_NS, matured, measure
from synguard.model import Cohort, HandshakeCounts, ListenerReading, Snapshot

#: What is usual is learned from attempts of this age: time for two lost segments, and the ring still has
#: them.
SECOND_AGE_NS = 3 * NS_PER_S
SERVED_HALF_LIFE_S = 600.0
#: A silence of a listener is taken in as stretches of at most this long.
LONGEST_SILENCE_S = 3600.0


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
    #: How many attempts are half-open of those whose share that is; None without any.
    half_open: int | None = None


@dataclass(frozen=True, slots=True)
class Lately:
    """What a listener's cumulative counts rose by since a moment."""

    counts: HandshakeCounts
    marks_now: Marks
    marks_before: Marks = NO_MARKS
    #: Attempts that the greylist dropped and then let through.
    admitted: int = 0

    @property
    def marks(self) -> Marks:
        """Return by how much its marks rose."""
        return self.marks_now.since(self.marks_before)

    @property
    def bare_share(self) -> float:
        """Return the share (0..1) of attempts without any TCP option; 0.0 without attempts."""
        return self.marks.bare / self.counts.attempts if self.counts.attempts else 0.0

    @property
    def refused_share(self) -> float:
        """Return the share (0..1) that was answered with RST among the attempts not completed."""
        return min(1.0, self.counts.refused / max(1, self.counts.attempts - self.counts.completed))

    @property
    def unheard(self) -> int:
        """Return how many attempts that got past us were neither answered nor refused."""
        counts = self.counts
        passed = counts.attempts - counts.dropped_by_us + self.admitted
        return max(0, passed - counts.answered - counts.refused)

    @property
    def held(self) -> int:
        """Return how many answered attempts whoever answers has to hold: neither completed nor reset.

        Those that we answered with a cookie are held by nobody.
        """
        counts, marks = self.counts, self.marks
        answered, completed = counts.answered - marks.cookies_sent, counts.completed - marks.cookies_valid
        return max(0, answered - max(0, completed) - counts.aborted)


class ListenerMemory:
    """One listener's handshake times, its usual figures and its latest counts."""

    def __init__(self, reading: ListenerReading, baseline: Baseline | None = None) -> None:
        #: With cohorts that make up for our own responses.
        self.reading = reading
        self.own = OwnResponses()
        self.times = HandshakeTimes()
        self.usual = baseline or Baseline()
        self.shift = Shift()
        self.history = CountHistory(100 * NS_PER_MS, RING_NS)
        self.met_ns = 0
        #: The most handshakes that completed in a second of the last minutes; halves with each ten of them.
        self.served_per_s = 0.0
        #: Until when clients were seen to wait for answers that did not come.
        self.stalled_until_ns = 0
        #: Since when young attempts have shown a flood that older ones do not.
        self.early_since_ns: int | None = None
        self._second_ns = 0
        #: The cohorts as the probe booked them.
        self._booked = reading.cohorts

    def meet(self, reading: ListenerReading, snapshot: Snapshot, *, frozen: bool) -> None:
        """Take in a new reading; learn nothing from it while ``frozen``."""
        first = self.met_ns == 0
        from_zero = first and counted_from_zero(reading.counts.attempts, reading.cohorts)
        self.reading, self.met_ns = reading, snapshot.time_ns
        self.times.learn(reading.handshake_ms_histogram, snapshot.time_ns, frozen=frozen)
        entry = Counted(snapshot.time_ns, reading.counts, Marks.of(reading))
        self.history.add(entry, counted_from_zero=from_zero)
        self.own.meet(reading, snapshot.time_ns, self.times.percentile_ns(0.99) or 0)
        self._booked = reading.cohorts
        if self.own.show:
            self.reading = replace(reading, cohorts=self._made_up(snapshot))

    def _made_up(self, snapshot: Snapshot) -> tuple[Cohort, ...]:
        """Return the cohorts as they would be without what our own responses do to them."""
        cohorts = self._booked
        if self.own.greylist_shows:
            before = self.history.before(snapshot.time_ns - RING_NS)
            cohorts = counted_once(cohorts, self._admitted(before), before.time_ns)
        if self.own.cookies_show:
            slice_ns, now_ns = snapshot.listener_cohort_ns, snapshot.time_ns
            cohorts = booked_back(cohorts, slice_ns, now_ns, self.own.late)
        return cohorts

    def _admitted(self, before: Counted) -> int:
        """Return how many attempts the greylist let through since a moment: they are in two slices."""
        if not self.own.greylist_shows:
            return 0
        booked = sum([one.attempts for one in self._booked if one.start_ns >= before.time_ns])
        return max(0, booked - (self.reading.counts.attempts - before.counts.attempts))

    def allowance_ns(self, thresholds: Thresholds) -> int:
        """Return how old an attempt must be to be half-open here now, in nanoseconds."""
        return self.own.patience_ns(self.times.allowance_ns(thresholds))

    def rest(self) -> None:
        """Keep of its latest counts no more than the newest."""
        self.history.rest()

    def lately(self, since_ns: int) -> Lately:
        """Return by how much the counts rose since a moment within the ring."""
        before = self.history.before(since_ns)
        risen = rise(before.counts, self.reading.counts)
        return Lately(risen, Marks.of(self.reading), before.marks, self._admitted(before))

    def take_second(self, snapshot: Snapshot, *, calm: bool) -> None:
        """Once a second, hold what has newly matured against what is usual; learn it too while ``calm``."""
        now_ns = snapshot.time_ns
        if now_ns - self._second_ns < NS_PER_S:
            return
        silent_s = min((now_ns - self._second_ns) / NS_PER_S - 1.0, LONGEST_SILENCE_S)
        if self._second_ns and silent_s >= 1.0:
            silence = Second(snapshot.wall_s - silent_s / 2, silent_s, 0, 0, 0, 0, 0)
            self.shift.observe(silence, self.usual)
            if calm and not self.shift.suspicious:
                self.usual.learn(silence)
        self._second_ns = now_ns
        second = self._second(snapshot)
        completed_per_s = second.completed / second.length_s if second.length_s else 0.0
        forgotten = 0.5 ** ((max(0.0, silent_s) + 1.0) / SERVED_HALF_LIFE_S)
        self.served_per_s = max(self.served_per_s * forgotten, completed_per_s)
        self.shift.observe(second, self.usual)
        if calm and not self.shift.suspicious:
            self.usual.learn(self._without_dropped(second, snapshot))

    def _without_dropped(self, second: Second, snapshot: Snapshot) -> Second:
        """Return a second less the attempts that we dropped in it: nobody's queue held those."""
        until_ns = snapshot.time_ns - SECOND_AGE_NS
        first, last = self.history.before(until_ns - NS_PER_S), self.history.before(until_ns)
        dropped = min(rise(first.counts, last.counts).dropped_by_us, second.half_open)
        if not dropped:
            return second
        attempts, half_open = second.attempts - dropped, second.half_open - dropped
        return replace(second, attempts=attempts, half_open=half_open)

    def _second(self, snapshot: Snapshot) -> Second:
        """Return the second of attempts that is just old enough to be judged for good."""
        slice_ns, now_ns = snapshot.listener_cohort_ns, snapshot.time_ns
        window = matured(self.reading.cohorts, slice_ns, now_ns, SECOND_AGE_NS, NS_PER_S)
        since = self.lately(window.start_ns).counts
        # Refusals and aborts of that second and of those after it: none of them holds a place in a queue.
        settled = min(window.half_open, since.refused + since.aborted)
        refused = min(since.refused, settled)
        return Second(
            wall_s=snapshot.wall_s - (now_ns - (window.start_ns + window.end_ns) / 2) / NS_PER_S,
            length_s=window.length_s,
            attempts=window.attempts,
            half_open=window.half_open,
            refused=refused,
            aborted=settled - refused,
            sources=self.reading.sources_estimated or 0,
        )

    def view(self, thresholds: Thresholds, now_ns: int, slice_ns: int) -> ListenerView:
        """Return what people may want to know of this listener."""
        allowance_ns = self.allowance_ns(thresholds)
        cohorts = self.reading.cohorts
        old = matured(cohorts, slice_ns, now_ns, allowance_ns, RING_NS)
        recent = measure(cohorts, slice_ns, now_ns - NS_PER_S, now_ns)
        return ListenerView(
            allowance_ms=allowance_ns / NS_PER_MS,
            handshake_p50_ms=_ms(self.times.percentile_ns(0.5)),
            handshake_p99_ms=_ms(self.times.percentile_ns(0.99)),
            half_open_ratio=old.half_open_ratio if old.attempts else None,
            attempts_per_s=recent.attempts_per_s,
            half_open=old.half_open if old.attempts else None,
        )


def _ms(time_ns: int | None) -> float | None:
    return None if time_ns is None else time_ns / NS_PER_MS

"""What is judged of one listener: whether it is under a flood, seen through which window.

Three windows look at matured cohorts only, from the newest backwards. The *fast* one of a quarter of a
second lies directly behind the allowance; the *sure* one of a second and the *slow* one of three seconds
look at attempts that are at least a second old, which is time for a handshake around the world and for
one lost segment. The fast one may look at younger attempts, and a crowd of clients from far away looks just
like a flood there. So it needs one sign more: SYNs without any TCP option, which no client's stack
sends, or very many half-open attempts from one source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from synguard.detect.attribution import Attribution, Share
from synguard.detect.counts import Counted, rise
from synguard.detect.memory import ListenerMemory
from synguard.detect.sources import is_scan, is_very_many
from synguard.detect.statistics import surely_above
from synguard.detect.thresholds import NS_PER_MS, NS_PER_S, Thresholds
from synguard.detect.windows import Window, matured, measure, unfinished
from synguard.model import HandshakeCounts, ListenerReading, Snapshot

#: The fast window's length; it is also the shortest stretch that any rate is averaged over.
FAST_NS = 250 * NS_PER_MS
SURE_NS = NS_PER_S
SLOW_NS = 3 * NS_PER_S
#: Slices that must hold half-open attempts. Three of 17 ms are touched by a burst of 20 ms already,
#: so the span from the first to the last matters too: above four slices it lasted more than 50 ms.
LEAST_BUSY_SLICES = 3
LEAST_SPAN_SLICES = 5
#: From this share (0..1) of attempts without TCP options on, clients' stacks did not send them.
BARE_SHARE = 0.5
#: The share (0..1) of a listener's half-open attempts from which on one source is the flood.
MAIN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class ListenerJudgement:
    """What one snapshot says of one listener."""

    memory: ListenerMemory
    allowance_ns: int
    #: The half-open attempts per second that it was held against.
    threshold_per_s: float
    #: The window that makes it a flood, if any does.
    raised: Window | None
    #: The window that shows that an open alert's flood goes on, if any does.
    holding: Window | None
    #: Whether the newest attempts that have matured are still those of a flood.
    current: bool

    @property
    def reading(self) -> ListenerReading:
        """Return the reading that was judged."""
        return self.memory.reading


class _Look(NamedTuple):
    """A window, with what its half-open attempts are held against."""

    window: Window
    threshold_per_s: float


@dataclass(frozen=True, slots=True)
class Lately:
    """What a listener's cumulative counts rose by since a moment."""

    counts: HandshakeCounts
    bare_attempts: int

    @property
    def bare_share(self) -> float:
        """Return the share (0..1) of attempts without any TCP option; 0.0 without attempts."""
        return self.bare_attempts / self.counts.attempts if self.counts.attempts else 0.0

    @property
    def refused_share(self) -> float:
        """Return the share (0..1) that was answered with RST among the attempts not completed."""
        unfinished_attempts = max(1, self.counts.attempts - self.counts.completed)
        return min(1.0, self.counts.refused / unfinished_attempts)


def lately(memory: ListenerMemory, since_ns: int) -> Lately:
    """Return by how much a listener's counts rose since a moment within its ring."""
    before: Counted = memory.history.before(since_ns)
    reading = memory.reading
    counts = rise(before.counts, reading.counts)
    bare = reading.bare_attempts - before.bare_attempts
    return Lately(counts, bare if bare >= 0 else reading.bare_attempts)


class ListenerJudge:
    """Judges the listeners of one snapshot."""

    def __init__(self, snapshot: Snapshot, thresholds: Thresholds, attribution: Attribution) -> None:
        self._snapshot = snapshot
        self._thresholds = thresholds
        self._attribution = attribution

    def judge(self, memory: ListenerMemory) -> ListenerJudgement | None:
        """Judge a listener on its matured attempts; None where it has next to no unfinished ones."""
        least = self._thresholds.half_open_per_s * FAST_NS / NS_PER_S / 2
        if unfinished(memory.reading.cohorts) < least:
            return None
        allowance_ns = memory.times.allowance_ns(self._thresholds)
        fast = self._looks(memory, allowance_ns, FAST_NS)
        old_ns = max(allowance_ns, NS_PER_S)
        old = [*self._looks(memory, old_ns, SURE_NS), *self._looks(memory, old_ns, SLOW_NS)]
        raised = next((look for look in old if self._is_flood(look, self._is_long(look.window))), None)
        if raised is None:
            raised = next((look for look in fast if self._is_early_flood(memory, look, allowance_ns)), None)
        holding = next((look for look in old if self._goes_on(look)), None)
        telling = raised or holding or fast[0]
        return ListenerJudgement(
            memory=memory,
            allowance_ns=allowance_ns,
            threshold_per_s=telling.threshold_per_s,
            raised=raised.window if raised else None,
            holding=holding.window if holding else None,
            current=any(self._goes_on(look) for look in fast),
        )

    def _looks(self, memory: ListenerMemory, age_ns: int, length_ns: int) -> tuple[_Look, _Look]:
        """Return a window less what was refused, for the usual threshold, and the whole for the other."""
        reading, slice_ns = memory.reading, self._snapshot.listener_cohort_ns
        window = matured(reading.cohorts, slice_ns, self._snapshot.time_ns, age_ns, length_ns)
        if reading.listener.port == 0 and window.half_open:
            window = window.without(self._attribution.scanned(reading, window))
        refused = round(window.half_open * lately(memory, window.start_ns).refused_share)
        return (
            _Look(window.without(refused), self._thresholds.half_open_per_s),
            _Look(window, self._thresholds.refused_per_s),
        )

    def _is_early_flood(self, memory: ListenerMemory, look: _Look, allowance_ns: int) -> bool:
        """Tell whether a window directly behind the allowance shows a flood."""
        slice_ns = self._snapshot.listener_cohort_ns
        until_ns = self._snapshot.time_ns + slice_ns
        with_young = measure(memory.reading.cohorts, slice_ns, look.window.start_ns, until_ns)
        if not self._is_flood(look, self._is_long(with_young)):
            return False
        return allowance_ns >= NS_PER_S or self._has_sign(memory, look.window)

    def _is_flood(self, look: _Look, is_long: bool) -> bool:
        window = look.window
        return (
            is_long
            and window.attempts >= self._thresholds.min_attempts
            and window.half_open_per_s >= look.threshold_per_s
            and window.busy_slices >= LEAST_BUSY_SLICES
            and surely_above(window.half_open, window.attempts, self._thresholds.half_open_ratio)
        )

    def _is_long(self, window: Window) -> bool:
        """Tell whether the half-open attempts of a window last longer than 50 ms."""
        span_ns = window.busy_until_ns - window.busy_from_ns
        return span_ns >= LEAST_SPAN_SLICES * self._snapshot.listener_cohort_ns

    def _goes_on(self, look: _Look) -> bool:
        """Tell whether an open alert's flood is still to be seen: half of what raises one is enough."""
        return (
            look.window.half_open_per_s >= look.threshold_per_s / 2
            and look.window.half_open_ratio >= self._thresholds.half_open_ratio / 2
        )

    def _has_sign(self, memory: ListenerMemory, fast: Window) -> bool:
        """Tell whether unfinished attempts younger than a second are more than clients far away."""
        recent = lately(memory, fast.start_ns)
        if recent.bare_share >= BARE_SHARE and not _completes_bare(memory.reading):
            return True
        main = main_source(self._attribution.sources_of(memory.reading.listener))
        if main is None or (memory.reading.listener.port == 0 and is_scan(main.source)):
            return False
        return is_very_many(main.source, self._snapshot, self._thresholds)


def main_source(shares: list[Share]) -> Share | None:
    """Return the source that makes at least half of a listener's half-open attempts, if one does."""
    return shares[0] if shares and shares[0].share >= MAIN_SHARE else None


def _completes_bare(reading: ListenerReading) -> bool:
    """Tell whether this listener's real clients send bare SYNs too: more completed than had options."""
    return reading.counts.completed > reading.counts.attempts - reading.bare_attempts

"""What is judged of one listener: whether it is under a flood, seen through which window.

Three windows look at matured cohorts only, from the newest backwards. The *fast* one of a quarter of a
second lies directly behind the allowance; the *sure* one of a second and the *slow* one of three seconds
look at attempts that are at least a second old, which is time for a handshake around the world and for
one lost segment. The fast one may look at younger attempts, and a crowd of clients from far away looks just
like a flood there. So it needs one sign more: one that ``evidence`` knows, or very many half-open attempts
from one source.

Beside the windows stands the *shift*: a flood too slow for any threshold shows against what is usual here.
Attempts that clients sent again because nobody answers them are no flood's (``overload``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from synguard.detect.attribution import Attribution, Share
from synguard.detect.evidence import is_sign
from synguard.detect.impact import Impact
from synguard.detect.listener_memory import ListenerMemory
from synguard.detect.memory import Memory
from synguard.detect.overload import waiting_clients
from synguard.detect.sources import TIMES_EXCUSED, is_scan, is_very_many
from synguard.detect.statistics import surely_above
from synguard.detect.thresholds import NS_PER_MS, NS_PER_S, Thresholds
from synguard.detect.windows import Window, matured, measure, unfinished
from synguard.model import ListenerReading, Snapshot

#: The fast window's length; it is also the shortest stretch that any rate is averaged over.
FAST_NS = 250 * NS_PER_MS
SURE_NS = NS_PER_S
SLOW_NS = 3 * NS_PER_S
#: Slices that must hold half-open attempts. Three of 17 ms are touched by a burst of 20 ms already,
#: so the span from the first to the last matters too: above four slices it lasted more than 50 ms. A burst of
#: four has lasted so long if its attempts fill more than three slices like the fullest.
LEAST_BUSY_SLICES = 3
LEAST_SPAN_SLICES = 5
LEAST_FULL_SLICES = 3.1
#: So many unfinished attempts in so short a time may be the beginning of a flood.
PRESSED = 200
PRESSED_NS = 250 * NS_PER_MS
#: The share (0..1) of a listener's half-open attempts from which on one source is the flood.
MAIN_SHARE = 0.5
#: Refusals are a flood only beyond so many times what was served lately: a restart refuses everybody.
TIMES_SERVED = 3.0
#: Fewer unfinished attempts than this in the whole ring are not worth a look.
LEAST_UNFINISHED = 6


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
    #: Whether only what is usual here makes it a flood: it is slower than any threshold.
    is_slow: bool = False
    #: Share (0..1) of its unfinished attempts that were refused, or are those of clients who wait.
    excused_share: float = 0.0
    #: Whether so many unfinished attempts came in the last moment that a flood may be beginning.
    is_pressed: bool = False

    @property
    def reading(self) -> ListenerReading:
        """Return the reading that was judged."""
        return self.memory.reading


class _Look(NamedTuple):
    """A window, with what its half-open attempts are held against."""

    window: Window
    threshold_per_s: float
    #: Share (0..1) of its half-open attempts that are left out, for no flood is blamed for them.
    excused_share: float = 0.0


class ListenerJudge:
    """Judges the listeners of one snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        thresholds: Thresholds,
        attribution: Attribution,
        memory: Memory,
        impact: Impact,
    ) -> None:
        self._snapshot = snapshot
        self._all_thresholds = thresholds
        self._thresholds = thresholds
        self._attribution = attribution
        self._memory = memory
        self._impact = impact

    def judge(self, memory: ListenerMemory) -> ListenerJudgement | None:
        """Judge a listener on its matured attempts; None where it has next to no unfinished ones."""
        if unfinished(memory.reading.cohorts) < LEAST_UNFINISHED:
            return None
        self._thresholds = self._all_thresholds.for_listener(memory.reading.listener)
        allowance_ns = memory.allowance_ns(self._thresholds)
        fast = self._looks(memory, allowance_ns, FAST_NS)
        old_ns = max(allowance_ns, NS_PER_S)
        old = [*self._looks(memory, old_ns, SURE_NS), *self._looks(memory, old_ns, SLOW_NS)]
        raised = next((look for look in old if self._is_flood(look, self._is_long(look.window))), None)
        holding = next((look for look in old if self._goes_on(look)), None)
        if raised is None:
            raised = self._early(memory, fast, allowance_ns, is_held=holding is not None)
        shifted = self._shifted(memory, old[2]) if raised is None else None
        telling = raised or shifted or holding or fast[0]
        return ListenerJudgement(
            memory=memory,
            allowance_ns=allowance_ns,
            threshold_per_s=telling.threshold_per_s,
            raised=telling.window if raised or self._is_current_shift(memory, shifted, old[0]) else None,
            holding=holding.window if holding else (shifted.window if shifted else None),
            current=any(self._goes_on(look) for look in fast)
            or self._is_current_shift(memory, shifted, old[0]),
            is_slow=shifted is not None,
            excused_share=old[0].excused_share,
            is_pressed=self._is_pressed(memory),
        )

    def _is_pressed(self, memory: ListenerMemory) -> bool:
        if memory.own.show:
            return False  # so many are young, and no hurry shows anything sooner
        slice_ns, now_ns = self._snapshot.listener_cohort_ns, self._snapshot.time_ns
        last = measure(memory.reading.cohorts, slice_ns, now_ns - PRESSED_NS, now_ns + slice_ns)
        return last.half_open >= PRESSED

    def _looks(self, memory: ListenerMemory, age_ns: int, length_ns: int) -> tuple[_Look, _Look]:
        """Return a window less what was refused, for the usual threshold, and the whole for the other."""
        reading, slice_ns = memory.reading, self._snapshot.listener_cohort_ns
        whole = window = matured(reading.cohorts, slice_ns, self._snapshot.time_ns, age_ns, length_ns)
        if reading.listener.port == 0 and window.half_open:
            window = window.without(self._attribution.scanned(reading, window))
        lately = memory.lately(window.start_ns)
        refused = round(window.half_open * lately.refused_share)
        waiting = waiting_clients(memory, self._impact, self._snapshot, window)
        usual_per_s = memory.usual.threshold_per_s(self._snapshot.wall_s, self._thresholds.half_open_per_s)
        refused_per_s = max(self._thresholds.refused_per_s, TIMES_SERVED * memory.served_per_s)
        left = window.without(refused + waiting)
        excused_share = 1.0 - left.half_open / whole.half_open if whole.half_open else 0.0
        return (
            _Look(left, usual_per_s, excused_share),
            _Look(window.without(waiting + self._refused_clients(memory, window, refused)), refused_per_s),
        )

    def _refused_clients(self, memory: ListenerMemory, window: Window, refused: int) -> int:
        """Return how many attempts of a window are those of known clients whose server is away."""
        if not refused:
            return 0
        share = sum(
            min(1.0, share.share)
            for share in self._attribution.sources_of(memory.reading.listener)
            if self._memory.sources[share.source.source].is_refused_client(self._snapshot.time_ns)
        )
        most_per_s = TIMES_EXCUSED * self._thresholds.refused_per_s
        return min(refused, round(window.half_open * min(1.0, share)), round(most_per_s * window.length_s))

    def _shifted(self, memory: ListenerMemory, slow: _Look) -> _Look | None:
        """Return the slow window where what is usual here says that a flood goes on, however slow."""
        wanted = self._thresholds.slow_floods and memory.reading.listener.port != 0
        reference_per_s = memory.shift.reference_per_s
        goes_on = slow.window.half_open_per_s >= reference_per_s / 2
        if not wanted or not memory.shift.raised or not goes_on:
            return None
        return _Look(slow.window, min(slow.threshold_per_s, reference_per_s))

    def _is_current_shift(self, memory: ListenerMemory, shifted: _Look | None, sure: _Look) -> bool:
        """Tell whether a shift is that of attempts still coming: by what is over nobody tells what it was."""
        return shifted is not None and 2 * sure.window.half_open_per_s >= memory.shift.reference_per_s

    def _early(
        self, memory: ListenerMemory, fast: Sequence[_Look], allowance_ns: int, *, is_held: bool
    ) -> _Look | None:
        """Return the look at young attempts that shows a flood, unless those that were young had completed.

        Clients from further away than any before look like a flood for as long as they come: what tells is
        that nothing of it is left once it is sure. An alert on them must end, for only then they are learned.
        """
        now_ns = self._snapshot.time_ns
        look = next((one for one in fast if self._is_early_flood(memory, one, allowance_ns)), None)
        if look is None or is_held:
            memory.early_since_ns = None
            return look
        if memory.early_since_ns is None:
            memory.early_since_ns = now_ns
        surely_ns = max(allowance_ns, NS_PER_S) + SURE_NS
        return look if now_ns - memory.early_since_ns <= surely_ns else None

    def _is_early_flood(self, memory: ListenerMemory, look: _Look, allowance_ns: int) -> bool:
        """Tell whether a window directly behind the allowance shows a flood."""
        slice_ns = self._snapshot.listener_cohort_ns
        until_ns = self._snapshot.time_ns + slice_ns
        with_young = measure(memory.reading.cohorts, slice_ns, look.window.start_ns, until_ns)
        if not self._is_flood(look, self._is_long(with_young)):
            return False
        return allowance_ns >= NS_PER_S or self._has_sign(memory, look.window, with_young)

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
        """Tell whether the half-open attempts of a window last longer than a blink."""
        span = (window.busy_until_ns - window.busy_from_ns) // self._snapshot.listener_cohort_ns
        if span != LEAST_SPAN_SLICES - 1:
            return span >= LEAST_SPAN_SLICES
        return window.half_open >= LEAST_FULL_SLICES * window.peak_half_open

    def _goes_on(self, look: _Look) -> bool:
        """Tell whether an open alert's flood is still to be seen: half of what raises one is enough."""
        return (
            look.window.half_open_per_s >= look.threshold_per_s / 2
            and look.window.half_open_ratio >= self._thresholds.half_open_ratio / 2
        )

    def _has_sign(self, memory: ListenerMemory, fast: Window, with_young: Window) -> bool:
        """Tell whether unfinished attempts younger than a second are more than clients far away."""
        if is_sign(memory, fast, with_young, memory.lately(fast.start_ns)):
            return True
        main = main_source(self._attribution.sources_of(memory.reading.listener))
        if main is None or (memory.reading.listener.port == 0 and is_scan(main.source)):
            return False
        return is_very_many(main.source, self._snapshot, self._thresholds)


def main_source(shares: list[Share]) -> Share | None:
    """Return the source that makes at least half of a listener's half-open attempts, if one does."""
    return shares[0] if shares and shares[0].share >= MAIN_SHARE else None

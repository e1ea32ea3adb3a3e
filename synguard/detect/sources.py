"""What is judged of one watched source: whether it floods, and whether it merely scans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest

from synguard.detect.counts import rise
from synguard.detect.prefixes import LEAST_SOURCES
from synguard.detect.responses import Late, booked_back, greylist_patience_ns
from synguard.detect.scans import ATTEMPTS_PER_TARGET, SATURATED_TARGETS
from synguard.detect.source_memory import SourceMemory
from synguard.detect.statistics import surely_above
from synguard.detect.thresholds import NS_PER_MS, NS_PER_S, Thresholds
from synguard.detect.windows import Window, matured, measure, unfinished
from synguard.model import Cohort, Snapshot, SourceReading

#: Fewer targets than this make no scan, however seldom each is asked.
SCAN_TARGETS = 8
#: The share (0..1) of a source's own attempts that must surely be half-open before it alone is blamed.
#: A carrier's NAT with a few bad clients behind it stays far below.
RATIO = 0.5
#: A source that completes no more than this share of its attempts completes nearly nothing.
NEARLY_NOTHING = 0.05
#: So many times the source threshold is very many, enough to judge attempts younger than a second.
VERY_MANY = 4.0
#: More sources than this that scan one address at a time are a flood on it.
MOST_SCANNERS = 8
#: A client whose server is away may ask this many times as often as a flood of refusals needs, and no more.
TIMES_EXCUSED = 10.0
#: No source is judged on its own before this age of its attempts.
YOUNGEST_NS = 250 * NS_PER_MS


def is_scan(reading: SourceReading) -> bool:
    """Tell whether a source asks many targets, each at most three times, however fast."""
    targets = reading.targets_estimated
    few_each = reading.counts.attempts <= ATTEMPTS_PER_TARGET * targets
    return targets >= SATURATED_TARGETS or (targets >= SCAN_TARGETS and few_each)


def is_very_many(reading: SourceReading, snapshot: Snapshot, thresholds: Thresholds) -> bool:
    """Tell whether a source's unfinished attempts of the last second are so many that their age is no excuse.

    Only of a source that completes nearly nothing: a carrier's NAT is known by what it completed.
    """
    counts = reading.counts
    if counts.completed > NEARLY_NOTHING * counts.attempts:
        return False
    slice_ns = snapshot.source_cohort_ns
    last = measure(reading.cohorts, slice_ns, snapshot.time_ns - NS_PER_S, snapshot.time_ns + slice_ns)
    return last.half_open >= max(VERY_MANY * thresholds.source_half_open_per_s, thresholds.min_attempts)


@dataclass(frozen=True, slots=True)
class SourceJudgement:
    """What one snapshot says of one source, or prefix of sources."""

    reading: SourceReading
    #: The half-open attempts per second that it was held against.
    threshold_per_s: float
    #: The window that makes it a flood, if any does.
    raised: Window | None
    #: The window that shows that an open alert's flood goes on, if any does.
    holding: Window | None
    allowance_ns: int


@dataclass(frozen=True, slots=True)
class Patience:
    """How old attempts of sources must be to be half-open: whom a source asks is not known by its record."""

    #: That of the busiest listener.
    allowance_ns: int
    #: How late the completions of those are booked whom our cookies answer; None where none do.
    late: Late | None = None

    def for_one(self, *, is_dropped: bool) -> int:
        """Return that of one source or prefix of sources, in nanoseconds."""
        patience_ns = greylist_patience_ns(self.allowance_ns) if is_dropped else self.allowance_ns
        return patience_ns if self.late is None else max(patience_ns, self.late.back_ns)

    def booked(self, reading: SourceReading, snapshot: Snapshot) -> tuple[Cohort, ...]:
        """Return its cohorts with the completions where their attempts are."""
        if self.late is None or not reading.counts.completed:
            return reading.cohorts
        return booked_back(reading.cohorts, snapshot.source_cohort_ns, snapshot.time_ns, self.late)


def judge_source(
    memory: SourceMemory,
    snapshot: Snapshot,
    thresholds: Thresholds,
    patience: Patience,
    asks_one: Callable[[SourceReading], bool],
) -> SourceJudgement | None:
    """Judge a source on its matured attempts; None where it has next to no unfinished ones.

    ``asks_one`` tells of one that has had too many targets to tell how many it asks now whether it is one.
    """
    reading = memory.reading
    if memory.unfinished < min(thresholds.source_half_open_per_s / 2, thresholds.min_attempts):
        return None
    slice_ns, now_ns = snapshot.source_cohort_ns, snapshot.time_ns
    allowance_ns = patience.for_one(is_dropped=memory.is_dropped)
    cohorts = patience.booked(reading, snapshot)
    sure = matured(cohorts, slice_ns, now_ns, max(NS_PER_S, allowance_ns), NS_PER_S)
    threshold_per_s = _threshold_per_s(memory, sure, thresholds)
    raised = None
    is_away = (
        threshold_per_s == thresholds.refused_per_s
        and memory.is_refused_client(now_ns)
        and sure.half_open_per_s < TIMES_EXCUSED * threshold_per_s
    )
    if not is_away and (not is_scan(reading) or asks_one(reading)):
        if _is_flood(sure, threshold_per_s, thresholds) and _is_long(sure, slice_ns):
            raised = sure
        elif is_very_many(reading, snapshot, thresholds):
            raised = _early_flood(cohorts, snapshot, threshold_per_s, thresholds, allowance_ns)
    holding = sure if _goes_on(sure, threshold_per_s) else None
    return SourceJudgement(reading, threshold_per_s, raised, holding, allowance_ns)


def _early_flood(
    cohorts: Sequence[Cohort],
    snapshot: Snapshot,
    threshold_per_s: float,
    thresholds: Thresholds,
    allowance_ns: int,
) -> Window | None:
    """Return the window directly behind the allowance if it shows a flood."""
    slice_ns, now_ns = snapshot.source_cohort_ns, snapshot.time_ns
    young = matured(cohorts, slice_ns, now_ns, max(YOUNGEST_NS, allowance_ns), NS_PER_S)
    if not _is_flood(young, threshold_per_s, thresholds):
        return None
    with_young = measure(cohorts, slice_ns, young.start_ns, now_ns + slice_ns)
    return young if _is_long(with_young, slice_ns) else None


def judge_prefix(
    reading: SourceReading,
    snapshot: Snapshot,
    thresholds: Thresholds,
    patience: Patience,
    *,
    is_dropped: bool,
) -> SourceJudgement | None:
    """Judge a merged prefix as a source is judged, but on attempts only that are a second old."""
    threshold_per_s = thresholds.prefix_half_open_per_s
    few = (reading.sources_estimated or 0) < LEAST_SOURCES
    if few or unfinished(reading.cohorts) < min(threshold_per_s / 2, thresholds.min_attempts):
        return None
    slice_ns, now_ns = snapshot.source_cohort_ns, snapshot.time_ns
    allowance_ns = patience.for_one(is_dropped=is_dropped)
    cohorts = patience.booked(reading, snapshot)
    sure = matured(cohorts, slice_ns, now_ns, max(NS_PER_S, allowance_ns), NS_PER_S)
    is_flood = _is_flood(sure, threshold_per_s, thresholds) and _is_long(sure, slice_ns)
    holding = sure if _goes_on(sure, threshold_per_s) else None
    return SourceJudgement(reading, threshold_per_s, sure if is_flood else None, holding, allowance_ns)


def _goes_on(window: Window, threshold_per_s: float) -> bool:
    """Tell whether an open alert's flood is still to be seen: half of what raises one is enough."""
    return window.half_open_per_s >= threshold_per_s / 2 and window.half_open_ratio >= RATIO / 2


def _is_flood(window: Window, threshold_per_s: float, thresholds: Thresholds) -> bool:
    return (
        window.attempts >= thresholds.min_attempts
        and window.half_open_per_s >= threshold_per_s
        and surely_above(window.half_open, window.attempts, RATIO)
    )


def _is_long(window: Window, slice_ns: int) -> bool:
    """Tell whether the half-open attempts last longer than 50 ms: over three slices of 67 ms they do."""
    return window.busy_until_ns - window.busy_from_ns >= 3 * slice_ns


def _threshold_per_s(memory: SourceMemory, window: Window, thresholds: Thresholds) -> float:
    """Return the threshold for a source: another one where most that it asks is refused."""
    lately = rise(memory.history.before(window.start_ns).counts, memory.reading.counts)
    if 2 * lately.refused >= max(1, lately.attempts - lately.completed):
        return thresholds.refused_per_s
    return thresholds.source_half_open_per_s


def hot_sources(sources: Sequence[SourceMemory], most: int) -> list[SourceReading]:
    """Return the sources with most unfinished attempts in the ring, the greatest first."""
    weighed = [(-one.unfinished, str(one.reading.source), one) for one in sources if one.unfinished >= 8]
    return [one.reading for _, _, one in nsmallest(most, weighed)]


def scanned_by_slice(snapshot: Snapshot, start_ns: int, end_ns: int) -> Mapping[int, int]:
    """Return the half-open attempts of scanning sources in the slices that touch a window.

    Those of the greatest few alone: random ports from one source are a scan, from many they are a flood.
    """
    from_ns = start_ns - snapshot.source_cohort_ns
    scanners = {
        str(reading.source): {
            began_ns: attempts - completed
            for began_ns, attempts, completed in reading.cohorts
            if from_ns < began_ns < end_ns
        }
        for reading in snapshot.sources
        if is_scan(reading)
    }
    greatest = nlargest(MOST_SCANNERS, scanners, key=lambda name: (sum(scanners[name].values()), name))
    scanned = Counter[int]()
    for name in greatest:
        scanned.update(scanners[name])
    return scanned

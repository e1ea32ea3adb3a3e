"""Which listener's half-open attempts a watched source made.

The probe counts sources and listeners apart: it does not record who asked whom. But both are counted in
slices of the same clock, and a source's slice spans a whole number of listeners' slices. A listener whose
unfinished attempts are, slice by slice, at least as many as the source's may be its target; where several
are, the one that the source explains best is taken. What speaks against it is the estimate of a listener's
sources: where nearly every attempt came from a source of its own, no single one made half of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import sub
from typing import NamedTuple

from synguard.detect.responses import SENT_AGAIN_NS
from synguard.detect.slices import Grid, common
from synguard.detect.sources import scanned_by_slice
from synguard.detect.thresholds import NS_PER_S
from synguard.detect.windows import Window, unfinished
from synguard.endpoint import Listener, Network
from synguard.model import ListenerReading, Snapshot, SourceReading

#: So much of a source's attempts must fit into its target's, slice by slice (some slices are read torn).
FIT = 0.9
#: Beyond so many targets no single one gets enough of a source to be told by counts.
MANY_TARGETS = 16
#: At most so many sources and listeners with most unfinished attempts are matched in one snapshot.
MOST_SOURCES = 64
MOST_LISTENERS = 16
#: The estimate of distinct sources may be this much too high.
ESTIMATE_SLACK = 1.3
#: From here on the probe's estimate of a prefix's sources is full.
FULL_ESTIMATE = 200


class Share(NamedTuple):
    """A source that fits a listener, with the share (0..1) of the half-open attempts that it explains."""

    source: SourceReading
    listener: Listener
    share: float


class _Source:
    """A source or prefix, prepared to be held against many listeners."""

    def __init__(self, reading: SourceReading, grid: Grid, min_attempts: int) -> None:
        self.reading = reading
        self.half_open = grid.half_open(reading.cohorts)
        self.addresses = _most_addresses(reading)
        self.fit = FIT / _targets(reading)
        self._grid = grid
        self._min_attempts = min_attempts
        self._spans: dict[int, tuple[slice, int]] = {}

    def span(self, allowance_ns: int) -> tuple[slice, int]:
        """Return the slices to compare, with its attempts in them: the surest that hold enough attempts.

        Slices a second old are told apart from a crowd that is merely far away; those behind the allowance
        tell sooner; where the flood is too young for both, all of the last two seconds must do, but not under
        a greylist, for there real clients' are half-open so young. Half the sample is enough, for a window
        that just holds one may lie a little beside these slices.
        """
        if allowance_ns not in self._spans:
            self._spans[allowance_ns] = self._telling_span(allowance_ns)
        return self._spans[allowance_ns]

    def _telling_span(self, allowance_ns: int) -> tuple[slice, int]:
        slice_ns, now_ns = self._grid.slice_ns, self._grid.now_ns
        for age_ns in (max(allowance_ns, NS_PER_S), allowance_ns):
            numbers = self._grid.numbers(now_ns - age_ns - NS_PER_S, now_ns - age_ns - slice_ns)
            total = sum(self.half_open[numbers])
            if 2 * total >= self._min_attempts or allowance_ns >= SENT_AGAIN_NS:
                return numbers, total
        # So far back, and to the beginning of its slice, the last second that is sure to be judged reaches.
        numbers = self._grid.numbers(now_ns - 2 * NS_PER_S - 2 * slice_ns, now_ns)
        return numbers, sum(self.half_open[numbers])


class _Target:
    """A listener, prepared to be held against many sources."""

    def __init__(self, reading: ListenerReading, grid: Grid, allowance_ns: int) -> None:
        self.reading = reading
        self.allowance_ns = allowance_ns
        self.text = str(reading.listener)
        self.half_open = grid.half_open(reading.cohorts)
        since_ns = -(-(grid.now_ns - 2 * NS_PER_S) // grid.slice_ns) * grid.slice_ns
        self._recent = grid.numbers(since_ns, grid.now_ns)
        self._attempts = sum([attempts for start_ns, attempts, _ in reading.cohorts if start_ns >= since_ns])

    def contradicts(self, source: _Source) -> bool:
        """Tell whether it has too many distinct sources for so few to have made so many attempts."""
        estimated = self.reading.sources_estimated
        if estimated is None:
            return False
        few = self._attempts + source.addresses - (estimated - 16) / ESTIMATE_SLACK
        if sum(source.half_open[self._recent]) <= few:
            return False
        explained = common(source.half_open, self.half_open, self._recent)
        return estimated > ESTIMATE_SLACK * (self._attempts - explained + source.addresses) + 16

    def share_of(self, source: _Source) -> float:
        """Return what share (0..1) of its half-open attempts a source or prefix explains, 0 if none."""
        numbers, total = source.span(self.allowance_ns)
        if total == 0:
            return 0.0
        both = common(source.half_open, self.half_open, numbers)
        if both == 0 or both < source.fit * total or self.contradicts(source):
            return 0.0
        return min(1.0, both / sum(self.half_open[numbers]))


class Attribution:
    """Answers for one snapshot who made whose half-open attempts; computes only what is asked."""

    def __init__(
        self,
        snapshot: Snapshot,
        hot_sources: Callable[[], list[SourceReading]],
        allowance_ns: Callable[[Listener], int],
        min_attempts: int,
    ) -> None:
        self._snapshot = snapshot
        self._hot_sources = hot_sources
        self._allowance_ns = allowance_ns
        self._min_attempts = min_attempts
        self._grid = Grid(snapshot)
        self._sources: dict[Network, _Source] = {}
        self._scanned: dict[tuple[int, int], Mapping[int, int]] = {}
        self._homes: dict[Network, tuple[Share, ...]] = {}
        self._hot_listeners: list[_Target] | None = None
        self._by_listener: dict[Listener, list[Share]] | None = None

    def homes(self, source: SourceReading) -> tuple[Share, ...]:
        """Return the likely targets of a source, the one it explains best first; never more than it has."""
        found = self._homes.get(source.source)
        if found is None:
            ours = self._source(source)
            shares = [(-target.share_of(ours), target.text, target) for target in self._listeners()]
            fitting = sorted(item for item in shares if item[0] < 0.0)[: _targets(source)]
            found = tuple(Share(source, target.reading.listener, -share) for share, _, target in fitting)
            self._homes[source.source] = found
        return found

    def sources_of(self, listener: Listener) -> list[Share]:
        """Return the sources that likely ask a listener, who explains most of its half-open first."""
        if self._by_listener is None:
            self._by_listener = {}
            for source in self._hot_sources():
                for share in self.homes(source):
                    self._by_listener.setdefault(share.listener, []).append(share)
            for shares in self._by_listener.values():
                shares.sort(key=lambda share: (-share.share, str(share.source.source)))
        return self._by_listener.get(listener, [])

    def share_of(self, prefix: SourceReading, listener: Listener) -> float:
        """Return the share (0..1) of a listener's half-open attempts that a prefix's sources explain."""
        target = next((one for one in self._listeners() if one.reading.listener == listener), None)
        if target is None:
            return 0.0
        return target.share_of(self._source(prefix)) or self._spread(prefix).get(listener, 0.0)

    def home_of(self, prefix: SourceReading) -> Listener | None:
        """Return the listener of whose half-open attempts a prefix explains most; None where none fits."""
        ours = self._source(prefix)
        shares = [(target.share_of(ours), target.text, target) for target in self._listeners()]
        best = max(shares, default=None)
        if best is not None and best[0] > 0.0:
            return best[2].reading.listener
        return next(iter(self._spread(prefix)), None)

    def _spread(self, prefix: SourceReading) -> dict[Listener, float]:
        """Return the listeners that share a prefix's attempts, with what it explains of each (0..1).

        How many targets a prefix has is not known. It has several where listeners whose half-open attempts
        fit into its own, one after the other, make up nearly all of them together; else none is told.
        """
        ours, targets = self._source(prefix), self._listeners()
        numbers, total = ours.span(max((target.allowance_ns for target in targets), default=0))
        left = ours.half_open[numbers]
        found: dict[Listener, float] = {}
        for target in targets:
            theirs = target.half_open[numbers]
            fitting = list(map(min, left, theirs))
            all_of_them, both = sum(theirs), sum(fitting)
            if both > 0 and both >= FIT * all_of_them and not target.contradicts(ours):
                found[target.reading.listener] = both / all_of_them
                left = list(map(sub, left, fitting))
        return found if sum(left) <= (1.0 - FIT) * total else {}

    def scanned(self, reading: ListenerReading, window: Window) -> int:
        """Return how many half-open attempts of a closed bucket's window scanning sources may have made."""
        slice_ns, bounds = self._snapshot.source_cohort_ns, (window.start_ns, window.end_ns)
        if bounds not in self._scanned:
            self._scanned[bounds] = scanned_by_slice(self._snapshot, *bounds)
        scanned = self._scanned[bounds]
        if not scanned:
            return 0
        theirs: dict[int, int] = {}
        for start_ns, attempts, completed in reading.cohorts:
            if start_ns >= window.start_ns - slice_ns and attempts > completed:
                place = start_ns // slice_ns * slice_ns
                theirs[place] = theirs.get(place, 0) + attempts - completed
        return sum(min(count, theirs.get(start_ns, 0)) for start_ns, count in scanned.items())

    def _listeners(self) -> list[_Target]:
        if self._hot_listeners is None:
            weighed = [
                (unfinished(reading.cohorts), str(reading.listener), reading)
                for reading in self._snapshot.listeners
            ]
            weighed = [item for item in weighed if item[0] > 0]
            weighed.sort(key=lambda item: (-item[0], item[1]))
            self._hot_listeners = [
                _Target(reading, self._grid, self._allowance_ns(reading.listener))
                for _, _, reading in weighed[:MOST_LISTENERS]
            ]
        return self._hot_listeners

    def _source(self, reading: SourceReading) -> _Source:
        found = self._sources.get(reading.source)
        if found is None:
            found = self._sources[reading.source] = _Source(reading, self._grid, self._min_attempts)
        return found


def _most_addresses(source: SourceReading) -> int:
    """Return how many a source or prefix counts as: by the estimate or, where that is full, by its size."""
    if source.sources_estimated is None:
        return 1
    if source.sources_estimated < FULL_ESTIMATE:
        return source.sources_estimated
    return source.source.num_addresses


def _targets(source: SourceReading) -> int:
    """Return how many targets a source's attempts are taken to be spread over.

    A source of very many is taken for one of a single target: only the one that takes most of it is told.
    """
    targets = max(1, source.targets_estimated)
    return targets if targets <= MANY_TARGETS else 1

"""Which listener's half-open attempts a watched source made.

The probe counts sources and listeners apart: it does not record who asked whom. But both are counted in
slices of the same clock, and a source's slice spans a whole number of listeners' slices. A listener whose
unfinished attempts are, slice by slice, at least as many as the source's may be its target; where several
are, the one that the source explains best is taken. What speaks against it is the estimate of a listener's
sources: where nearly every attempt came from a source of its own, no single one made half of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from synguard.detect.sources import hot_sources, scanned_half_open
from synguard.detect.thresholds import NS_PER_S
from synguard.detect.windows import Window, unfinished
from synguard.endpoint import Listener, Network
from synguard.model import Cohort, ListenerReading, Snapshot, SourceReading

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


class _Slices(NamedTuple):
    """A reading's attempts and unfinished attempts by the start of the source slice they fell into."""

    attempts: dict[int, int]
    half_open: dict[int, int]


def _by_slice(cohorts: tuple[Cohort, ...], slice_ns: int, from_ns: int) -> _Slices:
    slices = _Slices({}, {})
    for cohort in reversed(cohorts):
        if cohort.start_ns < from_ns:
            break
        start_ns = cohort.start_ns // slice_ns * slice_ns
        slices.attempts[start_ns] = slices.attempts.get(start_ns, 0) + cohort.attempts
        half_open = slices.half_open.get(start_ns, 0) + max(0, cohort.attempts - cohort.completed)
        slices.half_open[start_ns] = half_open
    return slices


class Attribution:
    """Answers for one snapshot who made whose half-open attempts; computes only what is asked."""

    def __init__(
        self, snapshot: Snapshot, allowance_ns: Callable[[Listener], int], min_attempts: int
    ) -> None:
        self._snapshot = snapshot
        self._allowance_ns = allowance_ns
        self._min_attempts = min_attempts
        self._slices: dict[Listener, _Slices] = {}
        self._half_open: dict[Network, dict[int, int]] = {}
        self._homes: dict[Network, tuple[Share, ...]] = {}
        self._hot_listeners: list[ListenerReading] | None = None
        self._by_listener: dict[Listener, list[Share]] | None = None

    def homes(self, source: SourceReading) -> tuple[Share, ...]:
        """Return the likely targets of a source, the one it explains best first; never more than it has."""
        if source.source not in self._homes:
            shares = [self._share(source, reading) for reading in self._listeners()]
            fitting = [share for share in shares if share.share > 0.0]
            fitting.sort(key=lambda share: (-share.share, str(share.listener)))
            self._homes[source.source] = tuple(fitting[: _targets(source)])
        return self._homes[source.source]

    def sources_of(self, listener: Listener) -> list[Share]:
        """Return the sources that likely ask a listener, who explains most of its half-open first."""
        if self._by_listener is None:
            self._by_listener = {}
            for source in hot_sources(self._snapshot, MOST_SOURCES):
                for share in self.homes(source):
                    self._by_listener.setdefault(share.listener, []).append(share)
            for shares in self._by_listener.values():
                shares.sort(key=lambda share: (-share.share, str(share.source.source)))
        return self._by_listener.get(listener, [])

    def share_of(self, prefix: SourceReading, listener: Listener) -> float:
        """Return the share (0..1) of a listener's half-open attempts that a prefix's sources explain."""
        reading = next((one for one in self._listeners() if one.listener == listener), None)
        if reading is None:
            return 0.0
        alone = self._share(prefix, reading).share
        return alone or self._spread(prefix).get(listener, 0.0)

    def home_of(self, prefix: SourceReading) -> Listener | None:
        """Return the listener of whose half-open attempts a prefix explains most; None where none fits."""
        shares = [self._share(prefix, reading) for reading in self._listeners()]
        best = max(shares, key=lambda share: (share.share, str(share.listener)), default=None)
        if best is not None and best.share > 0.0:
            return best.listener
        return next(iter(self._spread(prefix)), None)

    def _spread(self, prefix: SourceReading) -> dict[Listener, float]:
        """Return the listeners that share a prefix's attempts, with what it explains of each (0..1).

        How many targets a prefix has is not known. It has several where listeners whose half-open attempts
        fit into its own, one after the other, make up nearly all of them together; else none is told.
        """
        ours, addresses = self._half_open_of(prefix), _most_addresses(prefix)
        slowest_ns = max((self._allowance_ns(one.listener) for one in self._listeners()), default=0)
        from_ns, until_ns = self._telling_span(ours, slowest_ns)
        left = {start: n for start, n in ours.items() if from_ns <= start <= until_ns}
        total = sum(left.values())
        found: dict[Listener, float] = {}
        for reading in self._listeners():
            slices = self._slices_of(reading).half_open
            theirs = {start: n for start, n in slices.items() if from_ns <= start <= until_ns}
            all_of_them = sum(theirs.values())
            both = sum(min(n, theirs.get(start, 0)) for start, n in left.items())
            fits = both > 0 and both >= FIT * all_of_them
            if fits and not self._contradicted(ours, addresses, reading):
                found[reading.listener] = both / all_of_them
                left = {start: n - min(n, theirs.get(start, 0)) for start, n in left.items()}
        return found if sum(left.values()) <= (1.0 - FIT) * total else {}

    def scanned(self, reading: ListenerReading, window: Window) -> int:
        """Return how many half-open attempts of a closed bucket's window scanning sources may have made."""
        slice_ns = self._snapshot.source_cohort_ns
        slices = _by_slice(reading.cohorts, slice_ns, window.start_ns - slice_ns)
        return scanned_half_open(self._snapshot, slices.half_open, window)

    def _listeners(self) -> list[ListenerReading]:
        if self._hot_listeners is None:
            weighed = [
                (unfinished(reading.cohorts), str(reading.listener), reading)
                for reading in self._snapshot.listeners
            ]
            weighed = [item for item in weighed if item[0] > 0]
            weighed.sort(key=lambda item: (-item[0], item[1]))
            self._hot_listeners = [reading for _, _, reading in weighed[:MOST_LISTENERS]]
        return self._hot_listeners

    def _slices_of(self, reading: ListenerReading) -> _Slices:
        if reading.listener not in self._slices:
            from_ns = self._snapshot.time_ns - 4 * NS_PER_S
            self._slices[reading.listener] = _by_slice(
                reading.cohorts, self._snapshot.source_cohort_ns, from_ns
            )
        return self._slices[reading.listener]

    def _half_open_of(self, source: SourceReading) -> dict[int, int]:
        """Return a source's unfinished attempts of its last four seconds by slice."""
        if source.source not in self._half_open:
            slice_ns, from_ns = self._snapshot.source_cohort_ns, self._snapshot.time_ns - 4 * NS_PER_S
            self._half_open[source.source] = _by_slice(source.cohorts, slice_ns, from_ns).half_open
        return self._half_open[source.source]

    def _share(self, source: SourceReading, reading: ListenerReading) -> Share:
        """Return what share of a listener's half-open attempts a source or prefix explains, 0 if none."""
        theirs = self._slices_of(reading).half_open
        ours = self._half_open_of(source)
        from_ns, until_ns = self._telling_span(ours, self._allowance_ns(reading.listener))
        old = {start: n for start, n in ours.items() if from_ns <= start <= until_ns}
        total = sum(old.values())
        both = sum(min(count, theirs.get(start, 0)) for start, count in old.items())
        contradicted = self._contradicted(ours, _most_addresses(source), reading)
        if total == 0 or both < FIT / _targets(source) * total or contradicted:
            return Share(source, reading.listener, 0.0)
        all_of_them = sum(count for start, count in theirs.items() if from_ns <= start <= until_ns)
        return Share(source, reading.listener, min(1.0, both / all_of_them))

    def _telling_span(self, ours: dict[int, int], allowance_ns: int) -> tuple[int, int]:
        """Return the first and last start of the slices to compare: the surest that hold enough attempts.

        Slices a second old are told apart from a crowd that is merely far away; those behind the allowance
        tell sooner; where the flood is too young for both, all of the last two seconds must do. Half the
        sample is enough, for a window that just holds one may lie a little beside these slices.
        """
        slice_ns, now_ns = self._snapshot.source_cohort_ns, self._snapshot.time_ns
        for age_ns in (max(allowance_ns, NS_PER_S), allowance_ns):
            from_ns, until_ns = now_ns - age_ns - NS_PER_S, now_ns - age_ns - slice_ns
            if 2 * sum(n for start, n in ours.items() if from_ns <= start <= until_ns) >= self._min_attempts:
                return from_ns, until_ns
        # So far back, and to the beginning of its slice, the last second that is sure to be judged reaches.
        return now_ns - 2 * NS_PER_S - 2 * slice_ns, now_ns

    def _contradicted(self, ours: dict[int, int], addresses: int, reading: ListenerReading) -> bool:
        """Tell whether a listener has too many distinct sources for so few to have made so many attempts."""
        if reading.sources_estimated is None:
            return False
        from_ns = self._snapshot.time_ns - 2 * NS_PER_S
        slices = self._slices_of(reading)
        attempts = sum(count for start, count in slices.attempts.items() if start >= from_ns)
        explained = sum(
            min(count, slices.half_open.get(start, 0)) for start, count in ours.items() if start >= from_ns
        )
        return reading.sources_estimated > ESTIMATE_SLACK * (attempts - explained + addresses) + 16


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

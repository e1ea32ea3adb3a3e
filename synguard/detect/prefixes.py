"""Prefixes of sources: merged upward where neighbours flood together, and judged like one source.

The probe counts by /24 and /48. A flood from a larger range shows in many of those, each of them small, so
neighbours are summed up to a /16 (of IPv6 a /32), and the sum is narrowed down again to the smallest prefix
that still makes nine tenths of it. What sources of their own account for is left out: who scans, who merely
waits for an answer, and who floods alone is no prefix's doing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from synguard.detect.windows import unfinished
from synguard.endpoint import Network
from synguard.model import Cohort, HandshakeCounts, Snapshot, SourceReading

#: The widest prefix that neighbours are merged into, by IP version.
WIDEST = {4: 16, 6: 32}
#: A narrower prefix that makes this share (0..1) of a wider one stands for it.
NARROWED_SHARE = 0.9
#: Prefixes that are looked at, at most: those with most unfinished attempts.
MOST_PREFIXES = 256
#: A prefix of fewer sources is not a prefix's flood but a few sources'.
LEAST_SOURCES = 3

_NOTHING = (0, 0)


def widest(network: Network) -> Network:
    """Return the widest prefix that a network may be merged into; itself where it is as wide."""
    length = WIDEST[network.version]
    return network if network.prefixlen <= length else network.supernet(new_prefix=length)


def narrowed(weights: dict[Network, float]) -> Network:
    """Return the smallest prefix that holds nine tenths of the weight; all are inside one widest prefix."""
    total = sum(weights.values())
    best = widest(next(iter(weights)))
    inside = weights
    while len(inside) > 1:
        length = best.prefixlen + 1
        halves: dict[Network, dict[Network, float]] = {}
        for network, weight in inside.items():
            if network.prefixlen >= length:
                halves.setdefault(_supernet(network, length), {})[network] = weight
        heaviest = max(halves.items(), key=lambda half: (sum(half[1].values()), str(half[0])), default=None)
        if heaviest is None or sum(heaviest[1].values()) < NARROWED_SHARE * total:
            return best
        best, inside = heaviest
    return next(iter(inside))


def _supernet(network: Network, length: int) -> Network:
    return network if network.prefixlen == length else network.supernet(new_prefix=length)


def grouped(networks: Iterable[Network]) -> dict[Network, list[Network]]:
    """Return networks by the widest prefix that each may be merged into, both in order."""
    groups: dict[Network, list[Network]] = {}
    for network in sorted(networks, key=str):
        groups.setdefault(widest(network), []).append(network)
    return groups


def merged(snapshot: Snapshot, leave_out: Callable[[SourceReading], bool]) -> tuple[SourceReading, ...]:
    """Return one reading for each prefix under which neighbours in a snapshot can be merged.

    Its cohorts are the sums of theirs, less those of the sources that ``leave_out`` tells of.
    """
    hot = _hot(snapshot.prefixes)
    if not hot:
        return ()
    own = _slices_of_sources(snapshot.sources, [reading for _, reading in hot], leave_out)
    readings: dict[Network, SourceReading] = {}
    weights: dict[Network, float] = {}
    for weight, reading in hot:
        gone = own.get(reading.source)
        left = reading if gone is None else _less(reading, gone)
        half_open = weight if gone is None else unfinished(left.cohorts)
        if half_open > 0:
            readings[reading.source], weights[reading.source] = left, float(half_open)
    found = []
    for networks in grouped(readings).values():
        best = narrowed({network: weights[network] for network in networks})
        found.append(_sum(best, [readings[network] for network in networks if is_in(network, best)]))
    return tuple(found)


def _hot(prefixes: Sequence[SourceReading]) -> list[tuple[int, SourceReading]]:
    """Return the prefixes with most unfinished attempts, and how many those are."""
    weighed = [(unfinished(reading.cohorts), str(reading.source), reading) for reading in prefixes]
    weighed = [item for item in weighed if item[0] > 0]
    weighed.sort(key=lambda item: (-item[0], item[1]))
    return [(weight, reading) for weight, _, reading in weighed[:MOST_PREFIXES]]


def is_in(network: Network, prefix: Network) -> bool:
    """Tell whether a network lies inside a prefix, or is it."""
    return network.version == prefix.version and network.subnet_of(prefix)  # type: ignore[arg-type]


class _Slices(dict[int, list[int]]):
    """Attempts and completed ones of several rings by the start of their slice."""

    def add(self, cohorts: Iterable[Cohort]) -> None:
        """Add a ring's."""
        for start_ns, attempts, completed in cohorts:
            total = self.get(start_ns)
            if total is None:
                self[start_ns] = [attempts, completed]
            else:
                total[0] += attempts
                total[1] += completed


def _slices_of_sources(
    sources: Sequence[SourceReading],
    prefixes: Sequence[SourceReading],
    leave_out: Callable[[SourceReading], bool],
) -> dict[Network, _Slices]:
    """Return by prefix what the sources to be left out have in each slice."""
    lengths = {reading.source.version: reading.source.prefixlen for reading in prefixes}
    known = {_start(reading.source, reading.source.prefixlen): reading.source for reading in prefixes}
    own: dict[Network, _Slices] = {}
    for reading in sources:
        length = lengths.get(reading.source.version, reading.source.max_prefixlen)
        prefix = known.get(_start(reading.source, length)) if length <= reading.source.prefixlen else None
        if prefix is not None and leave_out(reading):
            own.setdefault(prefix, _Slices()).add(reading.cohorts)
    return own


def _start(network: Network, length: int) -> tuple[int, int]:
    """Return an IP version and the first ``length`` bits of a network's addresses, as a number."""
    return network.version, int(network.network_address) >> (network.max_prefixlen - length)


def _less(reading: SourceReading, own: _Slices) -> SourceReading:
    cohorts = []
    for start_ns, attempts, completed in reading.cohorts:
        gone = own.get(start_ns, _NOTHING)
        left = max(0, attempts - gone[0])
        cohorts.append(Cohort(start_ns, left, min(left, max(0, completed - gone[1]))))
    return replace(reading, cohorts=tuple(cohorts))


def _sum(network: Network, readings: Sequence[SourceReading]) -> SourceReading:
    if len(readings) == 1:
        return readings[0]
    slices = _Slices()
    for reading in readings:
        slices.add(reading.cohorts)
    counts = HandshakeCounts(
        attempts=sum(reading.counts.attempts for reading in readings),
        completed=sum(reading.counts.completed for reading in readings),
    )
    cohorts = tuple(Cohort(start_ns, *slices[start_ns]) for start_ns in sorted(slices))
    sources = sum(reading.sources_estimated or 0 for reading in readings)
    return SourceReading(network, counts, cohorts, sources_estimated=sources)

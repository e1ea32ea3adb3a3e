"""Prefixes of sources: merged upward where neighbours flood together, and judged like one source.

The probe counts by /24 and /48. A flood from a larger range shows in many of those, each of them small, so
neighbours are summed up to a /16 (of IPv6 a /32), and the sum is narrowed down again to the smallest prefix
that still makes nine tenths of it. What sources of their own account for is left out: who scans, who merely
waits for an answer, and who floods alone is no prefix's doing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_network

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
    own = _cohorts_of_sources(snapshot.sources, hot, leave_out)
    readings = {reading.source: _less(reading, own.get(reading.source, {})) for reading in hot}
    found = []
    for networks in grouped(readings).values():
        weights = {network: float(unfinished(readings[network].cohorts)) for network in networks}
        weights = {network: weight for network, weight in weights.items() if weight > 0}
        if weights:
            best = narrowed(weights)
            found.append(_sum(best, [readings[network] for network in weights if is_in(network, best)]))
    return tuple(found)


def _hot(prefixes: Sequence[SourceReading]) -> list[SourceReading]:
    weighed = [(unfinished(reading.cohorts), str(reading.source), reading) for reading in prefixes]
    weighed = [item for item in weighed if item[0] > 0]
    weighed.sort(key=lambda item: (-item[0], item[1]))
    return [reading for _, _, reading in weighed[:MOST_PREFIXES]]


def is_in(network: Network, prefix: Network) -> bool:
    """Tell whether a network lies inside a prefix, or is it."""
    return network.version == prefix.version and network.subnet_of(prefix)  # type: ignore[arg-type]


def _cohorts_of_sources(
    sources: Sequence[SourceReading],
    prefixes: Sequence[SourceReading],
    leave_out: Callable[[SourceReading], bool],
) -> dict[Network, dict[int, Cohort]]:
    """Return by prefix what the sources to be left out have in each slice."""
    lengths = {reading.source.version: reading.source.prefixlen for reading in prefixes}
    own: dict[Network, dict[int, Cohort]] = {}
    for reading in sources:
        length = lengths.get(reading.source.version)
        if length is None or length > reading.source.prefixlen or not leave_out(reading):
            continue
        prefix = ip_network((reading.source.network_address, length), strict=False)
        slices = own.setdefault(prefix, {})
        for start_ns, attempts, completed in reading.cohorts:
            before = slices.get(start_ns, Cohort(start_ns, 0, 0))
            slices[start_ns] = Cohort(start_ns, before.attempts + attempts, before.completed + completed)
    return own


def _less(reading: SourceReading, own: dict[int, Cohort]) -> SourceReading:
    if not own:
        return reading
    cohorts = []
    for start_ns, attempts, completed in reading.cohorts:
        gone = own.get(start_ns, Cohort(start_ns, 0, 0))
        left = max(0, attempts - gone.attempts)
        cohorts.append(Cohort(start_ns, left, min(left, max(0, completed - gone.completed))))
    return replace(reading, cohorts=tuple(cohorts))


def _sum(network: Network, readings: Sequence[SourceReading]) -> SourceReading:
    if len(readings) == 1:
        return readings[0]
    slices: dict[int, list[int]] = {}
    for reading in readings:
        for start_ns, attempts, completed in reading.cohorts:
            total = slices.setdefault(start_ns, [0, 0])
            total[0] += attempts
            total[1] += completed
    counts = HandshakeCounts(
        attempts=sum(reading.counts.attempts for reading in readings),
        completed=sum(reading.counts.completed for reading in readings),
    )
    cohorts = tuple(Cohort(start_ns, *slices[start_ns]) for start_ns in sorted(slices))
    sources = sum(reading.sources_estimated or 0 for reading in readings)
    return SourceReading(network, counts, cohorts, sources_estimated=sources)

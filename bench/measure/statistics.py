"""What a few noisy repetitions can tell: spread, intervals, and whether two runs differ; pure.

Nothing here assumes a distribution: repetitions on a shared machine have long tails. What so few values
cannot tell is said to be unknown, never guessed.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
#: A difference is told when chance alone makes one like it in fewer than one of a hundred comparisons: a
#: comparison of two results looks at hundreds of figures.
CHANCE = 0.01
#: Above so many values in all the rank sum is as good as normal.
_EXACT_VALUES = 24


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Spread:
    """How repetitions lie."""

    count: int
    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How one set of repetitions differs from another."""

    #: Median of the second, less that of the first.
    change: float
    #: The change over the first's median; None where that is 0.
    relative: float | None
    #: How often chance alone parts two such sets at least so far, 0..1.
    chance: float
    #: The least that ``chance`` can be with so many values.
    least_chance: float

    @property
    def tellable(self) -> bool:
        """Whether so many values can show a difference at all."""
        return self.least_chance <= CHANCE

    @property
    def beyond_noise(self) -> bool:
        """Whether there is a difference that chance does not explain."""
        return self.chance <= CHANCE and self.change != 0


def wilson(succeeded: int, attempted: int, confidence: float = CONFIDENCE) -> Interval:
    """Return where the true share of successes is (Wilson 1927); all of 0..1 when nothing was attempted.

    Raises ValueError unless 0 <= succeeded <= attempted.
    """
    if not 0 <= succeeded <= attempted:
        raise ValueError(f"{succeeded} of {attempted} is no share")
    if attempted == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = succeeded / attempted
    weight = 1 + z * z / attempted
    centre = (share + z * z / (2 * attempted)) / weight
    reach = z / weight * math.sqrt(share * (1 - share) / attempted + z * z / (4 * attempted * attempted))
    # Rounding must not cut off a share of exactly 0 or 1.
    return Interval(min(share, max(0.0, centre - reach)), max(share, min(1.0, centre + reach)))


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` (0..1) of the values lie, interpolated between neighbours.

    Raises ValueError without values or for another share.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError(f"no quantile {share} of {len(values)} values")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    # A value that is hit is returned as it is, also beside an infinite neighbour.
    return low if place == below else min(high, low + (high - low) * (place - below))


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the middle between the two middle ones. Raises ValueError without any."""
    return quantile(values, 0.5)


def spread(values: Sequence[float]) -> Spread:
    """Return how values lie. Raises ValueError without any."""
    return Spread(count=len(values), median=median(values), least=min(values), most=max(values))


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return how ``second`` differs from ``first``, judged by the exact rank sum test.

    Raises ValueError when one of them is empty.
    """
    change = median(second) - median(first)
    before = median(first)
    return Difference(
        change=change,
        relative=change / abs(before) if before else None,
        chance=_chance_of(_doubled_ranks([*first, *second]), len(first)),
        least_chance=least_chance(len(first), len(second)),
    )


def least_chance(first_count: int, second_count: int) -> float:
    """Return how often chance alone parts sets of so many values completely, 0..1.

    >>> least_chance(3, 3), round(least_chance(5, 5), 4)
    (0.1, 0.0079)
    """
    return min(1.0, 2 / math.comb(first_count + second_count, first_count))


def _doubled_ranks(values: Sequence[float]) -> tuple[int, ...]:
    """Return each value's rank, twice, so that the middle rank of equal values is a whole number."""
    ordered = sorted(values)
    first = {value: place for place, value in reversed(list(enumerate(ordered)))}
    times = Counter(ordered)
    return tuple(2 * first[value] + times[value] + 1 for value in values)


def _chance_of(ranks: tuple[int, ...], first_count: int) -> float:
    seen = sum(ranks[:first_count])
    if len(ranks) > _EXACT_VALUES:
        return _normal_chance(ranks, first_count, abs(seen - sum(ranks) * first_count / len(ranks)))
    ways = _ways(tuple(sorted(ranks)), first_count)
    below = sum(count for total, count in ways.items() if total <= seen)
    above = sum(count for total, count in ways.items() if total >= seen)
    return min(1.0, 2 * min(below, above) / math.comb(len(ranks), first_count))


@functools.lru_cache(maxsize=1024)
def _ways(ranks: tuple[int, ...], chosen: int) -> dict[int, int]:
    """Return in how many ways so many of the ranks have each sum."""
    by_size: list[Counter[int]] = [Counter({0: 1}), *(Counter() for _ in range(chosen))]
    for rank in ranks:
        for size in range(chosen, 0, -1):
            for total, count in by_size[size - 1].items():
                by_size[size][total + rank] += count
    return by_size[chosen]


def _normal_chance(ranks: Sequence[int], first_count: int, apart: float) -> float:
    second_count = len(ranks) - first_count
    mean = sum(ranks) / len(ranks)
    variance = sum((rank - mean) ** 2 for rank in ranks) / (len(ranks) - 1)
    deviation = math.sqrt(variance * first_count * second_count / len(ranks))
    return 2 * NormalDist().cdf(-apart / deviation) if deviation else 1.0

"""The noise that cells of a scenario share: what few repetitions of one cell cannot tell alone; pure.

A scenario's cells may lie far apart, from 1/s to 300,000/s, with others that are 0, and what strays by
5,000 in one of them would hide everything in another. So a cell's scale is that of the cells whose values
are like its own; what all cells have in common is no more than the shape, how often a stray is how many
times the scale. Where too few are like it, nothing is said. A cell that is much noisier than those like it
seems to have changed more often than one in a hundred times, about one in twenty.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.measure.statistics import CHANCE, median, quantile

#: Fewer degrees of freedom than these say nothing about a scale.
_DEGREES = 10
#: With more of them, the cells that are less like it need not be asked.
_DEGREES_ENOUGH = 20
#: Cells are alike when their medians are within this factor, or their values overlap.
_LIKE = 4.0
_DRAWS = 2000


@dataclass(frozen=True, slots=True)
class _Group:
    """The repetitions of one cell."""

    level: float
    least: float
    most: float
    #: Distances from the mean.
    strays: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> _Group:
        mean = sum(values) / len(values)
        return cls(median(values), min(values), max(values), tuple(value - mean for value in values))

    @property
    def degrees(self) -> int:
        return len(self.strays) - 1

    @property
    def squares(self) -> float:
        return sum(stray * stray for stray in self.strays)

    def squares_at(self, level: float) -> float:
        """Return what the squares of the strays would add up to there.

        Noise is the same everywhere, or a share of the value, or between: then its square grows with it.
        """
        return self.squares * (level / self.level if self.level * level > 0 else 1.0)

    def is_like(self, other: _Group) -> bool:
        """Tell whether the noise of the one says something of the other's."""
        overlap = self.least <= other.most and other.least <= self.most
        return overlap or (self.level * other.level > 0 and self.unlikeness(other)[0] <= math.log(_LIKE))

    def unlikeness(self, other: _Group) -> tuple[float, float]:
        """Return a key by which those that are most alike come first."""
        same_sign = self.level * other.level > 0
        return abs(math.log(other.level / self.level)) if same_sign else 0.0, abs(self.level - other.level)


class Noise:
    """How far repetitions of one cell stray, learned from all cells.

    Three repetitions cannot show a difference by themselves. That those of all the other cells stray by
    2 % makes 30 % in this one a difference all the same.

    Args:
        groups: the repetitions of one cell each; those with a single one say nothing.

    """

    def __init__(self, groups: Iterable[Sequence[float]]) -> None:
        self._groups = [_Group.of(values) for values in groups if len(values) > 1]
        self._scales: dict[_Group, float | None] = {}
        self._drawn: dict[tuple[int, int], list[float]] = {}

    def exceeded(self, first: Sequence[float], second: Sequence[float]) -> bool:
        """Tell whether two sets are apart: no value lies among the other's, and the medians are too far."""
        if min(first) <= max(second) and min(second) <= max(first):
            return False
        limit = self.limit(first, second)
        return limit is not None and abs(median(second) - median(first)) > limit

    def limit(self, first: Sequence[float], second: Sequence[float]) -> float | None:
        """Return how far two such sets' medians are apart by noise alone, in 99 of 100 cases.

        It is in the values' unit; None where too little is known of cells like these.
        """
        scales = self._scales_of(_Group.of(first), _Group.of(second))
        if scales is None:
            return None
        draws = (self._medians(len(first), 1), self._medians(len(second), 2))
        apart = [abs(one * scales[0] - other * scales[1]) for one, other in zip(*draws, strict=True)]
        return quantile(apart, 1 - CHANCE)

    def _scales_of(self, first: _Group, second: _Group) -> tuple[float, float] | None:
        one, other = self._scale(first), self._scale(second)
        # Where a cell went to there may be no other: noise is at most the same share of the value there.
        if one is None and other is not None:
            one = other * _times(second.level, first.level)
        elif other is None and one is not None:
            other = one * _times(first.level, second.level)
        if one is None or other is None:
            return None
        # A cell may be noisier than those that are like it, as far as so few can tell.
        degrees = first.degrees + second.degrees
        own = math.sqrt((first.squares + second.squares) / degrees) if degrees else 0.0
        return max(one, own), max(other, own)

    def _scale(self, group: _Group) -> float | None:
        """Return how far cells like this one stray, root mean square; None where they are too few."""
        if group not in self._scales:
            self._scales[group] = self._learned(group)
        return self._scales[group]

    def _learned(self, group: _Group) -> float | None:
        degrees, squares = 0, 0.0
        for other in sorted((one for one in self._groups if group.is_like(one)), key=group.unlikeness):
            degrees += other.degrees
            squares += other.squares_at(group.level)
            if degrees >= _DEGREES_ENOUGH:
                break
        return math.sqrt(squares / degrees) if degrees >= _DEGREES else None

    def _medians(self, count: int, seed: int) -> list[float]:
        """Return medians of so many strays each, drawn from those of all cells, in units of their scales."""
        if (count, seed) not in self._drawn:
            dice, shape = random.Random(seed), self._shape()
            self._drawn[count, seed] = [
                sorted(dice.choices(shape, k=count))[count // 2] for _ in range(_DRAWS)
            ]
        return self._drawn[count, seed]

    def _shape(self) -> list[float]:
        # The mean of so few lies nearer to each of them than the true one does.
        return [
            stray / scale * math.sqrt((group.degrees + 1) / group.degrees)
            for group in self._groups
            if (scale := self._scale(group))
            for stray in group.strays
        ] or [0.0]


def _times(known: float, level: float) -> float:
    return max(1.0, abs(level / known)) if known else 1.0

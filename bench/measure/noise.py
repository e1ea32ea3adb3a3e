"""The noise that all cells of a scenario share: what few repetitions of one cell cannot tell alone; pure."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence

from bench.measure.statistics import CHANCE, median, quantile

#: Fewer degrees of freedom than these say nothing about the tails.
_DEGREES = 10
_DRAWS = 2000


class Noise:
    """How far repetitions of one cell stray, learned from all cells.

    Three repetitions cannot show a difference by themselves. That those of all the other cells stray by
    2 % makes 30 % in this one a difference all the same.

    Args:
        groups: the repetitions of one cell each; those with a single one say nothing.

    """

    def __init__(self, groups: Iterable[Sequence[float]]) -> None:
        several = [group for group in groups if len(group) > 1]
        #: Whether noise is a share of the value, which it cannot be where values are 0.
        self.relative = all(value > 0 for group in several for value in group)
        self._degrees = sum(len(group) - 1 for group in several)
        self._strays = sorted(stray for group in several for stray in self._strays_of(group))
        self._limits: dict[tuple[int, int], float] = {}

    @property
    def known(self) -> bool:
        """Whether there were repetitions enough to learn it from."""
        return self._degrees >= _DEGREES

    def exceeded(self, first: Sequence[float], second: Sequence[float]) -> bool:
        """Tell whether two sets are apart: no value lies among the other's, and the medians are too far."""
        if min(first) <= max(second) and min(second) <= max(first):
            return False
        if not self.known or (self.relative and min(*first, *second) <= 0):
            return False
        apart = abs(self._scaled(median(second)) - self._scaled(median(first)))
        return apart > self._limit(len(first), len(second))

    def limit(self, first_count: int, second_count: int) -> float | None:
        """Return how far the medians of so many repetitions are apart by noise alone, in 99 of 100 cases.

        Where noise is relative it is a share: 0.1 is 10 %. None where the noise is not known.
        """
        if not self.known:
            return None
        found = self._limit(first_count, second_count)
        return math.expm1(found) if self.relative else found

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.relative else value

    def _strays_of(self, group: Sequence[float]) -> Iterator[float]:
        scaled = [self._scaled(value) for value in group]
        mean = sum(scaled) / len(scaled)
        # The mean of so few lies nearer to each of them than the true one does.
        widened = math.sqrt(len(group) / (len(group) - 1))
        return ((value - mean) * widened for value in scaled)

    def _limit(self, first_count: int, second_count: int) -> float:
        counts = (first_count, second_count)
        if counts not in self._limits:
            dice = random.Random(1)
            apart = [
                abs(self._drawn(dice, first_count) - self._drawn(dice, second_count)) for _ in range(_DRAWS)
            ]
            self._limits[counts] = quantile(apart, 1 - CHANCE)
        return self._limits[counts]

    def _drawn(self, dice: random.Random, count: int) -> float:
        return sorted(dice.choices(self._strays, k=count))[count // 2]

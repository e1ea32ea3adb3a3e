"""Totals over watched time in which what is long ago weighs less: rates that need no history.

Time here is time that was watched, not time that passed: a gap, a clock that jumps or a suspended machine
makes nothing older. What half a lifetime of watching has passed over weighs half, so the weight of all that
was watched approaches ``half_life_s / ln 2`` seconds; until then the rates are plain means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

#: No figure that we save comes near this, squares of counts included; what does was not written by us.
LARGEST = 1e30


class Decayed:
    """Some amounts summed over watched seconds, all decayed alike."""

    def __init__(self, half_life_s: float, amounts: int) -> None:
        self._half_life_s = half_life_s
        self.watched_s = 0.0
        self.totals = [0.0] * amounts

    def add(self, watched_s: float, *amounts: float) -> None:
        """Take in what ``watched_s`` seconds brought, one figure for each amount."""
        decay = 0.5 ** (watched_s / self._half_life_s)
        self.watched_s = self.watched_s * decay + watched_s
        self.totals = [old * decay + new for old, new in zip(self.totals, amounts, strict=True)]

    def per_s(self, amount: int) -> float:
        """Return an amount per watched second; 0.0 where nothing was watched."""
        return self.totals[amount] / self.watched_s if self.watched_s > 0.0 else 0.0

    def to_list(self) -> list[float]:
        """Return the watched seconds and the totals, each to seven digits."""
        return [short(self.watched_s), *(short(total) for total in self.totals)]

    def restore(self, saved: object, name: str) -> None:
        """Take over what ``to_list`` gave; ValueError, with ``name`` in its message, where it is damaged."""
        self.watched_s, *self.totals = numbers(saved, 1 + len(self.totals), name)


def short(number: float) -> float:
    """Return a number with seven significant digits: more would only make the saved state long."""
    return float(f"{number:.7g}")


def numbers(saved: object, count: int, name: str) -> list[float]:
    """Return a saved list of ``count`` numbers, each from 0 to 1e30; ValueError says what is wrong."""
    if not isinstance(saved, Sequence) or isinstance(saved, str | bytes) or len(saved) != count:
        raise ValueError(f"{name}: {count} numbers are expected")
    return [number(item, f"{name}[{index}]") for index, item in enumerate(saved)]


def number(saved: object, name: str) -> float:
    """Return a saved number from 0 to 1e30; ValueError says what is wrong with it."""
    if isinstance(saved, bool) or not isinstance(saved, int | float):
        raise ValueError(f"{name}: a number is expected")
    if not (math.isfinite(saved) and 0 <= saved <= LARGEST):
        raise ValueError(f"{name}: {saved:.7g} is not between 0 and {LARGEST:.0e}")
    return float(saved)

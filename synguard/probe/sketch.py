"""Estimates how many distinct things were counted, from the probe's small fixed sketches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

#: A register is a byte; the probe writes ranks up to 33.
_POWERS: tuple[float, ...] = tuple(0.5**rank for rank in range(256))


def distinct_count(banks: Sequence[Iterable[int]]) -> int:
    """Return HyperLogLog's estimate over the union of register banks of equal size.

    Small counts use linear counting, as the paper has it (Flajolet, Fusy, Gandouet, Meunier, 2007). The
    standard error of 256 registers is 6.5 %. No banks: 0.
    """
    if not banks:
        return 0
    registers = [max(values) for values in zip(*banks, strict=True)]
    size = len(registers)
    alpha = 0.7213 / (1 + 1.079 / size)
    estimate = alpha * size * size / math.fsum(_POWERS[rank] for rank in registers)
    empty = registers.count(0)
    if estimate <= 2.5 * size and empty:
        return round(size * math.log(size / empty))
    return round(estimate)


def linear_count(bits_set: int, size: int) -> int:
    """Return linear counting's estimate for a bitmap of ``size`` bits; a full one gives its ceiling."""
    empty = max(size - bits_set, 0.5)
    return round(size * math.log(size / empty))

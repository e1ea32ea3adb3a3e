"""The noise that cells share: learned from all, and not exceeded by chance."""

from __future__ import annotations

import random

import pytest

from bench.measure.noise import Noise
from bench.measure.statistics import CHANCE


def _groups(dice: random.Random, cells: int, repetitions: int, spread: float) -> list[list[float]]:
    return [
        [1000 * (cell + 1) * dice.lognormvariate(0, spread) for _ in range(repetitions)]
        for cell in range(cells)
    ]


def test_other_cells_tell_what_three_repetitions_cannot() -> None:
    """Where all cells stray by some per cent, 50 % in one of them is a difference, and 5 % is none."""
    noise = Noise(_groups(random.Random(1), 20, 3, 0.05))  # noqa: S311  the same ones each time
    assert noise.exceeded([100, 101, 102], [150, 151, 152])
    assert noise.exceeded([150, 151, 152], [100, 101, 102])
    assert not noise.exceeded([100, 101, 102], [105, 106, 107])


def test_the_limit_grows_with_the_noise_and_shrinks_with_repetitions() -> None:
    """Cells that stray twice as far have twice the limit; more repetitions bring it down."""
    calm = Noise(_groups(random.Random(1), 20, 3, 0.02))  # noqa: S311  the same ones each time
    wild = Noise(_groups(random.Random(1), 20, 3, 0.04))  # noqa: S311  the same ones each time
    assert (calm.limit(3, 3) or 0) * 2 == pytest.approx(wild.limit(3, 3), rel=0.05)
    assert (calm.limit(9, 9) or 0) < (calm.limit(3, 3) or 0)


def test_noise_alone_hardly_ever_exceeds_itself() -> None:
    """Of 1,000 pairs of cells that are alike hardly more than the promised share exceed the noise."""
    dice = random.Random(3)  # noqa: S311  the same ones each time
    groups = _groups(dice, 40, 3, 0.1)
    noise = Noise(groups)
    pairs = (_groups(dice, 1, 3, 0.1) + _groups(dice, 1, 3, 0.1) for _ in range(1000))
    assert sum(noise.exceeded(*pair) for pair in pairs) <= 1000 * CHANCE * 2


def test_values_among_the_others_are_no_difference() -> None:
    """However far the medians are, sets that overlap are not apart."""
    noise = Noise([[1.0, 1.001]] * 20)
    assert not noise.exceeded([1, 1, 9], [8, 8, 8])


def test_too_few_repetitions_say_nothing_of_the_noise() -> None:
    """A few repetitions, or cells played once, leave the noise unknown and nothing exceeds it."""
    for groups in ([[1.0, 1.01, 1.02]] * 4, [[1.0]] * 100):
        noise = Noise(groups)
        assert not noise.known
        assert noise.limit(3, 3) is None
        assert not noise.exceeded([1, 1, 1], [9, 9, 9])


def test_counts_that_never_stray_are_exceeded_by_one() -> None:
    """Where a count is 0 in every repetition, three times 1 is a difference; noise is no share then."""
    noise = Noise([[0.0, 0.0, 0.0]] * 6)
    assert not noise.relative
    assert noise.exceeded([0, 0, 0], [1, 1, 1])
    assert not noise.exceeded([0, 0, 0], [0, 1, 1])


def test_a_share_of_nothing_is_not_judged() -> None:
    """Where noise is a share, a cell that is 0 for once cannot be measured by it."""
    assert not Noise([[1.0, 1.01, 1.02]] * 6).exceeded([0, 0, 0], [5, 5, 5])

"""The noise that cells share: learned from all, and not exceeded by chance."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

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
    assert noise.exceeded([2000, 2020, 2040], [3000, 3020, 3040])
    assert noise.exceeded([3000, 3020, 3040], [2000, 2020, 2040])
    assert not noise.exceeded([2000, 2020, 2040], [2100, 2120, 2140])


def test_the_limit_grows_with_the_noise_and_shrinks_with_repetitions() -> None:
    """Cells that stray twice as far have twice the limit; more repetitions bring it down."""
    calm = Noise(_groups(random.Random(1), 20, 3, 0.02))  # noqa: S311  the same ones each time
    wild = Noise(_groups(random.Random(1), 20, 3, 0.04))  # noqa: S311  the same ones each time
    one, other = [5000.0] * 3, [6000.0] * 3
    assert (calm.limit(one, other) or 0) * 2 == pytest.approx(wild.limit(one, other), rel=0.1)
    assert (calm.limit(one * 3, other * 3) or 0) < (calm.limit(one, other) or 0)


def _share(dice: random.Random, level: float) -> float:
    return level * dice.lognormvariate(0, 0.2)


def _absolute(dice: random.Random, level: float) -> float:
    return level + dice.gauss(0, 3)


def _counts(dice: random.Random, level: float) -> float:
    return float(max(0, round(dice.gauss(level, level**0.5))))


def _outliers(dice: random.Random, level: float) -> float:
    return level * (1 + 0.02 * dice.gauss(0, 1) * (10 if dice.random() < 0.1 else 1))


@pytest.mark.parametrize("law", [_share, _absolute, _counts, _outliers])
def test_noise_alone_hardly_ever_exceeds_itself(law: Callable[[random.Random, float], float]) -> None:
    """From 1 to 300,000 with zeros between, whatever noise is like, no level seems to change too often."""
    dice = random.Random(5)  # noqa: S311  the same ones each time
    levels = [0, 0, 1, 1, 1, 100, 100, 120, 1e4, 1e4, 1.2e4, 1e5, 1e5, 3e5, 3e5]
    judged, exceeded = Counter[int](), Counter[int]()
    for _ in range(60):
        pairs = [[[law(dice, at) if at else 0.0 for _ in range(3)] for _ in "ab"] for at in levels]
        noise = Noise(group for pair in pairs for group in pair)
        for at, (first, second) in zip(levels, pairs, strict=True):
            decade = len(str(int(at)))
            judged[decade] += noise.limit(first, second) is not None
            exceeded[decade] += noise.exceeded(first, second)
    assert judged.total() > 0.8 * 60 * len(levels)
    assert exceeded.total() <= 1.5 * CHANCE * judged.total()
    assert all(exceeded[decade] <= 3 * CHANCE * judged[decade] for decade in judged)


def test_each_magnitude_has_its_own_noise() -> None:
    """Beside zeros and 300,000 that stray by 5 %, 30 % more is told of 1 and 300,000, and 5 % of neither."""
    dice = random.Random(2)  # noqa: S311  the same ones each time
    noise = Noise([at * dice.lognormvariate(0, 0.05) for _ in range(3)] for at in [0.0, 1.0, 3e5] * 10)
    for at in (1.0, 3e5):
        first = [at, 1.01 * at, 1.02 * at]
        assert noise.exceeded(first, [1.3 * value for value in first])
        assert not noise.exceeded(first, [1.05 * value for value in first])


def test_a_noisier_cell_is_measured_by_its_own() -> None:
    """Among cells that stray by 1 %, two sets that stray by 30 % each are not parted by 60 %."""
    noise = Noise(_groups(random.Random(1), 20, 3, 0.01))  # noqa: S311  the same ones each time
    assert noise.exceeded([2000, 2001, 2002], [3200, 3201, 3202])
    assert not noise.exceeded([1400, 2000, 2600], [2650, 3200, 4000])


def test_values_among_the_others_are_no_difference() -> None:
    """However far the medians are, sets that overlap are not apart."""
    noise = Noise([[1.0, 1.001], [8.0, 8.001]] * 20)
    assert not noise.exceeded([1, 1, 9], [8, 8, 8])


@pytest.mark.parametrize("groups", [[[1.0, 1.01, 1.02]] * 4, [[1.0]] * 100, [[500.0, 501.0, 502.0]] * 20])
def test_too_few_repetitions_say_nothing_of_the_noise(groups: list[list[float]]) -> None:
    """A few repetitions, cells played once, or cells of other magnitudes leave it unknown."""
    noise = Noise(groups)
    assert noise.limit([1, 1, 1], [9, 9, 9]) is None
    assert not noise.exceeded([1, 1, 1], [9, 9, 9])


def test_counts_that_never_stray_are_exceeded_by_one() -> None:
    """Where a count is 0 in every repetition, three times 1 is a difference."""
    noise = Noise([[0.0, 0.0, 0.0]] * 6)
    assert noise.exceeded([0, 0, 0], [1, 1, 1])
    assert not noise.exceeded([0, 0, 0], [0, 1, 1])


def test_where_nothing_else_is_noise_is_no_less_a_share() -> None:
    """A cell that rose to where no other is has the noise of where it was, as a share."""
    noise = Noise(_groups(random.Random(1), 1, 3, 0.02) * 6)  # noqa: S311  the same ones each time
    near, far = noise.limit([1000] * 3, [1100] * 3), noise.limit([1000] * 3, [9000] * 3)
    assert 4 * (near or 0) < (far or 0) < 1000

"""What a few repetitions can tell: against enumeration, textbooks and chance itself."""

from __future__ import annotations

import itertools
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.statistics import (
    CHANCE,
    difference,
    least_chance,
    median,
    quantile,
    spread,
    wilson,
)

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12)
coarse_values = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=5)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_wilson_holds_what_was_seen(succeeded: int, failed: int) -> None:
    """The interval lies within 0..1, holds the share that was seen, and treats failure like success."""
    attempted = succeeded + failed
    interval = wilson(succeeded, attempted)
    assert 0 <= interval.low <= interval.high <= 1
    assert attempted == 0 or succeeded / attempted in interval
    mirrored = wilson(failed, attempted)
    assert mirrored.low == pytest.approx(1 - interval.high, abs=1e-12)


def test_wilson_matches_a_published_example() -> None:
    """81 of 263 give 0.2553 to 0.3662, the example of Newcombe 1998; 0 of 20 give 0 to 0.1611."""
    assert wilson(81, 263).low == pytest.approx(0.2553, abs=5e-5)
    assert wilson(81, 263).high == pytest.approx(0.3662, abs=5e-5)
    assert wilson(0, 20).low == 0
    assert wilson(0, 20).high == pytest.approx(0.1611, abs=5e-5)


@pytest.mark.parametrize(("succeeded", "attempted"), [(-1, 3), (4, 3)])
def test_wilson_refuses_what_is_no_share(succeeded: int, attempted: int) -> None:
    """More successes than attempts, or fewer than none, are an error."""
    with pytest.raises(ValueError, match="no share"):
        wilson(succeeded, attempted)


@given(values)
def test_median_is_the_known_one(seen: list[float]) -> None:
    """The median is that of Python's own statistics."""
    assert median(seen) == pytest.approx(statistics.median(seen))


@given(values, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise_from_least_to_most(seen: list[float], one: float, other: float) -> None:
    """Quantiles grow with the share, from the least value to the greatest."""
    low, high = sorted((one, other))
    assert min(seen) <= quantile(seen, low) <= quantile(seen, high) + 1e-6
    assert quantile(seen, 0) == min(seen)
    assert quantile(seen, 1) == max(seen)


def test_without_values_there_is_no_quantile() -> None:
    """Nothing seen is an error, not zero."""
    with pytest.raises(ValueError, match="0 values"):
        median([])


@given(values)
def test_spread_describes_what_was_seen(seen: list[float]) -> None:
    """Least, median and most are ordered, the first and last of them are among the values, and all count."""
    found = spread(seen)
    assert found.least <= found.median <= found.most
    assert (found.count, found.least, found.most) == (len(seen), min(seen), max(seen))


def _enumerated_chance(first: list[float], second: list[float]) -> float:
    """Return the chance of the rank sum by trying every split."""
    together = [*first, *second]
    ranks = [(sum(b < a for b in together) + sum(b <= a for b in together) + 1) / 2 for a in together]
    seen = sum(ranks[: len(first)])
    splits = [sum(split) for split in itertools.combinations(ranks, len(first))]
    below, above = sum(one <= seen for one in splits), sum(one >= seen for one in splits)
    return min(1, 2 * min(below, above) / len(splits))


@given(coarse_values, coarse_values)
def test_the_chance_is_that_of_every_split(first: list[float], second: list[float]) -> None:
    """The rank sum's chance equals the one found by trying every split, ties included."""
    assert difference(first, second).chance == pytest.approx(_enumerated_chance(first, second))


@given(coarse_values, coarse_values)
def test_a_difference_reads_the_same_from_both_ends(first: list[float], second: list[float]) -> None:
    """Swapping the sets turns the change around and leaves the chance."""
    there, back = difference(first, second), difference(second, first)
    assert there.change == -back.change
    assert there.chance == pytest.approx(back.chance)
    assert there.chance >= there.least_chance * (1 - 1e-12)


@given(values)
def test_what_did_not_change_is_no_difference(seen: list[float]) -> None:
    """The same values twice are never a difference."""
    assert not difference(seen, seen).beyond_noise


def test_three_repetitions_cannot_tell_and_five_can() -> None:
    """Three against three can be parted by chance once in ten; five against five once in 126."""
    assert least_chance(3, 3) == pytest.approx(0.1)
    few = difference([1, 2, 3], [101, 102, 103])
    assert not few.tellable
    assert not few.beyond_noise
    enough = difference([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    assert enough.tellable
    assert enough.beyond_noise
    assert enough.relative == pytest.approx(5 / 3)


def test_one_outlier_makes_no_difference() -> None:
    """A single wild repetition does not make two runs differ."""
    assert not difference([10, 11, 12, 13, 14], [11, 10.5, 12.5, 13.5, 9000]).beyond_noise


@pytest.mark.parametrize("count", [5, 8, 20])
def test_noise_alone_rarely_counts_as_a_difference(count: int) -> None:
    """Of 1,000 pairs from one distribution hardly more than the promised share differ."""
    dice = random.Random(2)  # noqa: S311  the same ones each time
    told = sum(
        difference(
            [dice.lognormvariate(0, 1) for _ in range(count)],
            [dice.lognormvariate(0, 1) for _ in range(count)],
        ).beyond_noise
        for _ in range(1000)
    )
    assert told <= 1000 * CHANCE * 2


def test_many_values_are_judged_as_few_are() -> None:
    """The normal approximation for many values agrees with the exact count just below its limit."""
    first, second = [float(n) for n in range(12)], [n + 5.25 for n in range(12)]
    exact = difference(first, second).chance
    approximate = difference([*first, 6.1], [*second, 10.9]).chance
    assert approximate == pytest.approx(exact, abs=0.02)


def test_from_zero_there_is_no_relative_change() -> None:
    """A change from nothing has no ratio."""
    assert difference([0, 0, 0], [1, 1, 1]).relative is None

"""Slow shifts: which are found and how soon, which never are, and how often chance alone makes one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from synguard.detect.baseline import CLUMPED, Baseline
from synguard.detect.shift import LN_SECONDS, limit
from tests.unit.detect.seconds import (
    DAY_S,
    HOUR_S,
    Watch,
    by_rate,
    clumped,
    dice_of,
    old_quiet,
    poisson,
    second,
    steady,
)

#: Listeners that are simulated side by side, and the seconds of each: 237 days of one.
LANES, SECONDS = 2048, 10_000


@pytest.mark.parametrize("quiet_s", [0, 1, 30, 59, 65, 300, 2 * HOUR_S])
def test_20_syn_per_s_at_a_quiet_listener_are_found_within_40_s(quiet_s: int) -> None:
    """Whatever was watched before: nothing, seconds, a minute or hours of quiet."""
    watch = Watch().see(steady(0, quiet_s, 0))
    found_after_s = watch.seconds_to_find(steady(quiet_s, 60, 20))
    assert found_after_s is not None
    assert 10 < found_after_s <= 40


@pytest.mark.parametrize("clients", [1, 5, 8])
def test_a_few_good_clients_do_not_hide_it(clients: int) -> None:
    """Also where the daemon is new and cannot know what is usual here."""
    assert (Watch().seconds_to_find(steady(0, 120, 20, clients)) or 999) <= 65


@pytest.mark.parametrize("learned_s", [75, 600, 12 * HOUR_S])
def test_20_syn_per_s_beside_200_good_connections_are_found_within_a_minute(learned_s: int) -> None:
    """200 connections a second of which 1 % fail, known for a minute, minutes or half a day."""
    watch = Watch().see(steady(0, learned_s, 2, 198))
    found_after_s = watch.seconds_to_find(steady(learned_s, 60, 22, 198))
    assert found_after_s is not None
    assert found_after_s <= 50


def test_it_is_told_how_much() -> None:
    """By how much the last ten seconds are too many, and how far the sum is beyond its limit."""
    watch = Watch().see(steady(0, 300, 0)).see(steady(300, 60, 20))
    assert watch.shift.raised
    assert watch.shift.suspicious
    assert watch.shift.half_open_per_s == 20.0
    assert watch.shift.reference_per_s == pytest.approx(5.0)
    assert watch.shift.excess_per_s == pytest.approx(15.0)
    assert watch.shift.score > watch.shift.limit == pytest.approx(LN_SECONDS * CLUMPED)


@pytest.mark.parametrize("top_per_s", [20, 100, 1000])
@pytest.mark.parametrize("known", [Baseline, lambda: old_quiet(1, False), lambda: old_quiet(7)])
def test_a_ramp_over_an_hour_is_found_before_half_of_it(
    top_per_s: int, known: Callable[[], Baseline]
) -> None:
    """From 0 to 20, 100 or 1,000 SYN/s, at a listener that is new, known for a day or a week."""
    ramp = by_rate(0, HOUR_S, lambda at: top_per_s * at / HOUR_S)
    assert (Watch(known()).seconds_to_find(ramp) or HOUR_S) < HOUR_S / 2


def test_a_staircase_over_a_day_is_found() -> None:
    """One SYN/s more each hour, at a listener known for a week: found before the twelfth."""
    watch = Watch(old_quiet(7))
    stairs = by_rate(0, DAY_S, lambda at: at // HOUR_S)
    assert (watch.seconds_to_find(stairs) or DAY_S) < 12 * HOUR_S


@pytest.mark.parametrize("known", [Baseline, lambda: old_quiet(1, False), lambda: old_quiet(7)])
@pytest.mark.parametrize("completed", [0, 5])
def test_97_unfinished_in_ten_seconds_are_nothing(known: Callable[[], Baseline], completed: int) -> None:
    """A peer-to-peer client's dead peers, spread over ten seconds or all in one."""
    watch = Watch(known()).see(steady(0, 100, 0, completed))
    watch.see(by_rate(100, 10, lambda _: 9.7, completed)).see(steady(110, 300, 0, completed))
    watch.see([second(410, 97, completed)]).see(steady(411, 300, 0, completed))
    assert watch.found_s == []


def test_lossy_clients_are_nothing_even_when_the_loss_doubles_for_ten_minutes() -> None:
    """Of 100 attempts a second 5 fail from the beginning, then 10 for ten minutes, over and over."""
    dice = dice_of("loss")
    watch = Watch()
    for at in range(12 * HOUR_S):
        mean = 10.0 if at % HOUR_S >= 3000 else 5.0
        watch.see([second(at, poisson(dice, mean), poisson(dice, 100.0 - mean))])
    assert watch.found_s == []


def test_losses_that_fail_in_clumps_may_double_too() -> None:
    """The same with a variance of twenty times the mean, once an hour has shown what is usual."""
    dice = dice_of("clumped loss")
    watch = Watch()
    for at in range(12 * HOUR_S):
        mean = 10.0 if at % HOUR_S >= 3000 else 5.0
        watch.see([second(at, clumped(dice, mean, 20.0), poisson(dice, 100.0 - mean))])
    assert watch.found_s == []


@pytest.mark.parametrize(("mean", "dispersion", "completed"), [(5, 20, 95), (0.3, 20, 1), (5, 60, 200)])
def test_bursts_are_nothing(mean: float, dispersion: float, completed: float) -> None:
    """A day of clumped failures, from the daemon's first second on."""
    dice = dice_of(f"day of {mean}")
    day = (second(at, clumped(dice, mean, dispersion), poisson(dice, completed)) for at in range(DAY_S))
    assert Watch().see(day).found_s == []


def test_a_flash_crowd_that_loses_as_many_as_usual_is_nothing() -> None:
    """200 clients a second become 4,000 from worse networks, of which one in fourteen fails, and go again."""
    watch = (
        Watch().see(steady(0, 600, 2, 198)).see(steady(600, 1200, 280, 3720)).see(steady(1800, 600, 2, 198))
    )
    assert watch.found_s == []


def test_monitors_health_checks_and_closed_ports_are_nothing() -> None:
    """What is refused or aborted takes no place in the queue, however much there is of it."""
    monitor = (second(at, 300, 50, refused=200, aborted=100) for at in range(HOUR_S))
    assert Watch().see(monitor).found_s == []


def test_no_single_second_is_a_shift() -> None:
    """5,000 half-open attempts a second are left to the thresholds for four seconds."""
    watch = Watch().see(steady(0, 100, 0))
    suspicious = [watch.see([this]).shift.suspicious for this in steady(100, 4, 5000)]
    assert suspicious == [False, True, True, True]
    assert watch.found_s == []
    watch.see(steady(104, 2, 5000))
    assert len(watch.found_s) == 1


def test_a_shift_is_over_ten_seconds_after_its_end_and_may_rise_again() -> None:
    """It is followed while an alert is open; gaps of five seconds do not end it."""
    watch = Watch().see(steady(0, 100, 0))
    for start in range(100, 400, 15):
        watch.see(steady(start, 10, 60)).see(steady(start + 10, 5, 0))
    assert len(watch.found_s) == 1
    assert watch.shift.raised
    watch.see(steady(400, 10, 0))
    assert (watch.shift.raised, watch.shift.score) == (False, 0.0)
    watch.see(steady(410, 60, 20))
    assert len(watch.found_s) == 2
    assert watch.shift.raised


def test_an_empty_second_is_no_second() -> None:
    """A stretch of no length, as where the probe's ring is empty, changes nothing."""
    watch = Watch().see([second(0, 99, 99, length_s=0.0)])
    assert watch.shift.score == 0.0
    assert watch.baseline.to_state() == Baseline().to_state()


def scores(
    dice: np.random.Generator, law: str, mean: float, dispersion: float, reference: float
) -> npt.NDArray[np.float64]:
    """Return the scores of LANES listeners over SECONDS seconds, as if no shift were ever found."""
    score = np.zeros(LANES)
    all_scores = np.empty((SECONDS, LANES))
    for at in range(SECONDS):
        if law == "negative binomial":
            count = dice.poisson(dice.gamma(mean / (dispersion - 1), dispersion - 1, LANES)).astype(float)
        elif law == "gamma":
            count = dice.gamma(mean / dispersion, dispersion, LANES)
        else:
            clumps = dice.poisson(mean / (dispersion / 2), LANES)
            count = np.where(clumps, dice.gamma(np.maximum(clumps, 1e-9), dispersion / 2, LANES), 0.0)
        np.maximum(score + count - reference, 0.0, out=score)
        all_scores[at] = score
    return all_scores


@pytest.mark.parametrize("law", ["negative binomial", "gamma", "exponential clumps"])
@pytest.mark.parametrize(("mean", "dispersion"), [(5.0, 20.0), (40.0, 20.0), (3.0, 60.0)])
def test_chance_alone_stays_within_the_budget(law: str, mean: float, dispersion: float) -> None:
    """The share of seconds above exp(-L)'s limit is at most exp(-L), wherever 237 days can tell.

    The budget is at L = 21.7, which would take 84 years of one listener to see once. What can be seen, at L
    from 3 to 11, must lie on or below the line that the limit is drawn with, and fall as steeply as it does:
    a tail that is exponential, as that of any sum with Lundberg's exponent is, then stays below it.
    """
    reference = 2 * mean + 5
    all_scores = scores(np.random.default_rng(20261122), law, mean, dispersion, reference)
    exponent = LN_SECONDS / limit(reference, mean, dispersion)
    seen = [float(np.mean(all_scores > chance / exponent)) for chance in (3.0, 5.0, 7.0, 9.0, 11.0)]
    assert seen[2] > 0.0, "the simulation is too small to say anything"
    for chance, share in zip((3.0, 5.0, 7.0, 9.0, 11.0), seen, strict=True):
        assert share <= math.exp(-chance) + 3e-6
    assert math.log(seen[0] / seen[2]) >= 0.97 * 4.0


def test_a_limit_for_independent_counts_would_break_the_budget() -> None:
    """The simulation can fail: limits that take clumps for single attempts are passed far too often."""
    all_scores = scores(np.random.default_rng(1), "negative binomial", 5.0, 20.0, 15.0)
    exponent = LN_SECONDS / limit(15.0, 5.0, 1.0) * CLUMPED
    assert float(np.mean(all_scores > 9.0 / exponent)) > 10 * math.exp(-9.0)


def test_a_listener_week_of_the_real_thing_raises_nothing() -> None:
    """Seven listeners, a day each: a rhythm of day and night, clumps, and a monitor that is refused."""
    for listener in range(7):
        dice = dice_of(listener)
        watch = Watch()
        for at in range(0, DAY_S, 4):
            daylight = 5.5 - 4.5 * math.cos(2 * math.pi * (at / DAY_S - listener / 7))
            half_open = clumped(dice, 4 * 0.6 * daylight, 20.0)
            watch.see([second(at, half_open + 40, round(4 * 9 * daylight), refused=40, length_s=4.0)])
        assert watch.found_s == []

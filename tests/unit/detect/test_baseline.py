"""What is usual at a listener: how soon it is known, how it follows the day, how little poison does to it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from synguard.detect.baseline import Baseline
from tests.unit.detect.seconds import (
    DAY_S,
    HOUR_S,
    MIDNIGHT_S,
    Watch,
    by_rate,
    clumped,
    dice_of,
    old_quiet,
    poisson,
    second,
    steady,
)


def learned(from_s: int, length_s: int, half_open: int, completed: int = 0) -> Baseline:
    """Return a baseline that knows nothing but these seconds."""
    baseline = Baseline()
    for this in steady(from_s, length_s, half_open, completed):
        baseline.learn(this)
    return baseline


def test_nothing_is_usual_before_a_minute_was_watched() -> None:
    """59 seconds tell nothing; a minute does."""
    young = learned(0, 59, 3, 100)
    assert young.half_open_per_s(MIDNIGHT_S) is None
    assert young.attempts_per_s(MIDNIGHT_S) is None
    assert young.highest_attempts_per_s is None
    assert young.expected_per_s(MIDNIGHT_S, 100.0) is None
    assert (young.completed_per_s, young.sources, young.half_open_ratio) == (0.0, 0.0, None)
    assert young.threshold_per_s(MIDNIGHT_S, 50.0) == 50.0
    known = learned(0, 70, 3, 100)
    assert known.half_open_per_s(MIDNIGHT_S) == pytest.approx(3)
    assert known.attempts_per_s(MIDNIGHT_S) == pytest.approx(103)
    assert known.completed_per_s == pytest.approx(100)
    assert known.sources == pytest.approx(103)
    assert known.half_open_ratio == pytest.approx(3 / 103)


def test_a_listener_nobody_asks_has_no_ratio() -> None:
    """A minute of nothing is known to be quiet, but has no share of half-open attempts."""
    quiet = learned(0, 100, 0)
    assert quiet.half_open_per_s(MIDNIGHT_S) == 0.0
    assert quiet.half_open_ratio is None


def test_what_is_refused_or_aborted_holds_no_place_in_the_queue() -> None:
    """Closed ports, health checks that reset and half-open scans make no half-open rate."""
    baseline = Baseline()
    for at in range(100):
        baseline.learn(second(at, half_open=9, completed=1, refused=4, aborted=3))
        baseline.learn(second(at, half_open=2, refused=1, aborted=5))
    assert baseline.half_open_per_s(MIDNIGHT_S) == pytest.approx(1)


def test_the_fast_figures_follow_within_minutes_the_slow_one_within_days() -> None:
    """Ten minutes of three times as many clients, who lose three times as many."""
    baseline = learned(0, 20 * HOUR_S, 2, 100)
    for this in steady(20 * HOUR_S, 600, 6, 300):
        baseline.learn(this)
    assert baseline.completed_per_s == pytest.approx(250, abs=5)
    assert baseline.half_open_per_s(MIDNIGHT_S) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(("mean", "dispersion", "completed"), [(5, 20, 95), (0.5, 20, 3), (20, 20, 400)])
def test_a_bursty_listeners_mean_and_clumping_are_learned(
    mean: float, dispersion: float, completed: float
) -> None:
    """Clumps are no poison: the mean is learned to a quarter, their size to a fifth."""
    dice = dice_of(f"bursts of {mean}")
    baseline = Baseline()
    for at in range(8 * HOUR_S):
        baseline.learn(second(at, clumped(dice, mean, dispersion), poisson(dice, completed)))
    assert baseline.half_open_per_s(MIDNIGHT_S) == pytest.approx(mean, rel=0.25)
    assert baseline.dispersion == pytest.approx(dispersion, rel=0.2)


def test_attempts_of_their_own_accord_are_learned_to_be_no_clumps() -> None:
    """Independent failures bring the assumed clumping of 20 down towards 1."""
    dice = dice_of("independent")
    baseline = Baseline()
    for at in range(8 * HOUR_S):
        baseline.learn(second(at, poisson(dice, 5.0), 95))
    assert 0.8 < baseline.dispersion < 1.4


def test_a_busy_proxys_losses_are_learned_as_they_come() -> None:
    """1 % of 20,000 connections a second are known after two minutes, without an alarm."""
    watch = Watch().see(steady(0, 120, 200, 19_800))
    assert watch.found_s == []
    assert watch.baseline.half_open_per_s(MIDNIGHT_S) == pytest.approx(200, rel=0.01)


def daily(hour: float) -> float:
    """Return a listener's half-open attempts per second: 1 at night, 10 by day, an hour between them."""
    return 1.0 + 9.0 * min(max(0.0, min(hour - 7.0, 20.0 - hour)), 1.0)


def test_the_hours_of_the_day_are_told_apart_after_three_days() -> None:
    """A tenfold rhythm, learned over four days, is known at each hour; before, only its mean is."""
    watch = Watch()
    for day in range(4):
        for at in range(day * DAY_S, (day + 1) * DAY_S, 4):
            per_s = daily(at % DAY_S / HOUR_S)
            watch.see([second(at, round(4 * per_s), round(80 * per_s), length_s=4.0)])
        if day == 1:
            noon = watch.baseline.half_open_per_s(MIDNIGHT_S + 12 * HOUR_S)
            assert noon == watch.baseline.half_open_per_s(MIDNIGHT_S + 3 * HOUR_S)
    assert watch.found_s == []
    for hour in (0.0, 3.5, 7.5, 10.0, 12.9, 19.5, 23.0):
        at_s = MIDNIGHT_S + hour * HOUR_S
        assert watch.baseline.half_open_per_s(at_s) == pytest.approx(daily(hour), abs=1.0)
        assert watch.baseline.attempts_per_s(at_s) == pytest.approx(21 * daily(hour), rel=0.15, abs=20)
    assert watch.baseline.half_open_per_s(MIDNIGHT_S + 12 * HOUR_S) == pytest.approx(10, abs=0.3)
    night = watch.baseline.threshold_per_s(MIDNIGHT_S + 3 * HOUR_S, 10.0)
    assert night < watch.baseline.threshold_per_s(MIDNIGHT_S + 12 * HOUR_S, 10.0)


def test_a_clock_set_to_and_fro_makes_no_days() -> None:
    """An hour learned under a hundred dates, a minute each, is one that nobody believes."""
    baseline = Baseline()
    for jump in range(100):
        days = (jump * 37) % 100 - 50
        for this in steady(days * DAY_S + 10 * HOUR_S, 60, 7 if jump < 90 else 1, 20):
            baseline.learn(this)
    hours = baseline.to_state()["hours"]
    assert all(hour[3] == 0 for hour in hours)
    assert baseline.half_open_per_s(MIDNIGHT_S + 10 * HOUR_S) == baseline.half_open_per_s(MIDNIGHT_S)


@pytest.mark.parametrize("jump_s", [-40 * 365 * DAY_S, -DAY_S, -1, 3 * DAY_S, 30 * 365 * DAY_S])
def test_a_jump_of_the_wall_clock_changes_no_rate(jump_s: int) -> None:
    """A laptop suspended for days, a clock that begins in 1970: what was learned stays what it was."""
    baseline = learned(0, HOUR_S, 4, 100)
    before = baseline.half_open_per_s(MIDNIGHT_S), baseline.threshold_per_s(MIDNIGHT_S, 50.0)
    for this in steady(HOUR_S + jump_s, 200, 4, 100):
        baseline.learn(this)
    wall_s = MIDNIGHT_S + HOUR_S + jump_s
    after = baseline.half_open_per_s(wall_s), baseline.threshold_per_s(wall_s, 50.0)
    assert after == pytest.approx(before, rel=0.1)


def test_the_highest_rate_is_no_single_seconds() -> None:
    """Of ten seconds the second-highest counts; it at most doubles, and is half forgotten in three days."""
    baseline = learned(0, 600, 0, 100)
    baseline.learn(second(600, 0, 90_000))
    for this in steady(601, 30, 0, 100):
        baseline.learn(this)
    assert baseline.highest_attempts_per_s == pytest.approx(100, rel=0.01)
    for this in steady(631, 30, 0, 1000):
        baseline.learn(this)
    assert 200 <= (baseline.highest_attempts_per_s or 0) <= 1000
    for at in range(700, 700 + 3 * DAY_S, 5):
        baseline.learn(second(at, 0, 500, length_s=5.0))
    assert 100 <= (baseline.highest_attempts_per_s or 0) <= 500


def test_a_threshold_is_raised_where_more_is_usual_but_not_beyond_five_times() -> None:
    """4 × 40 and eight deviations of steady attempts; a hundred times as many raise it to five times only."""
    usual = learned(0, 12 * HOUR_S, 40, 2000)
    assert 160 < usual.threshold_per_s(MIDNIGHT_S, 50.0) < 220
    assert usual.threshold_per_s(MIDNIGHT_S, 500.0) == 500.0
    assert learned(0, HOUR_S, 4000, 200_000).threshold_per_s(MIDNIGHT_S, 50.0) == 250.0
    assert learned(0, HOUR_S, 2, 20).threshold_per_s(MIDNIGHT_S, 50.0) == 50.0


def as_hard_as_unseen(watch: Watch, from_s: int, length_s: int) -> None:
    """Attack so that the score stays zero: each second the reference, and no more."""
    for at in range(from_s, from_s + length_s):
        watch.see([second(at, int(watch.shift.reference_per_s))])


def in_clumps_unseen(watch: Watch, from_s: int, length_s: int) -> None:
    """Attack so that nothing is suspected: each twenty seconds as much as they bear, in one clump."""
    for at in range(from_s, from_s + length_s):
        most = int(min(20 * watch.shift.reference_per_s, 0.2 * min(watch.shift.limit, 1e6)))
        watch.see([second(at, most if at % 20 == 0 else 0)])


@pytest.mark.parametrize(
    ("days", "usual_per_s"), [(7, 2.0), (2, 6.0), (1, 9.0)], ids=["a week", "two days", "one day"]
)
@pytest.mark.parametrize("attack", [as_hard_as_unseen, in_clumps_unseen])
def test_three_days_of_poison_make_next_to_nothing_usual(
    days: int, usual_per_s: float, attack: Callable[[Watch, int, int], None]
) -> None:
    """A quiet listener's threshold stays below 60, and 20 SYN/s are found within 150 s."""
    watch = Watch(old_quiet(days, hours_believed=days > 3))
    attack(watch, 0, 3 * DAY_S)
    assert watch.found_s == []
    for hour in range(24):
        wall_s = MIDNIGHT_S + hour * HOUR_S
        assert (watch.baseline.expected_per_s(wall_s, 0.0) or 0.0) < usual_per_s
        assert watch.baseline.threshold_per_s(wall_s, 50.0) < 60.0
    if days > 1:
        assert (watch.seconds_to_find(steady(3 * DAY_S, 600, 20)) or 999) <= 150


def test_what_came_just_before_a_suspicion_is_not_learned() -> None:
    """A flood's first seconds, during which nobody could suspect it, leave no trace."""
    watch = Watch().see(steady(0, 90, 2, 200))
    before = watch.baseline.half_open_per_s(MIDNIGHT_S), watch.baseline.dispersion
    assert watch.seconds_to_find(steady(90, 60, 22, 200)) is not None
    watch.see(steady(200, 30, 2, 200))
    assert watch.baseline.half_open_per_s(MIDNIGHT_S) == pytest.approx(before[0], rel=0.01)
    assert watch.baseline.dispersion <= before[1]


@pytest.mark.parametrize("known", [Baseline, lambda: old_quiet(1, False), lambda: old_quiet(7)])
def test_a_ramp_does_not_pull_the_baseline_along(known: Callable[[], Baseline]) -> None:
    """From 0 to 20 SYN/s in an hour: found before the hour is half over, and hardly learned."""
    watch = Watch(known())
    found_after_s = watch.seconds_to_find(by_rate(0, HOUR_S, lambda at: 20 * at / HOUR_S))
    assert found_after_s is not None
    assert found_after_s < HOUR_S / 2
    assert (watch.baseline.expected_per_s(MIDNIGHT_S, 0.0) or 0.0) < 1.0


def test_the_state_is_small_json_and_comes_back() -> None:
    """Days of a rhythm fit into 4 KiB of JSON; a daemon that starts anew knows what the old one knew."""
    baseline = Baseline()
    for at in range(0, 4 * DAY_S, 10):
        baseline.learn(second(at, at % 97, 100_000 + at % 7919, length_s=5.0))
        baseline.learn(second(at + 5, at % 89, 100_003 + at % 7907, length_s=5.0))
    text = json.dumps(baseline.to_state())
    assert len(text) < 4096
    again = Baseline.from_state(json.loads(text))
    for hour in range(24):
        wall_s = MIDNIGHT_S + hour * HOUR_S
        assert again.half_open_per_s(wall_s) == pytest.approx(baseline.half_open_per_s(wall_s), rel=1e-6)
        assert again.threshold_per_s(wall_s, 1.0) == pytest.approx(
            baseline.threshold_per_s(wall_s, 1.0), rel=1e-6
        )
    assert again.dispersion == pytest.approx(baseline.dispersion, rel=1e-6)
    assert again.highest_attempts_per_s == pytest.approx(baseline.highest_attempts_per_s, rel=1e-6)
    assert again.half_open_ratio == pytest.approx(baseline.half_open_ratio, rel=1e-6)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({"version": 2}, "version: 2 is not 1"),
        ({"version": None}, "version"),
        ({"fast": [1, 2, 3]}, "fast: 4 numbers"),
        ({"fast": "1234"}, "fast: 4 numbers"),
        ({"slow": [1, 2, 3, -1]}, r"slow\[3\]: -1 is not between"),
        ({"slow": [1, 2, float("nan"), 1]}, r"slow\[2\]: nan"),
        ({"clumps": [1, True, 1]}, r"clumps\[1\]: a number"),
        ({"peak_per_s": 1e31}, "peak_per_s"),
        ({"peak_per_s": None}, "peak_per_s: a number"),
        ({"hours": [[0.0] * 6] * 23}, "hours: 24 lists"),
        ({"hours": [[0.0] * 6] * 23 + [[0.0] * 5]}, r"hours\[23\]: 6 numbers"),
        ({"hours": None}, "hours"),
    ],
)
def test_a_damaged_state_says_what_is_wrong(damage: dict[str, object], says: str) -> None:
    """Nothing half-read: ValueError names the part that is damaged."""
    with pytest.raises(ValueError, match=says):
        Baseline.from_state({**Baseline().to_state(), **damage})
    with pytest.raises(ValueError, match="JSON object"):
        Baseline.from_state([])

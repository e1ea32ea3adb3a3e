"""How sure a ratio is, by the exact laws of independent attempts and of clumps, and in the real detector."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import numpy as np
import numpy.typing as npt
import pytest

from synguard.detect import Detector, Thresholds
from synguard.detect.baseline import Baseline
from synguard.detect.statistics import LN_LOOKS, lower_bound, surely_above
from synguard.endpoint import Listener
from synguard.model import Cohort, HandshakeCounts, ListenerReading, Snapshot, SourceReading
from tests.unit.detect.seconds import MIDNIGHT_S, dice_of, second
from tests.unit.detect.simulation import BOOT_NS, BOOT_WALL_S, LISTENER_SLICE_NS, MS, SOURCE_SLICE_NS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Attempts fail so many at a time: an index of dispersion of six.
CLUMPS = range(3, 9)
SOURCE_BOUND, LISTENER_BOUND = 0.5, 0.1
RATE_PER_S = Thresholds().half_open_per_s


@pytest.mark.parametrize("bound", [0.1, 0.5])
@pytest.mark.parametrize("trials", [42, 60, 100, 300, 900])
def test_the_chance_of_a_false_alarm_is_within_the_budget(trials: int, bound: float) -> None:
    """The exact binomial chance of seeming surely above the bound, while at it, is below one in the looks."""
    tail = sum(
        math.comb(trials, hits) * bound**hits * (1 - bound) ** (trials - hits)
        for hits in range(trials + 1)
        if surely_above(hits, trials, bound)
    )
    assert 0 < tail <= math.exp(-LN_LOOKS)


def test_a_flood_in_six_is_sure_within_a_few_thousand_attempts() -> None:
    """The bound is not only safe: a share of one sixth is surely above a tenth soon."""
    assert not surely_above(100, 600, 0.1)
    assert surely_above(250, 1500, 0.1)


def test_the_lower_bound_is_where_surety_ends() -> None:
    """Just below it the share is surely above, just beyond it no longer."""
    low = lower_bound(80, 100)
    assert 0.4 < low < 0.8
    assert surely_above(80, 100, low - 1e-6)
    assert not surely_above(80, 100, low + 1e-6)
    assert lower_bound(0, 0) == 0.0


@pytest.mark.parametrize(("share", "bound"), [(0.5, 0.0), (0.5, 1.0), (1.0, 1.0), (0.0, 0.0)])
def test_bounds_at_the_ends_are_no_special_case(share: float, bound: float) -> None:
    """Nothing is surely above 1; anything at all is surely above 0."""
    assert surely_above(round(share * 100), 100, bound) is (share > bound)


def clumped_law(mean: float, most: int) -> Floats:
    """Return the chances of 0 to ``most`` failures that come in CLUMPS (Panjer's recursion, 1981)."""
    clumps = mean / np.mean(CLUMPS)
    chances = np.zeros(most + 1)
    chances[0] = math.exp(-clumps)
    for count in range(1, most + 1):
        ways = sum(size * chances[count - size] for size in CLUMPS if size <= count)
        chances[count] = clumps / count * ways / len(CLUMPS)
    return chances


def poisson_law(mean: float, most: int) -> Floats:
    """Return the chances of 0 to ``most`` independent events."""
    return np.array([math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(most + 1)])


def evidence_of(half_open: Ints, attempts: Ints, bound: float) -> Floats:
    """Return what ``surely_above`` holds against the logarithm of the looks; 0 below the bound."""
    share = half_open / np.maximum(attempts, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        hits = np.where(share > 0, share * np.log(share / bound), 0.0)
        misses = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - bound)), 0.0)
    return np.where(share > bound, attempts * (hits + misses), 0.0)


def chance_of_alarm(
    per_s: float, loss: float, bound: float, rate_per_s: float, *, length_s: float = 1.0, ln: float = LN_LOOKS
) -> float:
    """Return the exact chance that a window of clumped losses passes the sample, the rate and the ratio."""
    lost, good = per_s * loss * length_s, per_s * (1 - loss) * length_s
    losses, goods = clumped_law(lost, int(6 * lost) + 480), poisson_law(good, int(2 * good) + 100)
    half_open = np.arange(len(losses))[:, None]
    attempts = half_open + np.arange(len(goods))[None, :]
    alarms = (half_open >= rate_per_s * length_s) & (attempts >= Thresholds().min_attempts)
    alarms &= evidence_of(half_open, attempts, bound) > ln
    return float((losses[:, None] * goods[None, :])[alarms].sum())


def draw(dice: np.random.Generator, per_s: float, loss: float, seconds: int) -> tuple[Ints, Ints]:
    """Return the failures and the attempts of so many seconds."""
    clumps = per_s * loss / float(np.mean(CLUMPS))
    half_open = np.zeros(seconds, dtype=np.int64)
    for size in CLUMPS:
        half_open += size * dice.poisson(clumps / len(CLUMPS), seconds)
    return half_open, half_open + dice.poisson(per_s * (1 - loss), seconds)


@pytest.mark.parametrize("length_s", [1.0, 3.0])
@pytest.mark.parametrize(
    ("per_s", "loss", "bound"),
    [
        (100, 0.25, SOURCE_BOUND),
        (500, 0.25, SOURCE_BOUND),
        (250, 0.01, LISTENER_BOUND),
        (1000, 0.03, LISTENER_BOUND),
    ],
)
def test_clumped_losses_stay_within_the_budget(
    per_s: float, loss: float, bound: float, length_s: float
) -> None:
    """By the exact law, one look at such a source or listener errs with less than half its share."""
    assert chance_of_alarm(per_s, loss, bound, RATE_PER_S, length_s=length_s) < math.exp(-LN_LOOKS)


def test_a_learned_threshold_keeps_the_budget_where_many_fail() -> None:
    """6 % of 250 attempts a second fail in clumps: too many for the absolute threshold alone."""
    half_open, attempts = draw(np.random.default_rng(4), 250, 0.06, 24 * 3600)
    baseline = Baseline()
    for at, (lost, all_of_them) in enumerate(zip(half_open.tolist(), attempts.tolist(), strict=True)):
        baseline.learn(second(at, lost, all_of_them - lost))
    learned_per_s = baseline.threshold_per_s(MIDNIGHT_S, RATE_PER_S)
    assert chance_of_alarm(250, 0.06, LISTENER_BOUND, RATE_PER_S) > math.exp(-LN_LOOKS)
    for length_s in (1.0, 3.0):
        chance = chance_of_alarm(250, 0.06, LISTENER_BOUND, learned_per_s, length_s=length_s)
        assert chance < math.exp(-LN_LOOKS)


@pytest.mark.parametrize(
    ("per_s", "loss", "bound"),
    [(200, 0.45, SOURCE_BOUND), (100, 0.35, SOURCE_BOUND), (250, 0.06, LISTENER_BOUND)],
)
def test_the_exact_law_is_that_of_the_simulation(per_s: float, loss: float, bound: float) -> None:
    """Where three million seconds can see an alarm, near the bounds and at lesser surety, both agree."""
    half_open, attempts = draw(np.random.default_rng(7), per_s, loss, 3_000_000)
    seen = evidence_of(half_open, attempts, bound)
    for ln in (3.0, 6.0, 9.0, 12.0):
        expected = chance_of_alarm(per_s, loss, bound, RATE_PER_S, ln=ln)
        counted = float(np.mean((seen > ln) & (half_open >= RATE_PER_S)))
        assert counted == pytest.approx(expected, rel=0.05, abs=4 * math.sqrt(expected / len(seen)) + 1e-6)


def cohorts(
    dice: random.Random, half_open: int, attempts: int, slice_ns: int, now_ns: int, mean: tuple[float, float]
) -> tuple[Cohort, ...]:
    """Return a full ring: in its second but last that many, in clumps, elsewhere what is usual."""
    first = (now_ns - 4 * 10**9) // slice_ns + 1
    last = now_ns // slice_ns
    end = (now_ns - 10**9) // slice_ns
    worst = range(end - round(10**9 / slice_ns), end)
    lost, good = dict.fromkeys(range(first, last), 0), dict.fromkeys(range(first, last), 0)
    for chosen, to_fail, successes in (
        (worst, half_open, attempts - half_open),
        ([s for s in range(first, last) if s not in worst], int(3 * mean[0]), int(3 * mean[1])),
    ):
        failures = to_fail
        while failures > 0:
            size = dice.choice(CLUMPS)
            lost[dice.choice(chosen)] += min(size, failures)
            failures -= size
        for _ in range(successes):
            good[dice.choice(chosen)] += 1
    return tuple(
        Cohort(s * slice_ns, lost[s] + good[s], good[s]) for s in range(first, last) if lost[s] + good[s]
    )


def counts_of(ring: tuple[Cohort, ...]) -> HandshakeCounts:
    """Return the counts of somebody who was there before, all of whose attempts are answered."""
    attempts = 10_000 + sum(cohort.attempts for cohort in ring)
    completed = 9000 + sum(cohort.completed for cohort in ring)
    return HandshakeCounts(attempts=attempts, answered=attempts, completed=completed)


def shown(worst: Sequence[tuple[int, int]], mean: tuple[float, float], *, listeners: bool) -> int:
    """Show a new detector these seconds, each of a source or a listener of its own, for half a second.

    Return how many its alerts are about: listeners that are attacked alike share one.
    """
    dice, detector = dice_of("placing"), Detector(Thresholds(), 1)
    slice_ns = LISTENER_SLICE_NS if listeners else SOURCE_SLICE_NS
    rings = [cohorts(dice, lost, attempts, slice_ns, BOOT_NS, mean) for lost, attempts in worst]
    first = int(ip_address("198.18.0.0"))
    for ms in range(0, 500, 50):
        snapshot = Snapshot(
            BOOT_NS + ms * MS,
            BOOT_WALL_S + ms / 1000,
            LISTENER_SLICE_NS,
            SOURCE_SLICE_NS,
            tuple(
                ListenerReading(Listener(ip_address(first + index), 443), counts_of(ring), ring)
                for index, ring in enumerate(rings if listeners else [])
            ),
            tuple(
                SourceReading(ip_network(first + index), counts_of(ring), ring, 1)
                for index, ring in enumerate([] if listeners else rings)
            ),
        )
        detector.observe(snapshot)
    return sum(max(1, len(alert.listeners)) for alert in detector.open_alerts())


def worst_of(half_open: Ints, attempts: Ints, bound: float, most: int) -> list[tuple[int, int]]:
    """Return the seconds that speak most for an alarm: half of them by the ratio, half by the rate."""
    by_ratio = np.argsort(evidence_of(half_open, attempts, bound))[-most // 2 :]
    by_rate = np.argsort(half_open)[-most // 2 :]
    return [(int(half_open[at]), int(attempts[at])) for at in (*by_ratio, *by_rate)]


@pytest.mark.parametrize(
    ("per_s", "loss", "bound"),
    [(100, 0.25, SOURCE_BOUND), (300, 0.3, SOURCE_BOUND), (1000, 0.03, LISTENER_BOUND)],
)
def test_the_worst_seconds_of_thousands_of_hours_raise_nothing(
    per_s: float, loss: float, bound: float
) -> None:
    """Of 2,000 hours of clumped loss below the bound, the 200 worst seconds are shown to the real detector.

    2,000 hours are 7 × 10^6 seconds. The budget is one alarm in 2.7 × 10^10 seconds of sources and prefixes
    and 1.3 × 10^9 of listeners: the rest of the way is the exact law's, which agrees with the simulation as
    far as that reaches.
    """
    half_open, attempts = draw(np.random.default_rng(5), per_s, loss, 2000 * 3600)
    worst = worst_of(half_open, attempts, bound, 200)
    mean = per_s * loss, per_s * (1 - loss)
    assert shown(worst, mean, listeners=bound == LISTENER_BOUND) == 0


@pytest.mark.parametrize(("per_s", "loss", "bound"), [(200, 0.9, SOURCE_BOUND), (1000, 0.25, LISTENER_BOUND)])
def test_as_many_seconds_of_a_flood_raise_as_many_alerts(per_s: float, loss: float, bound: float) -> None:
    """The same way of showing them, above the bound: each is found."""
    half_open, attempts = draw(np.random.default_rng(6), per_s, loss, 20)
    seconds = list(zip(half_open.tolist(), attempts.tolist(), strict=True))
    mean = per_s * loss, per_s * (1 - loss)
    assert shown(seconds, mean, listeners=bound == LISTENER_BOUND) == 20

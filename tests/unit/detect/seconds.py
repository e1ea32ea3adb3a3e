"""Seconds at a listener, steady and bursty, and who is shown them as the detector shows them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from synguard.detect.baseline import Baseline, Second
from synguard.detect.shift import Shift

#: Midnight of some day, UTC.
MIDNIGHT_S = 20_000 * 86_400.0
HOUR_S, DAY_S = 3600, 86_400


def second(
    at_s: float,
    half_open: int = 0,
    completed: int = 0,
    *,
    refused: int = 0,
    aborted: int = 0,
    length_s: float = 1.0,
) -> Second:
    """Return a second that begins so long after midnight; ``half_open`` includes refused and aborted ones."""
    wall_s = MIDNIGHT_S + at_s + length_s / 2
    return Second(wall_s, length_s, completed + half_open, half_open, refused, aborted, completed + half_open)


def steady(from_s: int, length_s: int, half_open: int, completed: int = 0) -> Iterable[Second]:
    """Yield seconds that are all alike."""
    return (second(at, half_open, completed) for at in range(from_s, from_s + length_s))


def dice_of(seed: object) -> random.Random:
    """Return dice that fall the same way each time."""
    return random.Random(str(seed))  # noqa: S311  a test that fails must fail again


def clumped(dice: random.Random, mean: float, dispersion: float) -> int:
    """Return a count of that mean whose variance is ``dispersion`` times as much: a negative binomial one."""
    if mean <= 0.0:
        return 0
    return poisson(dice, dice.gammavariate(mean / (dispersion - 1.0), dispersion - 1.0))


def poisson(dice: random.Random, mean: float) -> int:
    """Return a count of that mean of events that know nothing of each other."""
    if mean > 50.0:
        return max(0, round(dice.gauss(mean, mean**0.5)))
    count, waited = 0, dice.expovariate(1.0)
    while waited < mean:
        count += 1
        waited += dice.expovariate(1.0)
    return count


class Watch:
    """A baseline and a shift of one listener, which learns nothing that is suspicious."""

    def __init__(self, baseline: Baseline | None = None) -> None:
        self.baseline = baseline or Baseline()
        self.shift = Shift()
        #: Wall-clock times at which a shift was found.
        self.found_s: list[float] = []

    def see(self, seconds: Iterable[Second]) -> Watch:
        """Take in seconds one after the other; returns itself."""
        for this in seconds:
            before = self.shift.raised
            self.shift.observe(this, self.baseline)
            if self.shift.raised and not before:
                self.found_s.append(this.wall_s + this.length_s / 2)
            if not self.shift.suspicious:
                self.baseline.learn(this)
        return self

    def seconds_to_find(self, seconds: Iterable[Second]) -> float | None:
        """Take in seconds until a shift is found; return how many seconds it took, or None."""
        began_s: float | None = None
        for this in seconds:
            began_s = this.wall_s - this.length_s / 2 if began_s is None else began_s
            found = len(self.found_s)
            if len(self.see([this]).found_s) > found:
                return self.found_s[-1] - began_s
        return None


def by_rate(
    from_s: int, length_s: int, half_open_per_s: Callable[[int], float], completed: int = 0
) -> Iterable[Second]:
    """Yield seconds whose half-open rate is a function of the time since ``from_s``; fractions carry."""
    owed = 0.0
    for at in range(length_s):
        owed += half_open_per_s(at)
        yield second(from_s + at, int(owed), completed)
        owed -= int(owed)


def old_quiet(days: int, hours_believed: bool = True) -> Baseline:
    """Return a baseline that watched so many days in which nothing at all was half-open."""
    weight_s = 249_000.0 * (1.0 - 0.5 ** (days / 2.0))
    counted = days if hours_believed else 0
    hour_s = 26_000.0 * (1.0 - 0.5 ** (days / 5.0))
    state = Baseline().to_state()
    state["slow"] = [weight_s, 0.0, 0.0, 0.0]
    state["hours"] = [[hour_s, 0.0, 0.0, counted, 19_999, 3600.0] for _ in range(24)]
    return Baseline.from_state(state)

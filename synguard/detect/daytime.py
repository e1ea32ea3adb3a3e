"""What is usual at each hour of the day: 24 hours learned apart, each believed after three days of it.

Hours are those of UTC. Between the middles of two hours that are both believed the figure moves in a straight
line, so that a morning's rise is no step. Wall clocks jump: a day counts only once ten minutes of an hour of
it were watched, whatever its date, so that no clock set to and fro makes a history of what is none.
"""

from __future__ import annotations

import math

from synguard.detect.decayed import Decayed, number, numbers, short

#: What an hour learned counts half after so much watching of it: five days' worth.
HALF_LIFE_S = 5 * 3600.0
#: Days behind an hour before it is believed.
ENOUGH_DAYS = 3
#: So much of an hour must have been watched on a day for that day to count.
ENOUGH_OF_A_DAY_S = 600.0
HOURS = 24
HOUR_S = 3600.0
#: Counting further would tell nothing more.
MOST_DAYS = 1000

#: The amounts of an hour: half-open attempts that hold a place in the queue, and attempts.
HELD, ATTEMPTS = 0, 1


class _Hour:
    """What one hour of the day was like."""

    def __init__(self) -> None:
        self.rates = Decayed(HALF_LIFE_S, 2)
        self.days = 0
        self._day = 0
        self._of_day_s = 0.0

    @property
    def is_believed(self) -> bool:
        return self.days >= ENOUGH_DAYS

    def learn(self, day: int, watched_s: float, held: float, attempts: float) -> None:
        self.rates.add(watched_s, held, attempts)
        if day != self._day:
            self._day, self._of_day_s = day, 0.0
        before_s, self._of_day_s = self._of_day_s, self._of_day_s + watched_s
        if before_s < ENOUGH_OF_A_DAY_S <= self._of_day_s:
            self.days = min(self.days + 1, MOST_DAYS)

    def to_list(self) -> list[float]:
        return [*self.rates.to_list(), self.days, self._day, short(self._of_day_s)]

    def restore(self, saved: object, name: str) -> None:
        *rates, days, day, of_day_s = numbers(saved, 6, name)
        self.rates.restore(rates, name)
        self.days, self._day = min(int(days), MOST_DAYS), int(day)
        self._of_day_s = number(of_day_s, name)


class Daytime:
    """The rates of the 24 hours of the day."""

    def __init__(self) -> None:
        self._hours = [_Hour() for _ in range(HOURS)]

    def learn(self, wall_s: float, watched_s: float, held: float, attempts: float) -> None:
        """Take in what ``watched_s`` seconds around a moment brought."""
        hours = math.floor(wall_s / HOUR_S)
        self._hours[hours % HOURS].learn(max(0, hours // HOURS), watched_s, held, attempts)

    def per_s(self, wall_s: float, amount: int) -> float | None:
        """Return how much of ``amount`` is usual per second at this time of day; None where unknown."""
        own = self._hours[math.floor(wall_s / HOUR_S) % HOURS]
        if not own.is_believed:
            return None
        middles = wall_s / HOUR_S - 0.5
        earlier, later = (self._hours[(math.floor(middles) + step) % HOURS] for step in (0, 1))
        if not (earlier.is_believed and later.is_believed):
            return own.rates.per_s(amount)
        share = middles - math.floor(middles)
        return (1.0 - share) * earlier.rates.per_s(amount) + share * later.rates.per_s(amount)

    def to_lists(self) -> list[list[float]]:
        """Return the hours as lists of numbers, that of midnight first."""
        return [hour.to_list() for hour in self._hours]

    def restore(self, saved: object) -> None:
        """Take over what ``to_lists`` gave; ValueError says what is wrong with it."""
        if not isinstance(saved, list) or len(saved) != HOURS:
            raise ValueError(f"hours: {HOURS} lists are expected")
        for index, (hour, item) in enumerate(zip(self._hours, saved, strict=True)):
            hour.restore(item, f"hours[{index}]")

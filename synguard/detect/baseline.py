"""What is usual at one listener, learned from the seconds in which nothing was wrong, and hard to poison.

Two memories, of different speed
--------------------------------
The *fast* one (half-life five minutes) tells how many clients complete now; evidence is held against it. The
*slow* one tells how many attempts usually stay half-open, by the hour of the day where three days are behind
that hour (``daytime``), else over two days. Thresholds are made from the slow one alone.

What counts as half-open here is what *holds* a place in a SYN queue: neither refused nor aborted.

Hard to poison
--------------
Who wants a flood to go unseen may try to make it usual first. Against that:

* Nothing is learned while anything is suspected; the caller sees to that. Of what came in the ten to twenty
  seconds before such a gap nothing is learned either: what is suspected began before it was.
* Ten seconds together count at most as half as much again as was expected, plus 2.5 a second. Both bounds of
  what is found at once (``threshold_per_s``, ``shift``) lie above that, so pushing as hard as goes unseen
  teaches little: the slow rate u rises by at most (u / 2 + 2.5) in the 69 hours that its memory weighs.
* A listener is assumed to have been quiet for an hour before it was met, so that its first minutes do not
  tell what is usual, unless by a share of what completed: clients lose some, and more clients lose more.
* However high the usual rate is, the threshold is raised to at most five times the configured one.

So a quiet listener's baseline of a week, then poisoned for three days as hard as goes unseen, has risen to
less than 2 half-open a second, one of two days to less than 6, and one of a single day to less than 9; none
of them raises the default threshold of 50 a second beyond 60. Poisoned in clumps, the limit of slow shifts is
three times as high: 20 SYN/s are then found within two and a half minutes. A ramp cannot pull it along: one
from 0 to 20 in an hour is found before the slow rate has risen by 0.1, or by 1 at a listener that is new.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from synguard.detect.allowance import HALF_LIFE_S
from synguard.detect.daytime import ATTEMPTS, HELD, Daytime
from synguard.detect.decayed import Decayed, number, short

VERSION = 1
#: Seconds that must have been watched before anything is called usual.
ENOUGH_S = 60.0
SLOW_HALF_LIFE_S = 48 * 3600.0
#: The highest rate is forgotten by half in so much watching.
PEAK_HALF_LIFE_S = 72 * 3600.0
#: Learned together, so that one clump of failures is not cut off as if it were a rate.
BATCH_S = 10.0
#: After so long without a second to learn, what was not learned yet is dropped.
GAP_S = 5.0
#: What is learned counts at most as so many times what was expected, and so many a second more.
MOST_TIMES, MOST_MORE_PER_S = 1.5, 2.5
#: In its first hour a listener's failures up to this share (0..1) of what completes are taken as they come.
YOUNG_S, YOUNG_LOSS = 3600.0, 0.075
#: Quiet seconds, and completed attempts without a loss, that every listener is assumed to begin with.
QUIET_S, QUIET_COMPLETED = 3600.0, 3600.0
#: More failures than successes are never explained by the number of clients.
MOST_LOSS = 1.0
#: The index of dispersion (variance over mean) of half-open attempts that is assumed, and how many of them
#: must have been seen before what was learned weighs as much; the highest that is believed.
CLUMPED, CLUMPED_ATTEMPTS, MOST_CLUMPED = 20.0, 1000.0, 60.0
#: The highest rate rises by so much in ten seconds, at most.
PEAK_TIMES, PEAK_MORE_PER_S = 2.0, 10.0
#: A flood is at least so many times the usual rate, and so many standard deviations of a second above that.
FLOOD_TIMES, FLOOD_DEVIATIONS = 4.0, 8.0
#: What was learned raises a threshold to so many times the configured one, at most.
MOST_RAISED = 5.0

# The amounts of the two memories and of the clumps.
_FAST_ATTEMPTS, _FAST_HALF_OPEN, _FAST_SOURCES = 0, 1, 2
_SLOW_HELD, _SLOW_ATTEMPTS, _SLOW_COMPLETED = 0, 1, 2
_COUNT, _SPREAD = 0, 1


@dataclass(frozen=True, slots=True)
class Second:
    """One matured stretch of about a second at a listener."""

    #: Wall-clock time of its middle.
    wall_s: float
    length_s: float
    attempts: int
    half_open: int
    #: Attempts among the half-open ones that were answered with RST, and whose peer answered us with RST.
    refused: int
    aborted: int
    #: Distinct sources, as estimated.
    sources: int

    @property
    def held(self) -> int:
        """Return the half-open attempts that hold a place in the SYN queue."""
        return max(0, self.half_open - self.refused - self.aborted)

    @property
    def completed(self) -> int:
        """Return the attempts that completed."""
        return max(0, self.attempts - self.half_open)


class _Batch:
    """Some seconds that are learned together."""

    def __init__(self) -> None:
        self.length_s = 0.0
        self.heard_s = 0.0
        self.held = self.attempts = self.completed = 0
        self._rates: list[float] = []

    def add(self, second: Second) -> None:
        self.length_s += second.length_s
        self.heard_s = second.wall_s
        self.held += second.held
        self.attempts += second.attempts
        self.completed += second.completed
        self._rates.append(second.attempts / second.length_s)

    @property
    def peak_per_s(self) -> float:
        """Return the second-highest rate of a second: no single one is believed."""
        return sorted(self._rates)[-2] if len(self._rates) > 1 else 0.0


class Baseline:
    """What is usual at one listener."""

    def __init__(self) -> None:
        self._fast = Decayed(HALF_LIFE_S, 3)
        self._slow = Decayed(SLOW_HALF_LIFE_S, 3)
        self._clumps = Decayed(SLOW_HALF_LIFE_S, 2)
        self._daytime = Daytime()
        self._peak_per_s = 0.0
        self._batch, self._waiting = _Batch(), _Batch()
        self._heard_s = 0.0
        self._last_count: float | None = None

    def learn(self, second: Second) -> None:
        """Take in a second in which nothing was suspected and no alert was open."""
        if second.length_s <= 0.0:
            return
        sources = second.sources * second.length_s
        self._fast.add(second.length_s, second.attempts, second.half_open, sources)
        if abs(second.wall_s - self._heard_s) > GAP_S:
            self._batch, self._waiting = _Batch(), _Batch()
        self._heard_s = second.wall_s
        self._batch.add(second)
        if self._batch.length_s >= BATCH_S:
            ripe, self._waiting, self._batch = self._waiting, self._batch, _Batch()
            if ripe.length_s > 0.0:
                self._learn_batch(ripe)

    @property
    def is_known(self) -> bool:
        """Tell whether a minute was watched, so that anything is called usual at all."""
        return self._slow.watched_s + self._waiting.length_s >= ENOUGH_S

    def half_open_per_s(self, wall_s: float) -> float | None:
        """Return the half-open attempts per second usual at this time of day; None until it is known."""
        if not self.is_known:
            return None
        at_this_hour = self._daytime.per_s(wall_s, HELD)
        return self._slow.per_s(_SLOW_HELD) if at_this_hour is None else at_this_hour

    def attempts_per_s(self, wall_s: float) -> float | None:
        """Return the attempts per second usual at this time of day; None until it is known."""
        if not self.is_known:
            return None
        at_this_hour = self._daytime.per_s(wall_s, ATTEMPTS)
        return self._slow.per_s(_SLOW_ATTEMPTS) if at_this_hour is None else at_this_hour

    @property
    def completed_per_s(self) -> float:
        """Return the completed attempts per second usual lately; 0.0 until a minute was watched."""
        if self._fast.watched_s < ENOUGH_S:
            return 0.0
        return self._fast.per_s(_FAST_ATTEMPTS) - self._fast.per_s(_FAST_HALF_OPEN)

    @property
    def sources(self) -> float:
        """Return the distinct sources of one to two seconds usual lately; 0.0 until it is known."""
        return self._fast.per_s(_FAST_SOURCES) if self._fast.watched_s >= ENOUGH_S else 0.0

    @property
    def half_open_ratio(self) -> float | None:
        """Return the share (0..1) of half-open attempts usual lately; None where it is not known."""
        attempts, half_open, _ = self._fast.totals
        if self._fast.watched_s < ENOUGH_S or attempts < 1.0:
            return None
        return half_open / attempts

    @property
    def highest_attempts_per_s(self) -> float | None:
        """Return the highest rate of attempts over a second, half forgotten in three days; None until known.

        Of any ten seconds the second-highest counts, and it at most doubles what was known.
        """
        return self._peak_per_s if self.is_known else None

    @property
    def dispersion(self) -> float:
        """Return how clumped half-open attempts come: the variance over the mean of their counts (1..60)."""
        count, spread = self._clumps.totals
        learned = (spread + CLUMPED * CLUMPED_ATTEMPTS) / (count + CLUMPED_ATTEMPTS)
        return min(max(learned, 1.0), MOST_CLUMPED)

    def expected_per_s(self, wall_s: float, completed_per_s: float) -> float | None:
        """Return the half-open attempts per second to expect beside so many that complete; None until known.

        It is what is usual at this time of day, or the usual loss of that many clients if that is more, and
        errs towards fewer: it is for judging what is too many.
        """
        return self._expected_per_s(wall_s, completed_per_s) if self.is_known else None

    def threshold_per_s(self, wall_s: float, absolute_per_s: float) -> float:
        """Return the half-open attempts per second that make a flood here.

        It is ``absolute_per_s``, raised where four times what is usual and eight standard deviations of a
        second's count are more, to five times ``absolute_per_s`` at most.
        """
        if not self.is_known:
            return absolute_per_s
        usual = self._cautious_per_s(wall_s)
        noise = FLOOD_DEVIATIONS * math.sqrt(min(self.dispersion, CLUMPED) * usual)
        return min(max(absolute_per_s, FLOOD_TIMES * usual + noise), MOST_RAISED * absolute_per_s)

    def to_state(self) -> dict[str, Any]:
        """Return what was learned, for JSON, in less than 4 KiB; up to 20 seconds are left out."""
        return {
            "version": VERSION,
            "fast": self._fast.to_list(),
            "slow": self._slow.to_list(),
            "clumps": self._clumps.to_list(),
            "peak_per_s": short(self._peak_per_s),
            "hours": self._daytime.to_lists(),
        }

    @classmethod
    def from_state(cls, state: object) -> Baseline:
        """Return the baseline that ``to_state`` saved; ValueError says what is wrong with a damaged one."""
        if not isinstance(state, dict):
            raise ValueError("a baseline is a JSON object")
        if state.get("version") != VERSION:
            raise ValueError(f"version: {state.get('version')!r:.40} is not {VERSION}")
        baseline = cls()
        baseline._fast.restore(state.get("fast"), "fast")
        baseline._slow.restore(state.get("slow"), "slow")
        baseline._clumps.restore(state.get("clumps"), "clumps")
        baseline._peak_per_s = number(state.get("peak_per_s"), "peak_per_s")
        baseline._daytime.restore(state.get("hours"))
        return baseline

    def _learn_batch(self, batch: _Batch) -> None:
        length_s, wall_s = batch.length_s, batch.heard_s
        most = self._most_per_s(wall_s, batch.completed / length_s) * length_s
        held = min(float(batch.held), most)
        # Clumps are what is learned of these, so four times as much is let through.
        self._learn_clumps(length_s, min(float(batch.held), 4 * most))
        self._learn_peak(length_s, batch.peak_per_s)
        self._slow.add(length_s, held, batch.attempts, batch.completed)
        self._daytime.learn(wall_s, length_s, held, batch.attempts)

    def _learn_clumps(self, length_s: float, count: float) -> None:
        """Learn how counts vary from one ten seconds to the next, which no slow rhythm disturbs.

        The mean square of successive differences is twice the variance (von Neumann 1941).
        """
        if self._last_count is not None:
            self._clumps.add(length_s, count, (count - self._last_count) ** 2 / 2)
        self._last_count = count

    def _learn_peak(self, length_s: float, peak_per_s: float) -> None:
        self._peak_per_s *= 0.5 ** (length_s / PEAK_HALF_LIFE_S)
        most = PEAK_TIMES * self._peak_per_s + PEAK_MORE_PER_S if self.is_known else math.inf
        self._peak_per_s = max(self._peak_per_s, min(peak_per_s, most))

    def _most_per_s(self, wall_s: float, completed_per_s: float) -> float:
        """Return what ten seconds may count as, per second."""
        most = MOST_TIMES * self._expected_per_s(wall_s, completed_per_s) + MOST_MORE_PER_S
        if self._slow.watched_s < YOUNG_S:
            return max(most, YOUNG_LOSS * completed_per_s)
        return most

    def _expected_per_s(self, wall_s: float, completed_per_s: float) -> float:
        held, _, completed = self._slow.totals
        loss = min(held / (completed + QUIET_COMPLETED), MOST_LOSS)
        return max(self._cautious_per_s(wall_s), loss * completed_per_s)

    def _cautious_per_s(self, wall_s: float) -> float:
        """Return the usual half-open attempts per second; of a young listener as if it had been quiet."""
        at_this_hour = self._daytime.per_s(wall_s, HELD)
        if at_this_hour is not None:
            return at_this_hour
        return self._slow.totals[_SLOW_HELD] / (self._slow.watched_s + QUIET_S)

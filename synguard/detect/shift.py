"""Finds floods too slow for any threshold: a sum of what is too many, second by second.

The sum
-------
A one-sided CUSUM (Page 1954). Each second adds the half-open attempts that hold a place in the SYN queue and
takes away a *reference*; the sum never falls below zero, and a shift is found when it passes a *limit*::

    score = max(0, score + held - reference × seconds)

Where a baseline is known, the reference is twice what is to be expected and 5 a second more, and at least
0.06 of what completes: so the usual loss may double for as long as it likes, and one attempt in twenty may
fail where none did. What completes beyond the usual number adds 0.06 of itself, since new clients may come
from worse networks. Before a baseline is known the listener is taken for a quiet one: the reference is 5 a
second and as many as complete, so that only a half-open ratio above one half moves the score.

The limit
---------
The budget is half a false alarm in 30 days over 512 listeners (the other half is that of ``statistics``):
512 × 2.592 × 10^6 = 1.3 × 10^9 seconds, of which half a one may err. While nothing is wrong the score is the
waiting time of Lindley's queue, and Kingman's inequality (1964) bounds it for increments X that are
independent from second to second: P(score > limit) <= exp(-θ × limit), where θ is the positive root of
E exp(θ X) = 1, Lundberg's exponent. No normal approximation enters, as it does in Siegmund's formula for the
run length, which fits the middle and not this tail. So

    limit = ln(2.7 × 10^9) / θ = 21.7 / θ

keeps the expected number of alarming seconds, hence of alarms, in 30 days at or below a half.

Half-open attempts come in clumps: a broken network loses many at once, and their counts have a variance of D
times the mean μ instead of one time. θ is derived for counts distributed as Gamma with this mean and
variance, the worst of the usual clumped laws (θ of the negative binomial and of exponential clumps is
larger). With ρ = reference / μ and y = D θ the condition reads -ln(1 - y) = ρ y. Its root is the fixed
point of y = 1 - exp(-ρ y), which one step from the root at ρ = 2 approaches from below, since ρ is never
less. So θ is between 0.8 / D and 1 / D. D is taken for 20 or, if that is more, for what was learned (at
most 60).

The limit is 434 at a quiet listener: 20 half-open SYN/s are found after 29 s, 10 SYN/s after 87 s. Beside
200 connections a second of which 1 % fail 20 SYN/s are found after 43 s. Where clients fail in clumps of
thirty (D = 60) it takes up to three times as long. No second adds more than a fifth of the limit: a shift
lasts, and what is faster, ``half_open_per_s`` finds.
"""

from __future__ import annotations

import math
from collections import deque

from synguard.detect.baseline import CLUMPED, Baseline, Second

#: ln(2 × 512 × 30 × 86400): twice the listeners' seconds, of which one may alarm falsely.
LN_SECONDS = 21.7
#: The reference: so many times what is expected, and so many a second more.
REFERENCE_TIMES, REFERENCE_MORE_PER_S = 2.0, 5.0
#: The share of what completes that may always be lost, and again of that beyond the usual.
LOSS = 0.06
#: Without a baseline as many may be lost as complete.
COLD_LOSS = 1.0
#: The root of y = 1 - exp(-2 y), rounded down.
ROOT_AT_TWICE = 0.796
#: One second adds no more than this share (0..1) of the limit.
MOST_OF_LIMIT = 0.2
#: From this share (0..1) of the limit on a shift is suspected, and nothing should be learned.
SUSPICIOUS = 0.25
#: What is shown of a shift, and whether it goes on, is averaged over so many seconds.
RECENT_SECONDS = 10


class Shift:
    """The sum of one listener's excess, and whether it has become too much."""

    def __init__(self) -> None:
        #: The sum, in half-open attempts beyond the reference, and what it must pass to be a shift.
        self.score = 0.0
        self.limit = math.inf
        #: The half-open attempts per second that the latest second was held against.
        self.reference_per_s = REFERENCE_MORE_PER_S
        #: Whether there is a shift now.
        self.raised = False
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT_SECONDS)

    def observe(self, second: Second, baseline: Baseline) -> None:
        """Take in the next second, in an alert too; ``baseline`` should not have learned of it yet."""
        if second.length_s <= 0.0:
            return
        self._recent.append((second.held, second.length_s))
        completed_per_s = second.completed / second.length_s
        expected_per_s = baseline.expected_per_s(second.wall_s, completed_per_s)
        self.reference_per_s = _reference_per_s(baseline, second.wall_s, completed_per_s, expected_per_s)
        self.limit = limit(self.reference_per_s, expected_per_s or 0.0, baseline.dispersion)
        if self.raised:
            self._end_if_over()
        else:
            self._sum(second)

    @property
    def suspicious(self) -> bool:
        """Tell whether there is a shift or may soon be one: what comes now is not to be learned."""
        return self.raised or self.score >= SUSPICIOUS * self.limit

    @property
    def half_open_per_s(self) -> float:
        """Return the half-open attempts per second of the last ten seconds; 0.0 before the first."""
        held = sum(count for count, _ in self._recent)
        return held / sum(length_s for _, length_s in self._recent) if self._recent else 0.0

    @property
    def excess_per_s(self) -> float:
        """Return by how much the last ten seconds' rate is above the reference; 0.0 where it is not."""
        return max(0.0, self.half_open_per_s - self.reference_per_s)

    def _sum(self, second: Second) -> None:
        added = second.held - self.reference_per_s * second.length_s
        score = max(0.0, self.score + min(added, MOST_OF_LIMIT * self.limit))
        self.score = score
        self.raised = score > self.limit

    def _end_if_over(self) -> None:
        """End a shift once its last ten seconds together are no more than the reference."""
        if self.excess_per_s > 0.0:
            return
        self.score, self.raised = 0.0, False


def _reference_per_s(
    baseline: Baseline, wall_s: float, completed_per_s: float, expected_per_s: float | None
) -> float:
    """Return the half-open attempts per second that are not yet too many."""
    if expected_per_s is None:
        return REFERENCE_MORE_PER_S + COLD_LOSS * completed_per_s
    usual_completed = (baseline.attempts_per_s(wall_s) or 0.0) - (baseline.half_open_per_s(wall_s) or 0.0)
    beyond = max(0.0, completed_per_s - usual_completed)
    explained = REFERENCE_TIMES * expected_per_s + REFERENCE_MORE_PER_S
    return max(explained, LOSS * completed_per_s) + LOSS * beyond


def limit(reference_per_s: float, expected_per_s: float, dispersion: float) -> float:
    """Return what the score must pass, in attempts; the module's text derives it.

    ``reference_per_s`` is at least twice ``expected_per_s``; ``dispersion`` is at least 1.
    """
    clumped = max(dispersion, CLUMPED)
    if expected_per_s <= 0.0:
        return LN_SECONDS * clumped
    times = reference_per_s / expected_per_s
    return LN_SECONDS * clumped / (1.0 - math.exp(-ROOT_AT_TWICE * times))

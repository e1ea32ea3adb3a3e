"""How sure a ratio must be before it may raise an alert, and why that sure.

The budget
----------
One false alarm in 30 days at full tables; half of it belongs to slow shifts (``shift``). The probe names at
most 8,192 sources and 2,048 prefixes, each judged on two windows and once for a scan, and 512 listeners,
each judged on three windows against two thresholds. The detector looks twenty times a second, and 30 days
have 2.6 million seconds. That is (10,240 × 3 + 512 × 6) × 20 × 2.6 × 10^6, about 1.75 × 10^12 looks, of which
half a one may err: one look may with 2.9 × 10^-13.

A look errs when the true share of unfinished attempts is at or below the bound, and chance alone lifts the
observed one so high that it seems above. For independent attempts Chernoff's inequality (Hoeffding 1963,
theorem 1) says how likely that is *at most*, for every sample size: exp(-n × D), where D is the
Kullback-Leibler divergence of the observed share from the bound. So a share is *surely* above the bound
when n × D exceeds the natural logarithm of twice the number of looks, which is 28.9.

The better known Wilson bound rests on the normal approximation, which is wrong exactly here, far out in
the tail of a small sample: at 40 attempts, a bound of 0.1 and seven standard deviations it promises an
error of 10^-12 and the binomial distribution has 10^-8. Chernoff's holds, and for large samples it
needs fewer attempts than Wilson's at that many deviations.

Attempts are not independent
----------------------------
One broken network fails in clumps. Attempts that fail g at a time tell only as much as a g-th of them would,
so the exponent above is g times too large, and at the bound itself nothing would be sure. What holds the
budget then is that true shares lie well below their bounds, and what the callers ask besides: an absolute
rate of half-open attempts (at listeners that usually lose many a higher one, ``Baseline.threshold_per_s``),
several slices that hold them, and time between the first and the last of those.

How far that goes is known exactly, as the law of such clumps is a compound Poisson one: with clumps of
three to eight attempts the budget holds for a source of 100 attempts a second of which a quarter fail (bound:
a half), for listeners of 250 of which 1 % and of 1,000 of which 3 % do (bound: a tenth) and, once a day
has taught that, of 250 of which 6 % do. The worst in between is 3 % of 250: were all 512 listeners like that,
there might be three false alarms a month. (Windows of a quarter of a second are not counted: they ask for
one sign more.) Nearer to the bounds nothing holds: a source of which 45 % fail so is blamed within weeks.

Two things are on the safe side. Neighbouring looks share most of their attempts, so they are not so many
chances as counted; and no table is full of entries at their worst all month.
"""

from __future__ import annotations

import math

#: ln(2 × 1.75 × 10^12): twice the looks of 30 days at full tables.
LN_LOOKS = 28.9


def divergence(share: float, bound: float) -> float:
    """Return the Kullback-Leibler divergence, in nats, of two coins' chances ``share`` and ``bound``.

    Both are 0..1; infinite where ``bound`` makes impossible what ``share`` has.
    """
    if share == bound:
        return 0.0
    if bound <= 0.0 or bound >= 1.0:
        return math.inf
    hits = share * math.log(share / bound) if share > 0.0 else 0.0
    misses = (1.0 - share) * math.log((1.0 - share) / (1.0 - bound)) if share < 1.0 else 0.0
    return hits + misses


def surely_above(hits: int, trials: int, bound: float) -> bool:
    """Tell whether the true share behind ``hits`` of ``trials`` is above ``bound`` (0..1) beyond doubt."""
    if trials <= 0 or hits <= bound * trials:
        return False
    return trials * divergence(hits / trials, bound) > LN_LOOKS


def lower_bound(hits: int, trials: int) -> float:
    """Return the largest share (0..1) that the true one is surely above; 0.0 without trials.

    ``surely_above(hits, trials, bound)`` holds for every bound below it.
    """
    low, high = 0.0, hits / trials if trials > 0 else 0.0
    for _ in range(40):
        middle = (low + high) / 2
        if surely_above(hits, trials, middle):
            low = middle
        else:
            high = middle
    return low

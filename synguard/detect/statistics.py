"""How sure a ratio must be before it may raise an alert, and why that sure.

The budget is one false alarm in 30 days at a full table. The probe names at most 8,192 sources, each
judged on two windows, and 512 listeners, each judged on three; the detector looks twenty times a second;
30 days have 2.6 million seconds. That is about 9 × 10^11 looks, so one look may err with 10^-12 at most.

A look errs when the true share of unfinished attempts is at or below the bound, and chance alone lifts the
observed one so high that it seems above. For independent attempts Chernoff's inequality (Hoeffding 1963,
theorem 1) says how likely that is *at most*, for every sample size: exp(-n × D), where D is the
Kullback-Leibler divergence of the observed share from the bound. So a share is *surely* above the bound
when n × D exceeds the natural logarithm of the number of looks, which is 27.6.

The better known Wilson bound rests on the normal approximation, which is wrong exactly here, far out in
the tail of a small sample: at 40 attempts, a bound of 0.1 and seven standard deviations it promises an
error of 10^-12 and the binomial distribution has 10^-8. Chernoff's holds, and for large samples it
needs fewer attempts than Wilson's at that many deviations.

Two things make the budget safer still, and one strains it. Neighbouring looks share most of their
attempts, so they are not so many chances as counted; and no listener sits at its bound all month. But
attempts are not independent: one broken network fails in clumps. No bound on independent ones covers
that, which is why the callers ask besides for an absolute rate of half-open attempts, for several
cohorts that hold them, and for time between the first and the last of those.
"""

from __future__ import annotations

import math

#: ln(9 × 10^11): the looks of 30 days at a full table.
LN_LOOKS = 27.6


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

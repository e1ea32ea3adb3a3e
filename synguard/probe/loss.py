"""What a flood costs those who are not part of it: the stated loss of the probe's bounded tables; pure.

**Handshakes.** The table has ``HANDSHAKE_BUCKETS`` buckets of ``BUCKET_SLOTS`` slots. An attempt's bucket
is chosen by a keyed hash that nobody outside knows, so whatever addresses and ports a flood chooses, its
attempts come to one bucket as a Poisson process of ``attempts_per_s / HANDSHAKE_BUCKETS``. An attempt that
finds no free slot takes that of a finished handshake, else that of the attempt whose SYN is the oldest.

So an attempt that is waiting for its ACK begins as the youngest of its bucket, and each newer attempt
there makes it one place older. It is the oldest after ``BUCKET_SLOTS - 1`` of them, and the next one takes
its slot. It is lost when at least ``BUCKET_SLOTS`` newer attempts come to its bucket within ``hold_s``,
the time between its SYN and its ACK:

    loss = P(N >= BUCKET_SLOTS), N Poisson with mean attempts_per_s * hold_s / HANDSHAKE_BUCKETS

That is exact where every newer attempt stays unfinished and every slot was taken before, as it is seconds
into a flood. Free slots, and newer attempts that complete or are refused meanwhile, only make it less.
Retransmissions, duplicates and SYNs that a block drops take no slot, and are not among the attempts.
A handshake that is lost counts as never completed: that is what its loss costs.
"""

from __future__ import annotations

import math

HANDSHAKE_BUCKETS = 1 << 18
BUCKET_SLOTS = 7


def handshake_loss(attempts_per_s: float, hold_s: float) -> float:
    """Return which share (0..1) of open handshakes is overwritten before its ACK comes.

    Args:
        attempts_per_s: new attempts that come to the probe, all listeners together.
        hold_s: from a handshake's SYN to its ACK, a round trip to the client.

    Raises ValueError for what is below 0.

    """
    if attempts_per_s < 0 or hold_s < 0:
        raise ValueError(f"neither a rate nor a time is below 0: {attempts_per_s}, {hold_s}")
    return _poisson_at_least(BUCKET_SLOTS, attempts_per_s * hold_s / HANDSHAKE_BUCKETS)


def _poisson_at_least(count: int, mean: float) -> float:
    """Return the chance of ``count`` or more, exact to 12 digits also where it is far below those."""
    if mean > 50 * count:
        return 1.0
    if mean > count:
        return 1.0 - sum(_poisson(number, mean) for number in range(count))
    # Each term is less than the one before; from twice ``count`` on less than half of it.
    return sum(_poisson(number, mean) for number in range(count, 2 * count + 40))


def _poisson(number: int, mean: float) -> float:
    if mean == 0.0:
        return float(number == 0)
    return math.exp(number * math.log(mean) - mean - math.lgamma(number + 1))

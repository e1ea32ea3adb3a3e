"""How long a listener's handshakes may take, learned from how long they do.

The probe counts completions by their SYN-ACK→ACK time in bins that double. What is learned decays with a
half-life, so that a listener whose clients change is learned anew; the upper edge of the bin that holds the
99th percentile is the allowance, which errs towards patience by up to a factor of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from synguard.detect.thresholds import NS_PER_MS, NS_PER_S, Thresholds

#: After this long a learned handshake weighs half.
HALF_LIFE_S = 300.0
#: Completions to have seen before what was learned is believed.
ENOUGH_COMPLETIONS = 100
#: The upper edge of the histogram's bin 0; each further bin's is twice the one before.
FIRST_EDGE_NS = 1 << 20


class HandshakeTimes:
    """The decayed histogram of one listener's SYN-ACK→ACK times."""

    def __init__(self) -> None:
        self._seen: tuple[int, ...] = ()
        self._weights: list[float] = []
        self._learned = 0
        self._time_ns = 0
        self._p99_ns: int | None = None

    def learn(self, histogram: tuple[int, ...], now_ns: int, *, frozen: bool) -> None:
        """Take in what a cumulative histogram gained since the last one; nothing of it while ``frozen``."""
        if histogram == self._seen:
            return
        gained = [new - old for new, old in zip_longest(histogram, self._seen, fillvalue=0)]
        if min(gained) < 0:  # The probe forgot this listener and met it again.
            gained = list(histogram)
        self._seen = histogram
        if frozen:
            return
        decay = 0.5 ** ((now_ns - self._time_ns) / NS_PER_S / HALF_LIFE_S)
        kept = [weight * decay for weight in self._weights]
        self._weights = [old + new for old, new in zip_longest(kept, gained, fillvalue=0.0)]
        self._learned += sum(gained)
        self._time_ns = now_ns
        self._p99_ns = self.percentile_ns(0.99)

    def percentile_ns(self, share: float) -> int | None:
        """Return the upper edge of the bin below which ``share`` (0..1) of the handshakes lie, if any."""
        return percentile_ns(self._weights, share)

    def allowance_ns(self, thresholds: Thresholds) -> int:
        """Return how long a handshake is given here, in nanoseconds."""
        if self._learned < ENOUGH_COMPLETIONS or self._p99_ns is None:
            return thresholds.allowance_cold_ms * NS_PER_MS
        floor_ns = thresholds.allowance_floor_ms * NS_PER_MS
        return min(max(self._p99_ns, floor_ns), thresholds.allowance_cap_ms * NS_PER_MS)


def percentile_ns(weights: Sequence[float], share: float) -> int | None:
    """Return the upper edge of the bin below which ``share`` (0..1) of a histogram's weight lies, if any."""
    left = share * sum(weights)
    if left <= 0.0:
        return None
    for edge, weight in enumerate(weights):
        left -= weight
        # The sum of many decayed weights is off by its rounding.
        if left <= 1e-9 * weight:
            return FIRST_EDGE_NS << edge
    return FIRST_EDGE_NS << (len(weights) - 1)

"""Says when the probe is read during a replay: by the capture's time and packets alone.

A daemon reads every 50 ms. A replay that did so too would take hours over a quiet day; so where few
packets come, reads are further apart, but never as far as attempts take to leave the probe's rings
(4.29 s). In a silence there are as many reads as alerts need to close, and then none until it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

NS_PER_MS = 10**6
NS_PER_S = 10**9
#: A read is due when so much time has passed and so many packets have come since the last one.
STEPS = ((50 * NS_PER_MS, 50), (250 * NS_PER_MS, 40), (NS_PER_S, 0))
SHORTEST_NS = STEPS[0][0]
#: A silence this long is stepped through by itself.
SILENCE_NS = STEPS[1][0]
#: What handshakes took, and what left the rings, is settled after so much of it.
SETTLED_NS = 6 * NS_PER_S
#: Reads while alerts wait for their close, at most, however long the silence is.
WAITING_READS_MAX = 600


def is_due(since_last_ns: int, packets: int) -> bool:
    """Tell whether the probe is to be read, so long and so many packets after the last time."""
    return any(since_last_ns >= step_ns and packets >= least for step_ns, least in STEPS)


def through_silence(
    begin_ns: int, end_ns: int | None, close_after_s: float, alerts_open: Callable[[], bool]
) -> Iterator[int]:
    """Yield when to read in a silence that begins after a packet at ``begin_ns``.

    Args:
        begin_ns: the last packet.
        end_ns: the next packet; None if there is none.
        close_after_s: how long an alert stays open without a reason.
        alerts_open: tells whether any is open still.

    """
    now_ns = begin_ns + SHORTEST_NS
    while now_ns <= begin_ns + SETTLED_NS:
        if end_ns is not None and now_ns >= end_ns:
            return
        yield now_ns
        now_ns += SILENCE_NS
    step_ns = max(NS_PER_S, round(2 * close_after_s * NS_PER_S) // WAITING_READS_MAX)
    for _ in range(WAITING_READS_MAX):
        if not alerts_open() or (end_ns is not None and now_ns >= end_ns):
            return
        yield now_ns
        now_ns += step_ns

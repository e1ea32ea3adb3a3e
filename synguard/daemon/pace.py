"""How often the daemon reads: seldom while nothing happens, often while something begins, within bounds."""

from __future__ import annotations

#: While no handshake moves, reads are this many times as far apart: an idle host costs half.
IDLE_PACE = 2
#: Reading and judging take one part of a core in so many: where hundreds of listeners or sources are active,
#: reads come further apart, but never so far that attempts leave the rings (4.29 s) unread.
READ_SHARE = 20
LONGEST_PAUSE_S = 2.0
#: While a flood may be beginning, reads are so many times closer together, whatever they cost: so many
#: of them at most, and so many steady ones before the next time, so that pulses do not make it a habit.
HURRIED_PACE = 2
HURRIED_READS = 12
STEADY_READS = 100


class Pace:
    """Says how long to wait after each read."""

    def __init__(self, poll_interval_s: float) -> None:
        self.poll_interval_s = poll_interval_s
        self._hurried = 0
        self._steady = STEADY_READS

    def pause_s(self, spent_s: float, *, active: bool, hurry: bool) -> float:
        """Return how long after a read the next one is due.

        Args:
            spent_s: what the last one took of a core.
            active: whether any handshake moves.
            hurry: whether a flood may be beginning.

        """
        if hurry and self._may_hurry():
            self._hurried += 1
            return self.poll_interval_s / HURRIED_PACE
        self._steady += 1
        pause_s = self.poll_interval_s * (1 if active else IDLE_PACE)
        return max(pause_s, min(spent_s * READ_SHARE, LONGEST_PAUSE_S))

    def _may_hurry(self) -> bool:
        if self._steady >= STEADY_READS:
            self._hurried = self._steady = 0
        return self._hurried < HURRIED_READS

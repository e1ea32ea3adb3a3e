"""Remembers who was blocked before, so that each further block of a source lasts twice as long.

A count is halved for every day without a block, so one block is forgiven after a day, seven after three. The
memory is bounded: of very many sources, those that were blocked longest ago are forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict

from synguard.endpoint import Network, unmapped

#: Quiet that halves a source's count of blocks, in seconds.
HALVED_AFTER_S = 86_400.0
#: Sources that are remembered, at most.
MOST_SOURCES = 16_384
#: Blocks of one source that are counted, at most: a second doubled so often is more than any TTL may be.
MOST_BLOCKS = 22


class Repeats:
    """How often each source was blocked lately. Times are seconds since the Unix epoch, the caller's.

    To know them again after a restart, take in the blocks of the history, oldest first.
    """

    def __init__(self, most_sources: int = MOST_SOURCES) -> None:
        self._most_sources = most_sources
        #: By source, how often it was blocked, and when the last block ends; the latest taken in last.
        self._blocked: OrderedDict[Network, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocked)

    def blocked(self, source: Network, now_s: float, until_s: float) -> None:
        """Take in that a block of a source began, or that one went on beyond its end, until ``until_s``."""
        count = min(self.count(source, now_s) + 1, MOST_BLOCKS)
        source = unmapped(source)
        self._blocked[source] = (count, until_s)
        self._blocked.move_to_end(source)
        while len(self._blocked) > self._most_sources:
            self._blocked.popitem(last=False)

    def forgive(self, source: Network) -> None:
        """Forget a source's blocks: they were undone, because somebody real is there."""
        self._blocked.pop(unmapped(source), None)

    def count(self, source: Network, now_s: float) -> int:
        """Return how many blocks of a source before count still, 0 to :data:`MOST_BLOCKS`."""
        count, quiet_from_s = self._blocked.get(unmapped(source), (0, now_s))
        halvings = int(max(0.0, now_s - quiet_from_s) // HALVED_AFTER_S)
        return count >> min(halvings, MOST_BLOCKS)

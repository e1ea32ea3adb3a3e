"""Whether there is room for more blocks: in all, and of the prefix lengths that the probe looks up; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from synguard.block import Block
from synguard.endpoint import Listener, Target
from synguard.errors import SynguardError

#: Prefix lengths that the probe looks up at once, as ``BLOCK_LENGTHS_MAX`` of bpf/layout.h.
MOST_LENGTHS = 8
#: So many of them alerts leave to people, whom floods of prefixes of many sizes would keep from blocking.
LEFT_TO_PEOPLE = 2
#: Single sources always have theirs.
_SINGLE = frozenset({(4, 32), (6, 64)})


def check_room(held: Collection[Target], new: Sequence[Block], most: int) -> None:
    """Raise SynguardError unless there is room.

    Args:
        held: the targets of blocks that are there.
        new: what is to be added, or has new terms.
        most: blocks that there may be (``respond.max_blocks``).

    """
    if len(held) + sum(block.target not in held for block in new) > most:
        raise SynguardError(
            f"there are {len(held)} blocks, and {most} are the most allowed (respond.max_blocks)"
        )
    lengths = _SINGLE | _lengths(held)
    for block in new:
        added = _lengths([block.target]) - lengths
        if added and block.asked_by != "manual" and len(lengths) >= MOST_LENGTHS - LEFT_TO_PEOPLE:
            raise SynguardError(
                f"blocks of {len(lengths)} prefix lengths are held; {LEFT_TO_PEOPLE} more are left to people"
            )
        lengths |= added


def _lengths(targets: Iterable[Target]) -> frozenset[tuple[int, int]]:
    return frozenset((one.version, one.prefixlen) for one in targets if not isinstance(one, Listener))

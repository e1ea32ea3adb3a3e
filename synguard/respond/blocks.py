"""The blocks that the probe enforces: targets whose SYNs it drops until a moment of the kernel's clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from synguard.block import Block
from synguard.endpoint import Network, source_text
from synguard.errors import SynguardError, UsageError
from synguard.probe import layout
from synguard.probe.probe import Probe


class Blocks:
    """Keeps the kernel's blocks and what people know of them together.

    The kernel lets a block lapse by itself; this side then only tidies up.
    """

    def __init__(
        self,
        probe: Probe,
        max_blocks: int,
        *,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._probe = probe
        self._max_blocks = max_blocks
        self._monotonic_ns = monotonic_ns
        self._wall_s = wall_s
        self._blocks: dict[Network, Block] = {}
        #: Of blocks that another daemon left in force: not to be forgotten before they are restored.
        self._left_lengths = frozenset(probe.block_lengths)

    def __len__(self) -> int:
        return len(self._blocks)

    def __contains__(self, target: object) -> bool:
        return target in self._blocks

    def add(self, block: Block) -> None:
        """Enforce a block, or give one that is there new terms.

        Raises:
            UsageError: its prefix length would be one too many; names those in use.
            SynguardError: there is no room, or the kernel refuses.

        """
        if block.target not in self._blocks and len(self._blocks) >= self._max_blocks:
            raise SynguardError(
                f"there are {len(self._blocks)} blocks, the most allowed (respond.max_blocks)"
            )
        lengths = self._lengths([*self._blocks, block.target])
        if len(lengths) > layout.BLOCK_LENGTHS_MAX:
            raise UsageError(
                f"{block.target}: only {layout.BLOCK_LENGTHS_MAX} prefix lengths can be blocked at once, "
                "and in use are " + ", ".join(sorted({f"/{held.prefixlen}" for held in self._blocks}))
            )
        until_ns = self._monotonic_ns() + int(self._left_s(block) * 1e9)
        try:
            self._probe.maps["blocks"].update(
                layout.encode_block_key(block.target),
                # New terms do not undo what was dropped so far.
                layout.BLOCK.pack(until_ns, self._hits(block.target)),
            )
        except OSError as error:
            raise SynguardError(
                f"the kernel does not take the block of {block.target}: {error.strerror}"
            ) from error
        self._blocks[block.target] = replace(block, hits=0)
        with_left = sorted(self._left_lengths.union(lengths))
        self._probe.set_block_lengths(with_left if len(with_left) <= layout.BLOCK_LENGTHS_MAX else lengths)

    def _left_s(self, block: Block) -> float:
        """Return how long a block goes on: never longer than it was made for, though the clock be wrong.

        A machine without a battery-backed clock wakes up long before the block was made.
        """
        return max(0.0, min(block.until_s - self._wall_s(), block.until_s - block.created_at_s))

    @staticmethod
    def _lengths(targets: Iterable[Network]) -> list[int]:
        return sorted({target.prefixlen + (96 if target.version == 4 else 0) for target in targets})

    def remove(self, target: Network) -> bool:
        """Stop dropping; return whether there was such a block. Raises SynguardError on refusal."""
        if target not in self._blocks:
            return False
        try:
            self._probe.maps["blocks"].delete(layout.encode_block_key(target))
        except OSError as error:
            raise SynguardError(
                f"the kernel does not end the block of {target}: {error.strerror}; it ends by itself in time"
            ) from error
        del self._blocks[target]
        self._probe.set_block_lengths(self._lengths(self._blocks))
        return True

    def end_unknown(self) -> int:
        """End every block of the kernel's that is not held here, another daemon's; return how many.

        Raises SynguardError on refusal.
        """
        blocks = self._probe.maps["blocks"]
        held = {layout.encode_block_key(target) for target in self._blocks}
        unknown = [key for key, _ in blocks.items() if key not in held]
        try:
            for key in unknown:
                blocks.delete(key)
        except OSError as error:
            raise SynguardError(
                f"the kernel does not end another daemon's block: {error.strerror}; it ends by itself in time"
            ) from error
        self._left_lengths = frozenset()
        self._probe.set_block_lengths(self._lengths(self._blocks))
        return len(unknown)

    def expire(self) -> list[Block]:
        """Forget the blocks whose time is over, and return them with their hits."""
        now_s = self._wall_s()
        over = [block for block in self.held() if block.until_s <= now_s]
        for block in over:
            self.remove(block.target)
        return over

    def held(self) -> list[Block]:
        """Return every block with its hits, by target."""
        return [
            replace(self._blocks[target], hits=self._hits(target))
            for target in sorted(self._blocks, key=source_text)
        ]

    def _hits(self, target: Network) -> int:
        raw = self._probe.maps["blocks"].lookup(layout.encode_block_key(target))
        return int(layout.BLOCK.unpack(raw)[1]) if raw is not None else 0

"""The filter before the table of blocks: a bit for each, which tells nearly every stranger without a lookup.

Beside ten thousand blocks one stranger in fifty finds a bit that is somebody else's. See ``bpf/rules.h``.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from collections.abc import Iterable

from synguard.probe.probe import Probe

#: ``BLOCK_FILTER_WORDS`` of bpf/maps.h, each of 64 bits.
WORDS = 1 << 13

_KEY = struct.Struct("=QQI4x")
_WORD = struct.Struct("=Q")
_ALL = (1 << 64) - 1
_BITS_SHIFT = 45


class BlockFilter:
    """Keeps the bits of blocks; several may share one. Raises OSError as the kernel does."""

    def __init__(self, probe: Probe) -> None:
        self._map = probe.maps["block_filter"]
        first, second = probe.secret
        self._factors = (first | 1, second | 1, first ^ second | 1)
        self._blocks: Counter[int] = Counter()

    def begin(self, keys: Iterable[bytes]) -> None:
        """Have bits for these blocks and no others."""
        self._blocks = Counter(map(self._bit, keys))
        self._write(range(WORDS))

    def add(self, keys: Iterable[bytes]) -> None:
        """Let blocks be found; before they are there."""
        bits = [self._bit(key) for key in keys]
        new = {bit >> 6 for bit in bits if not self._blocks[bit]}
        self._blocks.update(bits)
        self._write(new)

    def remove(self, keys: Iterable[bytes]) -> None:
        """Let blocks be found no more; after they are gone."""
        bits = [self._bit(key) for key in keys]
        self._blocks.subtract(bits)
        over = {bit for bit in bits if self._blocks[bit] <= 0}
        for bit in over:
            del self._blocks[bit]
        self._write({bit >> 6 for bit in over})

    def _write(self, words: Iterable[int]) -> None:
        changed = dict.fromkeys(words, 0)
        for bit in self._blocks:
            if bit >> 6 in changed:
                changed[bit >> 6] |= 1 << (bit & 63)
        self._map.update_all(
            {word.to_bytes(4, sys.byteorder): _WORD.pack(value) for word, value in changed.items()}
        )

    def _bit(self, key: bytes) -> int:
        """Return a key's bit, as ``may_be_blocked()`` in bpf/rules.h does."""
        mixed = (
            sum(part * factor for part, factor in zip(_KEY.unpack(key), self._factors, strict=True)) & _ALL
        )
        bit: int = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _ALL) >> _BITS_SHIFT
        return bit

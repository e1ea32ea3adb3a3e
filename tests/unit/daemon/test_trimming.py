"""Memory that lies free in malloc's heaps goes back to the kernel."""

from __future__ import annotations

import resource
from pathlib import Path

from synguard.daemon.trimming import give_back

_MIB = 1 << 20


def resident_bytes() -> int:
    """Return what this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def test_free_pieces_between_others_go_back() -> None:
    """Of 64 MiB in small pieces all but a few are freed: the kernel gets most of it."""
    pieces = [bytes(2000) for _ in range(32_000)]
    kept = pieces[::200]
    del pieces
    before = resident_bytes()
    give_back()
    assert before - resident_bytes() > 32 * _MIB
    assert len(kept) == 160

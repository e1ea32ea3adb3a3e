"""Gives memory back to the kernel that floods and questions have left free in malloc's heaps."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

#: None with a C library that has none, such as musl's: its heaps are not trimmed by hand.
_malloc_trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Return free pages to the kernel, malloc_trim(3), which takes a millisecond or less."""
    if _malloc_trim is not None:
        _malloc_trim(0)

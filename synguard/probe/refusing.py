"""Says in words what the kernel refuses to take into a table."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from synguard.errors import SynguardError, UnsupportedError


@contextmanager
def in_words(what: str) -> Iterator[None]:
    """Raise UnsupportedError instead of OSError for a table that is full, else SynguardError."""
    try:
        yield
    except OSError as error:
        # A trie says ENOSPC.
        if error.errno in (errno.E2BIG, errno.ENOSPC):
            raise UnsupportedError(f"{what}: the probe's table has no room") from error
        raise SynguardError(f"{what}: the kernel refuses: {os.strerror(error.errno or 0)}") from error

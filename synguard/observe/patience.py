"""How long a log line waits for whoever takes it."""

from __future__ import annotations

import select

#: How long a line waits for a reader that is behind, unless the one before waited in vain.
PATIENCE_MS = 100


def has_room(descriptor: int, *, patient: bool) -> bool:
    """Tell whether a stream takes a line (a pipe: PIPE_BUF bytes) without making us wait."""
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    return bool(room.poll(PATIENCE_MS if patient else 0))

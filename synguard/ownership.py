"""Whose things are: what root makes in another user's directory is for that user's service to write."""

from __future__ import annotations

import os
from pathlib import Path


def new_owner(directory: Path) -> tuple[int, int] | None:
    """Return the user and group that something new in ``directory`` must be given to; None: nobody else.

    Raises OSError.
    """
    found = directory.stat()
    if os.geteuid() != 0 or found.st_uid == 0:
        return None
    return found.st_uid, found.st_gid


def trusted_users(directory: Path) -> frozenset[int]:
    """Return whose things in ``directory`` may be relied on: one's own, root's and the directory's owner's.

    Whoever owns the directory could put anything into it. Raises OSError.
    """
    return frozenset({0, os.geteuid(), directory.stat().st_uid})

"""Whose things are: what root makes in another user's directory is for that user's service to write."""

from __future__ import annotations

import os
from contextlib import suppress
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


def open_or_create(path: Path, mode: int, *, follow: bool = True) -> int:
    """Return a descriptor to read and write a file with, which is made with ``mode`` if it is missing.

    What root makes is its directory's owner's. No symbolic link is followed unless ``follow``, and none in a
    directory of somebody else's, who shall not lead root to another file. Raises OSError.
    """
    owner = new_owner(path.parent)
    flags = os.O_RDWR | os.O_CLOEXEC
    if follow and owner is None:
        path = path.resolve()
    else:
        flags |= os.O_NOFOLLOW
    while True:
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        with suppress(FileExistsError):
            # O_EXCL: only what is made here may change hands.
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
            if owner is not None:
                os.fchown(descriptor, *owner)
            return descriptor

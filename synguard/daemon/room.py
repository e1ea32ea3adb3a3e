"""Looks at how much room the history takes on its disk, without ever waiting for that disk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from synguard.history.records import time_to_json

#: A disk that does not answer within this time is asked no further question until it does.
PATIENCE_S = 0.25
#: A database and what belongs to it; the last is written by readers, too.
_SUFFIXES = ("", "-wal", "-shm")


class OnDisk:
    """The files of one database."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._looking: asyncio.Future[dict[str, Any]] | None = None

    async def look(self) -> dict[str, Any]:
        """Return ``{database_bytes, last_written_at}``, each None while that cannot be known."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(asyncio.to_thread(_measure, self.database))
        looking = self._looking
        done, _ = await asyncio.wait([looking], timeout=PATIENCE_S)
        return looking.result() if done else {"database_bytes": None, "last_written_at": None}


def _measure(database: Path) -> dict[str, Any]:
    sizes, written_s = [], []
    for suffix in _SUFFIXES:
        try:
            found = database.with_name(database.name + suffix).stat()
        except OSError:
            continue
        sizes.append(found.st_size)
        if suffix != "-shm":
            written_s.append(found.st_mtime)
    return {
        "database_bytes": sum(sizes) if sizes else None,
        "last_written_at": time_to_json(max(written_s)) if written_s else None,
    }

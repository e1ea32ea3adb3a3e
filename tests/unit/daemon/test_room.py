"""How much room the history takes."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from synguard.daemon import room
from synguard.daemon.room import OnDisk


def test_the_sidecars_count_and_the_last_write_is_told(tmp_path: Path) -> None:
    """What waits in the write-ahead log is on the disk, too, and may be newer than the database."""
    database = tmp_path / "synguard.db"
    for name, size, at_s in (("", 100, 1_000), ("-wal", 20, 2_000), ("-shm", 3, 3_000)):
        path = database.with_name(database.name + name)
        path.write_bytes(bytes(size))
        os.utime(path, (at_s, at_s))
    found = asyncio.run(OnDisk(database).look())
    assert found == {"database_bytes": 123, "last_written_at": "1970-01-01T00:33:20.000Z"}


def test_without_a_database_nothing_is_known(tmp_path: Path) -> None:
    """A history that could not be opened has no size."""
    found = asyncio.run(OnDisk(tmp_path / "none.db").look())
    assert found == {"database_bytes": None, "last_written_at": None}


def test_a_disk_that_hangs_delays_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes without the size, and however many ask, one thread at most waits for the disk."""
    wakes, asked = threading.Event(), []

    def hang(database: Path) -> dict[str, Any]:
        asked.append(database)
        wakes.wait(60)
        return {"database_bytes": 1, "last_written_at": None}

    monkeypatch.setattr(room, "_measure", hang)
    monkeypatch.setattr(room, "PATIENCE_S", 0.01)

    async def ask() -> None:
        on_disk = OnDisk(tmp_path / "synguard.db")
        for _ in range(5):
            assert (await on_disk.look())["database_bytes"] is None
        assert len(asked) == 1
        wakes.set()
        while (await on_disk.look())["database_bytes"] is None:
            pass

    asyncio.run(ask())

"""Sees whether a history file has changed without opening it, and which of its alerts have when it has.

A look at an unchanged file is a few system calls. What is compared is the file's identity, size and time, and
the header of SQLite's index of the -wal, which every commit rewrites (sqlite.org/walformat.html; its bytes
are compared, not understood). So nothing is locked or kept open, a daemon that stops finds itself
alone with its file, and whatever comes and goes beside the file is noticed.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from synguard.history.parts import IDS_AT_ONCE, stored_parts, stored_tables
from synguard.history.reading import read
from synguard.history.rows import alert_from_rows, to_ms
from synguard.model import Alert

#: The first of the two copies of the header, and the one that a commit writes last.
_WAL_INDEX_HEADER_BYTES = 48
#: The clock of files is coarse: what was written so shortly before a look may be written once more unseen.
_COARSE_NS = 100_000_000
#: In a file that has taken another's place, alerts that began so shortly before the last look are new.
_OVERLAP_S = 10.0
#: New alerts taken in by one look; the next look has the rest.
MOST_AT_ONCE = 1000

#: What tells two words on an alert apart.
_MARKS = "id, updated_at_ms, state, class, severity, attempts, response, decision, silenced"
_Mark = tuple[object, ...]
_Stamp = tuple[object, ...]


class AlertWatch:
    """Remembers which alerts are open, and looks what has become of them and which are new.

    Not for a process that has the database open itself: closing any of its files there would take SQLite's
    locks away.
    """

    def __init__(self, path: Path, since_s: float) -> None:
        """Watch the file at ``path``; if there is none yet, for alerts that begin after ``since_s``."""
        self._path = path
        self._since_s = since_s
        self._stamp: _Stamp | None = None
        self._identity: tuple[int, int] | None = None
        self._open: dict[int, _Mark] = {}
        self._highest = 0
        #: Whether the last look saw another file than the one before, whose alerts are lost sight of.
        self.is_another = False

    def start(self) -> None:
        """Take the present state as known.

        Raises SynguardError when there is no history yet or it cannot be read, UnsupportedError when that is
        not permitted.
        """
        identity = _identity(self._path)
        self._open, self._highest = read(self._path, _present)
        self._identity = identity

    def changed(self) -> list[Alert]:
        """Return the alerts that are new or have changed since the last look, in the order of their ids.

        Raises SynguardError as :meth:`start` does; what is missed meanwhile is told by a later call.
        """
        stamp = _stamp(self._path)
        if stamp is not None and stamp == self._stamp:
            self.is_another = False
            return []
        looked_at_s, identity = time.time(), _identity(self._path)
        self.is_another = identity != self._identity
        seen = read(self._path, self._look_at_another if self.is_another else self._look)
        self._open, self._highest = seen.open, seen.highest
        self._identity, self._since_s = identity, looked_at_s
        self._stamp = stamp if seen.is_all and stamp is not None and _settled(stamp) else None
        return seen.alerts

    def _look(self, connection: sqlite3.Connection) -> _Seen:
        stored = stored_tables(connection)
        select = f"SELECT {_MARKS} FROM {stored['alerts']} WHERE"  # noqa: S608
        new = _marks(connection, f"{select} id > ? ORDER BY id LIMIT {MOST_AT_ONCE}", [self._highest])
        current = _marks(connection, f"{select} state = 'open'") | new
        for some in _in_portions([*self._open.keys() - current.keys()]):
            current |= _marks(connection, f"{select} id IN ({', '.join('?' * len(some))})", some)
        changed = sorted(alert_id for alert_id, mark in current.items() if self._open.get(alert_id) != mark)
        return _Seen(
            _alerts(connection, changed, stored),
            {alert_id: mark for alert_id, mark in current.items() if _is_open(mark)},
            max([self._highest, *new]),
            len(new) < MOST_AT_ONCE,
        )

    def _look_at_another(self, connection: sqlite3.Connection) -> _Seen:
        """Look at a file that was not there before: all that is open is new, and all that has begun since."""
        stored = stored_tables(connection)
        is_open, highest = _present(connection)
        since_ms = to_ms(self._since_s - _OVERLAP_S)
        sql = f"SELECT {_MARKS} FROM {stored['alerts']} WHERE started_at_ms >= ? LIMIT {MOST_AT_ONCE}"  # noqa: S608
        new = is_open | _marks(connection, sql, [since_ms])
        return _Seen(_alerts(connection, sorted(new), stored), is_open, highest, is_all=True)


class _Seen(NamedTuple):
    alerts: list[Alert]
    open: dict[int, _Mark]
    #: The highest id that was looked at.
    highest: int
    #: Whether nothing was left for the next look.
    is_all: bool


def _present(connection: sqlite3.Connection) -> tuple[dict[int, _Mark], int]:
    """Return what is open, and the highest id."""
    alerts = stored_tables(connection)["alerts"]
    is_open = _marks(connection, f"SELECT {_MARKS} FROM {alerts} WHERE state = 'open'")  # noqa: S608
    highest: int = connection.execute("SELECT coalesce(max(id), 0) FROM main.alerts").fetchone()[0]
    return is_open, highest


def _is_open(mark: _Mark) -> bool:
    return mark[2] == "open"


def _marks(connection: sqlite3.Connection, sql: str, parameters: Sequence[object] = ()) -> dict[int, _Mark]:
    return {row["id"]: tuple(row) for row in connection.execute(sql, parameters)}


def _alerts(connection: sqlite3.Connection, ids: Sequence[int], stored: dict[str, str]) -> list[Alert]:
    found = []
    for some in _in_portions(ids):
        parts = stored_parts(connection, some, stored)
        marks = ", ".join("?" * len(some))
        sql = f"SELECT * FROM {stored['alerts']} WHERE id IN ({marks}) ORDER BY id"  # noqa: S608
        found += [alert_from_rows(row, parts[row["id"]]) for row in connection.execute(sql, some)]
    return found


def _in_portions(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + IDS_AT_ONCE] for start in range(0, len(ids), IDS_AT_ONCE)]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes with every commit, or None where it cannot be told: then one has to look.

    While there is an index, the file itself changes when the -wal is folded into it, which is no news; and a
    daemon that does so in order to close had better have the file to itself.
    """
    try:
        status = path.stat()
        index = _head(path.with_name(f"{path.name}-shm"))
    except OSError:
        return None
    written = (status.st_mtime_ns, status.st_size) if index is None else (None, None)
    return *written, status.st_dev, status.st_ino, index


def _head(path: Path) -> tuple[int, bytes] | None:
    """Return a file's inode and first bytes, or None where there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.fstat(descriptor).st_ino, os.pread(descriptor, _WAL_INDEX_HEADER_BYTES, 0)
    finally:
        os.close(descriptor)


def _settled(stamp: _Stamp) -> bool:
    """Tell whether a write that comes now would change the stamp for sure."""
    modified_ns = stamp[0]
    return not (isinstance(modified_ns, int) and 0 <= time.time_ns() - modified_ns < _COARSE_NS)

"""The database's file: connecting, checking, one transaction at a time, moving it aside."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from synguard.history.version import NewerHistoryError, refuse_newer
from synguard.ownership import open_or_create

#: A reader's or a backup's short lock is waited for; a longer one degrades.
BUSY_TIMEOUT_S = 0.25
#: Alerts wait for the check, which reads all of the file, some 200 MB a second where it is cached, and cannot
#: be interrupted within a table. What is damaged in a larger one a later read or write finds.
MOST_CHECKED_BYTES = 64 << 20
_MAGIC = b"SQLite format 3\0"
_CORRUPT_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class HistoryFaultError(Exception):
    """The disk or the database refuses; it may be tried again."""


class CorruptHistoryError(HistoryFaultError):
    """The file is no database, or a damaged one."""


class DatabaseFile:
    """An open database, whatever is in it. Every method raises HistoryFaultError; one thread uses it."""

    def __init__(self, path: Path, *, check: bool = True) -> None:
        """Connect, making the directory (0750) and the file (0640) if they are missing."""
        self.path = path
        with self._faults():
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            # SQLite gives its -wal and -shm the database's own mode; addresses are personal data.
            # Root's are given to whoever the database belongs to (robustFchown() in SQLite's os_unix.c).
            os.close(open_or_create(path, 0o640))
            self._identity = self._identify()
        self._refuse_newer()
        with self._faults():
            self._connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
            self._connection.row_factory = sqlite3.Row
        try:
            if check:
                self._quick_check()
            with self._faults():
                self._connection.execute("PRAGMA foreign_keys = ON")
        except HistoryFaultError as fault:
            if not isinstance(fault, CorruptHistoryError):
                self.close()
                raise
            self.damage: CorruptHistoryError | None = fault
        else:
            self.damage = None

    def looks_like_a_database(self) -> bool:
        """Tell whether the file begins as SQLite's do, or with the zeros that a power cut leaves.

        What begins otherwise may be somebody else's file, named by a slip.
        """
        try:
            with self.path.open("rb") as file:
                head = file.read(len(_MAGIC))
        except OSError:
            return False
        return head == _MAGIC or not head.strip(b"\0")

    def replaced(self) -> bool:
        """Return whether the path no longer leads to this database: removed, or another in its place."""
        try:
            return self._identify() != self._identity
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def move_aside(self) -> Path:
        """Rename the database, its -wal and its -shm out of the way, close, and return the new path."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = self.path.with_name(f"{self.path.name}.corrupt-{stamp}")
        number = 1
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{self.path.name}.corrupt-{stamp}-{number}")
        with self._faults():
            # Before closing: the last connection to close would fold the -wal in and delete it. The -wal
            # first: one left behind by a kill -9 in between would be played into the fresh database.
            for suffix in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(aside.with_name(aside.name + suffix))
        self.close()
        return aside

    def close(self) -> None:
        """Close the connection; a failure is no news by then."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _refuse_newer(self) -> None:
        """Look with a connection that cannot write: one that can would fold the -wal in as it closes."""
        mode = "mode=ro" if self.path.with_name(f"{self.path.name}-wal").exists() else "immutable=1"
        uri = f"file:{quote(str(self.path.absolute()))}?{mode}"
        # What is damaged has no release to tell; opening it in earnest finds that out again.
        with (
            suppress(CorruptHistoryError),
            self._faults(),
            closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection,
        ):
            try:
                refuse_newer(connection, self.path)
            except NewerHistoryError as refusal:
                raise HistoryFaultError(str(refusal)) from refusal

    def _quick_check(self) -> None:
        with self._faults():
            if self.path.stat().st_size > MOST_CHECKED_BYTES:
                return
            found = self._rows("PRAGMA quick_check(1)")[0][0]
        if found != "ok":
            raise CorruptHistoryError(f"{self.path}: {found}")

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        return self._connection.execute(sql, parameters).fetchall()

    def _pragma(self, name: str) -> int:
        with self._faults():
            value: int = self._rows(f"PRAGMA {name}")[0][0]
            return value

    def _identify(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_dev, status.st_ino

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.commit()
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.rollback()
                raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HistoryFaultError(f"{error.filename or self.path}: {error.strerror}") from error
        except sqlite3.Error as error:
            # Extended result codes keep the primary one in their low byte (sqlite.org/rescode.html).
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            kind = CorruptHistoryError if code in _CORRUPT_CODES else HistoryFaultError
            raise kind(f"{self.path}: {error}") from error

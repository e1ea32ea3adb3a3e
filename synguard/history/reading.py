"""Opens the history's file for a question, beside a daemon that writes it or without, and leaves no trace."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from synguard.errors import SynguardError, UnsupportedError
from synguard.history.version import refuse_newer

T = TypeVar("T")

#: A writer's commit takes far less.
BUSY_TIMEOUT_S = 2.0
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_REFUSED = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)


class DamagedHistoryError(SynguardError):
    """The file is no database, or a damaged one."""


def read(path: Path, question: Callable[[sqlite3.Connection], T]) -> T:
    """Return what ``question`` makes of the history at ``path``, in one read transaction; nothing is written.

    Raises SynguardError when there is no history yet or it cannot be read, UnsupportedError when that is not
    permitted, DamagedHistoryError when it is damaged, NewerHistoryError when a newer release made it.
    """
    with _in_words(path):
        while True:
            logged = _wal(path)
            # Without a -wal nobody has the database open, and mode=ro would leave sidecars behind
            # (root's, which then break the service's user). With one, immutable would not see it.
            try:
                with _connected(path, "mode=ro" if logged else "immutable=1") as connection:
                    refuse_newer(connection, path)
                    answer = question(connection)
            except sqlite3.Error:
                if logged or not _wal(path):
                    raise
            else:
                if logged or not _wal(path):
                    return answer
            # A daemon has started meanwhile and may have written under the immutable connection.


def _wal(path: Path) -> bool:
    path.stat()
    return path.with_name(f"{path.name}-wal").exists()


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    uri = f"file:{quote(str(path.absolute()))}?{mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        # One transaction, so that alerts and their sources are of the same moment.
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_history(path) from error
    except PermissionError as error:
        raise _not_permitted(path) from error
    except sqlite3.Error as error:
        if path.is_dir():
            raise SynguardError(f"{path} is a directory: name the history's file in it") from error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if "no such table" in str(error):
            raise _no_history(path) from error
        if code in _REFUSED:
            raise _not_permitted(path) from error
        if code in _DAMAGED:
            raise DamagedHistoryError(
                f"the history at {path} cannot be read: {error}; a running daemon moves it aside and goes on "
                "with a fresh one, so start one or ask again in a few seconds"
            ) from error
        raise SynguardError(f"the history at {path} cannot be read: {error}") from error


def _no_history(path: Path) -> SynguardError:
    return SynguardError(
        f"no history at {path} yet: it is made when `synguard run` or the service first starts; "
        "another place is named by history.database in the settings"
    )


def _not_permitted(path: Path) -> UnsupportedError:
    if os.access(path, os.R_OK) and _on_read_only(path.parent):
        return UnsupportedError(
            f"the history at {path} cannot be read where it lies: its -wal needs an index beside it, and "
            "nothing can be written there; copy the file and its -wal to another directory, and name that by "
            "--database"
        )
    return UnsupportedError(
        f"not permitted to read the history at {path}: ask as root (sudo), or ask the running daemon "
        "as a member of its group"
    )


def _on_read_only(directory: Path) -> bool:
    """Tell a file system that nobody can write on from a directory in which others can."""
    try:
        return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    except OSError:
        return False

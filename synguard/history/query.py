"""Asks the history, with or without a daemon, and never writes to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from synguard.errors import SynguardError, UnsupportedError
from synguard.history.filter import AlertFilter
from synguard.history.parts import PARTS, stored_parts, stored_tables
from synguard.history.rows import alert_from_rows, alert_to_row
from synguard.model import Alert

__all__ = ["AlertFilter", "find_alerts", "get_alert"]

T = TypeVar("T")

#: A writer's commit takes far less.
BUSY_TIMEOUT_S = 2.0
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_REFUSED = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)


class DamagedHistoryError(SynguardError):
    """The file is no database, or a damaged one."""


def find_alerts(
    path: Path, alert_filter: AlertFilter | None = None, unsaved: Iterable[Alert] = ()
) -> list[Alert]:
    """Return the alerts of the database at ``path`` that the filter lets through, in its order.

    ``unsaved`` are alerts, newer than the database's word on them, that are asked as if they were in
    it; with any, a database that cannot be read is passed over. Raises SynguardError when there is
    no history yet or it cannot be read, UnsupportedError when that is not permitted.
    """
    sql, parameters = (alert_filter or AlertFilter()).to_sql()
    return _ask(path, tuple(unsaved), lambda connection: _alerts(connection, sql, parameters))


def get_alert(path: Path, alert_id: int, unsaved: Iterable[Alert] = ()) -> Alert | None:
    """Return one alert, or None if there is none of that id. Raises as :func:`find_alerts` does."""
    sql = "SELECT * FROM alerts WHERE id = ?"
    found = _ask(path, tuple(unsaved), lambda connection: _alerts(connection, sql, [alert_id]))
    return found[0] if found else None


def _ask(path: Path, unsaved: tuple[Alert, ...], question: Callable[[sqlite3.Connection], T]) -> T:
    def ask_with_unsaved(connection: sqlite3.Connection) -> T:
        _overlay(connection, unsaved)
        return question(connection)

    try:
        return _read(path, ask_with_unsaved)
    except SynguardError:
        if not unsaved:
            raise
        return _ask_memory(ask_with_unsaved)


def _read(path: Path, question: Callable[[sqlite3.Connection], T]) -> T:
    with _in_words(path):
        while True:
            logged = _wal(path)
            # Without a -wal nobody has the database open, and mode=ro would leave sidecars behind
            # (root's, which then break the service's user). With one, immutable would not see it.
            try:
                with _connected(path, "mode=ro" if logged else "immutable=1") as connection:
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
    return UnsupportedError(
        f"not permitted to read the history at {path}: ask as root (sudo), or ask the running daemon "
        "as a member of its group"
    )


def _ask_memory(question: Callable[[sqlite3.Connection], T]) -> T:
    # Only a daemon has unsaved alerts, and it has loaded this already; a command that asks has not.
    from sqlite_utils import Database  # noqa: PLC0415

    from synguard.history.schema import migrations  # noqa: PLC0415

    connection = sqlite3.connect(":memory:")
    try:
        connection.row_factory = sqlite3.Row
        migrations.apply(Database(connection, execute_plugins=False))
        return question(connection)
    finally:
        connection.close()


def _overlay(connection: sqlite3.Connection, unsaved: tuple[Alert, ...]) -> None:
    """Lay temporary views over the tables that show the unsaved alerts in place of the saved.

    SQLite looks a name up among the temporary ones first, so the questions need not know. A database that
    no daemon of this release has opened yet is shown as if it had what has come since.
    """
    stored = stored_tables(connection)
    if not unsaved:
        for table, source in stored.items():
            if source != f"main.{table}":
                connection.execute(f"CREATE TEMP VIEW {table} AS SELECT * FROM {source}")  # noqa: S608
        return
    parts = {table: [row for alert in unsaved for row in part.rows(alert)] for table, part in PARTS.items()}
    for table, news in {"alerts": [alert_to_row(alert, 0) for alert in unsaved], **parts}.items():
        connection.execute(f"CREATE TEMP TABLE unsaved_{table} AS SELECT * FROM {stored[table]} WHERE 0")  # noqa: S608
        for row in news:
            marks = ", ".join(f":{column}" for column in row)
            connection.execute(f"INSERT INTO unsaved_{table} ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608
        id_column = "id" if table == "alerts" else "alert_id"
        connection.execute(
            f"CREATE TEMP VIEW {table} AS SELECT * FROM {stored[table]}"  # noqa: S608
            f" WHERE {id_column} NOT IN (SELECT id FROM unsaved_alerts)"
            f" UNION ALL SELECT * FROM unsaved_{table}"
        )


def _alerts(connection: sqlite3.Connection, sql: str, parameters: Any) -> list[Alert]:
    rows = connection.execute(sql, parameters).fetchall()
    parts = stored_parts(connection, [row["id"] for row in rows])
    return [alert_from_rows(row, parts[row["id"]]) for row in rows]

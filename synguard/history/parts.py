"""The tables beside ``alerts``: read for many alerts at once, and written only where something changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from synguard.history.rows import change_to_row, listener_to_row, source_to_row
from synguard.model import Alert, AlertState

MAX_TOP_SOURCES = 50
#: SQLite's default bound on parameters was 999 before 3.32.
IDS_AT_ONCE = 500


class Part(NamedTuple):
    """A list in an alert that has a table of its own."""

    #: The column that says where in the list a row belongs, from 0 on.
    place: str
    items: Callable[[Alert], Sequence[Any]]
    to_row: Callable[[Any], tuple[Any, ...]]
    #: What ``to_row`` returns, by name.
    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the table's columns."""
        return ("alert_id", self.place, *self.names)

    def rows(self, alert: Alert, before: Alert | None = None) -> Iterator[dict[str, Any]]:
        """Yield an alert's rows, less those that are the same as ``before``."""
        known = self.items(before) if before else ()
        items = self.items(alert)
        for place, (item, old) in enumerate(zip_longest(items, known[: len(items)])):
            if item != old:
                yield dict(zip(self.columns, (alert.id, place, *self.to_row(item)), strict=True))


PARTS = {
    "alert_sources": Part(
        "rank",
        lambda alert: alert.top_sources[:MAX_TOP_SOURCES],
        source_to_row,
        ("source", "source_first", "source_last", "attempts", "completed"),
    ),
    "alert_listeners": Part("rank", lambda alert: alert.listeners, listener_to_row, ("listener",)),
    "alert_timeline": Part(
        "position",
        lambda alert: alert.timeline,
        change_to_row,
        ("at_ms", "what", "before", "after", "because"),
    ),
}


def stored_tables(connection: sqlite3.Connection) -> dict[str, str]:
    """Return what to read ``alerts`` and ``PARTS`` from: themselves, or what stands in for them.

    A database that no daemon of this release has opened yet is read as if it had what came since.
    """
    columns = {row["name"] for row in connection.execute("PRAGMA main.table_info(alerts)")}
    tables = {row["name"] for row in connection.execute("SELECT name FROM main.sqlite_master")}
    is_older = columns and "silenced" not in columns
    stored = {"alerts": "(SELECT *, 0 AS silenced FROM main.alerts)" if is_older else "main.alerts"}
    for table, part in PARTS.items():
        nothing = ", ".join(f"NULL AS {column}" for column in part.columns)
        stored[table] = f"main.{table}" if table in tables else f"(SELECT {nothing} WHERE 0)"
    return stored


def stored_parts(
    connection: sqlite3.Connection, alert_ids: Sequence[int], stored: Mapping[str, str] | None = None
) -> dict[int, Mapping[str, Sequence[sqlite3.Row]]]:
    """Return each alert's rows of every table in ``PARTS``, in their order.

    ``stored`` is what :func:`stored_tables` said, where the tables may be missing.
    """
    found: dict[int, dict[str, list[sqlite3.Row]]] = {
        alert_id: {table: [] for table in PARTS} for alert_id in alert_ids
    }
    for start in range(0, len(alert_ids), IDS_AT_ONCE):
        ids = alert_ids[start : start + IDS_AT_ONCE]
        marks = ", ".join("?" * len(ids))
        for table, part in PARTS.items():
            source = stored[table] if stored else table
            # Only names of this module's own are pasted together, here and below.
            sql = f"SELECT * FROM {source} WHERE alert_id IN ({marks}) ORDER BY alert_id, {part.place}"  # noqa: S608
            for row in connection.execute(sql, ids):
                found[row["alert_id"]][table].append(row)
    return {**found}


def settle_sources(connection: sqlite3.Connection, alert_ids: Sequence[int]) -> None:
    """Have the sources of alerts that have ended indexed."""
    connection.executemany(
        "UPDATE alert_sources SET settled = 1 WHERE alert_id = ? AND settled = 0",
        [(alert_id,) for alert_id in alert_ids],
    )


class PartWriter:
    """Writes the parts of alerts, within its caller's transactions.

    An open alert comes once a second, and most of it is as it was. What this has written it does not write
    again, so it lasts no longer than its connection, and is told when a transaction failed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._open: dict[int, Alert] = {}

    def write(self, alert: Alert) -> None:
        """Bring the rows of an alert up to date."""
        before = self._open.pop(alert.id, None)
        for table, part in PARTS.items():
            count = len(part.items(alert))
            if before is None or len(part.items(before)) > count:
                keep = 0 if before is None else count
                self._connection.execute(
                    f"DELETE FROM {table} WHERE alert_id = ? AND {part.place} >= ?",  # noqa: S608
                    [alert.id, keep],
                )
            rows = [*part.rows(alert, before)]
            if table == "alert_sources" and alert.state is AlertState.OPEN:
                # They change with every update, and are indexed once that has an end.
                rows = [{**row, "settled": 0} for row in rows]
            self._insert(table, rows)
        if alert.state is AlertState.OPEN:
            self._open[alert.id] = alert
        else:
            settle_sources(self._connection, [alert.id])

    def forget(self) -> None:
        """Take in that what was written last is not on disk."""
        self._open.clear()

    def _insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        columns, marks = ", ".join(rows[0]), ", ".join(f":{column}" for column in rows[0])
        # sqlite-utils' insert_all() asks for the rowid of a single row, and these tables have none.
        self._connection.executemany(
            f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608
            rows,
        )

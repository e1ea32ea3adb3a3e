"""Asks the history, with or without a daemon, and never writes to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from synguard.errors import SynguardError
from synguard.history.bounds import check_integer
from synguard.history.filter import AlertFilter
from synguard.history.matching import matcher
from synguard.history.parts import IDS_AT_ONCE, MAX_TOP_SOURCES, stored_parts, stored_tables
from synguard.history.reading import read
from synguard.history.rows import alert_from_rows, alert_to_row
from synguard.history.search import Found, can_search, search
from synguard.model import Alert, Severity

__all__ = ["AlertFilter", "find_alerts", "get_alert"]

_SEVERITIES = [severity.value for severity in Severity]


def find_alerts(
    path: Path, alert_filter: AlertFilter | None = None, unsaved: Iterable[Alert] = ()
) -> list[Alert]:
    """Return the alerts of the database at ``path`` that the filter lets through, in its order.

    ``unsaved`` are alerts, newer than the database's word on them, that are asked as if they were in
    it; with any, a database that cannot be read is passed over. Raises SynguardError when there is
    no history yet or it cannot be read, UnsupportedError when that is not permitted.
    """
    wanted, news = alert_filter or AlertFilter(), {alert.id: alert for alert in unsaved}
    try:
        return read(path, lambda connection: _find(connection, wanted, news))
    except SynguardError:
        if not news:
            raise
        return [_as_stored(news[one.id]) for one in _in_order(_passing(wanted, news), wanted)]


def get_alert(path: Path, alert_id: int, unsaved: Iterable[Alert] = ()) -> Alert | None:
    """Return one alert, or None if there is none of that id.

    Raises UsageError for a number that can be no id, and where the database cannot be read as
    :func:`synguard.history.reading.read` does: whether there is one nobody knows then.
    """
    check_integer("id", alert_id)
    news = {alert.id: alert for alert in unsaved}
    if alert_id in news:
        return _as_stored(news[alert_id])
    return read(path, lambda connection: _stored(connection, [alert_id]).get(alert_id))


def _find(connection: sqlite3.Connection, wanted: AlertFilter, news: dict[int, Alert]) -> list[Alert]:
    # The database's word on an alert of which there is news does not count, and may be in the way.
    more = wanted if wanted.limit is None else replace(wanted, limit=wanted.limit + len(news))
    found = [one for one in _search(connection, more) if one.id not in news]
    ids = [one.id for one in _in_order([*found, *_passing(wanted, news)], wanted)]
    stored = _stored(connection, [alert_id for alert_id in ids if alert_id not in news])
    return [_as_stored(news[one]) if one in news else stored[one] for one in ids]


def _search(connection: sqlite3.Connection, wanted: AlertFilter) -> list[Found]:
    if can_search(connection):
        return search(connection, wanted)
    # No daemon of this release has opened it yet: it is shown as if it had what has come since.
    for table, source in stored_tables(connection).items():
        if source != f"main.{table}":
            connection.execute(f"CREATE TEMP VIEW {table} AS SELECT * FROM {source}")  # noqa: S608
    return [Found(*row) for row in connection.execute(*wanted.to_sql())]


def _passing(wanted: AlertFilter, news: dict[int, Alert]) -> list[Found]:
    passes = matcher(wanted)
    return [Found(alert.id, _sort_key(alert, wanted)) for alert in news.values() if passes(alert)]


def _sort_key(alert: Alert, wanted: AlertFilter) -> object:
    """Return what SQL would sort the alert by."""
    if wanted.sort_field == "severity":
        return _SEVERITIES.index(alert.severity)
    return alert_to_row(alert, 0)[wanted.sort_key]


def _in_order(found: Sequence[Found], wanted: AlertFilter) -> list[Found]:
    """Return as many as are wanted, in order; what is unknown comes last, either way."""
    backwards = wanted.is_descending
    known = [one for one in found if one.sort_key is not None]
    unknown = [one for one in found if one.sort_key is None]
    known.sort(key=lambda one: (one.sort_key, one.id), reverse=backwards)
    unknown.sort(key=lambda one: one.id, reverse=backwards)
    return [*known, *unknown][: wanted.limit]


def _as_stored(alert: Alert) -> Alert:
    """Return an alert without the sources that the database does not keep."""
    if len(alert.top_sources) <= MAX_TOP_SOURCES:
        return alert
    return replace(alert, top_sources=alert.top_sources[:MAX_TOP_SOURCES])


def _stored(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, Alert]:
    """Return the database's alerts of some ids, by their ids."""
    stored = stored_tables(connection)
    parts = stored_parts(connection, ids, stored)
    found: dict[int, Alert] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        some = ids[start : start + IDS_AT_ONCE]
        sql = f"SELECT * FROM {stored['alerts']} WHERE id IN ({', '.join('?' * len(some))})"  # noqa: S608
        found |= {row["id"]: alert_from_rows(row, parts[row["id"]]) for row in connection.execute(sql, some)}
    return found

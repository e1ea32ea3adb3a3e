"""Finds the alerts that a filter means, in its order, without reading more than it must.

All that is asked but the source is in one index, ``alerts_in_brief``: a look at each alert in it takes a
tenth of a second for a million. Sources are looked up, for two networks overlap only if one holds the
other: those inside the one that is asked for lie next to each other in the index, and of those that hold
it there are 129 at most. Where a wide network means a great many sources, alerts are tested one by one in
the order that is asked for, since enough are found soon; and where they are not, all are gathered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any, NamedTuple

from synguard.history.filter import AlertFilter
from synguard.history.rows import MAPPED_FIRST, MAPPED_LAST, address_range

#: What was written by the schema's step of this name is looked for here.
_INDEX = "alert_sources_settled"
#: Alerts whose sources lie together in it, as a power of two.
_STRETCH_BITS = 13
#: Sources that are gathered whatever the order is.
MOST_GATHERED = 150_000
#: Alerts that are tested one by one before all are gathered.
MOST_TESTED = 3000
#: Alerts that are looked up one by one rather than among all.
_FEW = 4000
_BITS = 128
_EVERY = "main.alerts INDEXED BY alerts_in_brief"
#: What grows with time, or is the same in so many that their ids decide.
_GROWING = frozenset({"id", "ended_at", "kind", "state", "severity"})
_LISTED = "SELECT alert_id FROM temp.listed"


class Found(NamedTuple):
    """An alert that is meant, and what it is sorted by."""

    id: int
    sort_key: Any


def can_search(connection: sqlite3.Connection) -> bool:
    """Tell whether the database has the indexes."""
    sql = "SELECT 1 FROM main.sqlite_master WHERE name = ?"
    return connection.execute(sql, [_INDEX]).fetchone() is not None


def search(connection: sqlite3.Connection, wanted: AlertFilter) -> list[Found]:
    """Return the alerts that the filter lets through, in its order, as many as it wants."""
    connection.execute("PRAGMA temp_store = MEMORY")
    if wanted.listener is not None:
        # An alert's first listener is its own. A table by id is made and read faster than a subquery's list.
        connection.execute("CREATE TEMP TABLE listed (alert_id INTEGER PRIMARY KEY)")
        connection.execute(
            f"INSERT OR IGNORE INTO temp.listed {wanted.listed()} AND rank > 0", wanted.parameters()
        )
    if wanted.source is None:
        return _select(connection, wanted, _EVERY)
    return _SourceSearch(connection, wanted).find()


def _select(connection: sqlite3.Connection, wanted: AlertFilter, among: str, also: str = "1") -> list[Found]:
    # Only texts of our own are pasted together; what people write is in the parameters.
    sql = (
        f"SELECT alerts.id AS id, {wanted.sort_key} AS sort_key FROM {among}"  # noqa: S608
        f" WHERE {wanted.condition(_LISTED)} AND {also}"
    )
    if wanted.is_descending and wanted.sort_field in _GROWING and among == _EVERY:
        # Read from the oldest on, nearly each would be the best so far.
        newest_first = "ORDER BY started_at_ms DESC, id DESC LIMIT -1"
        sql = f"SELECT id, sort_key FROM ({sql} {newest_first}) {wanted.order('sort_key')} LIMIT :limit"  # noqa: S608
    else:
        sql = f"{sql} {wanted.order()} LIMIT :limit"
    return [Found(*row) for row in connection.execute(sql, wanted.parameters())]


class _Span(NamedTuple):
    """What a source has to be for a network to be asked about it, as ends of ranges."""

    #: Sources inside begin in one of these.
    inside: Sequence[tuple[bytes, bytes]]
    #: Sources that hold it begin with one of these.
    holders: Sequence[bytes]
    #: And end at or after this.
    last: bytes


def _span(text: str) -> _Span:
    first, last = address_range(ip_network(text, strict=False))
    inside = [(first, last)]
    if ":" in text:
        # ::/0 and the like span the mapped IPv4 addresses without meaning them.
        before, after = _next(MAPPED_FIRST, -1), _next(MAPPED_LAST, 1)
        inside = [(first, min(last, before)), (max(first, after), last)]
    begin = int.from_bytes(first, "big")
    holders = {(begin >> bits << bits).to_bytes(16, "big") for bits in range(_BITS + 1)} - {first}
    if ":" in text:
        holders = {one for one in holders if not MAPPED_FIRST <= one <= MAPPED_LAST}
    # One that begins where the network does and holds it is inside the range as well.
    return _Span([one for one in inside if one[0] <= one[1]], sorted(holders), last)


def _next(address: bytes, step: int) -> bytes:
    return (int.from_bytes(address, "big") + step).to_bytes(16, "big")


_IN_STRETCH = (
    "main.alert_sources INDEXED BY alert_sources_settled"
    f" WHERE settled = 1 AND alert_id >> {_STRETCH_BITS} = +stretches.number AND source_first"
)
_OF_ALERT = "main.alerts INDEXED BY alerts_by_source WHERE alerts.source_first"
#: What lies inside the network, and what holds it.
_INSIDE = "BETWEEN inside.first AND inside.last"
_HOLDS = "= holders.first AND source_last >= :last"
_STRETCHES = "SELECT number FROM temp.stretches WHERE number BETWEEN :least AND :most"
_GATHER_SETTLED = f"""
INSERT OR IGNORE INTO temp.found
SELECT alert_id FROM ({_STRETCHES}) AS stretches CROSS JOIN temp.inside CROSS JOIN {_IN_STRETCH} {_INSIDE}
UNION ALL
SELECT alert_id FROM ({_STRETCHES}) AS stretches CROSS JOIN temp.holders CROSS JOIN {_IN_STRETCH} {_HOLDS}
"""  # noqa: S608 - here and below only texts of this module's own are pasted together
_GATHER_OTHERS = f"""
INSERT OR IGNORE INTO temp.found
SELECT id FROM temp.inside CROSS JOIN {_OF_ALERT} {_INSIDE}
UNION ALL
SELECT id FROM temp.holders CROSS JOIN {_OF_ALERT} {_HOLDS}
UNION ALL
SELECT alert_id FROM temp.inside CROSS JOIN main.alert_sources INDEXED BY alert_sources_unsettled
    WHERE settled = 0 AND source_first {_INSIDE}
UNION ALL
SELECT alert_id FROM temp.holders CROSS JOIN main.alert_sources INDEXED BY alert_sources_unsettled
    WHERE settled = 0 AND source_first {_HOLDS}
"""  # noqa: S608
_COUNT = f"""
SELECT count(*) FROM (
    SELECT 1 FROM ({_STRETCHES}) AS stretches CROSS JOIN temp.inside CROSS JOIN {_IN_STRETCH} {_INSIDE}
    UNION ALL
    SELECT 1 FROM temp.inside CROSS JOIN {_OF_ALERT} {_INSIDE}
    LIMIT :enough
)
"""  # noqa: S608
_TEST = f"""
SELECT EXISTS (SELECT 1 FROM temp.inside CROSS JOIN main.alerts
        WHERE id = :id AND alerts.source_first {_INSIDE})
    OR EXISTS (SELECT 1 FROM main.alert_sources CROSS JOIN temp.inside
        WHERE alert_id = :id AND source_first {_INSIDE})
    OR EXISTS (SELECT 1 FROM main.alerts CROSS JOIN temp.holders
        WHERE id = :id AND alerts.source_first {_HOLDS})
    OR EXISTS (SELECT 1 FROM main.alert_sources CROSS JOIN temp.holders
        WHERE alert_id = :id AND source_first {_HOLDS})
"""  # noqa: S608
#: Every stretch that has alerts: from each the next is one look away.
_FIND_STRETCHES = f"""
INSERT INTO temp.stretches
WITH RECURSIVE stretch (number) AS (
    SELECT min(id) >> {_STRETCH_BITS} FROM main.alerts
    UNION ALL
    SELECT (SELECT min(id) >> {_STRETCH_BITS} FROM main.alerts WHERE id >= (number + 1) << {_STRETCH_BITS})
    FROM stretch WHERE number NOT NULL
)
SELECT number FROM stretch WHERE number NOT NULL
"""  # noqa: S608


class _SourceSearch:
    """Looks for alerts of a source; what it has found is in temporary tables of the connection's."""

    def __init__(self, connection: sqlite3.Connection, wanted: AlertFilter) -> None:
        assert wanted.source is not None  # noqa: S101 - there is nothing to look for else
        self._connection = connection
        self._wanted = wanted
        span = _span(wanted.source)
        self._last = {"last": span.last}
        connection.execute("CREATE TEMP TABLE found (alert_id INTEGER PRIMARY KEY)")
        connection.execute("CREATE TEMP TABLE stretches (number INTEGER PRIMARY KEY)")
        connection.execute("CREATE TEMP TABLE inside (first BLOB, last BLOB)")
        connection.execute("CREATE TEMP TABLE holders (first BLOB)")
        connection.executemany("INSERT INTO temp.inside VALUES (?, ?)", span.inside)
        connection.executemany("INSERT INTO temp.holders VALUES (?)", [(one,) for one in span.holders])
        connection.execute(_FIND_STRETCHES)
        numbers = connection.execute("SELECT number FROM temp.stretches ORDER BY number")
        self._stretches: list[int] = [row[0] for row in numbers]

    def find(self) -> list[Found]:
        """Return the alerts."""
        if self._count() < MOST_GATHERED:
            return self._find_among_all()
        tested = self._test()
        if tested is not None:
            return tested
        self._leave_out()
        if self._count() < MOST_GATHERED or self._wanted.sort_field not in ("started_at", "id"):
            return self._find_among_all()
        return self._find_in_order()

    def _find_among_all(self) -> list[Found]:
        self._gather_others()
        self._gather(self._stretches)
        return self._found()

    def _leave_out(self) -> None:
        """Leave the stretches before and after those with alerts that are otherwise wanted."""
        condition = self._wanted.condition(_LISTED)
        if condition == AlertFilter().condition():
            return
        sql = f"SELECT min(id), max(id) FROM {_EVERY} WHERE {condition}"  # noqa: S608
        least, most = self._connection.execute(sql, self._wanted.parameters()).fetchone()
        if least is None:
            self._stretches = []
            return
        ends = range(least >> _STRETCH_BITS, (most >> _STRETCH_BITS) + 1)
        self._stretches = [number for number in self._stretches if number in ends]

    def _count(self) -> int:
        """Return how many sources are meant, as far as that is worth counting."""
        if not self._stretches:
            return 0
        everywhere = {"least": self._stretches[0], "most": self._stretches[-1]}
        count: int = self._connection.execute(_COUNT, {**everywhere, "enough": MOST_GATHERED}).fetchone()[0]
        return count

    def _gather(self, stretches: Sequence[int]) -> None:
        if stretches:
            where = {"least": min(stretches), "most": max(stretches)}
            self._connection.execute(_GATHER_SETTLED, {**where, **self._last})

    def _gather_others(self) -> None:
        self._connection.execute(_GATHER_OTHERS, self._last)

    def _gathered(self) -> int:
        count: int = self._connection.execute("SELECT count(*) FROM temp.found").fetchone()[0]
        return count

    def _found(self) -> list[Found]:
        """Return those of the gathered alerts that are wanted."""
        if self._gathered() <= _FEW:
            few = "temp.found CROSS JOIN main.alerts ON alerts.id = found.alert_id"
            return _select(self._connection, self._wanted, few)
        return _select(self._connection, self._wanted, _EVERY, "id IN (SELECT alert_id FROM temp.found)")

    def _test(self) -> list[Found] | None:
        """Return the alerts if they are among the first otherwise wanted; None if one cannot tell."""
        if self._wanted.limit is None:
            return None
        first = replace(self._wanted, limit=MOST_TESTED)
        candidates = _select(self._connection, first, _EVERY)
        passing = list(self._passing(candidates))
        is_all = len(candidates) < MOST_TESTED
        return passing if is_all or len(passing) == self._wanted.limit else None

    def _passing(self, candidates: Sequence[Found]) -> Iterator[Found]:
        left = self._wanted.limit
        for one in candidates:
            if left == 0:
                return
            if self._connection.execute(_TEST, {"id": one.id, **self._last}).fetchone()[0]:
                left = None if left is None else left - 1
                yield one

    def _find_in_order(self) -> list[Found]:
        """Gather stretch after stretch as the order goes, until no other can have what comes first."""
        self._gather_others()
        left = sorted(self._stretches, reverse=self._wanted.is_descending)
        enough = self._wanted.limit or 0
        while left:
            self._gather([left.pop(0)])
            if left and self._gathered() < enough:
                continue
            found = self._found()
            if left and len(found) == self._wanted.limit and self._is_before(found[-1], left[0]):
                return found
            enough = 4 * self._gathered()
        return self._found()

    def _is_before(self, found: Found, stretch: int) -> bool:
        """Tell whether all alerts from a stretch on come after one that was found."""
        if self._wanted.sort_field == "id":
            return True
        if self._wanted.is_descending:
            edge, rival = (stretch + 1) << _STRETCH_BITS, "id < :edge AND started_at_ms >= :at_ms"
        else:
            edge, rival = stretch << _STRETCH_BITS, "id >= :edge AND started_at_ms <= :at_ms"
        sql = f"SELECT 1 FROM main.alerts INDEXED BY alerts_in_brief WHERE {rival} LIMIT 1"  # noqa: S608
        return self._connection.execute(sql, {"edge": edge, "at_ms": found.sort_key}).fetchone() is None

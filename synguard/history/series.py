"""What came and went in each second, as rows: written, rolled up to minutes and hours, and asked for.

A row holds the counts within its step: a second, and where it has grown old a minute or an hour. A step
in which nothing happened has no row; whether anybody was looking then, the daemon's runs tell. What is
unknown is NULL. A sum of answered or completed is unknown where any part of it is. Of the kernel's counters
what is known is added up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from synguard.history.records import time_to_json

SECOND_S, MINUTE_S, HOUR_S = 1, 60, 3600
#: Steps that an answer may have: what people reckon time in.
_ASKED_STEPS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)


class Column(NamedTuple):
    """One figure of a step."""

    name: str
    #: How those of several steps become one: ``sum``, ``max`` or ``avg``.
    together: str = "sum"


_COUNTED = tuple(map(Column, ("attempts", "answered", "completed", "aborted", "refused", "dropped_by_us")))
#: The attempts of the busiest second.
_PEAK = Column("peak_attempts_per_s", "max")

TOTALS = (
    *_COUNTED,
    Column("syn_retransmits"),
    Column("syn_duplicates"),
    Column("fin_probes"),
    Column("null_probes"),
    Column("xmas_probes"),
    Column("unparsed"),
    _PEAK,
    # Of the whole network namespace, by the kernel: SyncookiesSent, ListenDrops, ListenOverflows.
    Column("kernel_cookies"),
    Column("kernel_drops"),
    Column("accept_overflows"),
)
LISTENER = (
    *_COUNTED,
    _PEAK,
    Column("handshake_p50_ms", "avg"),
    Column("handshake_p99_ms", "max"),
    Column("sources_estimated", "max"),
    Column("syn_queue", "max"),
    Column("syn_queue_limit", "max"),
    Column("accept_queue", "max"),
    Column("accept_queue_limit", "max"),
)
#: Half of these beside all attempts would look like a flood.
ALL_OR_NOTHING = ("answered", "completed")
_ADDING_ACROSS = (
    "peak_attempts_per_s", "sources_estimated", "syn_queue", "syn_queue_limit", "accept_queue",
    "accept_queue_limit",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Second:
    """What one second brought; figures by the names of ``TOTALS`` and ``LISTENER``, None where unknown."""

    #: Its begin, in whole seconds since the Unix epoch.
    at_s: int
    totals: Mapping[str, float | None]
    #: By the listener's text.
    listeners: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


class Series(NamedTuple):
    """A table of steps."""

    table: str
    #: What tells rows of the same step apart.
    keys: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def insert(self) -> str:
        """Return what writes a row, or adds it to the one that is there: a clock may go back."""
        names = ("step_s", *self.keys, *(one.name for one in self.columns))
        return (
            f"INSERT INTO {self.table} ({', '.join(names)})"  # noqa: S608
            f" VALUES ({', '.join(f':{name}' for name in names)}) {self._conflict}"
        )

    @property
    def _conflict(self) -> str:
        sets = ", ".join(f"{one.name} = {self._added(one)}" for one in self.columns)
        return f"ON CONFLICT (step_s, {', '.join(self.keys)}) DO UPDATE SET {sets}"

    def _added(self, column: Column) -> str:
        ours, theirs = f"{self.table}.{column.name}", f"excluded.{column.name}"
        both = f"{ours} + {theirs}" if column.together == "sum" else f"max({ours}, {theirs})"
        if column.name in ALL_OR_NOTHING:
            return both
        return f"coalesce({both}, {ours}, {theirs})"

    def roll_up(self, to_step_s: int, where: str) -> str:
        """Return what adds rows up into wider steps; ``where`` says which, :step_s their step."""
        others = [key for key in self.keys if key != "at_s"]
        keys = ", ".join([*others, f"at_s / {to_step_s} * {to_step_s}"])
        names = ", ".join(("step_s", *others, "at_s", *(one.name for one in self.columns)))
        return (
            f"INSERT INTO {self.table} ({names}) SELECT {to_step_s}, {keys}, {together(self.columns)}"  # noqa: S608
            f" FROM {self.table} WHERE step_s = :step_s AND {where}"
            f" GROUP BY {keys} {self._conflict}"
        )


TOTALS_SERIES = Series("totals_series", ("at_s",), TOTALS)
LISTENER_SERIES = Series("listener_series", ("listener_id", "at_s"), LISTENER)


def together(columns: Iterable[Column], *, across: bool = False) -> str:
    """Return the columns of several rows as one; ``across`` listeners peaks and queues of one step add up."""
    return ", ".join(f"{_together(one, across=across)} AS {one.name}" for one in columns)


def _together(column: Column, *, across: bool) -> str:
    if column.name in ALL_OR_NOTHING:
        return f"CASE WHEN count({column.name}) = count(*) THEN sum({column.name}) END"
    return f"{'sum' if across and column.name in _ADDING_ACROSS else column.together}({column.name})"


def write_seconds(connection: sqlite3.Connection, seconds: Sequence[Second]) -> None:
    """Write seconds, within the caller's transaction."""
    connection.executemany(
        TOTALS_SERIES.insert, [{"step_s": SECOND_S, "at_s": one.at_s, **one.totals} for one in seconds]
    )
    listeners = sorted({listener for one in seconds for listener in one.listeners})
    if not listeners:
        return
    connection.executemany(
        "INSERT INTO series_listeners (listener) VALUES (?) ON CONFLICT (listener) DO NOTHING",
        [(listener,) for listener in listeners],
    )
    ids = {
        listener: connection.execute(
            "SELECT id FROM series_listeners WHERE listener = ?", [listener]
        ).fetchone()[0]
        for listener in listeners
    }
    connection.executemany(
        LISTENER_SERIES.insert,
        [
            {"step_s": SECOND_S, "listener_id": ids[listener], "at_s": one.at_s, **figures}
            for one in seconds
            for listener, figures in one.listeners.items()
        ],
    )


def totals(
    connection: sqlite3.Connection, since_s: float, until_s: float, most_steps: int
) -> list[dict[str, Any]]:
    """Return what came in a time, as plain data, in steps of which there are about ``most_steps`` at most."""
    return _asked(connection, TOTALS_SERIES, "totals_series", since_s, until_s, most_steps)


def listeners_together(
    connection: sqlite3.Connection, listeners: Sequence[str], since_s: float, until_s: float, most_steps: int
) -> list[dict[str, Any]]:
    """Return the same of some listeners, added up."""
    ids = [
        row[0]
        for listener in dict.fromkeys(listeners)
        for row in connection.execute("SELECT id FROM series_listeners WHERE listener = ?", [listener])
    ]
    if not ids:
        return []
    rows = (
        f"(SELECT step_s, at_s, {together(LISTENER, across=True)} FROM listener_series"  # noqa: S608
        f" WHERE step_s IN (1, 60, 3600) AND listener_id IN ({', '.join(map(str, ids))})"
        " AND at_s > :from_s AND at_s < :until_s GROUP BY step_s, at_s)"
    )
    return _asked(connection, LISTENER_SERIES, rows, since_s, until_s, most_steps)


def _asked(
    connection: sqlite3.Connection,
    series: Series,
    rows: str,
    since_s: float,
    until_s: float,
    most_steps: int,
) -> list[dict[str, Any]]:
    wanted_s = max(until_s - since_s, 1.0) / max(most_steps, 1)
    step_s = next((step for step in _ASKED_STEPS_S if step >= wanted_s), _ASKED_STEPS_S[-1])
    # What is kept in wider steps than asked for stays in those.
    width = f"max(step_s, {step_s})"
    found = connection.execute(
        f"SELECT {width} AS width_s, at_s / {width} * {width} AS begin_s, {together(series.columns)}"  # noqa: S608
        f" FROM {rows} WHERE step_s IN (1, 60, 3600) AND at_s > :from_s AND at_s < :until_s"
        " AND at_s + step_s > :since_s GROUP BY 1, 2 ORDER BY 2, 1",
        {"from_s": since_s - HOUR_S, "since_s": since_s, "until_s": until_s},
    )
    names = [one.name for one in series.columns]
    return [
        {
            "at": time_to_json(row["begin_s"]),
            "step_s": row["width_s"],
            **{name: row[name] for name in names},
        }
        for row in found
    ]

"""What ``synguard top`` asks for: the present, of each table as many rows as are wanted.

A picture of the whole is made at most twice a second and shared by all who ask; of it each gets the rows
that it wants. It is made of what the last snapshot and the detector hold: nothing is read for it but
the totals and the blocks.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from synguard.daemon.control import argument
from synguard.daemon.latest import Latest
from synguard.daemon.permitting import Peer
from synguard.daemon.responding import newest_rows
from synguard.daemon.rows import listener_row, source_row
from synguard.daemon.shared import Shared, Turns
from synguard.daemon.status import standing
from synguard.daemon.watch import Watch
from synguard.detect.view import view_source
from synguard.endpoint import Listener
from synguard.errors import UsageError
from synguard.history.records import alert_to_json, time_to_json
from synguard.model import Alert, AlertKind, Severity, Snapshot, SourceReading
from synguard.respond.responder import Responder

#: A picture is good for so long at least.
LEAST_AGE_S = 0.5
#: Making pictures takes one part in so many of a CPU at most.
TIMES_ITS_COST = 50.0
#: Rows of each table in an answer.
MOST_ROWS = 512
ROWS = 64
#: Different answers that are kept of one picture.
MOST_ANSWERS = 16

#: What tables can be sorted by, the busiest first; a table that lacks it is sorted by its first figure.
SORTS = (
    *("attempts_per_s", "half_open", "half_open_ratio", "attempts", "completed"),
    *("handshake_p50_ms", "handshake_p99_ms", "syn_queue_fill", "accept_queue_fill"),
    *("sources_estimated", "targets_estimated"),
)
_DEFAULT_SORTS = {
    "listeners": "attempts_per_s",
    "sources": "attempts_per_s",
    "prefixes": "attempts_per_s",
    "alerts": "severity_rank",
    "blocks": "hits",
}
_SEVERITIES = {severity.value: rank for rank, severity in enumerate(Severity)}
_Rows = list[dict[str, Any]]


@dataclass(slots=True)
class _Picture:
    """Everything at one moment, every table whole."""

    head: dict[str, Any]
    tables: dict[str, _Rows]
    #: By what was asked: answers made of it so far.
    answers: dict[tuple[str, int], msgspec.Raw] = field(default_factory=dict)

    def answer(self, sort: str, rows: int) -> msgspec.Raw:
        """Return so many rows of each table by a figure, which a leading ``-`` has descend."""
        made = self.answers.get((sort, rows))
        if made is None:
            shown = {name: _sorted(name, table, sort)[:rows] for name, table in self.tables.items()}
            known = {name: len(table) for name, table in self.tables.items()}
            made = msgspec.Raw(msgspec.json.encode({**self.head, "rows_known": known, **shown}))
            if len(self.answers) < MOST_ANSWERS:
                self.answers[sort, rows] = made
        return made


def _sorted(name: str, table: _Rows, sort: str) -> _Rows:
    """Return a table sorted; rows without the figure come last, whichever way."""
    figure = sort.lstrip("-")
    if table and figure not in table[0]:
        figure, descends = _DEFAULT_SORTS[name], True
    else:
        descends = sort.startswith("-")
    known = [row for row in table if row[figure] is not None]
    unknown = [row for row in table if row[figure] is None]
    # Of what is equal, what is busier comes first.
    known.sort(key=lambda row: row.get("attempts", 0), reverse=True)
    return [*sorted(known, key=lambda row: row[figure], reverse=descends), *unknown]


class Live:
    """Makes the pictures and answers ``top``."""

    def __init__(
        self,
        watch: Watch,
        responder: Responder,
        latest: Latest,
        health: Callable[[], Awaitable[dict[str, Any]]],
    ) -> None:
        self._watch = watch
        self._responder = responder
        self._latest = latest
        self._health = health
        self._picture = Shared(self._make, least_age_s=LEAST_AGE_S, times_its_cost=TIMES_ITS_COST)

    async def answer(self, arguments: Mapping[str, Any], peer: Peer) -> msgspec.Raw:  # noqa: ARG002
        """Return the present: ``rows`` rows of each table (1 to 512), sorted by ``sort`` (``-`` descends)."""
        rows = argument(arguments, "rows", int, ROWS)
        sort = argument(arguments, "sort", str, "-attempts_per_s")
        if not 1 <= rows <= MOST_ROWS:
            raise UsageError(f"rows are 1 to {MOST_ROWS}, not {rows}")
        if sort.removeprefix("-") not in SORTS:
            raise UsageError(f"{sort[:80]!r} cannot be sorted by; what can: {', '.join(SORTS)}")
        picture = await self._picture.get()
        return picture.answer(sort, rows)

    async def _make(self, turns: Turns) -> _Picture:
        snapshot = self._watch.snapshot
        alerts = self._latest.alerts()
        return _Picture(
            {**self._head(alerts), "history": await self._health()},
            {
                "listeners": await self._listeners(turns, snapshot, alerts),
                "sources": await _sources(turns, snapshot, snapshot.sources if snapshot else ()),
                "prefixes": await _sources(turns, snapshot, snapshot.prefixes if snapshot else ()),
                "alerts": [_alert_row(alert) async for alert in turns.of(alerts)],
                "blocks": await newest_rows(self._responder.book.blocks, turns),
            },
        )

    def _head(self, alerts: list[Alert]) -> dict[str, Any]:
        return {
            "at": time_to_json(time.time()),
            "monotonic_s": round(time.monotonic(), 4),
            **standing(self._watch, self._responder, alerts, self._watch.reader.totals()),
            "actions": self._responder.actions,
            "refused": self._responder.refusals,
        }

    async def _listeners(self, turns: Turns, snapshot: Snapshot | None, alerts: list[Alert]) -> _Rows:
        views, rows = self._watch.detector.views(), []
        alerted = {listener: alert for alert in alerts for listener in _listeners_of(alert)}
        answered = {block.target: block.response for block in self._responder.book.blocks.made()}
        async for reading in turns.of(views.readings()):
            row = listener_row(reading, views.listener(reading.listener), snapshot)
            if not row["attempts"]:
                continue
            alert = alerted.get(reading.listener)
            told = alert.impact if alert is not None and alert.impact != "unknown" else None
            row["syn_queue_fill"] = _fill(row["syn_queue"], row["syn_queue_limit"])
            row["accept_queue_fill"] = _fill(row["accept_queue"], row["accept_queue_limit"])
            row["impact"] = told or views.impact(reading.listener)
            row["alert_id"] = alert.id if alert is not None else None
            row["response"] = answered.get(reading.listener)
            rows.append(row)
        return rows


async def _sources(turns: Turns, snapshot: Snapshot | None, readings: tuple[SourceReading, ...]) -> _Rows:
    if snapshot is None:
        return []
    return [_live_source(reading, snapshot) async for reading in turns.of(readings)]


def _live_source(reading: SourceReading, snapshot: Snapshot) -> dict[str, Any]:
    view = view_source(reading, snapshot)
    return {
        **source_row(reading, snapshot),
        "sources_estimated": reading.sources_estimated,
        "attempts_per_s": round(view.attempts_per_s, 1),
        "half_open": None if snapshot.one_way else view.half_open,
        "half_open_ratio": None if snapshot.one_way else view.half_open_ratio,
        "dropped_by_us": reading.counts.dropped_by_us,
        "probes": reading.fin_probes + reading.null_probes + reading.xmas_probes,
    }


def _fill(waiting: int | None, room: int | None) -> float | None:
    """Return how full a queue is (0..1); the kernel takes one more than there is room for."""
    return None if waiting is None or not room else round(min(waiting / room, 1.0), 3)


def _alert_row(alert: Alert) -> dict[str, Any]:
    """Return what fits a line; the command ``alert`` has the rest."""
    told = alert.evidence if alert.kind is AlertKind.BLIND else ()
    brief = replace(
        alert, evidence=told, measurements=(), top_sources=(), timeline=(), listeners=(), decision=""
    )
    return {
        **alert_to_json(brief),
        "severity_rank": _SEVERITIES[alert.severity.value],
        "listeners_known": len(_listeners_of(alert)),
    }


def _listeners_of(alert: Alert) -> tuple[Listener, ...]:
    return alert.listeners or tuple(filter(None, [alert.listener]))

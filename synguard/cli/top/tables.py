"""The tables of ``synguard top``: their columns, and what stands in a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from synguard.cli.block_rows import state
from synguard.observe.text import printable
from synguard.telling.figures import duration, figure, percent, seconds_between
from synguard.telling.wording import by_whom, what

Row = Mapping[str, Any]


class Column(NamedTuple):
    """One column; the time of the answer is given to what tells how long something has been."""

    heading: str
    cell: Callable[[Row, str], str]
    #: What the table is sorted by when it is sorted by this column, if it can be.
    sort: str | None = None
    right: bool = True
    #: On a narrow terminal the columns of the highest number go first; 0 stays.
    spare: int = 0


class Kind(NamedTuple):
    """One table."""

    title: str
    columns: Sequence[Column]
    #: What of a row tells it from all others.
    key: str


def _figure(name: str, unit: str = "") -> Callable[[Row, str], str]:
    return lambda row, _at: figure(row[name], unit)


def _percent(name: str) -> Callable[[Row, str], str]:
    return lambda row, _at: percent(row[name])


def _text(name: str) -> Callable[[Row, str], str]:
    return lambda row, _at: "-" if row[name] is None else printable(str(row[name]))


def _since(row: Row, at: str) -> str:
    return duration(max(seconds_between(row["started_at"], at), 0.0))


def _left(row: Row, at: str) -> str:
    return duration(max(seconds_between(at, row["until"]), 0.0))


def _on_whom(row: Row, _at: str) -> str:
    more = row["listeners_known"] - 1
    if row["listener"] is None:
        return "-"
    return f"{row['listener']} +{more}" if more > 0 else str(row["listener"])


def _action(row: Row, _at: str) -> str:
    if row["silenced"]:
        return "silenced"
    action = row["action"]
    return "-" if action is None else f"{action['response']}, {action['mode']}"


def _rate(row: Row, _at: str) -> str:
    return figure(round(row["attempts_per_s"], 1 if row["attempts_per_s"] < 100 else 0))


_ATTEMPTS_PER_S = Column("ATTEMPTS/S", _rate, "attempts_per_s")
_HALF_OPEN = Column("HALF-OPEN", _figure("half_open"), "half_open", spare=2)
_RATIO = Column("RATIO", _percent("half_open_ratio"), "half_open_ratio", spare=1)
_SOURCES = Column("SOURCES", _figure("sources_estimated"), "sources_estimated", spare=6)
_ATTEMPTS = Column("ATTEMPTS", _figure("attempts"), "attempts", spare=4)
_COMPLETED = Column("COMPLETED", _figure("completed"), "completed", spare=3)
_CAUGHT = Column("DROPPED", _figure("dropped_by_us"), spare=5)
_SOURCE = Column("SOURCE", _text("source"), right=False)

KINDS: Mapping[str, Kind] = {
    "listeners": Kind(
        "Listeners",
        (
            Column("LISTENER", _text("listener"), right=False),
            *(_ATTEMPTS_PER_S, _HALF_OPEN, _RATIO),
            Column("P50", _figure("handshake_p50_ms", " ms"), "handshake_p50_ms", spare=7),
            Column("P99", _figure("handshake_p99_ms", " ms"), "handshake_p99_ms", spare=5),
            Column("SYN QUEUE", _percent("syn_queue_fill"), "syn_queue_fill", spare=3),
            Column("ACCEPT QUEUE", _percent("accept_queue_fill"), "accept_queue_fill", spare=6),
            _SOURCES,
            Column("IMPACT", _text("impact"), right=False, spare=3),
            Column("ALERT", _text("alert_id"), spare=4),
            Column("RESPONSE", lambda row, _at: row.get("response") or "-", right=False, spare=8),
        ),
        "listener",
    ),
    "sources": Kind(
        "Sources",
        (
            *(_SOURCE, _ATTEMPTS_PER_S, _HALF_OPEN, _RATIO, _ATTEMPTS, _COMPLETED),
            Column("TARGETS", _figure("targets_estimated"), "targets_estimated", spare=6),
            Column("PROBES", _figure("probes"), spare=7),
            _CAUGHT,
        ),
        "source",
    ),
    "prefixes": Kind(
        "Prefixes",
        (
            Column("PREFIX", _text("source"), right=False),
            *(_ATTEMPTS_PER_S, _HALF_OPEN, _RATIO, _ATTEMPTS, _COMPLETED, _SOURCES),
        ),
        "source",
    ),
    "alerts": Kind(
        "Alerts",
        (
            Column("ID", _text("id")),
            Column("SEVERITY", _text("severity"), right=False),
            Column("WHAT", lambda row, _at: printable(what(row)), right=False),
            Column("ON", _on_whom, right=False, spare=1),
            Column("BY", lambda row, _at: printable(by_whom(row) or "-"), right=False, spare=2),
            Column("PEAK SYN/S", _figure("peak_syn_per_s"), spare=3),
            Column("RATIO", _percent("half_open_ratio"), "half_open_ratio", spare=7),
            Column("IMPACT", _text("impact"), right=False, spare=4),
            Column("ACTION", _action, right=False, spare=5),
            Column("FOR", _since, spare=6),
        ),
        "id",
    ),
    "blocks": Kind(
        "Responses",
        (
            Column("TARGET", _text("target"), right=False),
            Column("RESPONSE", _text("response"), right=False, spare=2),
            Column("SYNS CAUGHT", _figure("hits")),
            Column("ENDS IN", _left, spare=1),
            Column("STATE", lambda row, _at: state(row), right=False, spare=2),
            Column("ASKED BY", _text("asked_by"), right=False, spare=4),
            Column("ALERT", _text("alert_id"), spare=3),
            Column("REASON", _text("reason"), right=False, spare=5),
        ),
        "target",
    ),
}


class Fitted(NamedTuple):
    """A table as it is shown."""

    columns: Sequence[Column]
    cells: Sequence[Sequence[str]]


def fitted(kind: Kind, rows: Sequence[Row], at: str, width: int | None = None, gap: int = 2) -> Fitted:
    """Return a table's columns and cells; with a ``width`` those columns go that do not fit it."""
    columns = list(kind.columns)
    cells = [[column.cell(row, at) for column in columns] for row in rows]
    widths = [
        max(len(column.heading), *(len(line[place]) for line in cells), 0)
        for place, column in enumerate(columns)
    ]
    shown = list(range(len(columns)))
    while width is not None and sum(widths[place] + gap for place in shown) > width:
        last = max(shown, key=lambda place: columns[place].spare)
        if not columns[last].spare:
            break
        shown.remove(last)
    return Fitted([columns[place] for place in shown], [[line[place] for place in shown] for line in cells])


def matching(kind: Kind, rows: Sequence[Row], at: str, wanted: str) -> list[Row]:
    """Return the rows of which any cell contains ``wanted``, in whatever case."""
    if not wanted:
        return list(rows)
    needle = wanted.lower()
    return [row for row in rows if any(needle in column.cell(row, at).lower() for column in kind.columns)]


def head(answer: Mapping[str, Any], rates: Mapping[str, float | None] | None) -> list[str]:
    """Return what stands above the tables: what is guarded, what comes now, and what is wrong."""
    lines = [
        f"synguard {answer['version']}  up {duration(answer['uptime_s'])}  "
        f"responding: {answer['respond']} (drop = {answer['drop']})  {_interfaces(answer)}",
        _now(answer, rates),
    ]
    lines += [f"BLIND: {one['cause']}: {one['not_seen']}" for one in answer["blind"]]
    if answer["one_way"]:
        lines.append("only what comes in is seen: answered, completed and half-open are unknown")
    if (trouble := _trouble(answer)) is not None:
        lines.append(trouble)
    return [printable(line) for line in lines]


def _interfaces(answer: Mapping[str, Any]) -> str:
    def sitting(one: Row) -> str:
        if not one["attached"]:
            return "NOT ATTACHED"
        return "BLIND" if one["blind"] else str(one["ingress"])

    return ", ".join(f"{one['name']} {sitting(one)}" for one in answer["interfaces"])


_TOTALS = ("attempts", "answered", "completed", "aborted", "refused", "dropped_by_us")
#: What our own responses did; told where they did anything.
_OWN_TOTALS = ("greylisted", "cookies_sent", "cookies_valid")


def _now(answer: Mapping[str, Any], rates: Mapping[str, float | None] | None) -> str:
    names = [*_TOTALS, *(name for name in _OWN_TOTALS if answer["totals"].get(name))]
    if rates is None:
        told = [f"{name.replace('_', ' ')} {figure(answer['totals'][name])}" for name in names]
        return f"since it began: {', '.join(told)}"
    told = [f"{name.replace('_', ' ')} {figure(rates.get(f'{name}_per_s'))}" for name in names]
    return f"a second: {', '.join(told)}"


def _trouble(answer: Mapping[str, Any]) -> str | None:
    """Say what was lost, how the history fares, and what is silenced; None where all is well."""
    history = answer["history"]
    told = [f"{name} {figure(count)}" for name, count in answer["losses"].items() if count]
    parts = [f"lost: {', '.join(told)}"] if told else []
    if history["state"] != "ok":
        parts.append(f"history: {history['state']} ({history['error']}), {figure(history['queued'])} wait")
    if answer["silences"]:
        parts.append(f"silences: {figure(answer['silences'])}")
    return "; ".join(parts) or None


def clock(moment: datetime) -> str:
    """Return a moment's time of day in UTC."""
    return f"{moment:%H:%M:%S}Z"

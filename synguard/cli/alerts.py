"""``synguard alerts``: ask the history, or watch it."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from synguard.cli.following import Follower
from synguard.cli.options import (
    TIME,
    config_option,
    database_option,
    format_option,
    local_option,
    offline_option,
    settings_for,
    socket_option,
)
from synguard.cli.output import (
    duration,
    figure,
    moment,
    percent,
    seconds_between,
    table,
    write,
    write_json,
    write_json_line,
)
from synguard.cli.reading import AlertReading, alert_reading
from synguard.cli.wording import by_whom, is_blind, on_whom, what
from synguard.errors import UsageError
from synguard.history.filter import SORT_FIELDS, AlertFilter
from synguard.model import AlertClass, AlertKind, AlertState
from synguard.observe.text import printable

POLL_INTERVAL_S = 0.1
#: A poll asks for what was going on this long before it: commits take less.
OVERLAP_S = 5.0
#: Rows of a table when no limit is given.
TABLE_ROWS = 50

_CSV_FIELDS = (
    "id", "kind", "class", "severity", "state", "closed_because", "started_at", "ended_at", "listener",
    "source", "sources_estimated", "attempts", "answered", "completed", "aborted", "refused",
    "dropped_by_us", "half_open_ratio", "peak_syn_per_s", "impact", "response", "response_mode",
    "response_target", "listeners", "silenced",
)  # fmt: skip
_HEADINGS = (
    ">ID", "STARTED", "LASTED", "SEVERITY", "WHAT", "LISTENER", "SOURCE", ">ATTEMPTS", ">HALF-OPEN",
    ">PEAK SYN/S", "ACTION",
)  # fmt: skip
#: What a narrow terminal goes without, first the first.
_SPARE = (">HALF-OPEN", ">ATTEMPTS", "LASTED", ">PEAK SYN/S", "SEVERITY")
#: Columns of the table's cells while following, when later rows are not known yet.
_WIDTHS = (6, 20, 8, 8, 23, 24, 18, 11, 9, 10, 0)


@click.command("alerts")
@click.option("--since", type=TIME, metavar="T", help="Going on at or after: 1h, 2d, 2026-11-22T10:00Z.")
@click.option("--until", type=TIME, metavar="T", help="Begun at or before.")
@click.option("--kind", type=click.Choice([kind.value for kind in AlertKind]))
@click.option("--class", "alert_class", type=click.Choice([one.value for one in AlertClass]))
@click.option("--source", metavar="CIDR", help="Overlapping the source or any of the top sources.")
@click.option("--listener", metavar="ADDR:PORT", help="That listener, or with an address all its ports.")
@click.option("--state", type=click.Choice([state.value for state in AlertState]))
@click.option(
    "--sort",
    metavar="FIELD",
    default="-started_at",
    show_default=True,
    help=f"Order, descending after a '-': {', '.join(SORT_FIELDS)}.",
)
@click.option("--limit", type=int, metavar="N", help=f"At most so many; a table shows {TABLE_ROWS}.")
@click.option("--follow", is_flag=True, help="Go on with new and changed alerts until Ctrl-C.")
@format_option("table", "json", "jsonl", "csv")
@local_option
@offline_option
@config_option
@socket_option
@database_option
def command(
    *,
    since: float | None,
    until: float | None,
    follow: bool,
    output_format: str,
    local: bool,
    offline: bool,
    config_file: Path | None,
    socket: str | None,
    database: str | None,
    **restrictions: Any,
) -> None:
    """List alerts, newest first."""
    alert_filter = AlertFilter(since_s=since, until_s=until, **restrictions)
    settings = settings_for(config_file, socket=socket, database=database)
    reading = alert_reading(settings, offline=offline or database is not None)
    if not follow:
        _list(reading, alert_filter, output_format, local=local)
    elif output_format == "json":
        raise UsageError("--format json is one list, which --follow never ends: use --format jsonl")
    else:
        _follow(reading, alert_filter, output_format, local=local)


def _list(reading: AlertReading, alert_filter: AlertFilter, output_format: str, *, local: bool) -> None:
    if output_format == "table":
        _list_as_table(reading, alert_filter, local=local)
        return
    alerts = reading.find(alert_filter)
    if output_format == "json":
        write_json(alerts)
    elif output_format == "jsonl":
        for alert in alerts:
            write_json_line(alert)
    else:
        write(_csv_lines([_CSV_FIELDS, *map(_csv_row, alerts)]))


def _list_as_table(reading: AlertReading, alert_filter: AlertFilter, *, local: bool) -> None:
    rows = alert_filter.limit or TABLE_ROWS
    # One more than shown tells whether there are more.
    alerts = reading.find(replace(alert_filter, limit=rows + 1))
    if not alerts:
        click.echo("no alerts", err=True)
        return
    write(alert_table(alerts[:rows], local=local))
    if len(alerts) > rows and alert_filter.limit is None:
        click.echo(f"the first {rows} alerts; more with --limit", err=True)


def alert_table(alerts: Iterable[Mapping[str, Any]], *, local: bool) -> str:
    """Return alerts under their headings; a narrow terminal goes without some columns."""
    return table(_HEADINGS, (_cells(alert, local=local) for alert in alerts), spare=_SPARE)


def _follow(reading: AlertReading, alert_filter: AlertFilter, output_format: str, *, local: bool) -> None:
    emit, heading = _FOLLOW_FORMATS[output_format]
    if output_format == "table":
        emit = partial(emit, local=local)
    if heading:
        write(heading)
    asked_at_s = time.time()
    known = reading.find(replace(alert_filter, limit=alert_filter.limit or TABLE_ROWS))
    follower = Follower()
    for alert in follower.news(reversed(known), time.monotonic()):
        emit(alert)
    while True:
        since_s = max(asked_at_s - OVERLAP_S, alert_filter.since_s or 0.0)
        asked_at_s = time.time()
        current = reading.find(replace(alert_filter, since_s=since_s, limit=None, sort="id"))
        for alert in follower.news(current, time.monotonic()):
            emit(alert)
        time.sleep(POLL_INTERVAL_S)


def _write_row(alert: Mapping[str, Any], *, local: bool = False) -> None:
    write(_aligned(_cells(alert, local=local)))


def _write_csv_row(alert: Mapping[str, Any]) -> None:
    write(_csv_lines([_csv_row(alert)]))


def _aligned(cells: Iterable[str]) -> str:
    columns = zip(cells, _HEADINGS, _WIDTHS, strict=True)
    placed = (
        cell.rjust(width) if heading.startswith(">") else cell.ljust(width)
        for cell, heading, width in columns
    )
    return printable("  ".join(placed).rstrip())


def _csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(rows)
    return lines.getvalue().rstrip("\n")


def _csv_row(alert: Mapping[str, Any]) -> list[Any]:
    action = alert["action"] or {}
    flat = {
        **alert,
        "response": action.get("response"),
        "response_mode": action.get("mode"),
        "response_target": action.get("target"),
        "listeners": " ".join(alert.get("listeners") or ()),
        "silenced": "yes" if alert.get("silenced") else "no",
    }
    return [flat[name] for name in _CSV_FIELDS]


def _cells(alert: Mapping[str, Any], *, local: bool) -> tuple[str, ...]:
    return (
        str(alert["id"]),
        moment(alert["started_at"], local=local),
        lasted(alert),
        alert["severity"],
        what(alert),
        on_whom(alert) or "-",
        by_whom(alert) or "-",
        figure(None if is_blind(alert) else alert["attempts"]),
        percent(alert["half_open_ratio"]),
        figure(None if is_blind(alert) else alert["peak_syn_per_s"]),
        _action(alert),
    )


def lasted(alert: Mapping[str, Any]) -> str:
    """Return how long a closed alert lasted, or ``open``."""
    if alert["ended_at"] is None:
        return str(alert["state"])
    return duration(seconds_between(alert["started_at"], alert["ended_at"]))


def _action(alert: Mapping[str, Any]) -> str:
    action, silenced = alert["action"], "silenced" if alert.get("silenced") else ""
    if action is None:
        return silenced or "-"
    done = action["response"] if action["mode"] == "enforce" else f"{action['response']} ({action['mode']})"
    return ", ".join(filter(None, [done, silenced]))


_FOLLOW_FORMATS: Mapping[str, tuple[Callable[..., None], str | None]] = {
    "table": (_write_row, _aligned(heading.lstrip(">") for heading in _HEADINGS)),
    "jsonl": (write_json_line, None),
    "csv": (_write_csv_row, ",".join(_CSV_FIELDS)),
}

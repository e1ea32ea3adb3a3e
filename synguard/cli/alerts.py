"""``synguard alerts``: ask the history, or follow it."""

from __future__ import annotations

import select
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from synguard.cli.alert_rows import CSV_HEADING, FollowedRows, alert_table, csv_row
from synguard.cli.feeds import Feeds
from synguard.cli.following import Following
from synguard.cli.options import (
    TIME,
    format_option,
    reading_options,
    settings_for,
)
from synguard.cli.output import write, write_json, write_json_line
from synguard.cli.reading import alert_reading
from synguard.errors import UsageError
from synguard.history.filter import SORT_FIELDS, AlertFilter
from synguard.history.questions import HistoryReading
from synguard.model import AlertClass, AlertKind, AlertState
from synguard.observe.text import printable

__all__ = ["alert_table", "command"]

#: Rows of a table when no limit is given, and alerts that there are already which a follower is shown.
TABLE_ROWS = 50
NEWEST_FIRST = "-started_at"


@click.command("alerts")
@click.option("--since", type=TIME, metavar="T", help="Going on at or after: 1h, 2d, 2026-11-22T10:00Z.")
@click.option("--until", type=TIME, metavar="T", help="Begun at or before.")
@click.option("--kind", type=click.Choice([kind.value for kind in AlertKind]), help="Of this kind.")
@click.option(
    "--class", "alert_class", type=click.Choice([one.value for one in AlertClass]), help="Of this class."
)
@click.option("--source", metavar="CIDR", help="Overlapping the source or any of the top sources.")
@click.option("--listener", metavar="ADDR:PORT", help="That listener, or with an address all its ports.")
@click.option("--state", type=click.Choice([state.value for state in AlertState]), help="In this state.")
@click.option(
    "--sort",
    metavar="FIELD",
    default=NEWEST_FIRST,
    show_default=True,
    help=f"Order, descending after a '-': {', '.join(SORT_FIELDS)}.",
)
@click.option("--limit", type=int, metavar="N", help=f"At most so many; a table shows {TABLE_ROWS}.")
@click.option("--follow", is_flag=True, help="Go on with new and changed alerts until Ctrl-C.")
@format_option("table", "json", "jsonl", "csv")
@reading_options
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
    offline = offline or database is not None
    if follow:
        _refuse_with_follow(output_format, alert_filter.sort)
        already = replace(alert_filter, limit=alert_filter.limit or TABLE_ROWS)
        feeds = Feeds(settings, already, offline=offline, note=_note)
        _follow(Following(feeds, already, _end_without_reader), output_format, local=local)
    else:
        _list(
            alert_reading(settings, offline=offline, is_named=socket is not None),
            alert_filter,
            output_format,
            local=local,
        )


def _list(reading: HistoryReading, alert_filter: AlertFilter, output_format: str, *, local: bool) -> None:
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
        write("\n".join([CSV_HEADING, *map(csv_row, alerts)]))


def _list_as_table(reading: HistoryReading, alert_filter: AlertFilter, *, local: bool) -> None:
    rows = alert_filter.limit or TABLE_ROWS
    # One more than shown tells whether there are more.
    alerts = reading.find(replace(alert_filter, limit=rows + 1))
    if not alerts:
        click.echo("no alerts", err=True)
        return
    write(alert_table(alerts[:rows], local=local))
    if len(alerts) > rows and alert_filter.limit is None:
        click.echo(f"the first {rows} alerts; more with --limit", err=True)


def _follow(alerts: Following, output_format: str, *, local: bool) -> None:
    """Write each alert as it comes, under its heading if the form has one."""
    rows = FollowedRows(local=local) if output_format == "table" else None
    if output_format != "jsonl":
        write(rows.heading() if rows else CSV_HEADING)
    for alert in alerts:
        if output_format == "jsonl":
            write_json_line(alert)
        else:
            write(rows.row(alert) if rows else csv_row(alert))


def _refuse_with_follow(output_format: str, sort: str) -> None:
    if output_format == "json":
        raise UsageError("--format json is one list, which --follow never ends: use --format jsonl")
    if sort != NEWEST_FIRST:
        raise UsageError("--sort orders a list that is complete, and --follow's never is: leave one out")


def _note(text: str) -> None:
    click.echo(f"synguard: note: {printable(text)}", err=True)


def _end_without_reader() -> None:
    """End as :func:`write` would, when whoever read the output is gone and there is nothing to write."""
    watched = select.poll()
    watched.register(sys.stdout.fileno(), 0)
    if any(events & select.POLLERR for _, events in watched.poll(0)):
        write("")

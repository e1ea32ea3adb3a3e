"""``synguard report``: an alert, or a period, as one HTML file to hand on."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import cast

import click

from synguard.cli.options import (
    TIME,
    reading_options,
    settings_for,
)
from synguard.cli.output import write
from synguard.cli.reading import alert_reading
from synguard.errors import SynguardError, UsageError
from synguard.history.questions import HistoryReading

STANDARD_OUTPUT = "-"


@click.command("report")
@click.argument("alert_id", metavar="[ID]", type=click.IntRange(min=1), required=False)
@click.option("--since", type=TIME, metavar="T", help="A period's report: from 1d ago, or 2026-11-22T10:00Z.")
@click.option("--until", type=TIME, metavar="T", help="To this moment; by default now.")
@click.option("--output", required=True, metavar="FILE", help="The HTML file to write; - is standard output.")
@reading_options
def command(
    *,
    alert_id: int | None,
    since: float | None,
    until: float | None,
    output: str,
    local: bool,
    offline: bool,
    config_file: Path | None,
    socket: str | None,
    database: str | None,
) -> None:
    """Write alert ID, or a period, as one HTML file with plots that needs no network."""
    _check(alert_id, since, until)
    settings = settings_for(config_file, socket=socket, database=database)
    reading = alert_reading(settings, offline=offline or database is not None, is_named=socket is not None)
    if alert_id is not None:
        page = _alert(reading, alert_id, local=local)
    else:
        page = _period(reading, cast("float", since), until, local=local)
    _write(page, output)


def _check(alert_id: int | None, since: float | None, until: float | None) -> None:
    if alert_id is not None and (since is not None or until is not None):
        raise UsageError("a report is about an alert's ID or about a time (--since): leave out one of them")
    if alert_id is None and since is None:
        raise UsageError("say what to report on: an alert's ID, or a time such as --since 1d")
    if since is not None and until is not None and not since < until:
        raise UsageError("--since and --until are the same moment: a period needs some time")


def _alert(reading: HistoryReading, alert_id: int, *, local: bool) -> str:
    # Asked before matplotlib is loaded: who mistyped hears of it at once.
    alert = reading.get(alert_id)
    if alert is None:
        raise SynguardError(f"there is no alert {alert_id}: `synguard alerts` lists those there are")
    from synguard.report.asking import alert_facts  # noqa: PLC0415
    from synguard.report.page import alert_page  # noqa: PLC0415 — loads matplotlib

    return alert_page(alert_facts(reading, alert, time.time()), local=local)


def _period(reading: HistoryReading, since_s: float, until_s: float | None, *, local: bool) -> str:
    from synguard.report.asking import Span, period_facts  # noqa: PLC0415
    from synguard.report.page import period_page  # noqa: PLC0415 — loads matplotlib

    now_s = time.time()
    period = Span(since_s, now_s if until_s is None else min(until_s, now_s))
    return period_page(period_facts(reading, period, now_s), local=local)


def _write(page: str, output: str) -> None:
    if output == STANDARD_OUTPUT:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8")
        write(page)
        return
    from synguard.report.keeping import keep  # noqa: PLC0415

    keep(page, Path(output))

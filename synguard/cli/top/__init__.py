"""``synguard top``: what goes on now, and by whom, a second at a time."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from synguard.cli.options import config_option, format_option, settings_for, socket_option
from synguard.cli.output import write, write_json, write_json_line
from synguard.cli.top.data import BUSIEST, MOST_ROWS, ROWS, SORTS, Asker
from synguard.cli.values import DURATION
from synguard.client import NotAnsweringError, NotRunningError
from synguard.errors import UsageError

#: Rows of each table in one picture as text.
ONCE_ROWS = 10
INTERVAL_S = 1.0
LONGEST_INTERVAL_S = 3600.0


@click.command("top")
@click.option("--once", is_flag=True, help="One picture, whose rates are those of one interval, and end.")
@format_option("text", "json")
@click.option(
    "--interval",
    "interval_s",
    type=DURATION,
    default="1s",
    show_default=True,
    help="How often it is looked, from 1s to 1h.",
)
@click.option(
    "--sort",
    "order",
    metavar="FIELD",
    type=click.Choice([f"{sign}{name}" for name in SORTS for sign in ("", "-")]),
    default=BUSIEST,
    show_default=True,
    help="What listeners, sources and prefixes are sorted by; - has it descend.",
)
@click.option(
    "--rows",
    type=click.IntRange(1, MOST_ROWS),
    help=f"Rows of each table: {ONCE_ROWS} as text, {ROWS} otherwise by default.",
)
@config_option
@socket_option
def command(
    *,
    once: bool,
    output_format: str,
    interval_s: float,
    order: str,
    rows: int | None,
    config_file: Path | None,
    socket: str | None,
) -> None:
    """Show live what comes to which listener, from whom, and what is done about it.

    On a terminal it is a view to work with: its keys stand at the bottom, and h tells more. With
    --format json it prints one line of JSON at each interval, or with --once one document.
    """
    if not INTERVAL_S <= interval_s <= LONGEST_INTERVAL_S:
        raise UsageError("--interval is from 1s to 1h: the daemon is asked no more often than once a second")
    is_dumb = os.environ.get("TERM", "dumb") in ("dumb", "")
    if not once and output_format == "text" and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("a live view needs a terminal: --once writes one picture, --format json a line each")
    socket_path = settings_for(config_file, socket=socket).control.socket_path
    as_text = output_format == "text" and (once or is_dumb)
    asker = Asker(socket_path, order, rows or (ONCE_ROWS if as_text else ROWS))
    if as_text or output_format == "json":
        _write(asker, output_format, interval_s, once=once)
        return
    asker.look()  # Whoever cannot be asked at all is told so in words, on the terminal as it is.
    from synguard.cli.top.view import show  # noqa: PLC0415 - what draws on terminals takes half a second

    where = ["--socket", str(socket_path), *(["--config", str(config_file)] if config_file else [])]
    click.get_current_context().exit(show(asker, interval_s, where))


def _write(asker: Asker, output_format: str, interval_s: float, *, once: bool) -> None:
    """Write a picture at each interval, or one whose rates are those of the interval before it."""
    from synguard.cli.top.once import text  # noqa: PLC0415 - JSON needs none of it

    asker.look()
    is_told = False
    while True:
        time.sleep(interval_s)
        try:
            look = asker.look()
        except (NotRunningError, NotAnsweringError) as error:
            if once:
                raise
            if not is_told:
                click.echo(f"synguard top: warning: {error}; going on when it answers", err=True)
            is_told = True
            continue
        is_told = False
        if output_format == "text":
            write(text(look, asker.rows) + ("" if once else "\n"))
        elif once:
            write_json(look.to_json())
        else:
            write_json_line(look.to_json())
        if once:
            return

"""Writes to standard output: JSON, tables that fit a terminal, and figures as people read them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from synguard.errors import SynguardError
from synguard.observe.text import printable

#: Wider than any row, so that nothing is folded or cut on its way to a file or a program.
_PIPE_COLUMNS = 100_000


def write(text: str) -> None:
    """Write ``text`` and end the line.

    A reader that has seen enough (``| head``) ends the command quietly; a full disk is a SynguardError.
    """
    try:
        click.echo(text)
    except BrokenPipeError as error:
        # Python flushes at exit once more, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(0) from error
    except OSError as error:
        raise SynguardError(f"cannot write the output: {error.strerror}") from error


def write_json(value: Any) -> None:
    """Write one JSON document for people and programs."""
    write(json.dumps(value, indent=2))


def write_json_line(value: Any) -> None:
    """Write one JSON document on one line."""
    write(json.dumps(value, separators=(",", ":")))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, indent: int = 0) -> str:
    """Return rows under their headings, figures to the right.

    On a terminal it fits the width, long cells folded, never cut; elsewhere every row is one line
    without colours. A heading that begins with ``>`` aligns its column to the right.
    """
    on_terminal = sys.stdout.isatty()
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        right = heading.startswith(">")
        grid.add_column(heading.lstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    console = Console(width=None if on_terminal else _PIPE_COLUMNS, highlight=False)
    with console.capture() as captured:
        console.print(grid)
    return "\n".join(" " * indent + line.rstrip() for line in captured.get().splitlines())


def figure(value: float | None, unit: str = "") -> str:
    """Return a figure with thousands set apart (``50,000/s``), or ``-`` where it is unknown."""
    if value is None:
        return "-"
    digits = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.3g}"
    return f"{digits}{unit}"


def percent(ratio: float | None) -> str:
    """Return a ratio of 0..1 as a percentage, or ``-`` where it is unknown."""
    return "-" if ratio is None else f"{ratio * 100:.1f}%"


def moment(text: str | None) -> str:
    """Return an ISO time without its fractions, or ``-``."""
    return "-" if text is None else f"{text[:19]}Z"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: ``1h 12m``."""
    whole = int(seconds)
    if whole < 60:
        return f"{max(seconds, 0):.1f}s" if seconds < 10 else f"{whole}s"
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    named = [f"{count}{unit}" for count, unit in parts]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(named[first : first + 2])

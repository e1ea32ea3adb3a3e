"""Writes to standard output: JSON, tables that fit a terminal, and figures as people read them."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from synguard.errors import SynguardError
from synguard.observe.text import printable

#: Wider than any row, so that nothing is folded or cut on its way to a file or a program.
_PIPE_COLUMNS = 100_000
#: Blanks between two columns.
_GAP_COLUMNS = 2


def write(text: str) -> None:
    """Write ``text`` and end the line.

    A reader that has seen enough (``| head``) ends the command quietly; a full disk is a SynguardError.
    """
    try:
        click.echo(text)
    except OSError as error:
        # Python flushes at exit once more, and would complain there, with an exit code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise click.exceptions.Exit(0) from error
        raise SynguardError(f"cannot write the output: {error.strerror}") from error


def write_json(value: Any) -> None:
    """Write one JSON document for people and programs."""
    write(json.dumps(value, indent=2))


def write_json_line(value: Any) -> None:
    """Write one JSON document on one line."""
    write(json.dumps(value, separators=(",", ":")))


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    indent: int = 0,
    spare: Sequence[str] = (),
) -> str:
    """Return rows under their headings.

    On a terminal it fits the width: of the columns in ``spare`` the first go that must, which is said
    on standard error; long cells are folded, never cut. Elsewhere nothing is left out, every row is
    one line, and there are no colours. A heading that begins with ``>`` aligns its column right.
    """
    on_terminal = sys.stdout.isatty()
    cells = [[printable(cell) for cell in row] for row in rows]
    width = shutil.get_terminal_size().columns - indent if on_terminal else _PIPE_COLUMNS
    shown = _columns_that_fit(headings, cells, spare, width)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for index in shown:
        heading = headings[index]
        justify: Literal["left", "right"] = "right" if heading.startswith(">") else "left"
        grid.add_column(heading.lstrip(">"), justify=justify, overflow="fold")
    for row in cells:
        grid.add_row(*(Text(row[index]) for index in shown))
    rendered = io.StringIO()
    Console(file=rendered, force_terminal=on_terminal, width=width, highlight=False).print(grid)
    return "\n".join(" " * indent + line.rstrip() for line in rendered.getvalue().splitlines())


def prose(text: str, *, indent: int = 0, hanging: int | None = None) -> str:
    """Return a paragraph: on a terminal it is wrapped to the width, elsewhere it is one line.

    ``hanging`` is the indent of all lines but the first, ``indent`` where it is None.
    """
    first, rest = " " * indent, " " * (indent if hanging is None else hanging)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPE_COLUMNS
    return textwrap.fill(
        printable(text), max(width, 20), initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )


def _columns_that_fit(
    headings: Sequence[str], cells: Sequence[Sequence[str]], spare: Sequence[str], width: int
) -> list[int]:
    """Return the indices of the columns to show."""
    widths = [
        max(len(heading.lstrip(">")), *(len(row[index]) for row in cells), 0)
        for index, heading in enumerate(headings)
    ]
    shown = list(range(len(headings)))
    left_out = []
    for heading in spare:
        if sum(widths[index] + _GAP_COLUMNS for index in shown) - _GAP_COLUMNS <= width:
            break
        shown.remove(headings.index(heading))
        left_out.append(heading.lstrip(">"))
    if left_out:
        click.echo(f"too narrow for {', '.join(left_out)}: widen the terminal, or use | less -S", err=True)
    return shown


def figure(value: float | None, unit: str = "") -> str:
    """Return a figure with thousands set apart (``50,000/s``), or ``-`` where it is unknown."""
    if value is None:
        return "-"
    digits = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.3g}"
    return f"{digits}{unit}"


def times(factor: float | None) -> str:
    """Return a factor in two digits or whole (``0.4``, ``9.9``, ``1,016``), or ``-`` where it is unknown."""
    if factor is None:
        return "-"
    return f"{factor:,.0f}" if factor >= 10 else f"{factor:.2g}"


def percent(ratio: float | None) -> str:
    """Return a ratio of 0..1 as a percentage, or ``-`` where it is unknown."""
    return "-" if ratio is None else f"{ratio * 100:.1f}%"


def moment(text: str | None, *, local: bool = False) -> str:
    """Return an ISO time without its fractions, in UTC or in this machine's time zone, or ``-``."""
    if text is None:
        return "-"
    whole = datetime.fromisoformat(text).replace(microsecond=0)
    return (whole.astimezone() if local else whole.astimezone(UTC)).isoformat().replace("+00:00", "Z")


def seconds_between(began: str, ended: str) -> float:
    """Return the seconds from one ISO time to another."""
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: ``1h 12m``."""
    whole = int(seconds)
    if whole < 60:
        return f"{max(seconds, 0):.1f}s" if seconds < 10 else f"{whole}s"
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    named = [f"{count}{unit}" for count, unit in parts]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(named[first : first + 2])

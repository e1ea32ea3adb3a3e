"""Writes to standard output: JSON, tables that fit a terminal, and figures as people read them."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from synguard.errors import SynguardError
from synguard.observe.text import printable

if TYPE_CHECKING:
    from rich.console import Console

#: Wider than any row, so that nothing is folded or cut on its way to a file or a program.
_PIPE_COLUMNS = 100_000
#: Blanks between two columns.
_GAP_COLUMNS = 2
#: A cell folded narrower than this is hard to read.
_LEAST_COLUMNS = 9


def is_styled() -> bool:
    """Return whether output may have escape sequences: colours, but for NO_COLOR, and bold letters.

    It may on a terminal that is not ``TERM=dumb``, and elsewhere if FORCE_COLOR is set.
    """
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def write(text: str) -> None:
    """Write ``text`` and end the line.

    A reader that has seen enough (``| head``) ends the command quietly; a full disk is a SynguardError.
    """
    try:
        click.echo(text, color=is_styled())
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
    last: Sequence[str] = (),
    whole: Sequence[str] = (),
    colours: Mapping[str, str] | None = None,
) -> str:
    """Return rows under their headings.

    On a terminal it fits the width: of the columns in ``spare`` the first go that must, and of those in
    ``last`` where not even folded cells fit, which is said on standard error; long cells are folded, but
    for columns in ``whole``, and never cut. A cell that is in ``colours`` has its colour. Elsewhere nothing
    is left out, and every row is one line. A heading that begins with ``>`` aligns its
    column right.
    """
    from rich.table import Table  # noqa: PLC0415 - what prints no table is done sooner
    from rich.text import Text  # noqa: PLC0415

    on_terminal = sys.stdout.isatty()
    cells = [[printable(cell) for cell in row] for row in rows]
    width = shutil.get_terminal_size().columns - indent if on_terminal else _PIPE_COLUMNS
    shown = _columns_that_fit(headings, cells, spare, last, whole, width)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for index in shown:
        heading = headings[index]
        justify: Literal["left", "right"] = "right" if heading.startswith(">") else "left"
        grid.add_column(heading.lstrip(">"), justify=justify, overflow="fold", no_wrap=heading in whole)
    for row in cells:
        grid.add_row(*(Text(row[index], (colours or {}).get(row[index], "")) for index in shown))
    rendered = io.StringIO()
    _console(rendered, width).print(grid)
    return "\n".join(" " * indent + line.rstrip() for line in rendered.getvalue().splitlines())


def coloured(text: str, colour: str) -> str:
    """Return ``text`` as it looks in a colour; as it is where standard output takes none."""
    from rich.text import Text  # noqa: PLC0415 - as in tables

    rendered = io.StringIO()
    _console(rendered, _PIPE_COLUMNS).print(Text(text, colour), end="")
    return rendered.getvalue()


def _console(rendered: io.StringIO, width: int) -> Console:
    from rich.console import Console  # noqa: PLC0415 - as in tables

    # Without a height rich takes a dumb terminal to be 80 columns wide.
    return Console(
        file=rendered,
        force_terminal=sys.stdout.isatty(),
        color_system="standard" if is_styled() else None,
        width=width,
        height=100,
        highlight=False,
    )


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
    headings: Sequence[str],
    cells: Sequence[Sequence[str]],
    spare: Sequence[str],
    last: Sequence[str],
    whole: Sequence[str],
    width: int,
) -> list[int]:
    """Return the indices of the columns to show."""
    widths = [
        max(len(heading.lstrip(">")), *(len(row[index]) for row in cells), 0)
        for index, heading in enumerate(headings)
    ]
    least = [
        size if heading in whole else min(size, _LEAST_COLUMNS)
        for heading, size in zip(headings, widths, strict=True)
    ]
    shown = list(range(len(headings)))
    left_out = []
    for heading, needed in (*((one, widths) for one in spare), *((one, least) for one in last)):
        if sum(needed[index] + _GAP_COLUMNS for index in shown) - _GAP_COLUMNS <= width:
            continue
        shown.remove(headings.index(heading))
        left_out.append(heading.lstrip(">"))
    if left_out:
        click.echo(f"too narrow for {', '.join(left_out)}: widen the terminal, or use | less -S", err=True)
    return shown

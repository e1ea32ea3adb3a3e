"""Alerts as rows: of a table, of CSV, and of a table that has no end."""

from __future__ import annotations

import csv
import io
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from synguard.cli.output import coloured, table
from synguard.observe.text import printable
from synguard.telling.figures import figure, moment, percent
from synguard.telling.responses import cell
from synguard.telling.wording import by_whom, is_blind, lasted, on_whom, what

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
#: Of a terminal.
COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "info": "dim"}
#: What a narrow terminal goes without, first the first.
_SPARE = (">HALF-OPEN", ">ATTEMPTS", "LASTED", ">PEAK SYN/S", "SEVERITY")
#: Columns of the table's cells while following, when later rows are not known yet.
_WIDTHS = (6, 20, 8, 8, 23, 24, 18, 11, 9, 10, 15)
_SEVERITY = _HEADINGS.index("SEVERITY")
#: Which of them may be folded, what they shrink to before others go, and when no others are left to go.
_FOLDED = tuple(_HEADINGS.index(heading) for heading in ("WHAT", "LISTENER", "SOURCE", "ACTION"))
_FOLDED_WIDTH, _FOLDED_LEAST = 15, 9
#: What goes while following, where it is news whether an alert is still open; and last on a narrow terminal.
_FOLLOWED_SPARE = tuple(heading for heading in _SPARE if heading != "LASTED")
_LAST_SPARE = ("STARTED", "ACTION", "LASTED")
#: Blanks between two columns.
GAP_COLUMNS = 2

CSV_HEADING = ",".join(_CSV_FIELDS)


def alert_table(alerts: Iterable[Mapping[str, Any]], *, local: bool) -> str:
    """Return alerts under their headings; a narrow terminal goes without some columns."""
    rows = (_cells(alert, local=local) for alert in alerts)
    return table(
        _HEADINGS, rows, spare=_SPARE, last=("STARTED", "ACTION"), whole=(">ID", "STARTED"), colours=COLOURS
    )


class FollowedRows:
    """Rows of a table whose later rows are not known yet: on a terminal they fit the width it has now.

    There the same columns are left out as of any table, which is said on standard error, and what is too
    long is folded. Elsewhere nothing is left out, and each row is one line.
    """

    def __init__(self, *, local: bool) -> None:
        self._local = local
        self._folds = sys.stdout.isatty()
        self._widths = dict(enumerate(_WIDTHS))
        if self._folds:
            self._widths = _fitting(self._widths, shutil.get_terminal_size().columns)

    def heading(self) -> str:
        """Return the headings."""
        return self._lines([heading.lstrip(">") for heading in _HEADINGS])

    def row(self, alert: Mapping[str, Any]) -> str:
        """Return an alert's row."""
        return self._lines(_cells(alert, local=self._local))

    def _lines(self, cells: Sequence[str]) -> str:
        columns = [self._column(index, printable(cells[index])) for index in self._widths]
        height = max(map(len, columns))
        blanks = [" " * width for width in self._widths.values()]
        padded = [
            [*column, *[blank] * height][:height] for column, blank in zip(columns, blanks, strict=True)
        ]
        if colour := COLOURS.get(cells[_SEVERITY], ""):
            self._colour(padded, colour)
        return "\n".join((" " * GAP_COLUMNS).join(line).rstrip() for line in zip(*padded, strict=True))

    def _colour(self, columns: Sequence[list[str]], colour: str) -> None:
        if _SEVERITY in self._widths:
            severity = columns[[*self._widths].index(_SEVERITY)]
            severity[0] = coloured(severity[0], colour)

    def _column(self, index: int, cell: str) -> list[str]:
        """Return a cell's lines, each in its place."""
        width = self._widths[index]
        place = str.rjust if _HEADINGS[index].startswith(">") else str.ljust
        if not self._folds:
            return [place(cell, width)]
        return [place(part, width) for part in textwrap.wrap(cell, width, break_on_hyphens=False) or [""]]


def _fitting(widths: Mapping[int, int], columns: int) -> dict[int, int]:
    """Return the widths of the columns to show on a terminal so wide, those that may be folded narrower."""
    fitted, gone = dict(widths), []
    for spare, least in ((_FOLLOWED_SPARE, _FOLDED_WIDTH), (_LAST_SPARE, _FOLDED_LEAST)):
        for heading in spare:
            if _in_all(_folded(fitted, least)) <= columns:
                break
            del fitted[_HEADINGS.index(heading)]
            gone.append(heading.lstrip(">"))
    if gone:
        click.echo(f"too narrow for {', '.join(gone)}: widen the terminal", err=True)
    for width in range(max(_WIDTHS), 0, -1):
        if _in_all(fitted) <= columns:
            break
        fitted = _folded(fitted, width)
    return fitted


def _folded(widths: Mapping[int, int], most: int) -> dict[int, int]:
    return {index: min(width, most) if index in _FOLDED else width for index, width in widths.items()}


def _in_all(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + GAP_COLUMNS * (len(widths) - 1)


def csv_row(alert: Mapping[str, Any]) -> str:
    """Return an alert as a line of CSV."""
    action = alert["action"] or {}
    flat = {
        **alert,
        "response": action.get("response"),
        "response_mode": action.get("mode"),
        "response_target": action.get("target"),
        "listeners": " ".join(alert.get("listeners") or ()),
        "silenced": "yes" if alert.get("silenced") else "no",
    }
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(flat[name] for name in _CSV_FIELDS)
    return line.getvalue()


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


def _action(alert: Mapping[str, Any]) -> str:
    action, silenced = alert["action"], "silenced" if alert.get("silenced") else ""
    if action is None:
        return silenced or "-"
    return ", ".join(filter(None, [cell(action), silenced]))

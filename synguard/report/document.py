"""What a report says, as plain frozen data: the templates only lay it out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup


class Link(NamedTuple):
    """A cell that leads to another place of the same page."""

    text: str
    anchor: str


Cell = str | Link
#: How a heading begins, and what it says of its column.
_KINDS = {">": "figure", "@": "moment"}


class Heading(NamedTuple):
    """A column's heading, and what is in the column."""

    text: str
    #: ``figure`` is aligned right, ``moment`` is not broken; empty is any text.
    kind: str = ""


class Tile(NamedTuple):
    """A key figure."""

    label: str
    value: str
    note: str = ""


class Plot(NamedTuple):
    """A picture, once for screens and once for telephones."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; ``notes`` are sentences that go with them."""

    title: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    #: Sets its place on the page apart; empty where nothing leads there.
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class AlertSection:
    """One alert."""

    anchor: str
    title: str
    severity: str
    #: Short facts under the title.
    facts: tuple[str, ...]
    summary: str
    meaning: str
    tiles: tuple[Tile, ...]
    plot: Plot | None
    plot_notes: tuple[str, ...]
    #: What was done, as sentences.
    done: tuple[str, ...]
    #: What to send to an upstream provider, line by line; none where nobody there can help.
    provider: tuple[str, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole page."""

    title: str
    subtitle: str
    summary: tuple[str, ...]
    tiles: tuple[Tile, ...]
    plot: Plot | None
    plot_notes: tuple[str, ...]
    tables: tuple[Table, ...]
    alerts: tuple[AlertSection, ...]
    #: Tables and sentences at the end: how it was measured.
    method: tuple[str, ...]
    method_tables: tuple[Table, ...]
    generated: str


def table(
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    notes: Iterable[str] = (),
    anchor: str = "",
) -> Table:
    """Return a table: ``>`` begins a heading of figures, ``@`` of moments; empty columns are left out."""
    filled = [tuple(row) for row in rows]
    shown = [place for place in range(len(headings)) if not filled or any(row[place] for row in filled)]
    return Table(
        title=title,
        headings=tuple(_heading(headings[i]) for i in shown),
        rows=tuple(tuple(row[i] for i in shown) for row in filled),
        notes=tuple(notes),
        anchor=anchor,
    )


def _heading(text: str) -> Heading:
    kind = _KINDS.get(text[:1], "")
    return Heading(text[1:] if kind else text, kind)

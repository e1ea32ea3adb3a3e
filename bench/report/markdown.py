"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> str:
    """Return a table, of which the first so many columns hold words and the others numbers."""
    aligned = ["---" if column < words else "---:" for column in range(len(head))]
    return "\n".join(_line(row) for row in ([*head], aligned, *rows)) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escaped(cell) for cell in cells)} |"


def escaped(text: str) -> str:
    """Return text that stays in one cell, and is no markup."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def without_empty_columns(
    head: Sequence[str], rows: Sequence[Sequence[str]], empty: str, keep: int
) -> tuple[list[str], list[list[str]]]:
    """Return a table's parts less the columns that are empty in all rows; the first ``keep`` stay."""
    kept = [
        column for column in range(len(head)) if column < keep or any(row[column] != empty for row in rows)
    ]
    return [head[column] for column in kept], [[row[column] for column in kept] for row in rows]

"""Reads which targets a person means: those on the command line, and those of a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import IO

import click

from synguard.cli.nearest import parse_source
from synguard.errors import UsageError
from synguard.observe.text import printable

#: In one request, however many the settings allow: what is more is no list that a person made.
MOST_TARGETS = 16_384
#: What no address or prefix is longer than, comment included.
MOST_LINE_CHARACTERS = 1000
#: Of a file, comments included.
MOST_LINES = 1_000_000
#: Wrong lines that are told.
SHOWN_WRONG = 10


def targets_of(named: Sequence[str], file: str | None) -> list[str]:
    """Return the addresses and prefixes that are named and that a file lists, each once, in order.

    A file, ``-`` for the standard input, has one on each line; what follows a ``#`` is a comment. Raises
    UsageError that names each wrong line, or says that there are none, or too many.
    """
    found = dict.fromkeys([*named, *(_listed_in(file) if file is not None else ())])
    if not found:
        raise UsageError("Missing argument 'ADDR|PREFIX...', or a --file that lists some")
    if len(found) > MOST_TARGETS:
        raise UsageError(
            f"{len(found):,} targets are more than the {MOST_TARGETS:,} that one request may have: "
            "nothing was done"
        )
    return list(found)


def _listed_in(name: str) -> list[str]:
    """Return the targets of a file. Raises UsageError where it cannot be read, or lists what is none."""
    try:
        with click.open_file(name, encoding="utf-8") as file:
            return _listed(file)
    except OSError as error:
        raise UsageError(f"--file {printable(name)} cannot be read: {error.strerror}") from error


def _listed(file: IO[str]) -> list[str]:
    """Return the targets of a file's lines. Raises UsageError that names each line that has none."""
    found, wrong = [], []
    for number, line in enumerate(_lines(file), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            found.append(parse_source(text))
        except UsageError as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        raise UsageError(printable(f"{file.name}: {_told(wrong)}; nothing was done"))
    return found


def _lines(file: IO[str]) -> Iterable[str]:
    """Yield a file's lines. Raises UsageError where it is no such text."""
    try:
        for number in count(1):
            line = file.readline(MOST_LINE_CHARACTERS + 1)
            if not line:
                return
            if len(line) > MOST_LINE_CHARACTERS or number > MOST_LINES:
                most = f"{MOST_LINES:,} lines of {MOST_LINE_CHARACTERS:,} characters"
                raise UsageError(f"{file.name}: line {number:,} is beyond what a list may have, {most}")
            yield line
    except UnicodeDecodeError as error:
        raise UsageError(f"{file.name} cannot be read as text: {error}") from error


def _told(wrong: Sequence[str]) -> str:
    more = len(wrong) - SHOWN_WRONG
    return "; ".join(wrong[:SHOWN_WRONG]) + (f"; and {more:,} more lines are wrong" if more > 0 else "")

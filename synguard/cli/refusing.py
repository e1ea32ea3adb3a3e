"""Says in a line what is wrong with a command line, and what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from synguard.cli.nearest import did_you_mean


def refusal(error: click.UsageError) -> str:
    """Return what is wrong, in one line, and how the command is used, in another."""
    lines = [" ".join(_what(error).split())]
    if error.ctx is not None:
        usage = " ".join(error.ctx.get_usage().split())
        lines.append(f"{usage}; `{error.ctx.command_path} --help` says more")
    return "\n".join(lines)


def no_command(name: str, names: Iterable[str]) -> str:
    """Say that there is no command of that name, and which is like it."""
    return f"No such command {name!r}{did_you_mean(name, names)}"


def _what(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption):
        likely = f": did you mean {error.possibilities[0]}?" if error.possibilities else ""
        return f"No such option {error.option_name!r}{likely}"
    message = error.format_message().rstrip(".")
    if re.search(r"unexpected extra argument.*\(.*\b\d\d?:\d\d", message):
        message += ": a date and its time are one word, 2026-11-22T10:00Z"
    return message

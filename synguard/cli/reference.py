"""Writes every command's help, and the settings, into the README: ``python -m synguard.cli.reference``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from synguard.cli import cli
from synguard.config import settings_reference
from synguard.errors import UsageError

#: Where click folds on a terminal of 80 columns.
COLUMNS = 78

BEGIN = "<!-- commands: generated, a test compares -->"
END = "<!-- end of commands -->"
SETTINGS_BEGIN = "<!-- settings: generated, a test compares -->"
SETTINGS_END = "<!-- end of settings -->"


def command_reference() -> str:
    """Return the help of every command as the README has it, folded."""
    blocks = (f"```text\n{text}\n```\n" for _, text in helps())
    summary = "<summary>What <code>--help</code> says of each command</summary>"
    return "\n".join(["<details>", f"{summary}\n", *blocks, "</details>"])


def helps() -> Iterator[tuple[str, str]]:
    """Yield each command, ``synguard block add``, and its help, which is the same on every terminal."""
    yield from _below(cli, None, "synguard")


def written_into(readme: str) -> str:
    """Return a README's text with both references brought up to date. Raises UsageError without markers."""
    for begin, end, reference in (
        (BEGIN, END, command_reference()),
        (SETTINGS_BEGIN, SETTINGS_END, settings_reference()),
    ):
        found = re.search(f"{re.escape(begin)}.*?{re.escape(end)}", readme, re.DOTALL)
        if found is None:
            raise UsageError(f"the README has no {begin} followed by {end}")
        readme = f"{readme[: found.start()]}{begin}\n{reference.strip()}\n{end}{readme[found.end() :]}"
    return readme


def _below(command: click.Command, parent: click.Context | None, name: str) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command, parent, name, terminal_width=COLUMNS, max_content_width=COLUMNS, **command.context_settings
    )
    yield context.command_path, context.get_help().rstrip()
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None:
                yield from _below(found, context, below)


def main() -> None:
    """Write the references into the README of this checkout."""
    readme = Path(__file__).parents[2] / "README.md"
    readme.write_text(written_into(readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

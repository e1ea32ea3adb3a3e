"""Help: examples that hold, and commands found by what they are for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from synguard.cli import cli
from synguard.cli.examples import EXAMPLES, SECTIONS
from synguard.cli.lazy import COMMANDS
from synguard.cli.reference import helps

CLI = Path(__file__).parents[3] / "synguard" / "cli"
EXAMPLE_LINES = [line for examples in EXAMPLES.values() for line, _ in examples]


def command_lines(line: str) -> Iterator[list[str]]:
    """Yield the words behind each ``synguard`` of a line, up to where the shell takes over."""
    for part in re.split(r"[|>]|&&|<\(", line):
        words = shlex.split(part.replace(")", ""))
        if "synguard" in words[:2]:
            yield words[words.index("synguard") + 1 :]


def parse(words: list[str]) -> None:
    """Parse a command line and run nothing. Raises click.UsageError when it is wrong."""
    command: click.Command = cli
    context = cli.make_context("synguard", words)
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command, context = found, found.make_context(name, rest, context)


@pytest.mark.parametrize("line", sorted(set(EXAMPLE_LINES)))
def test_every_example_is_right(line: str) -> None:
    """What the examples show can be typed as it stands: commands, options and values are there."""
    lines = list(command_lines(line))
    assert lines
    for words in lines:
        parse(words)


def test_every_command_has_examples() -> None:
    """Two to four each; and there are none of commands that are gone."""
    paths = {path.partition(" ")[2] for path, _ in helps()}
    known = {path: len(examples) for path, examples in EXAMPLES.items()}
    assert set(known) == paths
    assert {path for path, count in known.items() if not 2 <= count <= 4} == set()


def test_commands_stand_by_what_they_are_for() -> None:
    """Every command is in one section of ``synguard --help``, with its whole first sentence."""
    text = CliRunner().invoke(cli, ["--help"], prog_name="synguard").stdout
    for title, names in SECTIONS.items():
        section = text.partition(f"\n{title}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines() if line[2] != " "] == [
            name for name in names if name in COMMANDS
        ]
    assert "..." not in text.partition("\nGuard:\n")[2]
    assert "Others:" not in text


def test_help_in_other_words() -> None:
    """``synguard help block add`` is ``synguard block add --help``."""
    for words in ([], ["alerts"], ["block", "add"]):
        asked = CliRunner().invoke(cli, ["help", *words], prog_name="synguard")
        assert asked.stdout == CliRunner().invoke(cli, [*words, "-h"], prog_name="synguard").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_modules_say_what_their_command_is_for(name: str) -> None:
    """The first line of each module names its command and what it is for, which zsh and fish show."""
    places = [CLI / f"{name}.py", CLI / name / "__init__.py"]
    (source,) = (place.read_text(encoding="utf-8") for place in places if place.exists())
    assert re.match(rf'"""``synguard {name}``: [^\n]+', source)

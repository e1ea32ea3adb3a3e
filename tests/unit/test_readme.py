"""The README says what is true of the settings and the commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click

from synguard.cli import cli
from synguard.cli.reference import helps, written_into
from synguard.detect.severity import MARGINS, TABLE
from synguard.model import AlertClass, AlertKind

README = Path(__file__).parents[2] / "README.md"


def test_the_references_are_the_generated_ones() -> None:
    """Whoever changes a setting, a command or an option brings the README up to date with one command."""
    text = README.read_text(encoding="utf-8")
    assert written_into(text) == text, "run `python -m synguard.cli.reference`, which mends the README"


def test_the_reference_has_every_command() -> None:
    """Groups and what is below them are in it, each once."""
    paths = [path for path, _ in helps()]
    assert len(paths) == len(set(paths))
    for path in ("synguard", "synguard alerts", "synguard block", "synguard block add", "synguard help"):
        assert path in paths


def test_the_reference_is_the_same_everywhere() -> None:
    """Neither the terminal nor the language of whoever brings the README up to date shows in it."""
    code = "from synguard.cli.reference import command_reference; print(command_reference())"
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **odd}, capture_output=True, check=True
        ).stdout
        for odd in ({}, {"COLUMNS": "40", "LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de", "FORCE_COLOR": "1"})
    }
    assert len(told) == 1


def test_every_command_is_listed() -> None:
    """A command that the README does not name is not there for a newcomer."""
    text = README.read_text(encoding="utf-8")
    commands = cli.list_commands(click.Context(cli))
    assert len(commands) >= 9
    assert [name for name in commands if f"`synguard {name} " not in text] == []


def test_the_severities_are_those_of_the_detector() -> None:
    """The table of severities has the detector's margins, impacts and verdicts, and no others."""
    lines = README.read_text(encoding="utf-8").splitlines()
    begin = next(place for place, line in enumerate(lines) if line.startswith("| times the threshold"))
    impacts = [re.findall(r"`([a-z-]+)`", cell) for cell in lines[begin].split("|")[2:-1]]
    told: dict[tuple[float, str], str] = {}
    for line in lines[begin + 2 : begin + 2 + len(MARGINS)]:
        margin, *severities = (cell.strip() for cell in line.split("|")[1:-1])
        for names, severity in zip(impacts, severities, strict=True):
            told |= {(float(margin.replace(",", "")), impact): severity for impact in names}
    assert told == {
        (margin, impact): str(severity)
        for impact, column in TABLE.items()
        for margin, severity in zip(MARGINS, column, strict=True)
    }


def test_every_kind_and_class_is_told_of() -> None:
    """Whatever an alert may be called has its row in the table of kinds."""
    text = README.read_text(encoding="utf-8")
    table = text.partition("| kind, class | when |")[2].partition("\n\n")[0]
    assert {word for word in (*AlertKind, *AlertClass) if f"`{word}`" not in table} == set()

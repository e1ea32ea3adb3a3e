"""The README says what is true of the settings and the commands."""

from __future__ import annotations

from pathlib import Path

import click

from synguard.cli import cli
from synguard.config import settings_reference

README = Path(__file__).parents[2] / "README.md"


def test_the_settings_are_the_generated_ones() -> None:
    """Whoever changes a setting puts what ``settings_reference()`` returns into the README."""
    assert settings_reference().strip() in README.read_text(encoding="utf-8")


def test_every_command_is_listed() -> None:
    """A command that the README does not name is not there for a newcomer."""
    text = README.read_text(encoding="utf-8")
    commands = cli.list_commands(click.Context(cli))
    assert len(commands) >= 9
    assert [name for name in commands if f"`synguard {name} " not in text] == []

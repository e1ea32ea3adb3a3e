"""``synguard config``: the settings file."""

from __future__ import annotations

from pathlib import Path

import click

from synguard.cli.output import write
from synguard.config import default_toml, load


@click.group("config")
def command() -> None:
    """Check the settings file, or print the default one."""


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Read FILE as the daemon would, and name every line that is wrong."""
    load(file)
    write(f"{file}: in order")


@command.command("default")
def default() -> None:
    """Print the default settings file with a comment on every setting."""
    write(default_toml().rstrip("\n"))

"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from synguard.cli.values import TIME
from synguard.config import Settings, load

__all__ = [
    "TIME",
    "config_option",
    "database_option",
    "format_option",
    "local_option",
    "offline_option",
    "settings_for",
    "socket_option",
]

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings file; by default /etc/synguard/synguard.toml if there is one.",
)
socket_option = click.option("--socket", metavar="PATH", help="The daemon's control socket.")
database_option = click.option(
    "--database", metavar="FILE", help="Read this history file, and not what the daemon says."
)

local_option = click.option("--local", is_flag=True, help="Times in this machine's time zone, not in UTC.")
offline_option = click.option(
    "--offline", is_flag=True, help="Read the history file even if the daemon runs."
)


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that asks the history: local, offline, config_file, socket, database."""
    for option in (database_option, socket_option, config_option, offline_option, local_option):
        command = option(command)
    return command


def format_option(*formats: str) -> Callable[[Any], Any]:
    """Return ``--format`` with these choices, the first of them the default."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How it is written.",
    )


def settings_for(
    config_file: Path | None, *, socket: str | None = None, database: str | None = None
) -> Settings:
    """Return the settings of the file, with the places that the command line names instead."""
    return load(config_file).with_overrides(
        {"control.socket": socket, "history.database": database},
        {"control.socket": "--socket", "history.database": "--database"},
    )

"""The options that several commands share, and the types of what people write in them."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import click

from synguard.config import Settings, load
from synguard.endpoint import source_text
from synguard.errors import UsageError
from synguard.silence import parse_target, target_text
from synguard.timespec import parse_duration, parse_time

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


def format_option(*formats: str) -> Callable[[Any], Any]:
    """Return ``--format`` with these choices, the first of them the default."""
    return click.option(
        "--format", "output_format", type=click.Choice(formats), default=formats[0], show_default=True
    )


class _Parsed(click.ParamType[Any]):
    """A value that one of our parsers reads; its UsageError says what is allowed."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value; a default that is parsed already passes."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def _target(text: str) -> str:
    try:
        return source_text(ip_network(text))
    except ValueError as error:
        if "host bits" in str(error):
            hint = f"did you mean {ip_network(text, strict=False)}?"
            raise UsageError(f"{text!r} has host bits set: {hint}") from error
        raise UsageError(
            f"{text!r} is not an address or a prefix; write 192.0.2.7, 198.51.100.0/24 or 2001:db8::/48"
        ) from error


TIME = _Parsed("time", lambda text: parse_time(text, time.time()))
DURATION = _Parsed("duration", parse_duration)
TARGET = _Parsed("addr|prefix", _target)
SILENCE_TARGET = _Parsed("target", lambda text: target_text(parse_target(text)))


def settings_for(
    config_file: Path | None, *, socket: str | None = None, database: str | None = None
) -> Settings:
    """Return the settings of the file, with the places that the command line names instead."""
    return load(config_file).with_overrides(
        {"control.socket": socket, "history.database": database},
        {"control.socket": "--socket", "history.database": "--database"},
    )

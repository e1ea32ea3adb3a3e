"""``synguard silence``: hear nothing of a listener or a source, for a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from synguard.cli.asking import ask
from synguard.cli.options import config_option, format_option, local_option, socket_option
from synguard.cli.output import table, write, write_json
from synguard.cli.values import DURATION, SILENCE_TARGET, SILENCED
from synguard.errors import SynguardError
from synguard.telling.figures import moment


@click.group("silence")
def command() -> None:
    """Announce and answer no alerts of a listener or a source, for a time; they are recorded.

    TARGET is a listener (192.0.2.7:443, [2001:db8::5]:443), or a source: an address, which also means all
    ports of that address, or a prefix. An alert on several listeners is silenced when all of them are.
    """


@command.command("list")
@format_option("table", "json")
@local_option
@config_option
@socket_option
def list_silences(*, output_format: str, local: bool, config_file: Path | None, socket: str | None) -> None:
    """List the silences in force."""
    silences: list[Mapping[str, Any]] = ask(config_file, socket, "silence_list")
    if output_format == "json":
        write_json(silences)
    elif silences:
        write(
            table(("TARGET", "UNTIL", "BY", "REASON"), (_cells(silence, local=local) for silence in silences))
        )
    else:
        click.echo("no silences", err=True)


def _cells(silence: Mapping[str, Any], *, local: bool) -> tuple[str, ...]:
    return silence["target"], moment(silence["until"], local=local), silence["asked_by"], silence["reason"]


@command.command("add")
@click.argument("target", type=SILENCE_TARGET)
@click.option("--for", "for_s", type=DURATION, default="1h", show_default=True, help="How long it lasts.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for those who read the list or an alert.")
@format_option("table", "json")
@local_option
@config_option
@socket_option
def add(
    *,
    target: str,
    for_s: float,
    reason: str,
    output_format: str,
    local: bool,
    config_file: Path | None,
    socket: str | None,
) -> None:
    """Record alerts of a listener or a source, and neither announce nor answer them."""
    silence = ask(config_file, socket, "silence_add", target=target, for_s=for_s, reason=reason)
    if output_format == "json":
        write_json(silence)
    else:
        write(f"silenced {silence['target']} until {moment(silence['until'], local=local)}")


@command.command("remove")
@click.argument("target", type=SILENCED)
@format_option("table", "json")
@config_option
@socket_option
def remove(target: str, output_format: str, config_file: Path | None, socket: str | None) -> None:
    """End a silence: alerts that are still open are announced and answered now."""
    result = ask(config_file, socket, "silence_remove", target=target)
    if not result["removed"]:
        raise SynguardError(f"{target} is not silenced: `synguard silence list` shows what is")
    if output_format == "json":
        write_json(result)
    else:
        write(f"{target} is silenced no more")

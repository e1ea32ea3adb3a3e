"""``synguard block``: drop a source's SYNs by hand, for a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from synguard.cli.asking import ask
from synguard.cli.options import (
    DURATION,
    TARGET,
    config_option,
    format_option,
    socket_option,
)
from synguard.cli.output import figure, moment, table, write, write_json
from synguard.errors import SynguardError


@click.group("block")
def command() -> None:
    """Drop a source's SYNs by hand, for a time; established connections live on."""


@command.command("list")
@format_option("table", "json")
@config_option
@socket_option
def list_blocks(output_format: str, config_file: Path | None, socket: str | None) -> None:
    """List the blocks in force."""
    blocks: list[Mapping[str, Any]] = ask(config_file, socket, "block_list")
    if output_format == "json":
        write_json(blocks)
    elif blocks:
        write(table(("TARGET", "UNTIL", ">DROPPED", "BY", "REASON"), map(_cells, blocks)))
    else:
        click.echo("no blocks", err=True)


def _cells(block: Mapping[str, Any]) -> tuple[str, ...]:
    asked_by = block["asked_by"] if block["alert_id"] is None else f"alert {block['alert_id']}"
    return block["target"], moment(block["until"]), figure(block["hits"]), asked_by, block["reason"]


@command.command("add")
@click.argument("target", type=TARGET, metavar="ADDR|PREFIX")
@click.option("--ttl", "ttl_s", type=DURATION, default="10m", show_default=True, help="How long it lasts.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for those who read the list.")
@format_option("table", "json")
@config_option
@socket_option
def add(
    target: str,
    ttl_s: float,
    reason: str,
    output_format: str,
    config_file: Path | None,
    socket: str | None,
) -> None:
    """Drop the SYNs of an address or a prefix; the kernel ends it, even without the daemon."""
    block = ask(config_file, socket, "block_add", target=target, ttl_s=ttl_s, reason=reason)
    if output_format == "json":
        write_json(block)
    else:
        write(f"blocked {block['target']} until {moment(block['until'])}")


@command.command("remove")
@click.argument("target", type=TARGET, metavar="ADDR|PREFIX")
@format_option("table", "json")
@config_option
@socket_option
def remove(target: str, output_format: str, config_file: Path | None, socket: str | None) -> None:
    """End the block of an address or a prefix."""
    result = ask(config_file, socket, "block_remove", target=target)
    if not result["removed"]:
        raise SynguardError(f"{target} is not blocked: `synguard block list` shows what is")
    if output_format == "json":
        write_json(result)
    else:
        write(f"unblocked {target}")


@command.command("clear")
@format_option("table", "json")
@config_option
@socket_option
def clear(output_format: str, config_file: Path | None, socket: str | None) -> None:
    """End every block, also the daemon's own."""
    result = ask(config_file, socket, "block_clear")
    if output_format == "json":
        write_json(result)
    else:
        write(f"blocks ended: {result['removed']}")

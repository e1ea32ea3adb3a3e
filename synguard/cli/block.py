"""``synguard block``: drop sources' SYNs by hand, for a time, and see what is in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from synguard.cli.asking import ask
from synguard.cli.block_rows import CSV_HEADING, SORTS, block_table, by, csv_row
from synguard.cli.options import config_option, format_option, local_option, socket_option
from synguard.cli.output import write, write_json, write_json_line
from synguard.cli.targets import targets_of
from synguard.cli.values import BLOCKED, DURATION, SOURCE
from synguard.errors import SynguardError
from synguard.telling.figures import figure, moment


@click.group("block")
def command() -> None:
    """Drop sources' SYNs by hand, for a time; established connections live on."""


@command.command("list")
@click.option(
    "--sort",
    "order",
    metavar="FIELD",
    type=click.Choice([f"{sign}{name}" for name in SORTS for sign in ("", "-")]),
    default=SORTS[0],
    show_default=True,
    help="What it is sorted by: target, hits or until; - has it descend.",
)
@format_option("table", "json", "jsonl", "csv")
@local_option
@config_option
@socket_option
def list_blocks(
    *, order: str, output_format: str, local: bool, config_file: Path | None, socket: str | None
) -> None:
    """List what is in force, the daemon's own responses too.

    ENDS is how long it still lasts; to a pipe, or with --local, the moment. HITS are SYNs dropped, or with
    cookie answered.
    """
    answer: list[Mapping[str, Any]] = ask(config_file, socket, "block_list")
    blocks = by(answer, order)
    if output_format == "json":
        write_json(blocks)
    elif output_format == "jsonl":
        for block in blocks:
            write_json_line(block)
    elif output_format == "csv":
        write("\n".join([CSV_HEADING, *map(csv_row, blocks)]))
    elif blocks:
        write(block_table(blocks, local=local))
    else:
        click.echo("no blocks", err=True)


@command.command("add")
@click.argument("targets", type=SOURCE, metavar="ADDR|PREFIX...", nargs=-1)
@click.option(
    "--file",
    metavar="FILE",
    help="Block what FILE lists, one on a line, # begins a comment; - is the standard input.",
)
@click.option("--ttl", "ttl_s", type=DURATION, default="10m", show_default=True, help="How long it lasts.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for those who read the list.")
@format_option("table", "json")
@local_option
@config_option
@socket_option
def add(
    *,
    targets: Sequence[str],
    file: str | None,
    ttl_s: float,
    reason: str,
    output_format: str,
    local: bool,
    config_file: Path | None,
    socket: str | None,
) -> None:
    """Drop the SYNs of addresses and prefixes: of all that are named, or of none when one is wrong.

    The kernel ends it, even without the daemon.
    """
    wanted = targets_of(targets, file)
    named = {"target": wanted[0]} if len(wanted) == 1 else {"targets": wanted}
    added = ask(config_file, socket, "block_add", **named, ttl_s=ttl_s, reason=reason)
    if output_format == "json":
        write_json(added)
    else:
        what = added["target"] if len(wanted) == 1 else f"{figure(added['added'])} targets"
        write(f"blocked {what} until {moment(added['until'], local=local)}")


@command.command("remove")
@click.argument("targets", type=BLOCKED, metavar="TARGET...", nargs=-1, required=True)
@format_option("table", "json")
@config_option
@socket_option
def remove(targets: Sequence[str], output_format: str, config_file: Path | None, socket: str | None) -> None:
    """End what is in force for addresses, prefixes or listeners."""
    missing, removed = [], 0
    for target in dict.fromkeys(targets):
        if not ask(config_file, socket, "block_remove", target=target)["removed"]:
            missing.append(target)
            continue
        removed += 1
        if output_format != "json":
            write(f"unblocked {target}")
    if output_format == "json" and (removed or not missing):
        write_json({"removed": removed})
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise SynguardError(f"{', '.join(missing)} {are} not blocked: `synguard block list` shows what is")


@command.command("clear")
@format_option("table", "json")
@config_option
@socket_option
def clear(output_format: str, config_file: Path | None, socket: str | None) -> None:
    """End everything that is in force, also the daemon's own, and say how much that was."""
    result = ask(config_file, socket, "block_clear")
    if output_format == "json":
        write_json(result)
    else:
        write(f"blocks ended: {figure(result['removed'])}")

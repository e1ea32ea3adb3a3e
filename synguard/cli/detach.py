"""``synguard detach``: remove everything of ours from the kernel."""

from __future__ import annotations

from pathlib import Path

import click

from synguard.cli.options import config_option
from synguard.cli.output import write
from synguard.config import Settings, load
from synguard.errors import UnsupportedError, UsageError
from synguard.probe.capabilities import check_rights
from synguard.probe.detaching import detach_all
from synguard.respond.nft_blocks import TABLE, remove_table


@click.command("detach")
@click.option(
    "--interface",
    "interfaces",
    multiple=True,
    metavar="IF",
    help="Only this interface, may be repeated; by default every one there is.",
)
@config_option
def command(interfaces: tuple[str, ...], config_file: Path | None) -> None:
    """Remove everything of ours from the kernel: what a daemon left on purpose, or when killed. Needs root.

    A daemon that runs is named and left alone: stop it, and it takes its probe away itself.
    """
    check_rights()
    if config_file is not None:
        interfaces = interfaces or load(config_file).probe.interfaces
    removed, doubtful = detach_all(interfaces or None, _pin_directory(config_file))
    if not interfaces and remove_table():
        removed.append(f"nftables: table inet {TABLE}")
    write("\n".join(f"removed {what}" for what in removed) or "nothing of ours was attached")
    if doubtful:
        raise UnsupportedError("left where they are, which may be ours:\n" + "\n".join(doubtful))


def _pin_directory(config_file: Path | None) -> Path:
    """Return where to look for pins; a broken default file keeps nobody from cleaning up."""
    try:
        return Path(load(config_file).probe.pin_directory)
    except UsageError:
        if config_file is not None:
            raise
        return Path(Settings().probe.pin_directory)

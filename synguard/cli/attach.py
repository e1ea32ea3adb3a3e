"""``synguard attach``: put the probe into the kernel, for the daemon to find it there."""

from __future__ import annotations

from pathlib import Path

import click

from synguard.cli.options import config_option
from synguard.config import load


@click.command("attach")
@click.option(
    "--interface",
    "interfaces",
    multiple=True,
    metavar="IF",
    help="Interface to attach to, may be repeated; by default the default route's.",
)
@config_option
def command(interfaces: tuple[str, ...], config_file: Path | None) -> None:
    """Attach the probe and leave it counting, for `synguard run --keep-attached` to take over. Needs root.

    What the unit synguard-probe does. One that is attached already goes on, or is replaced in place by this
    version's. `synguard detach` takes it away.
    """
    settings = load(config_file).with_overrides(
        {"probe.interfaces": interfaces or None}, {"probe.interfaces": "--interface"}
    )
    # Only now: a wrong option is said at once, and without what the probe loads.
    from synguard.daemon import attach  # noqa: PLC0415

    attach(settings)

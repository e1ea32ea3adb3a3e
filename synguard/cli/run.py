"""``synguard run``: guard until told to stop."""

from __future__ import annotations

from pathlib import Path

import click

from synguard.cli.options import config_option
from synguard.config import Settings, file_in_use, load

_OPTIONS = {
    "probe.interfaces": "--interface",
    "probe.keep_attached": "--keep-attached",
    "history.database": "--database",
    "control.socket": "--socket",
    "respond.mode": "--respond",
    "respond.drop": "--drop",
}


@click.command("run")
@click.option(
    "--interface",
    "interfaces",
    multiple=True,
    metavar="IF",
    help="Interface to guard, may be repeated; by default the default route's.",
)
@config_option
@click.option(
    "--keep-attached",
    is_flag=True,
    help="Leave the probe attached and counting at the end; the next run takes it over.",
)
@click.option("--database", metavar="FILE", help="Where alerts are kept.")
@click.option("--socket", metavar="PATH", help="The control socket to answer on.")
@click.option(
    "--respond",
    "mode",
    type=click.Choice(["off", "dry-run", "enforce"]),
    help="Nothing; say what would be done (default); do it.",
)
@click.option(
    "--drop",
    type=click.Choice(["proven", "always"]),
    help="Drop sources that are proven not spoofed (default), or any single source.",
)
@click.pass_context
def command(
    ctx: click.Context,
    *,
    interfaces: tuple[str, ...],
    config_file: Path | None,
    keep_attached: bool,
    database: str | None,
    socket: str | None,
    mode: str | None,
    drop: str | None,
) -> None:
    """Guard interfaces: see floods, keep a history, answer as far as allowed. Needs root.

    Ends at Ctrl-C or SIGTERM. SIGHUP (`systemctl reload synguard`) reads the settings file anew, and only
    where a terminal started this does it end it.
    """
    overrides = {
        "probe.interfaces": interfaces or None,
        "probe.keep_attached": keep_attached or None,
        "history.database": database,
        "control.socket": socket,
        "respond.mode": mode,
        "respond.drop": drop,
    }

    def read() -> Settings:
        return load(config_file).with_overrides(overrides, _OPTIONS)

    # Only now: a wrong option is said at once, and without what the daemon loads.
    read()
    from synguard.daemon import run  # noqa: PLC0415

    ctx.exit(run(read, file_in_use(config_file)))

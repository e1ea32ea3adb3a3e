"""``synguard completion``: what makes TAB work in a shell."""

from __future__ import annotations

import click

from synguard.cli.output import write


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes TAB complete commands, options and values in a shell.

    `sudo make install` has put it where each shell looks. TAB knows ids of alerts, blocks, silences,
    listeners and interfaces, as far as you may ask the daemon.
    """
    from synguard.cli.shells import SHELLS, VARIABLE  # noqa: PLC0415

    root = ctx.find_root()
    write(SHELLS[shell](root.command, {}, root.info_name or "synguard", VARIABLE).source().rstrip("\n"))

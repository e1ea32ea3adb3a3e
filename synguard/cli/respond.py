"""``synguard respond``: change at run time what may be done about alerts."""

from __future__ import annotations

from pathlib import Path

import click

from synguard.cli.options import config_option, settings_for, socket_option
from synguard.cli.output import write
from synguard.client import request


@click.command("respond")
@click.argument("mode", type=click.Choice(["off", "dry-run", "enforce"]))
@config_option
@socket_option
def command(mode: str, config_file: Path | None, socket: str | None) -> None:
    """Change what may be done about alerts, until the daemon restarts.

    off: nothing. dry-run: say what would be done. enforce: do it.
    """
    settings = settings_for(config_file, socket=socket)
    result = request(settings.control.socket_path, "respond", mode=mode)
    write(f"responding: {result['mode']}")

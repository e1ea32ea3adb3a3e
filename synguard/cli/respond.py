"""``synguard respond``: change at run time what may be done about alerts."""

from __future__ import annotations

from pathlib import Path

import click

from synguard.cli.asking import ask
from synguard.cli.options import config_option, format_option, socket_option
from synguard.cli.output import write, write_json
from synguard.telling.responses import change, standing


@click.command("respond")
@click.argument("mode", type=click.Choice(["off", "dry-run", "enforce"]), required=False)
@format_option("text", "json")
@config_option
@socket_option
def command(mode: str | None, output_format: str, config_file: Path | None, socket: str | None) -> None:
    """Change what may be done about alerts, until the daemon restarts; without MODE, say what may be.

    off: nothing, and all that is in force ends at once; people's blocks are kept aside. dry-run: say what
    would be done. enforce: do it. People's blocks are in force in dry-run and in enforce.
    """
    if mode is None:
        status = ask(config_file, socket, "status")
        answer = {"mode": status["respond"], "drop": status["drop"], "responses": status["responses"]}
        words = standing(answer["responses"], answer["mode"], answer["drop"])
    else:
        answer = ask(config_file, socket, "respond", mode=mode)
        words = change(answer)
    if output_format == "json":
        write_json(answer)
    else:
        write(f"responding: {words}")

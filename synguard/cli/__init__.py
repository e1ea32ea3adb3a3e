"""The command line: parses arguments, asks, and renders the answer."""

from __future__ import annotations

import io
import os
import sys

import click

from synguard.cli.lazy import LazyGroup


def _show_version(ctx: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from synguard.cli.output import write  # noqa: PLC0415 - the daemon prints nothing
        from synguard.cli.version import version_text  # noqa: PLC0415 - nobody else asks for it

        write(version_text())
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show version, commit and layout of the probe's maps, and exit.",
)
def cli() -> None:
    """See SYN floods as they begin: who, against what, does it hurt, and what is safe to do."""


def main() -> None:
    """Run the command line and exit with its code: 0 done, 1 failed, 2 wrong usage, 3 not permitted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal's encoding lacks is spelled out, not a crash.
            stream.reconfigure(errors="backslashreplace")
    if "_SYNGUARD_COMPLETE" in os.environ:
        from synguard.cli.shells import register  # noqa: PLC0415 - wanted for TAB alone

        register()
    cli(prog_name="synguard")

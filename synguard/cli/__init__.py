"""The command line: parses arguments, asks, and renders the answer."""

from __future__ import annotations

import io
import sys

import click

from synguard import __version__
from synguard.cli.lazy import LazyGroup


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="synguard %(version)s")
def cli() -> None:
    """See SYN floods as they begin: who, against what, does it hurt, and what is safe to do."""


def main() -> None:
    """Run the command line and exit with its code: 0 done, 1 failed, 2 wrong usage, 3 not permitted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal's encoding lacks is spelled out, not a crash.
            stream.reconfigure(errors="backslashreplace")
    cli(prog_name="synguard")

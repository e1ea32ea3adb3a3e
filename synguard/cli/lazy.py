"""The command group: loads a command's module only when it is wanted, and turns our errors into words."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from synguard.errors import SynguardError

#: Each is a module here with a ``command``; the daemon must not load what renders tables.
COMMANDS = (
    "run",
    "alerts",
    "explain",
    "status",
    "block",
    "respond",
    "silence",
    "detach",
    "config",
    "doctor",
    "replay",
)

INTERRUPTED = 130


class WordyGroup(click.Group):
    """A group of commands whose errors are words and exit codes, not tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; our errors keep their exit code, Ctrl-C is 130, a bug keeps its traceback."""
        try:
            return super().invoke(ctx)
        except SynguardError as error:
            for line in str(error).splitlines():
                click.echo(f"{ctx.info_name}: error: {line}", err=True)
            raise click.exceptions.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            raise click.exceptions.Exit(INTERRUPTED) from error


class LazyGroup(WordyGroup):
    """The group of ``COMMANDS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order in which a new user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"synguard.cli.{cmd_name}").command
        return command

"""The command group: loads a command's module only when it is wanted, and turns errors into words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click
from click.shell_completion import CompletionItem

from synguard.cli.dressing import NearGroup, dressed, write_commands, write_examples
from synguard.cli.examples import SECTIONS
from synguard.cli.refusing import refusal
from synguard.errors import SynguardError

#: Each is a module here with a ``command``; the daemon must not load what renders tables.
COMMANDS = (
    "run",
    "alerts",
    "explain",
    "report",
    "status",
    "top",
    "block",
    "respond",
    "silence",
    "attach",
    "detach",
    "config",
    "doctor",
    "replay",
    "completion",
    "help",
)

INTERRUPTED = 130


class WordyGroup(click.Group):
    """A group of commands whose errors are words and exit codes, not tracebacks."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the group's own options."""
        with _in_words(info_name):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors keep their exit code, Ctrl-C is 130, a bug keeps its traceback."""
        with _in_words(ctx.info_name):
            return super().invoke(ctx)


class LazyGroup(WordyGroup, NearGroup):
    """The group of ``COMMANDS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order in which a new user meets them."""
        met = [name for names in SECTIONS.values() for name in names]
        return sorted(COMMANDS, key=lambda name: met.index(name) if name in met else len(met))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        return dressed(import_module(f"synguard.cli.{cmd_name}").command)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Offer the commands; what each is for stands in its module, which is not loaded for a TAB."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=_purpose(name)) for name in names), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by what they are for."""
        names = self.list_commands(ctx)
        in_none = [name for name in names if not any(name in section for section in SECTIONS.values())]
        for title, section in [*SECTIONS.items(), ("Others", in_none)]:
            shown = [name for name in section if name in names]
            write_commands(self, ctx, formatter, title, shown)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples."""
        super().format_epilog(ctx, formatter)
        write_examples("", formatter)


def _purpose(name: str) -> str | None:
    """Return what a command is for: the first line of its module."""
    module = find_spec(f"synguard.cli.{name}")
    if module is None or module.origin is None:
        return None
    with open(module.origin, encoding="utf-8") as source:
        found = re.match(r'"""``synguard [^`]*``: (.*?)\.?(?:"""|$)', source.readline())
    return found[1] if found else None


@contextmanager
def _in_words(name: str | None) -> Iterator[None]:
    """Write the block's errors as words; raise click's Exit with the code of each."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        _say(name, f"error: {refusal(error)}")
        raise click.exceptions.Exit(error.exit_code) from error
    except SynguardError as error:
        _say(name, *(f"error: {line}" for line in str(error).splitlines()))
        raise click.exceptions.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        raise click.exceptions.Exit(INTERRUPTED) from error


def _say(name: str | None, *lines: str) -> None:
    for line in lines:
        click.echo(f"{name}: {line}", err=True)

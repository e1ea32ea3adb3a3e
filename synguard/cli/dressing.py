"""What every command gets besides its own words: examples below its help, values refused in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import click

from synguard.cli.examples import EXAMPLES
from synguard.cli.refusing import no_command

CommandT = TypeVar("CommandT", bound=click.Command)


class Helpful(click.Command):
    """A command whose ``--help`` fails when it cannot be written, as all output does."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _show_help
        return option


class _WithExamples(Helpful):
    """A command whose help ends with examples."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples that there are for it."""
        super().format_epilog(ctx, formatter)
        write_examples(ctx.command_path.partition(" ")[2], formatter)


class NearGroup(Helpful, click.Group):
    """A group that lists its commands as they are written, and knows which one an unknown one is like."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order in which they are written."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, each with its whole first sentence."""
        write_commands(self, ctx, formatter, "Commands", self.list_commands(ctx))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is asked for. Raises click.UsageError with the one that is like it."""
        name = args[0]
        unknown = not name.startswith("-") and self.get_command(ctx, name) is None
        if unknown and not ctx.resilient_parsing:
            raise click.UsageError(no_command(name, self.list_commands(ctx)), ctx)
        return super().resolve_command(ctx, args)


class _GroupWithExamples(_WithExamples, NearGroup):
    """A group whose help ends with examples."""


def write_commands(
    group: click.Group, ctx: click.Context, formatter: click.HelpFormatter, title: str, names: Iterable[str]
) -> None:
    """Write these commands of a group below a title, each with its whole first sentence."""
    commands = [(name, group.get_command(ctx, name)) for name in names]
    rows = [(name, command.get_short_help_str(limit=200)) for name, command in commands if command]
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


def _show_help(ctx: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from synguard.cli.output import write  # noqa: PLC0415 - the daemon prints nothing

        write(ctx.get_help())
        ctx.exit()


def write_examples(path: str, formatter: click.HelpFormatter) -> None:
    """Write the examples of the command ``path`` (``block add``; of all commands when empty)."""
    if not EXAMPLES.get(path):
        return
    with formatter.section("Examples"):
        for line, words in EXAMPLES[path]:
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")
            with formatter.indentation(), formatter.indentation():
                formatter.write_text(words)


def dressed(command: click.Command) -> click.Command:
    """Return a command with what every command gets, and all commands below it.

    A command of a class of its own keeps that, and writes its help itself.
    """
    from synguard.cli.values import wordy  # noqa: PLC0415 - the types cost more than a group's own help

    for parameter in command.params:
        parameter.type = wordy(command.name, parameter.name, parameter.type)
    if type(command) is click.Group:
        group = _become(_GroupWithExamples, command)
        group.commands = {name: dressed(below) for name, below in command.commands.items()}
        return group
    return _become(_WithExamples, command) if type(command) is click.Command else command


def _become(kind: type[CommandT], command: click.Command) -> CommandT:
    """Return a command as one of ``kind``, with all that it has."""
    same = object.__new__(kind)
    vars(same).update(vars(command))
    return same

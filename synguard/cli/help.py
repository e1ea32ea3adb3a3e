"""``synguard help``: what ``--help`` says, for who asks the other way round."""

from __future__ import annotations

import click

from synguard.cli.output import write
from synguard.cli.refusing import no_command


@click.command("help")
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show the help of a command, the same as COMMAND --help."""
    asked = ctx.find_root()
    for name in names:
        group = asked.command
        found = group.get_command(asked, name) if isinstance(group, click.Group) else None
        if found is None:
            known = group.list_commands(asked) if isinstance(group, click.Group) else []
            raise click.UsageError(no_command(name, known), ctx)
        asked = click.Context(found, parent=asked, info_name=name)
    write(asked.get_help())

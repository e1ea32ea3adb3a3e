"""``synguard doctor``: what keeps this machine from being guarded well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from synguard.cli.options import config_option, format_option, settings_for, socket_option
from synguard.cli.output import write, write_json
from synguard.doctor import Finding, Status, examine, gather
from synguard.observe.text import printable


@click.command("doctor")
@format_option("text", "json")
@config_option
@socket_option
@click.option("--interface", "interfaces", multiple=True, metavar="IF", help="Look at this interface.")
@click.pass_context
def command(
    ctx: click.Context,
    output_format: str,
    config_file: Path | None,
    socket: str | None,
    interfaces: tuple[str, ...],
) -> None:
    """Look at this machine: what was found, why it matters, how to mend it. Exit 1 on an error."""
    settings = settings_for(config_file, socket=socket).with_overrides(
        {"probe.interfaces": interfaces or None}, {"probe.interfaces": "--interface"}
    )
    findings = examine(gather(settings))
    if output_format == "json":
        write_json([asdict(finding) for finding in findings])
    else:
        write("\n".join(line for finding in findings for line in _lines(finding)))
    ctx.exit(1 if any(finding.status is Status.ERROR for finding in findings) else 0)


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.status:<9}{finding.name:<21}{printable(finding.what)}"
    if finding.remedy is not None:
        yield f"{'':<30}why: {finding.why}"
        yield f"{'':<30}mend: {printable(finding.remedy)}"

"""``synguard doctor``: what keeps this machine from being guarded well."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from synguard.cli.options import config_option, format_option, settings_for, socket_option
from synguard.cli.output import prose, write, write_json
from synguard.doctor import CHECKS, Finding, Status, examine, gather

_STATUS_COLUMNS = 9
_NAME_COLUMNS = 21
#: A narrower terminal has no room for a column of findings.
_WIDE_COLUMNS = 72
_COLOURS = {Status.ERROR: "red", Status.WARNING: "yellow", Status.UNKNOWN: "cyan", Status.OK: "green"}
_ONE_AND_MORE = {
    Status.ERROR: ("error", "errors"),
    Status.WARNING: ("warning", "warnings"),
    Status.UNKNOWN: ("unknown", "unknown"),
    Status.OK: ("in order", "in order"),
}


def _listed() -> str:
    """Return what doctor finds, by the findings' names."""
    rows = (f"  {check.name:<{_NAME_COLUMNS}}{check.finds}" for check in CHECKS)
    return "\n".join(("\b", "Findings, by the names that they have in JSON too:", *rows))


@click.command("doctor", epilog=_listed())
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
    """Look at this machine: what was found, why it matters, how to mend it. Exit 1 on an error.

    A finding is an error (the daemon cannot start, or cannot see), a warning (guarding works, but less
    well), unknown (it could not be found out: often root could) or ok. The worst come first.
    """
    settings = settings_for(config_file, socket=socket).with_overrides(
        {"probe.interfaces": interfaces or None}, {"probe.interfaces": "--interface"}
    )
    findings = sorted(examine(gather(settings)), key=lambda finding: list(Status).index(finding.status))
    if output_format == "json":
        write_json([asdict(finding) for finding in findings])
    else:
        write("\n".join([*(line for finding in findings for line in _lines(finding)), _summary(findings)]))
    ctx.exit(1 if any(finding.status is Status.ERROR for finding in findings) else 0)


def _lines(finding: Finding) -> Iterator[str]:
    """Yield a finding, and below one that is not ok why it matters and how to mend it."""
    wide = shutil.get_terminal_size().columns >= _WIDE_COLUMNS
    head = f"{finding.status:<{_STATUS_COLUMNS}}{finding.name:<{_NAME_COLUMNS}}{finding.what}"
    text = prose(head, hanging=_STATUS_COLUMNS + _NAME_COLUMNS if wide else _STATUS_COLUMNS)
    yield _coloured(finding.status, finding.status) + text.removeprefix(finding.status)
    if finding.remedy is not None:
        verb = "find out" if finding.status is Status.UNKNOWN else "mend"
        for told in (f"why: {finding.why}", f"{verb}: {finding.remedy}"):
            yield prose(told, indent=_STATUS_COLUMNS, hanging=_STATUS_COLUMNS + 2)
        yield ""


def _summary(findings: Sequence[Finding]) -> str:
    """Return one line that counts the findings of each status."""
    counts = Counter(finding.status for finding in findings)
    told = (f"{counts[status]} {_ONE_AND_MORE[status][counts[status] != 1]}" for status in Status)
    worst = findings[0].status if findings else Status.OK
    return _coloured(prose(", ".join(told)), worst)


def _coloured(text: str, status: Status) -> str:
    """Return a text in its status's colour; click takes that away again where no terminal is."""
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=_COLOURS[status])

"""``synguard replay``: what the daemon would have seen, had it been there."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import click

from synguard.cli.alerts import alert_table
from synguard.cli.options import config_option, format_option, local_option
from synguard.cli.output import write, write_json
from synguard.cli.values import SOURCE
from synguard.config import load
from synguard.errors import SynguardError
from synguard.observe.text import printable
from synguard.telling.figures import duration, figure, moment
from synguard.telling.reasoning import reasoning

#: Between two words of progress: on a terminal, where each overwrites the last, and elsewhere.
TERMINAL_INTERVAL_S = 0.2
LOG_INTERVAL_S = 5.0

_DIRECTIONS = {
    "both": "what comes in and what leaves",
    "incoming": "what comes in alone",
    "outgoing": "what leaves alone",
    "none": "nothing",
}
_TOTALS = ("attempts", "answered", "completed", "aborted", "refused", "unparsed")


@click.command("replay")
@click.argument("file", metavar="FILE")
@click.option(
    "--protect",
    "protect",
    type=SOURCE,
    multiple=True,
    metavar="CIDR",
    help="Addresses that are ours, may be repeated; by default it is inferred, and said.",
)
@format_option("text", "json")
@local_option
@config_option
def command(
    *, file: str, protect: tuple[str, ...], config_file: Path | None, output_format: str, local: bool
) -> None:
    """Run a capture (pcap, pcapng, gzipped or not; - is standard input) through probe and detector.

    It says what a daemon with these settings would have seen. Needs root; a running daemon is left alone.
    """
    settings = load(config_file)
    # Only now: a wrong option is said at once, and without what a replay loads.
    from synguard.replay.capture import Capture  # noqa: PLC0415
    from synguard.replay.replaying import replay  # noqa: PLC0415
    from synguard.replay.report import describe  # noqa: PLC0415

    networks = [ip_network(text) for text in protect]
    with closing(Capture(file)) as capture, closing(_Progress()) as progress:
        report = describe(replay(capture, networks, settings, progress.tell))
    if output_format == "json":
        write_json(report)
    else:
        write("\n\n".join(_sections(report, local=local)))
    if report["capture"]["error"] is not None:
        raise SynguardError(f"{report['capture']['file']}: {report['capture']['error']}")


class _Progress:
    """Tells on standard error how far a replay is: a line that changes, or now and then a new one."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._interval_s = TERMINAL_INTERVAL_S if self._on_terminal else LOG_INTERVAL_S
        self._told_s = time.monotonic()
        self._columns = 0

    def tell(self, packets: int, of: int | None) -> None:
        """Say it, unless it was said a moment ago."""
        if time.monotonic() - self._told_s < self._interval_s:
            return
        self._told_s = time.monotonic()
        text = f"surveyed {packets:,} packets" if of is None else f"replayed {packets:,} of {of:,} packets"
        if self._on_terminal:
            click.echo("\r" + text.ljust(self._columns), nl=False, err=True)
            self._columns = len(text)
        else:
            click.echo(text, err=True)

    def close(self) -> None:
        """Take the line away."""
        if self._columns:
            click.echo("\r" + " " * self._columns + "\r", nl=False, err=True)


def _sections(report: Mapping[str, Any], *, local: bool) -> Iterator[str]:
    capture, totals, alerts = report["capture"], report["totals"], report["alerts"]
    yield "\n".join(printable(line) for line in _summary(capture, local=local))
    yield "\n".join(f"{name:<16}{figure(totals[name]):>16}" for name in _TOTALS)
    yield alert_table(alerts, local=local) if alerts else "no alerts"
    if alerts:
        yield "\n".join(printable(f"{alert['id']}: {_why(alert)}") for alert in alerts)
    losses = ", ".join(f"{name} {figure(count)}" for name, count in capture["losses"].items() if count)
    yield f"losses: {losses or 'none'}"


def _summary(capture: Mapping[str, Any], *, local: bool) -> Iterator[str]:
    packed = ", gzipped" if capture["gzipped"] else ""
    links = ", ".join(capture["link_types"]) or "no packets"
    yield f"{capture['file']}: {capture['format']}{packed}, {links}"
    span = ""
    if capture["duration_s"] is not None:
        first, last = (moment(capture[name], local=local) for name in ("first_at", "last_at"))
        span = f" in {duration(capture['duration_s'])}, {first} to {last}"
    yield f"{figure(capture['packets'])} packets{span}"
    ours = ", ".join(capture["ours"]) or "nothing"
    because = capture["inferred_because"]
    yield f"taken as ours: {ours}" + (f", inferred because {because}" if because else "")
    others = capture["skipped"]["not_ours"]
    yield f"seen of it: {_DIRECTIONS[capture['direction']]}" + (
        f"; {figure(others)} packets are neither to nor from it" if others else ""
    )
    unparsed = ", ".join(f"{why} {figure(count)}" for why, count in capture["unparsed"].items() if count)
    if unparsed:
        yield f"not parsed: {unparsed}"
    if capture["out_of_order"]:
        yield f"{figure(capture['out_of_order'])} packets out of order, taken as sent with those before them"
    yield from capture["notes"]


def _why(alert: Mapping[str, Any]) -> str:
    """Return in a line why an alert was raised, and what speaks for its class."""
    why = reasoning(alert)
    evidence = ", ".join(f"{one['words']} ({one['value']})" for one in why["evidence"])
    return f"{why['summary']} Evidence: {evidence}." if evidence else str(why["summary"])

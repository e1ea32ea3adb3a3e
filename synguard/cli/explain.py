"""``synguard explain``: why an alert was raised, and why this was done about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from synguard.cli.alerts import lasted
from synguard.cli.options import config_option, database_option, format_option, settings_for, socket_option
from synguard.cli.output import figure, percent, table, write, write_json
from synguard.cli.reading import alert_reading
from synguard.cli.wording import evidence_by_name, is_blind, what
from synguard.errors import SynguardError
from synguard.observe.text import printable

_COUNTS = ("attempts", "answered", "completed", "aborted", "refused", "dropped_by_us")
#: A blind alert's evidence, and what it is called here.
_UNSEEN = {
    "not_seen": "not seen",
    "since": "since",
    "until": "until",
    "times": "times",
    "outcome": "so far",
    "to_do": "to do",
}
#: Units that mean nothing to a reader beside the figure.
_PLAIN_UNITS = ("ratio", "")


@click.command("explain")
@click.argument("alert_id", metavar="ID", type=click.IntRange(min=1))
@format_option("text", "json")
@click.option("--local", is_flag=True, help="Read the history file even if the daemon runs.")
@config_option
@socket_option
@database_option
def command(
    alert_id: int,
    output_format: str,
    local: bool,
    config_file: Path | None,
    socket: str | None,
    database: str | None,
) -> None:
    """Say why alert ID was raised: what was observed, against what, and what was done."""
    settings = settings_for(config_file, socket=socket, database=database)
    alert = alert_reading(settings, local=local or database is not None).get(alert_id)
    if alert is None:
        raise SynguardError(f"there is no alert {alert_id}: `synguard alerts` lists those there are")
    if output_format == "json":
        write_json(alert)
    else:
        write("\n\n".join(_sections(alert)))


def _sections(alert: Mapping[str, Any]) -> Iterator[str]:
    yield _head(alert)
    if is_blind(alert):
        yield "What is not seen\n" + _unseen(alert)
    else:
        yield "Since it opened\n" + _counts(alert)
    if alert["measurements"]:
        yield "Observed\n" + _measurements(alert["measurements"])
    if is_blind(alert):
        return
    if alert["evidence"]:
        yield "Evidence\n" + _evidence(alert["evidence"])
    yield "Action\n" + _action(alert)
    if alert["top_sources"]:
        yield "Top sources (as observed; they may be spoofed)\n" + _top_sources(alert["top_sources"])


def _head(alert: Mapping[str, Any]) -> str:
    state = alert["state"]
    if alert["closed_because"]:
        state = f"{state} ({alert['closed_because']})"
    ended = "-" if alert["ended_at"] is None else f"{alert['ended_at']}, after {lasted(alert)}"
    rows = [("started", alert["started_at"]), ("ended", ended)]
    if not is_blind(alert):
        about = [("listener", alert["listener"] or "-"), ("source", alert["source"] or "-")]
        rows = [*about, *rows, ("impact", alert["impact"])]
    title = f"Alert {alert['id']}: {what(alert)}, severity {alert['severity']}, {state}"
    return "\n".join([printable(title), *_lines(rows)])


def _lines(rows: Iterable[tuple[str, object]]) -> list[str]:
    return [f"  {name:<10}{printable(str(value))}" for name, value in rows]


def _unseen(alert: Mapping[str, Any]) -> str:
    """Say in sentences what the evidence of a blind alert holds."""
    found = evidence_by_name(alert)
    return "\n".join(_lines((title, found[name]) for name, title in _UNSEEN.items() if name in found))


def _counts(alert: Mapping[str, Any]) -> str:
    rows = [(name, figure(alert[name])) for name in _COUNTS]
    rows += [
        ("half-open", percent(alert["half_open_ratio"])),
        ("peak SYN/s", figure(alert["peak_syn_per_s"])),
        ("sources (est.)", figure(alert["sources_estimated"])),
    ]
    return "\n".join(f"  {name:<16}{value:>12}" for name, value in rows)


def _measurements(measurements: list[Mapping[str, Any]]) -> str:
    def cells(one: Mapping[str, Any]) -> tuple[str, ...]:
        unit = "" if one["unit"] in _PLAIN_UNITS else f" {one['unit']}"
        return (one["name"], *(figure(one[name], unit) for name in ("observed", "threshold", "baseline")))

    return table(("NAME", ">OBSERVED", ">THRESHOLD", ">BASELINE"), map(cells, measurements), indent=2)


def _evidence(evidence: list[Mapping[str, Any]]) -> str:
    def cells(one: Mapping[str, Any]) -> tuple[str, ...]:
        value = one["value"]
        text = value if isinstance(value, str) else figure(value)
        return one["name"], text, f"{one['weight']:.2f}"

    return table(("NAME", ">VALUE", ">WEIGHT"), map(cells, evidence), indent=2)


def _action(alert: Mapping[str, Any]) -> str:
    lines = []
    action = alert["action"]
    if action is not None:
        done = action["response"] if action["mode"] == "enforce" else f"would {action['response']}"
        until = f" until {action['until']}" if action["until"] else ""
        lines.append(f"{done} {action['target']}{until} (mode {action['mode']}): {action['reason']}")
    # The same sentence twice tells nothing more.
    if alert["decision"] and (action is None or alert["decision"] != action["reason"]):
        lines.append(alert["decision"])
    return "\n".join(f"  {printable(line)}" for line in lines or ["nothing was done"])


def _top_sources(sources: list[Mapping[str, Any]]) -> str:
    rows = [(one["source"], figure(one["attempts"]), figure(one["completed"])) for one in sources]
    return table(("SOURCE", ">ATTEMPTS", ">COMPLETED"), rows, indent=2)

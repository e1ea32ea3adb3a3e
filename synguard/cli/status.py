"""``synguard status``: is the probe attached, what does it see, and what did it lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from synguard.cli.options import config_option, format_option, settings_for, socket_option
from synguard.cli.output import duration, figure, moment, percent, table, write, write_json
from synguard.cli.wording import by_whom, on_whom, what
from synguard.client import request
from synguard.observe.text import printable

#: Listeners and sources shown; the JSON has them all.
ROWS = 10

_TOTALS = ("attempts", "answered", "completed", "aborted", "refused", "dropped_by_us", "unparsed")


@click.command("status")
@format_option("text", "json")
@config_option
@socket_option
def command(output_format: str, config_file: Path | None, socket: str | None) -> None:
    """Show how the probe sits, what it sees now, and what it lost."""
    settings = settings_for(config_file, socket=socket)
    status: Mapping[str, Any] = request(settings.control.socket_path, "status")
    if output_format == "json":
        write_json(status)
    else:
        write("\n\n".join(_sections(status)))


def _sections(status: Mapping[str, Any]) -> Iterator[str]:
    yield _head(status)
    yield _interfaces(status["interfaces"])
    if status["blind"]:
        yield _blind(status["blind"])
    if status["one_way"]:
        yield "only what comes in is seen: answered, completed and half-open are unknown"
    totals = status["totals"]
    yield "\n".join(f"{name:<16}{figure(totals[name]):>16}" for name in _TOTALS)
    if status["listeners"]:
        yield _listeners(status["listeners"])
    if status["sources"]:
        yield _sources(status["sources"])
    yield _alerts(status["open_alerts"])
    yield _expected_losses(status["expected_losses"])
    yield _trouble(status)


def _head(status: Mapping[str, Any]) -> str:
    responses = status["responses"]
    lines = [
        f"synguard {status['version']}, pid {status['pid']}, up {duration(status['uptime_s'])}",
        f"responding: {status['respond']} (drop = {status['drop']}), {responses['blocks']} blocks, "
        f"{responses['actions']} actions, {responses['refused']} refused",
    ]
    if status["silences"]:
        lines.append(f"silences in force: {status['silences']} (`synguard silence list` shows them)")
    return "\n".join(lines)


def _interfaces(interfaces: list[Mapping[str, Any]]) -> str:
    rows = [
        (
            one["name"],
            _sitting(one),
            one["ingress"] or "-",
            one["egress"] or "-",
            one["note"] or "",
        )
        for one in interfaces
    ]
    return table(("INTERFACE", "PROBE", "INGRESS", "EGRESS", "NOTE"), rows)


def _sitting(interface: Mapping[str, Any]) -> str:
    if not interface["attached"]:
        return "NOT ATTACHED"
    return "BLIND" if interface["blind"] else "attached"


def _blind(blind: list[Mapping[str, Any]]) -> str:
    """Say what is not seen now, and what to do about it."""
    lines = ["BLIND (`synguard explain ID` says more)"]
    for one in blind:
        lines.append(f"  {one['alert_id']}: {one['cause']} since {moment(one['since'])}: {one['not_seen']}")
        lines.append(f"     to do: {one['to_do']}")
    return "\n".join(printable(line) for line in lines)


def _listeners(listeners: list[Mapping[str, Any]]) -> str:
    rows = [
        (
            one["listener"],
            figure(one["attempts"]),
            figure(one["completed"]),
            percent(one["half_open_ratio"]),
            figure(one["attempts_per_s"]),
            figure(one["handshake_p99_ms"], " ms"),
            figure(one["sources_estimated"]),
        )
        for one in listeners[:ROWS]
    ]
    headings = (
        "LISTENER", ">ATTEMPTS", ">COMPLETED", ">HALF-OPEN", ">ATTEMPTS/S", ">P99", ">SOURCES"
    )  # fmt: skip
    return table(headings, rows) + _more(listeners) + _queues(listeners)


def _queues(listeners: list[Mapping[str, Any]]) -> str:
    """Say how full the queues are of those listeners that are suspected, and whose sockets are here."""
    return "".join(
        f"\nqueues of {one['listener']}: SYN {figure(one['syn_queue'])} of {figure(one['syn_queue_limit'])}, "
        f"accept {figure(one['accept_queue'])} of {figure(one['accept_queue_limit'])}"
        for one in listeners
        if one["syn_queue"] is not None
    )


def _sources(sources: list[Mapping[str, Any]]) -> str:
    rows = [
        (one["source"], figure(one["attempts"]), figure(one["completed"]), figure(one["targets_estimated"]))
        for one in sources[:ROWS]
    ]
    return table(("SOURCE", ">ATTEMPTS", ">COMPLETED", ">TARGETS"), rows) + _more(sources)


def _more(rows: list[Mapping[str, Any]]) -> str:
    return f"\nand {len(rows) - ROWS} more, see --format json" if len(rows) > ROWS else ""


def _alerts(alerts: list[Mapping[str, Any]]) -> str:
    if not alerts:
        return "no open alerts"
    return "\n".join(["open alerts (`synguard explain ID` says why)", *map(_alert, alerts)])


def _alert(alert: Mapping[str, Any]) -> str:
    """Return one line: what, on whom, by whom, how bad, and what is done about it."""
    source, action = by_whom(alert), alert["action"]
    told = (
        *(f"{alert['id']}: {what(alert)}", on_whom(alert)),
        source if source is None or source.startswith("to ") else f"from {source}",
    )
    hurts = alert["impact"] not in ("none", "unknown")
    judged = (
        *(alert["severity"], f"impact {alert['impact']}" if hurts else None),
        f"{action['response']}, {action['mode']}" if action else None,
        "silenced" if alert["silenced"] else None,
    )
    return f"  {' '.join(filter(None, told))} ({', '.join(filter(None, judged))})"


def _expected_losses(losses: list[Mapping[str, Any]]) -> str:
    """Say which share of open handshakes is overwritten before they complete, now and in floods."""
    now, *floods = losses
    named = [(f"now, {figure(now['attempts_per_s'], ' SYN/s')}", now)]
    named += [(f"at {figure(one['attempts_per_s'], ' SYN/s')}", one) for one in floods]
    rows = [
        (
            name,
            *(_little(each["lost_share"]) for each in one["handshakes"]),
            figure(one["sources_known_from_syn_per_s"], "/s")
            if one["sources_known_from_syn_per_s"]
            else "any",
        )
        for name, one in named
    ]
    headings = (f">OPEN FOR {figure(each['hold_s'], ' S')}" for each in now["handshakes"])
    return table(("EXPECTED LOSS OF HANDSHAKES", *headings, ">SOURCES KNOWN FROM"), rows)


def _little(share: float) -> str:
    """Return a share of 0..1 as a percentage; only less than one in a million is nothing."""
    if share < 1e-6:
        return "0%"
    return percent(share) if share >= 0.001 else "<0.1%"


def _trouble(status: Mapping[str, Any]) -> str:
    """Say what was lost, and whether the history is kept."""
    losses = ", ".join(f"{name} {figure(count)}" for name, count in status["losses"].items() if count)
    history = status["history"]
    lines = [f"losses: {losses or 'none'}", f"history: {history['state']}, {history['database']}"]
    stack = status["stack"]
    if stack["conntrack_entries"] and stack["conntrack_limit"]:
        fill = percent(stack["conntrack_entries"] / stack["conntrack_limit"])
        lines.append(f"conntrack: {figure(stack['conntrack_entries'])} entries, {fill} full")
    for what_fails, error in stack["unreadable"].items():
        lines.append(f"impact: {what_fails} cannot be read: {printable(error)}")
    if history["queued"] or history["lost"]:
        waiting = f"{history['queued']} changes wait to be written"
        lines.append(f"history: {waiting}, {history['lost']} were lost")
    if history["moved_aside"]:
        lines.append(f"history: a damaged database was moved to {printable(history['moved_aside'])}")
    if history["error"]:
        lines.append(f"history: {printable(history['error'])}")
    return "\n".join(lines)

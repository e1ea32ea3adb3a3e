"""``synguard status``: is the probe attached, what does it see, and what did it lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from synguard.cli.options import config_option, format_option, local_option, settings_for, socket_option
from synguard.cli.output import table, write, write_json
from synguard.cli.status_responses import responses
from synguard.client import request
from synguard.observe.text import printable
from synguard.telling.figures import duration, figure, moment, percent
from synguard.telling.wording import by_whom, on_whom, what

#: Listeners and sources shown; the JSON has them all.
ROWS = 10

#: What of the history's health has words of its own.
_TOLD = (
    *("database", "state", "error", "queued", "lost", "moved_aside", "database_bytes", "last_written_at"),
    *("retention_days", "retention_mib", "seconds_days", "minutes_days"),
)
_TOTALS = ("attempts", "answered", "completed", "aborted", "refused", "dropped_by_us", "unparsed")

#: What our own responses did; shown where they did anything.
_OWN_TOTALS = ("greylisted", "greylist_admitted", "cookies_sent", "cookies_valid", "cookies_connected")


@click.command("status")
@format_option("text", "json")
@local_option
@config_option
@socket_option
def command(*, output_format: str, local: bool, config_file: Path | None, socket: str | None) -> None:
    """Show how the probe sits, what it sees now, and what it lost."""
    settings = settings_for(config_file, socket=socket)
    status: Mapping[str, Any] = request(settings.control.socket_path, "status")
    if output_format == "json":
        write_json(status)
    else:
        write("\n\n".join(_sections(status, local=local)))


def _sections(status: Mapping[str, Any], *, local: bool) -> Iterator[str]:
    yield _head(status, local=local)
    yield _interfaces(status["interfaces"])
    if status["blind"]:
        yield _blind(status["blind"], local=local)
    if status["one_way"]:
        yield "only what comes in is seen: answered, completed and half-open are unknown"
    totals = status["totals"]
    shown = [*_TOTALS, *(name for name in _OWN_TOTALS if totals.get(name))]
    yield "\n".join(f"{name:<18}{figure(totals[name]):>16}" for name in shown)
    if status["listeners"]:
        yield _listeners(status["listeners"])
    if status["sources"]:
        yield _sources(status["sources"])
    yield _alerts(status["open_alerts"])
    yield from responses(status, local=local)
    yield _expected_losses(status["expected_losses"])
    yield _trouble(status, local=local)


def _head(status: Mapping[str, Any], *, local: bool) -> str:
    told = status["responses"]
    lines = [
        f"synguard {status['version']}, pid {status['pid']}, up {duration(status['uptime_s'])}",
        f"responding: {status['respond']} (drop = {status['drop']}), {told['blocks']} blocks, "
        f"{told['actions']} actions, {told['refused']} refused",
    ]
    lines += _standing(status, local=local)
    if status["silences"]:
        lines.append(f"silences in force: {status['silences']} (`synguard silence list` shows them)")
    return "\n".join(lines)


def _standing(status: Mapping[str, Any], *, local: bool) -> Iterator[str]:
    """Yield what was decided as the daemon began; an earlier one tells nothing of it."""
    if "started_at" in status:
        settings = status.get("config_file") or "defaults, no settings file"
        yield f"running since {moment(status['started_at'], local=local)}, settings: {printable(settings)}"
    yield from _settings(status.get("config", {}))
    if "map_memlock_bytes" in status:
        yield f"kernel memory of the probe's maps: {_mebibytes(status['map_memlock_bytes'])}"
    pins = status.get("pins")
    if pins is None:
        return
    came = "taken over from an earlier daemon" if pins["taken_over"] else "loaded by this daemon"
    if pins["stays_attached"]:
        yield f"probe: {came}, stays attached when this one ends, pinned in {printable(str(pins['pinned']))}"
    else:
        yield f"probe: {came}, goes when this one ends (--keep-attached lets it stay)"


def _settings(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a reload of the settings left undone."""
    if config.get("refused"):
        yield f"the settings file is refused, and those before it go on: {printable(config['refused'])}"
    if config.get("needs_restart"):
        yield f"changed in the settings file, and waiting for a restart: {', '.join(config['needs_restart'])}"


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):,.1f} MiB"


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


def _blind(blind: list[Mapping[str, Any]], *, local: bool) -> str:
    """Say what is not seen now, and what to do about it."""
    lines = ["BLIND (`synguard explain ID` says more)"]
    for one in blind:
        since = moment(one["since"], local=local)
        lines.append(f"  {one['alert_id']}: {one['cause']} since {since}: {one['not_seen']}")
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
    """Say which share of open handshakes, and of greylisted SYNs, is forgotten, now and in floods."""
    now, *floods = losses
    named = [(f"now, {figure(now['attempts_per_s'], ' SYN/s')}", now)]
    named += [(f"at {figure(one['attempts_per_s'], ' SYN/s')}", one) for one in floods]
    rows = [
        (
            name,
            *(_little(each["lost_share"]) for each in one["handshakes"]),
            *(_little(each["lost_share"]) for each in one["greylisted"]),
            figure(one["sources_known_from_syn_per_s"], "/s")
            if one["sources_known_from_syn_per_s"]
            else "any",
        )
        for name, one in named
    ]
    headings = (f">OPEN FOR {figure(each['hold_s'], ' S')}" for each in now["handshakes"])
    again = (f">GREYLISTED, AGAIN AFTER {figure(each['hold_s'], ' S')}" for each in now["greylisted"])
    return table(("EXPECTED LOSS OF HANDSHAKES", *headings, *again, ">SOURCES KNOWN FROM"), rows)


def _little(share: float) -> str:
    """Return a share of 0..1 as a percentage; only less than one in a million is nothing."""
    if share < 1e-6:
        return "0%"
    return percent(share) if share >= 0.001 else "<0.1%"


def _trouble(status: Mapping[str, Any], *, local: bool) -> str:
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
    return "\n".join([*lines, *_history(history, local=local)])


def _history(history: Mapping[str, Any], *, local: bool) -> Iterator[str]:
    """Yield how the history fares; what has no words here is told by its name."""
    if history.get("database_bytes") is not None:
        written = f", last written {moment(history['last_written_at'], local=local)}"
        kept = f"{figure(history['retention_days'])} days up to {figure(history['retention_mib'])} MiB"
        yield f"history: {_mebibytes(history['database_bytes'])} on disk{written}, kept for {kept}"
    if history["queued"] or history["lost"]:
        yield f"history: waiting for the disk: {figure(history['queued'])}, lost: {figure(history['lost'])}"
    others = [
        f"{name.replace('_', ' ')} {value}" for name, value in history.items() if value and name not in _TOLD
    ]
    if others:
        yield printable(f"history: {', '.join(others)}")
    if history["moved_aside"]:
        yield f"history: a damaged database was moved to {printable(history['moved_aside'])}"
    if history["error"]:
        yield f"history: {printable(history['error'])}"

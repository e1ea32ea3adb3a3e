"""``synguard explain``: why an alert was raised, and why this was done about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from synguard.cli.alerts import lasted
from synguard.cli.options import (
    config_option,
    database_option,
    format_option,
    local_option,
    offline_option,
    settings_for,
    socket_option,
)
from synguard.cli.output import (
    duration,
    figure,
    moment,
    percent,
    prose,
    seconds_between,
    table,
    times,
    write,
    write_json,
)
from synguard.cli.reading import alert_reading
from synguard.cli.reasoning import reasoning
from synguard.cli.wording import evidence_by_name, is_blind, what
from synguard.errors import SynguardError

#: What fits on one screen; the JSON has all.
SHOWN_CHANGES = 12
SHOWN_SOURCES = 5
SHOWN_LISTENERS = 5

_COUNTS = {
    "attempts": "attempts",
    "answered": "answered",
    "completed": "completed",
    "aborted": "aborted",
    "refused": "refused",
    "dropped_by_us": "dropped by us",
}
#: A blind alert's evidence, and what it is called here.
_UNSEEN = {
    "not_seen": "not seen",
    "since": "since",
    "until": "until",
    "times": "times",
    "outcome": "so far",
    "to_do": "to do",
}
#: Evidence that is a share (0..1) ends so.
_SHARES_END = ("_share", "_ratio", "_of_half_open", "sources_once", "ttl_unlike")
#: Columns of a fact's name, with the blanks around it.
_FACT_COLUMNS = 12


@click.command("explain")
@click.argument("alert_id", metavar="ID", type=click.IntRange(min=1))
@format_option("text", "json")
@local_option
@offline_option
@config_option
@socket_option
@database_option
def command(
    alert_id: int,
    output_format: str,
    local: bool,
    offline: bool,
    config_file: Path | None,
    socket: str | None,
    database: str | None,
) -> None:
    """Say why alert ID was raised: what was observed, against what, and what was done."""
    settings = settings_for(config_file, socket=socket, database=database)
    alert = alert_reading(settings, offline=offline or database is not None).get(alert_id)
    if alert is None:
        raise SynguardError(f"there is no alert {alert_id}: `synguard alerts` lists those there are")
    why = reasoning(alert)
    if output_format == "json":
        write_json({**alert, "reasoning": why})
    else:
        write("\n\n".join(_sections(alert, why, local=local)))


def _sections(alert: Mapping[str, Any], why: Mapping[str, Any], *, local: bool) -> Iterator[str]:
    yield prose(_title(alert))
    yield "\n".join(prose(text) for text in (why["summary"], why["meaning"]) if text)
    yield _facts(_place_and_time(alert, why, local=local))
    if is_blind(alert):
        yield "What is not seen\n" + _unseen(alert, local=local)
    if why["measurements"]:
        yield f"{prose(_observed(why['window']))}\n{_measurements(why['measurements'])}"
    if is_blind(alert):
        yield from _timeline(alert)
        return
    if why["evidence"]:
        yield f"{prose(_evidence_heading(why['belief']))}\n{_evidence(why['evidence'])}"
    if why["impact"]:
        yield "\n".join(filter(None, [f"Impact\n{prose(why['impact'], indent=2)}", _impact(why)]))
    yield f"Action\n{_action(alert, local=local)}"
    yield f"Since it opened\n{prose(_counts(alert), indent=2)}"
    yield from _timeline(alert)
    if alert["top_sources"]:
        yield "Top sources (as observed; they may be spoofed)\n" + _top_sources(alert["top_sources"])


def _title(alert: Mapping[str, Any]) -> str:
    state = alert["state"]
    if alert["closed_because"]:
        state = f"{state} ({alert['closed_because']})"
    return f"Alert {alert['id']}: {what(alert)}, severity {alert['severity']}, {state}"


def _place_and_time(
    alert: Mapping[str, Any], why: Mapping[str, Any], *, local: bool
) -> Iterator[tuple[str, object]]:
    if not is_blind(alert):
        yield "listener", _listeners(alert)
        yield from _sources(alert)
    yield "started", moment(alert["started_at"], local=local)
    ended = alert["ended_at"]
    yield "ended", "-" if ended is None else f"{moment(ended, local=local)}, after {lasted(alert)}"
    if not is_blind(alert):
        yield "severity", why["severity"]
    if alert.get("silenced"):
        yield "silenced", "it is recorded, and neither announced nor answered (`synguard silence list`)"


def _listeners(alert: Mapping[str, Any]) -> str:
    names = alert.get("listeners") or list(filter(None, [alert["listener"]]))
    more = len(names) - SHOWN_LISTENERS
    shown = ", ".join(names[:SHOWN_LISTENERS]) or "-"
    return f"{shown} and {more} more" if more > 0 else shown


def _sources(alert: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    count = alert["sources_estimated"]
    if alert["source"] is None:
        yield "sources", "-" if count is None else f"about {figure(count)}"
    else:
        several = f", about {figure(count)} sources" if (count or 0) > 1 else ""
        yield "source", f"{alert['source']}{several}"


def _facts(rows: Iterable[tuple[str, object]]) -> str:
    return "\n".join(
        prose(f"{name:<{_FACT_COLUMNS - 2}}{value}", indent=2, hanging=_FACT_COLUMNS) for name, value in rows
    )


def _unseen(alert: Mapping[str, Any], *, local: bool) -> str:
    """Say in sentences what the evidence of a blind alert holds."""
    found = evidence_by_name(alert)
    found |= {name: moment(found[name], local=local) for name in ("since", "until") if name in found}
    return _facts((title, found[name]) for name, title in _UNSEEN.items() if name in found)


def _observed(window: Mapping[str, float]) -> str:
    """Say over which window the figures below were taken."""
    parts = []
    if "length_ms" in window:
        parts.append(f"over {figure(window['length_ms'])} ms")
    if "age_ms" in window:
        parts.append(f"which ended {figure(window['age_ms'])} ms before the alert")
    if "allowance_ms" in window:
        parts.append(f"each handshake being given {figure(window['allowance_ms'])} ms")
    return " ".join(["Observed", ", ".join(parts)]).rstrip()


def _measurements(measurements: Sequence[Mapping[str, Any]]) -> str:
    """Return what was observed beside each bound; a column that would be empty is left out."""
    rows = [
        (
            one["words"],
            _with_unit(one["observed"], one["unit"]),
            _with_unit(one["threshold"], one["unit"]),
            _times(one["times_threshold"]),
            _with_unit(one["baseline"], one["unit"]),
            _times(one["times_baseline"]),
        )
        for one in measurements
    ]
    headings = ("WHAT", ">OBSERVED", ">THRESHOLD", ">TIMES", ">USUAL", ">TIMES USUAL")
    shown = [i for i in range(len(headings)) if i < 2 or any(row[i] != "-" for row in rows)]
    return table([headings[i] for i in shown], [[row[i] for i in shown] for row in rows], indent=2)


def _with_unit(value: float | None, unit: str) -> str:
    if unit == "ratio":
        return percent(value)
    return figure(value, {"1/s": "/s", "1/min": "/min", "ms": " ms", "s": " s"}.get(unit, ""))


def _times(factor: float | None) -> str:
    return "-" if factor is None else f"{times(factor)}×"


def _evidence_heading(belief: Mapping[str, float] | None) -> str:
    if belief is None:
        return "Evidence"
    enough = belief["sum"] >= belief["needed"]
    return (
        f"Evidence that the sources are spoofed: {belief['sum']:.2f} in all, "
        f"{'above' if enough else 'below'} the {belief['needed']:.2f} needed"
    )


def _evidence(evidence: Sequence[Mapping[str, Any]]) -> str:
    def cells(one: Mapping[str, Any]) -> tuple[str, ...]:
        value = one["value"]
        return one["words"], _value(value, one["name"]), f"{one['weight']:.2f}"

    return table(("WHAT", ">VALUE", ">WEIGHT"), map(cells, evidence), indent=2)


def _value(value: float | str, name: str) -> str:
    if isinstance(value, str):
        return value
    return percent(value) if name.endswith(_SHARES_END) else figure(value)


def _impact(why: Mapping[str, Any]) -> str:
    return _measurements(why["impact_measurements"]) if why["impact_measurements"] else ""


def _action(alert: Mapping[str, Any], *, local: bool) -> str:
    lines = []
    action = alert["action"]
    if action is not None:
        done = action["response"] if action["mode"] == "enforce" else f"would {action['response']}"
        until = f" until {moment(action['until'], local=local)}" if action["until"] else ""
        lines.append(f"{done} {action['target']}{until} (mode {action['mode']}): {action['reason']}")
        if action["mode"] == "dry-run":
            lines.append("`synguard respond enforce` would do such things from then on")
    # The same sentence twice tells nothing more.
    if alert["decision"] and (action is None or alert["decision"] != action["reason"]):
        lines.append(alert["decision"] if action else f"nothing was done: {alert['decision']}")
    return "\n".join(prose(line, indent=2, hanging=4) for line in lines or ["nothing was done"])


def _counts(alert: Mapping[str, Any]) -> str:
    counts = [f"{words} {figure(alert[name])}" for name, words in _COUNTS.items()]
    counts += [
        f"half-open {percent(alert['half_open_ratio'])}",
        f"peak {figure(alert['peak_syn_per_s'])} SYN/s",
    ]
    return ", ".join(counts)


def _timeline(alert: Mapping[str, Any]) -> Iterator[str]:
    changes = alert.get("timeline") or []
    if not changes:
        return
    left_out = len(changes) - SHOWN_CHANGES
    heading = "Timeline"
    if left_out > 0:
        heading = f"Timeline ({left_out} earlier changes: --format json)"
    rows = [
        (
            f"+{duration(seconds_between(alert['started_at'], one['at']))}",
            one["what"],
            _change(one),
            one["because"],
        )
        for one in changes[-SHOWN_CHANGES:]
    ]
    yield f"{heading}\n{table(('>AFTER', 'WHAT', 'CHANGE', 'BECAUSE'), rows, indent=2)}"


def _change(change: Mapping[str, Any]) -> str:
    before, after = (change[name] or "-" for name in ("before", "after"))
    return after if change["before"] is None else f"{before} → {after}"


def _top_sources(sources: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (one["source"], figure(one["attempts"]), figure(one["completed"])) for one in sources[:SHOWN_SOURCES]
    ]
    shown = table(("SOURCE", ">ATTEMPTS", ">COMPLETED"), rows, indent=2)
    more = len(sources) - SHOWN_SOURCES
    return shown if more <= 0 else f"{shown}\n  and {more} more: --format json"

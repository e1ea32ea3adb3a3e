"""``synguard explain``: why an alert was raised, and why this was done about it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from synguard.cli.lifetime import Lifetime, figures, lifetime, most_columns, responses, timeline
from synguard.cli.options import (
    format_option,
    reading_options,
    settings_for,
)
from synguard.cli.output import prose, table, write, write_json
from synguard.cli.reading import alert_reading
from synguard.errors import SynguardError
from synguard.telling.figures import figure, moment, percent
from synguard.telling.measures import UNSEEN, evidence_value, measurement_cells
from synguard.telling.reasoning import reasoning
from synguard.telling.responses import done, further
from synguard.telling.sparkline import MOST_COLUMNS
from synguard.telling.wording import evidence_by_name, is_blind, lasted, what

#: Changes and sources that are shown; the JSON has all.
SHOWN = (12, 5)
#: On a terminal with no more lines than these, so few are shown that the whole fits, as far as it can.
SCREEN_LINES = 50
SHOWN_ON_A_SCREEN = (SHOWN, (8, 5), (8, 3), (5, 3), (5, 2), (3, 2), (2, 1))
SHOWN_LISTENERS = 5

_COUNTS = {
    "attempts": "attempts",
    "answered": "answered",
    "completed": "completed",
    "aborted": "aborted",
    "refused": "refused",
    "dropped_by_us": "dropped by us",
}
_UNSAID_IF_NONE = ("aborted", "refused", "dropped_by_us")
#: Columns of a fact's name, with the blanks around it.
_FACT_COLUMNS = 12


@click.command("explain")
@click.argument("alert_id", metavar="ID", type=click.IntRange(min=1))
@format_option("text", "json")
@reading_options
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
    reading = alert_reading(settings, offline=offline or database is not None, is_named=socket is not None)
    alert = reading.get(alert_id)
    if alert is None:
        raise SynguardError(f"there is no alert {alert_id}: `synguard alerts` lists those there are")
    why = reasoning(alert)
    most_steps = MOST_COLUMNS if output_format == "json" else most_columns()
    life = lifetime(reading, alert, time.time(), most_steps)
    if output_format == "json":
        write_json({**alert, "reasoning": why, "series": life.series, "responses": life.responses})
    else:
        write(_text(alert, why, life, local=local))


def _text(alert: Mapping[str, Any], why: Mapping[str, Any], life: Lifetime, *, local: bool) -> str:
    """Return the whole story; on a terminal the longest that fits one screen."""
    lines = max(shutil.get_terminal_size().lines - 1, SCREEN_LINES)
    text = ""
    for shown in SHOWN_ON_A_SCREEN if sys.stdout.isatty() else (SHOWN,):
        text = "\n\n".join(_sections(alert, why, life, shown, local=local))
        if text.count("\n") < lines:
            break
    return text


def _sections(
    alert: Mapping[str, Any], why: Mapping[str, Any], life: Lifetime, shown: tuple[int, int], *, local: bool
) -> Iterator[str]:
    changes, sources = shown
    yield "\n".join(prose(text) for text in (_title(alert), why["summary"], why["meaning"]) if text)
    yield _facts(_place_and_time(alert, why, local=local))
    if not is_blind(alert):
        yield figures(alert, life, prose(_counts(alert), indent=2), local=local)
    if is_blind(alert):
        yield "What is not seen\n" + _unseen(alert, local=local)
    if why["measurements"]:
        yield f"{prose(_observed(why['window']))}\n{_measurements(why['measurements'])}"
    if is_blind(alert):
        yield from timeline(alert, changes)
        return
    if why["evidence"]:
        yield f"{prose(_evidence_heading(why['belief']))}\n{_evidence(why['evidence'])}"
    if why["impact"]:
        yield "\n".join(filter(None, [f"Impact\n{prose(why['impact'], indent=2)}", _impact(why)]))
    action = _action(alert, is_ended=bool(life.responses), local=local)
    yield "\n".join(["Action", action, *responses(alert, life, local=local)])
    yield from timeline(alert, changes)
    if alert["top_sources"]:
        yield "Top sources (as observed; they may be spoofed)\n" + _top_sources(alert["top_sources"], sources)


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
    started, ended = (moment(alert[name], local=local) for name in ("started_at", "ended_at"))
    open_or_ended = "and open still" if alert["ended_at"] is None else f"ended {ended}, after {lasted(alert)}"
    yield "started", f"{started}, {open_or_ended}"
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
    return _facts((title, found[name]) for name, title in UNSEEN.items() if name in found)


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
    rows = [measurement_cells(one, missing="-") for one in measurements]
    headings = ("WHAT", ">OBSERVED", ">THRESHOLD", ">TIMES", ">USUAL", ">TIMES USUAL")
    shown = [i for i in range(len(headings)) if i < 2 or any(row[i] != "-" for row in rows)]
    return table([headings[i] for i in shown], [[row[i] for i in shown] for row in rows], indent=2)


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
        return one["words"], evidence_value(one), f"{one['weight']:.2f}"

    return table(("WHAT", ">VALUE", ">WEIGHT"), map(cells, evidence), indent=2)


def _impact(why: Mapping[str, Any]) -> str:
    return _measurements(why["impact_measurements"]) if why["impact_measurements"] else ""


def _action(alert: Mapping[str, Any], *, is_ended: bool, local: bool) -> str:
    """Say what is, or would be, done and why; with ``is_ended`` something was, if nothing is any more."""
    lines, nothing = [], "nothing is done any more" if is_ended else "nothing was done"
    action = alert["action"]
    if action is not None:
        until = f" until {moment(action['until'], local=local)}" if action["until"] else ""
        lines.append(f"{done(action)}{until} (mode {action['mode']}): {action['reason']}")
        if action["mode"] == "dry-run":
            lines.append("`synguard respond enforce` would do such things from then on")
    if (more := further(alert)) is not None:
        lines.append(more if action else f"{nothing}: {more}")
    return "\n".join(prose(line, indent=2, hanging=4) for line in lines or [nothing])


def _counts(alert: Mapping[str, Any]) -> str:
    told = {name: words for name, words in _COUNTS.items() if alert[name] or name not in _UNSAID_IF_NONE}
    counts = [f"{words} {figure(alert[name])}" for name, words in told.items()]
    counts += [
        f"half-open {percent(alert['half_open_ratio'])}",
        f"peak {figure(alert['peak_syn_per_s'])} SYN/s",
    ]
    return ", ".join(counts)


def _top_sources(sources: Sequence[Mapping[str, Any]], most: int) -> str:
    rows = [(one["source"], figure(one["attempts"]), figure(one["completed"])) for one in sources[:most]]
    shown = table(("SOURCE", ">ATTEMPTS", ">COMPLETED"), rows, indent=2)
    more = len(sources) - most
    return shown if more <= 0 else f"{shown}\n  and {more} more: --format json"

"""An alert's life for ``synguard explain``: what came and was completed meanwhile, and what was done."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synguard.cli.output import prose, table
from synguard.errors import SynguardError
from synguard.history.questions import RUN_HEARD_WITHIN_S, HistoryReading
from synguard.history.records import time_from_json
from synguard.telling import sparkline
from synguard.telling.figures import duration, figure, moment, seconds_between
from synguard.telling.responses import cell
from synguard.telling.wording import is_blind

Row = Mapping[str, Any]

#: What came just now may not be written yet, and of a daemon that is killed it never is.
UNWRITTEN_S = 2.0
#: What fits on one screen; the JSON has all.
SHOWN_RESPONSES = 4
#: Columns that a line's label takes beside it.
_LABEL_COLUMNS = 34
#: What is shown, in words and by the figure's name; of probes, where an alert is about those.
_FIGURES = (("attempts", "attempts"), ("completed", "completed"))
_PROBES = {name: ((f"{name.upper()} probes", f"{name}_probes"),) for name in ("fin", "null", "xmas")}


@dataclass(frozen=True, slots=True)
class Lifetime:
    """What the history tells of an alert's life; empty where it tells nothing, or cannot be asked."""

    window: sparkline.Window
    #: ``{at, step_s, attempts, completed, ...}``, of the alert's listeners, else of all that came.
    series: Sequence[Row] = ()
    #: In which the daemon looked, seconds since the Unix epoch.
    seen: Sequence[sparkline.Span] = ()
    responses: Sequence[Row] = ()


def lifetime(reading: HistoryReading, alert: Row, now_s: float, most_steps: int) -> Lifetime:
    """Ask for what came during an alert's life, in so many steps at most, and for the responses to it.

    An earlier daemon and an earlier history have none of it: then nothing is told.
    """
    started_s = time_from_json(alert["started_at"])
    ended_s = None if alert["ended_at"] is None else time_from_json(alert["ended_at"])
    window = sparkline.window(started_s, ended_s, max(now_s - UNWRITTEN_S, started_s), most_steps)
    try:
        responses = reading.responses(started_s - 1.0, now_s, alert["id"])
        series = () if is_blind(alert) else _series(reading, alert, window)
        seen = [_span(run, now_s) for run in reading.runs(window.since_s, now_s)] if series else ()
    except SynguardError:
        return Lifetime(window)
    return Lifetime(sparkline.widened(window, series), series, seen, responses)


def _series(reading: HistoryReading, alert: Row, window: sparkline.Window) -> Sequence[Row]:
    steps = (window.until_s - window.since_s) // window.column_s
    if steps < sparkline.LEAST_COLUMNS:
        return ()
    listeners = _listeners(alert)
    if listeners:
        return reading.listener_series(listeners, window.since_s, window.until_s, steps)
    return reading.totals(window.since_s, window.until_s, steps)


def _listeners(alert: Row) -> list[str]:
    return alert.get("listeners") or list(filter(None, [alert["listener"]]))


def _span(run: Row, now_s: float) -> sparkline.Span:
    if run["ended_at"]:
        lost_s = UNWRITTEN_S if run["ended_because"] == "interrupted" else 0.0
        return time_from_json(run["started_at"]), time_from_json(run["ended_at"]) - lost_s
    last_s = time_from_json(run["last_seen_at"])
    return time_from_json(run["started_at"]), now_s if now_s - last_s < RUN_HEARD_WITHIN_S else last_s


def most_columns() -> int:
    """Return how many steps a line has room for, on the terminal if there is one."""
    if not sys.stdout.isatty():
        return sparkline.MOST_COLUMNS
    return max(min(sparkline.MOST_COLUMNS, shutil.get_terminal_size().columns - _LABEL_COLUMNS), 10)


def figures(alert: Row, life: Lifetime, counts: str, *, local: bool) -> str:
    """Return the section of what came, in all and, if that is known, over time."""
    names = _FIGURES if _listeners(alert) else _PROBES.get(alert["class"], _FIGURES)
    levels = sparkline.BLOCKS if _can_write(sparkline.BLOCKS) else sparkline.ASCII
    found = [
        sparkline.line(words, life.series, name, life.window, life.seen, levels=levels)
        for words, name in names
    ]
    lines = [one for one in found if one is not None]
    if not lines:
        return f"Since it opened\n{counts}"
    where = "to its listeners" if _listeners(alert) else "from anywhere"
    heading = f"Since it opened, and all that came {where}, {sparkline.heading(life.window)}"
    begin, end = (moment(sparkline.iso(at_s), local=local) for at_s in life.window[:2])
    told = sparkline.captioned(lines, life.window, (begin, end))
    return "\n".join([prose(heading), counts, *(f"  {one}".rstrip() for one in told)])


def responses(alert: Row, life: Lifetime, *, local: bool) -> Iterator[str]:
    """Yield the responses taken and ended, below the alert's last action, if they tell more than that."""
    taken = life.responses
    if not any(one["ended_at"] or one["hits"] is not None for one in taken) and len(taken) < 2:
        return
    rows = [
        (
            f"+{duration(seconds_between(alert['started_at'], one['started_at']))}",
            cell(one),
            one["target"],
            moment(one["until"], local=local),
            _ended(one),
            figure(one["hits"]),
        )
        for one in taken[-SHOWN_RESPONSES:]
    ]
    left_out = len(taken) - SHOWN_RESPONSES
    yield table((">AFTER", "RESPONSE", "TARGET", "UNTIL", "ENDED", ">SYNS CAUGHT"), rows, indent=2)
    if left_out > 0:
        yield f"  and {left_out} earlier ones: --format json"


def _ended(response: Row) -> str:
    if response["ended_at"] is None:
        return "in force"
    after = duration(seconds_between(response["started_at"], response["ended_at"]))
    because = f": {response['ended_because']}" if response["ended_because"] else ""
    return f"after {after}{because}"


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def timeline(alert: Row, most: int) -> Iterator[str]:
    """Yield the section of the last changes, if there are any."""
    changes = alert.get("timeline") or []
    if not changes:
        return
    left_out = len(changes) - most
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
        for one in changes[-most:]
    ]
    yield f"{heading}\n{table(('>AFTER', 'WHAT', 'CHANGE', 'BECAUSE'), rows, indent=2)}"


def _change(change: Row) -> str:
    before, after = (change[name] or "-" for name in ("before", "after"))
    return after if change["before"] is None else f"{before} → {after}"

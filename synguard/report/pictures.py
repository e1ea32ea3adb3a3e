"""What the plots of a report show, before anybody draws it; of the history's texts none gets into a plot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from synguard.history.records import time_from_json
from synguard.model import AlertKind, RespondMode, Severity
from synguard.report.asking import AlertFacts, PeriodFacts, Span, life, watched
from synguard.report.curves import Curve, Steps, curve, gaps, is_known, share_curve
from synguard.telling.figures import figure
from synguard.telling.wording import is_blind

#: Lanes of a period's alerts, the most severe above.
_SEVERITIES = tuple(severity.value for severity in reversed(Severity))
#: Impacts, as they are written over a band; others are called other.
_IMPACTS = {
    "none": "none",
    "cookies": "cookies",
    "dropping": "dropping",
    "accept-queue-full": "accept queue full",
    "unknown": "unknown",
}
_RESPONSES = ("drop", "greylist", "cookie", "block")
#: What of a timeline is marked in the plots; what changes else, the table tells.
_MARKED = ("state", "class", "source", "impact", "response", "silence")
MOST_BANDS = 200


class Line(NamedTuple):
    """One line of a panel; its name is its look's, too."""

    label: str
    curve: Curve
    look: str


class Panel(NamedTuple):
    """A pair of axes that has the picture's time for its abscissa."""

    title: str
    lines: tuple[Line, ...]
    #: The highest ordinate at least, so that next to nothing does not look like much.
    least_top: float = 1.0
    as_percent: bool = False


class Band(NamedTuple):
    """A time in a lane, with one word on it."""

    span: Span
    look: str
    text: str = ""


class Lane(NamedTuple):
    """What lasted from when to when."""

    label: str
    bands: tuple[Band, ...]


class Mark(NamedTuple):
    """A moment, and the number by which the timeline's table tells of it."""

    at_s: float
    number: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Panels and lanes over one time."""

    #: Sets it apart from the page's other ones: letters, digits and dashes.
    key: str
    #: What it shows, in one sentence for those who do not see it.
    description: str
    shown: Span
    panels: tuple[Panel, ...]
    lanes: tuple[Lane, ...] = ()
    marks: tuple[Mark, ...] = ()


def alert_picture(facts: AlertFacts) -> Picture | None:
    """Return what an alert's time looked like, or None where no figures were kept."""
    if not facts.steps:
        return None
    panels = tuple(_alert_panels(facts))
    whose = "at its listeners" if facts.of_listeners else "in all"
    highest = panels[0].lines[0].curve.highest
    return Picture(
        key=f"alert-{facts.alert['id']}",
        description=(
            f"Alert {facts.alert['id']} over time: attempts per second {whose}, at most {figure(highest)}; "
            "connections completed, SYNs dropped, impact and responses. The tables below tell the same."
        ),
        shown=facts.shown,
        panels=panels,
        lanes=tuple(_alert_lanes(facts)),
        marks=tuple(marks(facts.alert)),
    )


def period_picture(facts: PeriodFacts) -> Picture | None:
    """Return what a period looked like, or None where no figures were kept."""
    if not facts.totals:
        return None
    guarded = watched(facts.runs, facts.asked_at_s)
    coming = _coming(facts.totals, facts.period, guarded, with_peak=True)
    panels = [Panel("Attempts per second", coming)]
    if completed := _line("completed", "completed", facts.totals, facts.period, guarded):
        panels.append(Panel("Connections completed per second", (completed,)))
    return Picture(
        key="period",
        description=(
            f"The period over time: attempts per second, at most {figure(coming[0].curve.highest)}; "
            "connections completed, alerts by severity, and when synguard ran. The tables tell the same."
        ),
        shown=facts.period,
        panels=tuple(panels),
        lanes=(*_severity_lanes(facts), _guarded_lane(facts.period, guarded)),
    )


def marks(alert: Mapping[str, Any]) -> Iterator[Mark]:
    """Yield those changes of an alert's timeline that are marked, by their place from 1."""
    for number, change in enumerate(alert["timeline"], start=1):
        if change["what"] in _MARKED:
            yield Mark(time_from_json(change["at"]), number)


def _alert_panels(facts: AlertFacts) -> Iterator[Panel]:
    shown, steps = facts.shown, facts.steps
    guarded = watched(facts.runs, facts.asked_at_s)
    where = "" if facts.of_listeners else ", in all"
    yield Panel(f"Attempts per second{where}", _coming(steps, shown, guarded))
    if completed := _line("completed", "completed", steps, shown, guarded):
        yield Panel(
            "Connections completed per second" if not where else "Completed per second, in all", (completed,)
        )
    kernel = filter(
        None,
        (
            _line("SYN cookies sent", "kernel_cookies", facts.totals, shown, guarded),
            _line("SYNs dropped", "kernel_drops", facts.totals, shown, guarded),
        ),
    )
    if told := tuple(line for line in kernel if line.curve.highest):
        yield Panel("The kernel, whole machine, per second", told)
    if facts.of_listeners and (queues := tuple(_queues(steps, shown))):
        yield Panel("Queues, share filled", queues, as_percent=True)


def _coming(
    steps: Steps, shown: Span, guarded: Sequence[Span], *, with_peak: bool = False
) -> tuple[Line, ...]:
    attempts = Line("attempts", curve(steps, "attempts", shown, guarded), "attempts")
    peak = Line("busiest second", curve(steps, "peak_attempts_per_s", shown, guarded, per_s=False), "busiest")
    label = "dropped" if with_peak else "dropped by synguard"
    dropped = Line(label, curve(steps, "dropped_by_us", shown, guarded), "dropped")
    is_coarse = with_peak and any(step["step_s"] > 1 for step in steps)
    return (
        *([peak] if is_coarse else ()),
        attempts,
        *([dropped] if dropped.curve.highest else ()),
    )


def _line(label: str, name: str, steps: Steps, shown: Span, guarded: Sequence[Span]) -> Line | None:
    if not is_known(steps, name):
        return None
    return Line(label, curve(steps, name, shown, guarded), name)


def _queues(steps: Steps, shown: Span) -> Iterator[Line]:
    for label, name in (("SYN queue", "syn_queue"), ("accept queue", "accept_queue")):
        line = Line(label, share_curve(steps, name, f"{name}_limit", shown), name)
        if line.curve.highest is not None:
            yield line


def _alert_lanes(facts: AlertFacts) -> Iterator[Lane]:
    alert = facts.alert
    severity = alert["severity"] if alert["severity"] in _SEVERITIES else "info"
    yield Lane("alert", (Band(facts.life, f"severity-{severity}", severity),))
    # For a scan nobody asks the queues.
    if not is_blind(alert) and alert["kind"] != AlertKind.SCAN:
        yield Lane("impact", tuple(_impacts(facts)))
    if facts.responses:
        yield Lane("response", tuple(_responses(facts)))
    yield _guarded_lane(facts.shown, watched(facts.runs, facts.asked_at_s))


def _impacts(facts: AlertFacts) -> Iterator[Band]:
    """Return one band from each change of the impact to the next."""
    changes = [one for one in facts.alert["timeline"] if one["what"] == "impact"]
    began_s, until_s = facts.life
    impact = changes[0]["before"] if changes else facts.alert["impact"]
    for change in changes:
        at_s = time_from_json(change["at"])
        yield _impact(Span(began_s, at_s), impact)
        began_s, impact = at_s, change["after"]
    yield _impact(Span(began_s, until_s), impact)


def _impact(span: Span, impact: str | None) -> Band:
    known = impact if impact in _IMPACTS else "unknown"
    return Band(span, f"impact-{known}", _IMPACTS[known])


def _responses(facts: AlertFacts) -> Iterator[Band]:
    for response in facts.responses[:MOST_BANDS]:
        ended = response["ended_at"]
        until_s = facts.asked_at_s if ended is None else time_from_json(ended)
        name = response["response"] if response["response"] in _RESPONSES else "other"
        is_real = response["mode"] == RespondMode.ENFORCE
        yield Band(
            Span(time_from_json(response["started_at"]), until_s),
            "enforced" if is_real else "dry-run",
            name if is_real else f"{name} (dry run)",
        )


def _severity_lanes(facts: PeriodFacts) -> Iterator[Lane]:
    for severity in _SEVERITIES:
        these = [one for one in facts.alerts if one["severity"] == severity]
        if these:
            bands = (Band(life(one, facts.asked_at_s), f"severity-{severity}") for one in these)
            yield Lane(severity, tuple(bands))


def _guarded_lane(shown: Span, guarded: Iterable[Span]) -> Lane:
    """Return when the daemon ran, and when nothing was guarded."""
    spans = list(guarded)
    ran = (Band(span, "guarded") for span in spans[:MOST_BANDS])
    not_run = (Band(span, "unguarded", "not guarded") for span in gaps(shown, spans)[:MOST_BANDS])
    return Lane("guarded", (*ran, *not_run))

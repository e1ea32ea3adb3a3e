"""What a report asks the history for, and no more of it than fits a page, whatever the history holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from synguard.endpoint import Listener
from synguard.history.filter import AlertFilter
from synguard.history.questions import RUN_HEARD_WITHIN_S, HistoryReading, Rows
from synguard.history.records import time_from_json
from synguard.model import AlertKind, Severity
from synguard.telling.wording import is_blind

#: Steps of a plot: more than that no screen shows.
MOST_STEPS = 500
#: Alerts that a report on a period considers, the most severe first.
MOST_ALERTS = 300
#: Of those, the ones that get a section of their own.
MOST_SECTIONS = 20
#: Alerts of kind blind that an alert's report names.
MOST_BLIND = 20
MOST_LISTENERS = 100
MARGIN_LEAST_S, MARGIN_MOST_S = 30.0, 3600.0
#: What is shown around an alert, as a share of its life.
MARGIN_SHARE = 0.15
_SEVERITIES = tuple(severity.value for severity in Severity)


class Span(NamedTuple):
    """A time, from one moment to another; seconds since the Unix epoch."""

    since_s: float
    until_s: float

    @property
    def length_s(self) -> float:
        """Return its length in seconds."""
        return self.until_s - self.since_s


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """One alert, and what is known of its time."""

    alert: Mapping[str, Any]
    #: What the plots show: the alert's life and some time around it.
    shown: Span
    #: When the history was asked; seconds since the Unix epoch.
    asked_at_s: float
    #: What came to its listeners, or all that came in where it names none, or nothing of theirs is kept.
    steps: Rows
    #: Whether ``steps`` is what came to its listeners alone.
    of_listeners: bool
    #: All that came in, with what the kernel did.
    totals: Rows
    responses: Rows
    #: The daemon's runs in that time, oldest first.
    runs: Rows
    #: What was not seen in that time: other alerts of kind blind.
    blind: Rows

    @property
    def heard_until_s(self) -> float:
        """Return until when a daemon told of it: until now where one runs, or none is on record."""
        return heard_until_s(self.runs, self.asked_at_s)

    @property
    def goes_on(self) -> bool:
        """Tell whether it goes on as far as is known; of a daemon that is gone nobody closes the alerts."""
        return self.alert["ended_at"] is None and self.heard_until_s >= self.asked_at_s

    @property
    def life(self) -> Span:
        """Return the alert's life; one that is open lasts until a daemon was heard of last."""
        return life(self.alert, self.heard_until_s)


@dataclass(frozen=True, slots=True)
class PeriodFacts:
    """What happened in a period."""

    period: Span
    asked_at_s: float
    #: The most severe first, and of equals the fiercest; at most ``MOST_ALERTS``.
    alerts: Rows
    #: Whether there are more than those.
    are_more: bool
    totals: Rows
    runs: Rows
    #: The worst, with all that is known of each.
    worst: tuple[AlertFacts, ...]


def alert_facts(reading: HistoryReading, alert: Mapping[str, Any], now_s: float) -> AlertFacts:
    """Ask for everything that belongs to an alert. Raises SynguardError when that cannot be asked."""
    shown = _shown(life(alert, now_s), now_s)
    totals = reading.totals(*shown, MOST_STEPS)
    listeners = plotted_listeners(alert)
    steps = reading.listener_series(listeners, *shown, MOST_STEPS) if listeners else []
    blind = AlertFilter(
        since_s=shown.since_s, until_s=shown.until_s, kind=AlertKind.BLIND.value, limit=MOST_BLIND
    )
    return AlertFacts(
        alert=alert,
        shown=shown,
        asked_at_s=now_s,
        steps=steps or totals,
        of_listeners=bool(steps),
        totals=totals,
        responses=reading.responses(*shown, alert["id"]),
        runs=reading.runs(*shown),
        blind=[one for one in reading.find(blind) if one["id"] != alert["id"]],
    )


def period_facts(reading: HistoryReading, period: Span, now_s: float) -> PeriodFacts:
    """Ask for everything that a period's report shows. Raises SynguardError when that cannot be asked."""
    worst_first = AlertFilter(
        since_s=period.since_s, until_s=period.until_s, sort="-severity", limit=MOST_ALERTS + 1
    )
    alerts = reading.find(worst_first)
    are_more = len(alerts) > MOST_ALERTS
    alerts = sorted(alerts[:MOST_ALERTS], key=_badness, reverse=True)
    return PeriodFacts(
        period=period,
        asked_at_s=now_s,
        alerts=alerts,
        are_more=are_more,
        totals=reading.totals(*period, MOST_STEPS),
        runs=reading.runs(*period),
        worst=tuple(alert_facts(reading, alert, now_s) for alert in alerts[:MOST_SECTIONS]),
    )


def plotted_listeners(alert: Mapping[str, Any]) -> list[str]:
    """Return the listeners whose figures tell of an alert; none where it is not about listeners."""
    if is_blind(alert):
        return []
    names = alert.get("listeners") or filter(None, [alert["listener"]])
    return [name for name in names if _is_listener(name)][:MOST_LISTENERS]


def life(alert: Mapping[str, Any], now_s: float) -> Span:
    """Return from when to when an alert lasted; one that is open lasts until ``now_s``."""
    since_s = time_from_json(alert["started_at"])
    ended = alert["ended_at"]
    return Span(since_s, max(since_s, now_s if ended is None else time_from_json(ended)))


def watched(runs: Iterable[Mapping[str, Any]], now_s: float) -> list[Span]:
    """Return when the daemon ran; a run without an end goes on, if it was heard of lately."""
    spans = []
    for run in runs:
        last_s = time_from_json(run["last_seen_at"])
        if run["ended_at"] is not None:
            last_s = time_from_json(run["ended_at"])
        elif now_s - last_s < RUN_HEARD_WITHIN_S:
            last_s = now_s
        spans.append(Span(time_from_json(run["started_at"]), last_s))
    return spans


def heard_until_s(runs: Iterable[Mapping[str, Any]], now_s: float) -> float:
    """Return when the last of the runs was heard of last; ``now_s`` where one goes on, or there is none."""
    return max((span.until_s for span in watched(runs, now_s)), default=now_s)


def _badness(alert: Mapping[str, Any]) -> tuple[int, float]:
    """Return what orders alerts: by severity, and among equals by their busiest second."""
    rank = _SEVERITIES.index(alert["severity"]) if alert["severity"] in _SEVERITIES else -1
    return rank, alert["peak_syn_per_s"]


def _shown(alive: Span, now_s: float) -> Span:
    margin_s = min(max(MARGIN_SHARE * alive.length_s, MARGIN_LEAST_S), MARGIN_MOST_S)
    until_s = max(min(alive.until_s + margin_s, now_s), alive.until_s)
    return Span(alive.since_s - margin_s, until_s)


def _is_listener(text: str) -> bool:
    try:
        Listener.parse(text)
    except ValueError:
        return False
    return True

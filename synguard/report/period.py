"""A period's report: how much came, which alerts there were, on whom and by whom; the worst in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synguard.model import AlertClass, AlertState, Severity
from synguard.report.alert import SOURCES_NOTE, anchor
from synguard.report.asking import MOST_ALERTS, PeriodFacts, heard_until_s, watched
from synguard.report.curves import gaps, total
from synguard.report.document import Cell, Link, Table, Tile, table
from synguard.report.words import clock, clock_heading, known, long, share, when_s
from synguard.telling.reasoning import reasoning
from synguard.telling.wording import by_whom, is_blind, lasted, on_whom, what

TOP_ROWS = 20
#: A smaller share (0..1) is not written in figures.
_LITTLE = 0.001
_WORST_FIRST = tuple(severity.value for severity in reversed(Severity))


def summary(facts: PeriodFacts) -> Iterator[str]:
    """Yield what matters, in sentences."""
    alerts = facts.alerts
    if not alerts:
        yield "Nothing was raised in this time."
        return
    severities = Counter(alert["severity"] for alert in alerts)
    told = ", ".join(f"{severities[one]} {one}" for one in _WORST_FIRST if severities[one])
    if facts.are_more:
        yield f"More than {MOST_ALERTS} alerts; of the {MOST_ALERTS} most severe {told}."
    else:
        yield f"{len(alerts)} alert{'s' if len(alerts) > 1 else ''}: {told}."
    is_heard = heard_until_s(facts.runs, facts.asked_at_s) >= facts.asked_at_s
    still = sum(is_heard and alert["state"] == AlertState.OPEN for alert in alerts)
    if len(alerts) == 1:
        yield f"{reasoning(alerts[0])['summary']}{' It still goes on.' if still else ''}"
        return
    if still:
        yield f"{still} of them still go on." if still > 1 else "One of them still goes on."
    yield f"The worst: {reasoning(alerts[0])['summary']}"
    if facts.are_more:
        yield (
            f"This page considers the {MOST_ALERTS} most severe alerts and no others; "
            "`synguard alerts` lists all, and a shorter time fits whole."
        )


def tiles(facts: PeriodFacts) -> Iterator[Tile]:
    """Yield the key figures."""
    most = f"more than {MOST_ALERTS}" if facts.are_more else known(len(facts.alerts))
    yield Tile("Alerts", most)
    yield Tile("Attempts", known(total(facts.totals, "attempts")), "in all")
    peaks = [step["peak_attempts_per_s"] for step in facts.totals]
    yield Tile("Busiest second", known(max(peaks, default=None)), "attempts")
    yield Tile("Completed", known(total(facts.totals, "completed")), "handshakes")
    yield Tile("Dropped by synguard", known(total(facts.totals, "dropped_by_us")), "SYNs")
    if facts.runs:
        unwatched_s = sum(gap.length_s for gap in gaps(facts.period, watched(facts.runs, facts.asked_at_s)))
        guarded = 1 - unwatched_s / facts.period.length_s
        is_little = 0 < guarded < _LITTLE
        yield Tile("Guarded", f"under {share(_LITTLE)}" if is_little else share(guarded), "of the time")
    else:
        yield Tile("Guarded", known(None), "no run on record")


def tables(facts: PeriodFacts, *, local: bool) -> Iterator[Table]:
    """Yield the tables over all alerts."""
    if not facts.alerts:
        return
    yield _alerts(facts, local=local)
    among = f" Counted are the {MOST_ALERTS} most severe alerts." if facts.are_more else ""
    yield from _top_listeners(facts.alerts, among)
    yield from _top_sources(facts.alerts, among)


def _alerts(facts: PeriodFacts, *, local: bool) -> Table:
    in_full = {one.alert["id"] for one in facts.worst}
    notes = []
    if len(in_full) < len(facts.alerts):
        rest = len(facts.alerts) - len(in_full)
        notes.append(
            f"The {len(in_full)} most severe are told in full below; {rest} more are in this table alone: "
            "`synguard report ID` tells of each."
        )
    if facts.are_more:
        notes.append(f"More than {MOST_ALERTS} there were: the less severe ones are left out.")
    headings = (
        "Alert", clock_heading("Began", local=local), ">Lasted", "Severity", "What", "Listener", "Source",
        ">Attempts", ">Peak SYN/s", "Impact",
    )  # fmt: skip
    rows = (_alert_row(one, has_section=one["id"] in in_full, local=local) for one in facts.alerts)
    return table("Alerts, the most severe first", headings, rows, notes, anchor="alerts")


def _alert_row(alert: Mapping[str, Any], *, has_section: bool, local: bool) -> tuple[Cell, ...]:
    number = str(alert["id"])
    unrated = is_blind(alert)
    return (
        Link(number, anchor(alert)) if has_section else number,
        clock(alert["started_at"], local=local),
        lasted(alert),
        alert["severity"],
        what(alert),
        on_whom(alert) or "",
        by_whom(alert) or "",
        "" if unrated else known(alert["attempts"]),
        "" if unrated else known(alert["peak_syn_per_s"]),
        "" if unrated else alert["impact"],
    )


def _top_listeners(alerts: Sequence[Mapping[str, Any]], among: str) -> Iterator[Table]:
    counts: Counter[str] = Counter()
    peaks: dict[str, float] = {}
    for alert in alerts:
        for name in alert.get("listeners") or filter(None, [alert["listener"]]):
            counts[name] += 1
            peaks[name] = max(peaks.get(name, 0.0), alert["peak_syn_per_s"])
    if counts:
        rows = [(name, known(count), known(peaks[name])) for name, count in counts.most_common(TOP_ROWS)]
        note = f"The peak is that of an alert, which may be on several listeners.{among}"
        yield table("Listeners hit most often", ("Listener", ">Alerts", ">Highest peak, SYN/s"), rows, [note])


def _top_sources(alerts: Sequence[Mapping[str, Any]], among: str) -> Iterator[Table]:
    in_alerts: Counter[str] = Counter()
    forged: Counter[str] = Counter()
    attempts: Counter[str] = Counter()
    completed: dict[str, int] = {}
    for alert in alerts:
        for one in alert["top_sources"]:
            name = one["source"]
            in_alerts[name] += 1
            forged[name] += alert["class"] == AlertClass.SPOOFED
            attempts[name] += one["attempts"]
            completed[name] = completed.get(name, 0) + (one["completed"] or 0)
    if not in_alerts:
        return
    rows = [
        (name, known(in_alerts[name]), known(forged[name]), known(count), known(completed[name]))
        for name, count in attempts.most_common(TOP_ROWS)
    ]
    headings = ("Source", ">Alerts", ">Of them spoofed", ">Attempts", ">Completed")
    yield table("Sources with most attempts in alerts", headings, rows, [SOURCES_NOTE + among])


def heading(facts: PeriodFacts, *, local: bool) -> str:
    """Return from when to when, and how long."""
    since, until = (when_s(moment_s, local=local) for moment_s in facts.period)
    return f"{since} to {until} ({long(facts.period.length_s)})"

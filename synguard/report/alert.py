"""An alert's section of a report: headline, key figures, what was done, and the tables that bear it out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synguard.model import AlertKind
from synguard.report.asking import MOST_LISTENERS, AlertFacts, plotted_listeners
from synguard.report.document import AlertSection, Plot, Table, Tile, table
from synguard.report.provider import provider_lines
from synguard.report.words import (
    clock,
    clock_heading,
    known,
    long,
    sentence,
    share,
    weight,
    when,
    when_s,
)
from synguard.telling.figures import duration, seconds_between
from synguard.telling.measures import UNSEEN, evidence_value, measurement_cells
from synguard.telling.reasoning import reasoning
from synguard.telling.responses import cell, done, further
from synguard.telling.story import where
from synguard.telling.wording import evidence_by_name, is_blind, what

MOST_SOURCES = 50
#: In a section of a period's report.
FEWER_SOURCES = 10
MOST_RESPONSES = 100
SOURCES_NOTE = (
    "Sources are as observed, and may be spoofed: whoever sends a SYN can write any address into it. Before "
    "blocking one, make sure that it is not somebody else's."
)
NO_FIGURES = (
    "No figures over time are kept for this time, so there is no plot: an earlier release kept none, or they "
    "have gone by age or size."
)


def anchor(alert: Mapping[str, Any]) -> str:
    """Return the name of an alert's place on the page."""
    return f"alert-{int(alert['id'])}"


def title(alert: Mapping[str, Any]) -> str:
    """Return ``Alert 23: syn-flood spoofed``."""
    return f"Alert {alert['id']}: {what(alert)}"


def alert_section(facts: AlertFacts, plot: Plot | None, *, local: bool, is_whole: bool) -> AlertSection:
    """Return the section; ``is_whole`` where it is the page's only one, and has room for everything."""
    alert, why = facts.alert, reasoning(facts.alert)
    return AlertSection(
        anchor=anchor(alert),
        title=title(alert),
        severity=alert["severity"],
        facts=tuple(_facts(facts, local=local)),
        summary=why["summary"],
        meaning=why["meaning"] or "",
        tiles=tuple(_tiles(facts, why)),
        plot=plot,
        plot_notes=tuple(_plot_notes(facts, plot)),
        done=tuple(_done(facts, local=local)),
        provider=provider_lines(facts),
        tables=tuple(_tables(facts, why, local=local, is_whole=is_whole)),
    )


def _facts(facts: AlertFacts, *, local: bool) -> Iterator[str]:
    alert = facts.alert
    yield f"severity {alert['severity']}"
    if facts.goes_on:
        yield f"began {when(alert['started_at'], local=local)}, still going on"
    elif alert["ended_at"] is None:
        began, heard = when(alert["started_at"], local=local), when_s(facts.heard_until_s, local=local)
        yield f"began {began}; it went on when synguard was last heard of, at {heard}"
    else:
        because = f" ({alert['closed_because']})" if alert["closed_because"] not in {None, "ended"} else ""
        began, ended = (when(alert[name], local=local) for name in ("started_at", "ended_at"))
        yield f"from {began} to {ended}{because}"
    if not is_blind(alert) and (alert.get("listeners") or alert["listener"]):
        yield f"on {where(alert)}"
    if alert.get("silenced"):
        yield "silenced: recorded, and neither announced nor answered"


def _tiles(facts: AlertFacts, why: Mapping[str, Any]) -> Iterator[Tile]:
    alert = facts.alert
    still = "so far, it goes on" if facts.goes_on else "" if alert["ended_at"] else "as far as is known"
    yield Tile("Duration", long(facts.life.length_s), still)
    yield Tile("Severity", alert["severity"], why["severity"].partition(": ")[2])
    if is_blind(alert):
        return
    # Overloads are told by what is turned away; that nobody counted attempts is no news there.
    if alert["kind"] != AlertKind.OVERLOAD or alert["attempts"]:
        yield Tile("Peak", known(alert["peak_syn_per_s"]), "SYN/s at its highest")
        yield Tile("Attempts", known(alert["attempts"]), f"completed: {known(alert['completed'])}")
        yield Tile("Left half-open", share(alert["half_open_ratio"]), "of the attempts")
        yield _sources_tile(alert)
    if why["impact"]:
        word, _, meaning = why["impact"].partition(": ")
        yield Tile("Impact", alert["impact"], meaning or word)
    yield Tile("Dropped by synguard", known(alert["dropped_by_us"]), "SYNs")


def _sources_tile(alert: Mapping[str, Any]) -> Tile:
    count = alert["sources_estimated"]
    several = "" if count is None or count <= 1 else f"about {known(count)} sources"
    if alert["source"] is not None:
        return Tile("Source", alert["source"], several or "as observed")
    return Tile("Sources", known(count), "estimated, as observed" if count is not None else "")


def _plot_notes(facts: AlertFacts, plot: Plot | None) -> Iterator[str]:
    if plot is None:
        yield NO_FIGURES
        return
    named = plotted_listeners(facts.alert)
    if not named:
        yield "The alert names no listener, so the plots show all that came in."
    elif not facts.of_listeners:
        yield "No figures of its listeners are kept for this time, so the plots show all that came in."
    elif len(named) == MOST_LISTENERS:
        yield f"The plots show its first {MOST_LISTENERS} listeners."
    if facts.alert["timeline"]:
        yield "Numbers above the plots are those of the timeline."
    if any(step["step_s"] > 1 for step in facts.steps):
        widest = max(step["step_s"] for step in facts.steps)
        yield f"Figures are averages over {long(widest)}: older ones are kept less exactly."


def _done(facts: AlertFacts, *, local: bool) -> Iterator[str]:
    alert, action = facts.alert, facts.alert["action"]
    if is_blind(alert):
        return
    if action is None:
        nothing = "Nothing is done any more" if facts.responses else "Nothing was done"
        yield sentence(f"{nothing}: {alert['decision'] or 'no response was decided on'}")
        return
    told = done(action)
    yield sentence(f"{told[0].upper()}{told[1:]} (mode {action['mode']}): {action['reason']}")
    if action["until"]:
        yield f"Until {when(action['until'], local=local)}."
    if (more := further(alert)) is not None:
        yield sentence(more[0].upper() + more[1:] if more.startswith("also: ") else more)


def _tables(facts: AlertFacts, why: Mapping[str, Any], *, local: bool, is_whole: bool) -> Iterator[Table]:
    alert = facts.alert
    if is_blind(alert):
        yield _unseen(alert, local=local)
    elif why["evidence"]:
        yield _evidence(why)
    if measurements := [*why["measurements"], *why["impact_measurements"]]:
        yield _measurements(measurements)
    if alert["top_sources"]:
        yield _sources(alert, MOST_SOURCES if is_whole else FEWER_SOURCES)
    if facts.responses:
        yield _responses(facts.responses, local=local)
    if alert["timeline"]:
        yield _timeline(alert, local=local)
    if facts.blind:
        yield _blind_meanwhile(facts.blind, local=local)


def _unseen(alert: Mapping[str, Any], *, local: bool) -> Table:
    found = {name: str(value) for name, value in evidence_by_name(alert).items()}
    for name in ("since", "until"):
        if name in found:
            found[name] = _when_if_time(found[name], local=local)
    rows = [(words, found[name]) for name, words in UNSEEN.items() if name in found]
    return table("What is not seen", ("What", "Said"), rows)


def _when_if_time(text: str, *, local: bool) -> str:
    try:
        return when(text, local=local)
    except ValueError:
        return text


def _evidence(why: Mapping[str, Any]) -> Table:
    belief = why["belief"]
    notes = []
    if belief is not None:
        above = "at or above" if belief["sum"] >= belief["needed"] else "below"
        notes.append(
            f"In all, {belief['sum']:.2f} speaks for forged sources: {above} the {belief['needed']:.2f} from "
            "which on they are not believed."
        )
    rows = [(one["words"], evidence_value(one), weight(one["weight"])) for one in why["evidence"]]
    return table("Why it is called so", ("Evidence", ">Value", "Weight"), rows, notes)


def _measurements(measurements: Sequence[Mapping[str, Any]]) -> Table:
    rows = [measurement_cells(one, missing="") for one in measurements]
    headings = ("Measured", ">Observed", ">Threshold", ">Times", ">Usual", ">Times usual")
    return table("What was measured when it was raised", headings, rows)


def _sources(alert: Mapping[str, Any], most: int) -> Table:
    sources = alert["top_sources"][:most]
    attempts = alert["attempts"]

    def part(one: Mapping[str, Any]) -> str:
        # A source's count may be read a moment later than the alert's.
        return share(min(one["attempts"] / attempts, 1.0)) if attempts else ""

    rows = [(one["source"], known(one["attempts"]), known(one["completed"]), part(one)) for one in sources]
    notes = [SOURCES_NOTE]
    left_out = len(alert["top_sources"]) - len(sources)
    if left_out > 0:
        notes.append(f"{left_out} more are in the alert's own report.")
    return table("Sources", ("Source", ">Attempts", ">Completed", ">Share of all attempts"), rows, notes)


def _responses(responses: Sequence[Mapping[str, Any]], *, local: bool) -> Table:
    rows = [
        (
            cell(one),
            one["target"],
            clock(one["started_at"], local=local),
            clock(one["ended_at"], local=local, missing="in force"),
            one["ended_because"] or "",
            "" if one["hits"] is None else known(one["hits"]),
            one["reason"],
        )
        for one in responses[:MOST_RESPONSES]
    ]
    left_out = len(responses) - len(rows)
    began, ended = (clock_heading(text, local=local) for text in ("From", "To"))
    headings = ("Response", "Target", began, ended, "Ended because", ">SYNs caught", "Why")
    notes = [f"{left_out} more are left out."] if left_out > 0 else []
    return table("Responses", headings, rows, notes)


def _timeline(alert: Mapping[str, Any], *, local: bool) -> Table:
    rows = [
        (
            str(number),
            clock(one["at"], local=local),
            f"+{duration(max(seconds_between(alert['started_at'], one['at']), 0.0))}",
            one["what"],
            _change(one),
            one["because"] or "",
        )
        for number, one in enumerate(alert["timeline"], start=1)
    ]
    at = clock_heading("Time", local=local)
    return table("Timeline", (">No.", at, ">After", "What", "Change", "Because"), rows)


def _change(change: Mapping[str, Any]) -> str:
    before, after = (change[name] or "none" for name in ("before", "after"))
    return str(after) if change["before"] is None else f"{before} → {after}"


def _blind_meanwhile(blind: Sequence[Mapping[str, Any]], *, local: bool) -> Table:
    rows = [
        (
            str(one["id"]),
            clock(one["started_at"], local=local),
            clock(one["ended_at"], local=local, missing="still"),
            str(evidence_by_name(one).get("not_seen", what(one))),
        )
        for one in blind
    ]
    note = "In this time synguard did not see all that it should: figures may be too low."
    began, ended = (clock_heading(text, local=local) for text in ("From", "To"))
    return table("Not seen meanwhile", ("Alert", began, ended, "Not seen"), rows, [note])

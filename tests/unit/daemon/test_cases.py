"""Between detector and responder: what an alert's record says of responses over its life."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.daemon import cases as cases_module
from synguard.endpoint import Listener, parse_target
from synguard.model import (
    Alert,
    AlertClass,
    AlertClosed,
    AlertKind,
    AlertOpened,
    AlertState,
    AlertUpdated,
    Change,
    Evidence,
    RespondMode,
    TopSource,
)
from synguard.respond.policy import Decision
from tests.unit.daemon.staging import FLOOD, NOTHING, Stage, drop

CLOSED = replace(FLOOD, state=AlertState.CLOSED)
DISTRIBUTED = replace(FLOOD, alert_class=AlertClass.DISTRIBUTED, source=None)


@pytest.mark.parametrize(
    ("first", "shown"), [(drop(), "drop"), (drop(RespondMode.DRY_RUN), "drop"), (drop(lasts_s=-1.0), None)]
)
def test_a_block_that_goes_on_stays_in_the_record(first: Decision, shown: str | None) -> None:
    """An alert that turns out distributed still tells of the block that was set, while that lasts."""
    stage = Stage(first, NOTHING)
    stage.cases.responder.rules = replace(stage.rules, mode=first.responses[0].mode)
    saved = asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(DISTRIBUTED)))
    assert (saved.response.response if saved.response else None) == shown
    assert NOTHING.reason in saved.decision


def test_a_block_that_was_undone_leaves_the_record() -> None:
    """Where somebody lives at the address after all, the alert says that nothing is done about it now."""
    alive = replace(DISTRIBUTED, alert_class=AlertClass.SPOOFED)
    stage = Stage(drop(), Decision((), "somebody lives there", undo=True))
    saved = asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(alive)))
    assert (saved.response, saved.decision) == (None, "somebody lives there")
    assert [change.after for change in saved.timeline] == ["drop 198.51.100.7 (enforce)", None]


def test_a_decision_is_made_once_and_told_in_every_later_word() -> None:
    """Updates and the closing carry what was decided at the opening, without asking again."""
    stage = Stage(drop())
    saved = asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(FLOOD), AlertClosed(CLOSED)))
    assert len(stage.considered) == 1
    assert saved.state is AlertState.CLOSED
    assert saved.response is not None
    assert saved.decision == "floods"
    assert stage.logged() == ["alert.raised", "alert.decided", "alert.closed"]


def test_open_alerts_are_counted() -> None:
    """From their opening to their closing."""
    stage = Stage(drop())
    for action, count in ((AlertOpened(FLOOD), 1), (AlertUpdated(FLOOD), 1), (AlertClosed(CLOSED), 0)):
        asyncio.run(stage.play(action))
        assert stage.cases.open_count == count


def test_a_response_that_is_about_to_end_is_decided_anew() -> None:
    """A flood that outlasts its block is dropped on, which is no news for its timeline."""
    stage = Stage(drop(lasts_s=1.0), drop())
    saved = asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(FLOOD), AlertUpdated(FLOOD)))
    assert len(stage.considered) == 2
    assert len(saved.timeline) == 1


def test_another_class_is_announced_once() -> None:
    """The log tells when an open alert is called something else, and not again with every update."""
    stage = Stage(drop(), NOTHING)
    asyncio.run(stage.play(AlertOpened(FLOOD), *[AlertUpdated(DISTRIBUTED)] * 3))
    assert stage.logged("warning") == ["alert.raised", "alert.refined"]


def test_what_is_not_seen_is_saved_and_calls_for_no_decision() -> None:
    """Blindness is mended and not responded to, whatever the mode becomes."""
    stage = Stage()
    blind = replace(FLOOD, kind=AlertKind.BLIND, alert_class=None, source=None)
    saved = asyncio.run(stage.play(AlertOpened(blind), AlertUpdated(blind)))
    stage.cases.mode_changed()
    assert stage.considered == []
    assert saved == blind


def test_a_fault_in_deciding_costs_the_answer_and_not_the_guard() -> None:
    """The alert stays, with the reason why nothing was done."""
    stage = Stage()
    saved = asyncio.run(stage.play(AlertOpened(FLOOD)))
    assert saved.response is None
    assert "deciding failed" in saved.decision


def test_the_timeline_tells_of_responses_among_what_the_detector_saw() -> None:
    """Set, changed by the mode, ended: each response is told with its reason, in order of time."""
    off = Decision((), "responses are off (respond.mode)")
    stage = Stage(drop(RespondMode.DRY_RUN), drop(), off)

    async def story() -> None:
        await stage.play(AlertOpened(FLOOD))
        for mode in (RespondMode.ENFORCE, RespondMode.OFF):
            stage.cases.responder.rules = replace(stage.rules, mode=mode)
            stage.cases.mode_changed()
            await stage.settle()
        later = Change(FLOOD.started_at_s + 10**9, "impact", "none", "cookies")
        first = Change(FLOOD.started_at_s, "state", "suspected", "open")
        await stage.play(AlertClosed(replace(CLOSED, timeline=(first, later))))

    asyncio.run(story())
    told = [(change.what, change.before, change.after) for change in stage.saved[-1].timeline]
    assert told == [
        ("state", "suspected", "open"),
        ("response", None, "drop 198.51.100.7 (dry-run)"),
        ("response", "drop 198.51.100.7 (dry-run)", "drop 198.51.100.7 (enforce)"),
        ("response", "drop 198.51.100.7 (enforce)", None),
        ("impact", "none", "cookies"),
    ]
    assert stage.saved[-1].timeline[3].because == off.reason


def test_a_mode_that_changes_while_it_is_decided_is_decided_by_again() -> None:
    """What was decided by the mode before does not stand."""
    stage = Stage(Decision((), "responses are off (respond.mode)"), drop())

    async def story() -> None:
        stage.begin(AlertOpened(FLOOD))
        stage.cases.mode_changed()
        await stage.settle()
        await stage.play(AlertUpdated(FLOOD))

    asyncio.run(story())
    assert len(stage.considered) == 2
    assert stage.saved[-1].response is not None


def test_an_alert_that_closes_ends_its_responses_and_others_that_relied_on_them_are_decided_anew() -> None:
    """Two alerts that greylist one target have one rule; the end of the first brings up the second's."""
    stage = Stage(drop(), drop(), drop())
    other = replace(FLOOD, id=2)

    async def story() -> None:
        await stage.play(AlertOpened(FLOOD), AlertOpened(other))
        stage.ended = [parse_target("198.51.100.7")]
        await stage.play(AlertClosed(CLOSED))

    asyncio.run(story())
    assert stage.closed == [1]
    assert [alert.id for alert in stage.considered] == [1, 2, 2]


def test_an_alert_that_closes_while_it_is_decided_leaves_nothing_behind() -> None:
    """What the decision brought about too late is ended as well."""
    stage = Stage(drop())

    async def story() -> None:
        stage.begin(AlertOpened(FLOOD))
        stage.begin(AlertClosed(CLOSED))
        await stage.settle()

    asyncio.run(story())
    assert stage.closed == [1, 1]


@pytest.mark.parametrize(
    "grown",
    [
        replace(FLOOD, listeners=(Listener.parse("203.0.113.5:443"), Listener.parse("203.0.113.5:80"))),
        replace(FLOOD, top_sources=(TopSource(ip_network("198.51.100.7"), 900, 1),)),
        replace(FLOOD, evidence=(Evidence("live_client", 2, 0.5),)),
    ],
)
def test_what_changes_a_decisions_grounds_has_it_made_anew(grown: Alert) -> None:
    """Another listener, the source's first completed handshake, a live client; mere figures do not."""
    stage = Stage(drop(), drop())
    busier = replace(FLOOD, attempts=10**6, top_sources=(TopSource(ip_network("198.51.100.7"), 900, 0),))
    asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(busier), AlertUpdated(grown)))
    assert len(stage.considered) == 2


def test_a_response_that_waits_for_more_is_decided_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A greylist whose proof may come, or a list of listeners beyond the cap, is not left at that."""
    stage = Stage(replace(drop(), retry=True), drop())
    monkeypatch.setattr(cases_module, "DECIDE_AGAIN_AFTER_S", 0.0)
    asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(FLOOD), AlertUpdated(FLOOD)))
    assert len(stage.considered) == 2


def test_every_response_is_in_the_timeline() -> None:
    """Of many the first few are named, and the rest counted."""
    (first,) = drop().responses
    many = tuple(replace(first, target=f"203.0.113.5:{port}", response="cookie") for port in range(80, 85))
    stage = Stage(Decision(many, "floods"))
    saved = asyncio.run(stage.play(AlertOpened(FLOOD)))
    (told,) = saved.timeline
    assert told.after is not None
    assert told.after.startswith("cookie 203.0.113.5:80 (enforce), cookie 203.0.113.5:81 (enforce), ")
    assert told.after.endswith(" and 2 more")

"""Between detector and responder: what an alert's record says of responses over its life."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from synguard.model import (
    AlertClass,
    AlertClosed,
    AlertKind,
    AlertOpened,
    AlertState,
    AlertUpdated,
    Change,
    RespondMode,
)
from synguard.respond.policy import Decision
from tests.unit.daemon.staging import FLOOD, NOTHING, Stage, drop

CLOSED = replace(FLOOD, state=AlertState.CLOSED)
DISTRIBUTED = replace(FLOOD, alert_class=AlertClass.DISTRIBUTED, source=None)


@pytest.mark.parametrize(
    ("first", "shown"), [(drop(), "drop"), (drop(RespondMode.DRY_RUN), None), (drop(lasts_s=-1.0), None)]
)
def test_a_block_that_goes_on_stays_in_the_record(first: Decision, shown: str | None) -> None:
    """An alert that turns out distributed still tells of the block that was set, while that lasts."""
    stage = Stage(first, NOTHING)
    saved = asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(DISTRIBUTED)))
    assert (saved.response.response if saved.response else None) == shown
    assert NOTHING.reason in saved.decision


def test_a_block_that_was_undone_leaves_the_record() -> None:
    """Where somebody lives at the address after all, the alert says that nothing is done about it now."""
    alive = replace(DISTRIBUTED, alert_class=AlertClass.SPOOFED)
    stage = Stage(drop(), Decision(None, "somebody lives there", undo=True))
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
    off = Decision(None, "responses are off (respond.mode)")
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
    stage = Stage(Decision(None, "responses are off (respond.mode)"), drop())

    async def story() -> None:
        stage.begin(AlertOpened(FLOOD))
        stage.cases.mode_changed()
        await stage.settle()
        await stage.play(AlertUpdated(FLOOD))

    asyncio.run(story())
    assert len(stage.considered) == 2
    assert stage.saved[-1].response is not None

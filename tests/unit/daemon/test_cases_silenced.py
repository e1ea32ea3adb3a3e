"""Alerts under a silence: recorded, not announced, not answered, and made up for when it ends."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from synguard.endpoint import Listener, parse_target
from synguard.model import AlertClass, AlertClosed, AlertKind, AlertOpened, AlertState, AlertUpdated
from tests.unit.daemon.staging import FLOOD, Stage, drop, silence

CLOSED = replace(FLOOD, state=AlertState.CLOSED)
LISTENER = "203.0.113.5:443"


def test_a_silenced_alert_is_recorded_and_neither_announced_nor_answered() -> None:
    """No warning, no question to the responder; the record says who silenced it, until when and why."""
    stage = Stage()
    stage.silences.add(silence(LISTENER))
    refined = replace(FLOOD, alert_class=AlertClass.DISTRIBUTED)
    saved = asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(refined), AlertClosed(CLOSED)))
    assert saved.silenced
    assert saved.response is None
    until, by = saved.decision.removeprefix(f"{LISTENER} is silenced until ").split(" by ")
    assert by == "uid 1000: maintenance"
    assert [(one.what, one.before, one.after) for one in saved.timeline] == [
        ("silence", None, f"until {until}")
    ]
    assert stage.considered == []
    assert stage.logged("warning", "error") == []
    assert stage.logged() == ["alert.silenced"]
    assert all(alert.silenced for alert in stage.saved)


def test_a_silence_that_is_removed_lets_the_alert_be_announced_and_answered() -> None:
    """What is still open when the silence ends is raised and decided at once, and its story is told."""
    stage = Stage(drop())

    async def story() -> None:
        stage.silences.add(silence(LISTENER))
        await stage.play(AlertOpened(FLOOD), AlertUpdated(FLOOD))
        assert stage.logged("warning") == []
        stage.silences.remove(parse_target(LISTENER), "by hand (uid 0)")
        await stage.review()

    asyncio.run(story())
    saved = stage.saved[-1]
    assert stage.logged("warning") == ["alert.raised"]
    assert (saved.silenced, saved.decision) == (False, "floods")
    assert saved.response is not None
    assert [one.what for one in saved.timeline] == ["silence", "silence", "response"]
    assert saved.timeline[1].after is None


def test_a_silence_that_runs_out_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The periodic look notices the end, forgets the silence on disk too, and announces the alert."""
    stage = Stage(drop())

    async def story() -> None:
        one = silence(LISTENER)
        stage.silences.add(one)
        await stage.play(AlertOpened(FLOOD))
        monkeypatch.setattr(time, "time", lambda: one.until_s + 0.5)
        stage.cases.tidy()
        await stage.settle()

    asyncio.run(story())
    assert stage.logged("warning") == ["alert.raised"]
    assert [change.because for change in stage.saved[-1].timeline][1] == "its time is over"
    assert stage.kept[-1] == parse_target(LISTENER)
    assert len(stage.silences) == 0


def test_an_open_alert_falls_silent_when_a_silence_is_added() -> None:
    """It is marked at once, no longer decided about, and its end is still told to who heard its beginning."""
    stage = Stage(drop(lasts_s=1.0))

    async def story() -> None:
        await stage.play(AlertOpened(FLOOD))
        stage.silences.add(silence("198.51.100.0/24"))
        assert (await stage.review()).silenced
        await stage.play(AlertUpdated(FLOOD), AlertClosed(CLOSED))

    asyncio.run(story())
    assert len(stage.considered) == 1
    assert stage.logged() == ["alert.raised", "alert.decided", "alert.silenced", "alert.closed"]
    assert stage.saved[-1].silenced


def test_an_alert_that_was_announced_before_its_silence_is_announced_again_after_it() -> None:
    """Who took the silence for the end of it learns that it goes on."""
    stage = Stage(drop(), drop())

    async def story() -> None:
        await stage.play(AlertOpened(FLOOD))
        stage.silences.add(silence(LISTENER))
        await stage.review()
        stage.silences.remove(parse_target(LISTENER), "by hand (uid 0)")
        await stage.review()

    asyncio.run(story())
    assert stage.logged("warning") == ["alert.raised", "alert.raised"]
    assert len(stage.considered) == 2


def test_what_was_set_before_a_silence_stays_in_the_record() -> None:
    """A block goes on for its time; a silence ends no block, and the record does not claim so."""
    stage = Stage(drop())

    async def story() -> None:
        await stage.play(AlertOpened(FLOOD))
        stage.silences.add(silence(LISTENER))
        await stage.review()

    asyncio.run(story())
    saved = stage.saved[-1]
    assert saved.response is not None
    assert "is silenced until" in saved.decision
    assert "what was set before lasts its time" in saved.decision


def test_a_silence_that_begins_while_it_is_decided_counts() -> None:
    """The answer that was under way is recorded, and nothing follows it."""
    stage = Stage(drop())

    async def story() -> None:
        stage.begin(AlertOpened(FLOOD))
        stage.silences.add(silence(LISTENER))
        stage.cases.review()
        await stage.settle()
        await stage.play(AlertUpdated(FLOOD))

    asyncio.run(story())
    saved = stage.saved[-1]
    assert (saved.silenced, len(stage.considered)) == (True, 1)
    assert saved.response is not None
    assert "is silenced until" in saved.decision


def test_another_mode_answers_no_silenced_alert() -> None:
    """Switching responses on does not reach what is silenced."""
    stage = Stage()

    async def story() -> None:
        stage.silences.add(silence(LISTENER))
        await stage.play(AlertOpened(FLOOD))
        stage.cases.mode_changed()
        await stage.play(AlertUpdated(FLOOD))

    asyncio.run(story())
    assert stage.considered == []
    assert "is silenced" in stage.saved[-1].decision


def test_a_longer_silence_is_told() -> None:
    """Who silences it for longer changes until when the record says it is silent, without another line."""
    stage = Stage()

    async def story() -> None:
        stage.silences.add(silence(LISTENER))
        await stage.play(AlertOpened(FLOOD))
        stage.silences.add(silence(LISTENER, 7200.0, "it takes longer"))
        await stage.review()

    asyncio.run(story())
    saved = stage.saved[-1]
    assert "it takes longer" in saved.decision
    assert [one.because for one in saved.timeline] == ["uid 1000: maintenance", "uid 1000: it takes longer"]
    assert stage.logged() == ["alert.silenced"]


def test_an_alert_that_grows_beyond_a_silence_is_announced() -> None:
    """A flood that reaches a second listener is no longer about the silenced one alone."""
    stage = Stage(drop())
    grown = replace(FLOOD, listeners=(FLOOD.listener, Listener.parse("203.0.113.6:443")))  # type: ignore[arg-type]
    stage.silences.add(silence(LISTENER))
    saved = asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(grown)))
    assert stage.logged("warning") == ["alert.raised"]
    assert not saved.silenced


def test_blindness_cannot_be_silenced() -> None:
    """What synguard does not see is about no listener and no source."""
    stage = Stage()
    stage.silences.add(silence("0.0.0.0/0"))
    blind = replace(FLOOD, kind=AlertKind.BLIND, alert_class=None, source=None, listener=None)
    assert not asyncio.run(stage.play(AlertOpened(blind))).silenced
    assert stage.logged("warning") == ["alert.raised"]

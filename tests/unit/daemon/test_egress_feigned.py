"""Who feigns connections changes nothing of how this host counts, for it goes on answering."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.daemon.egress import LEAST_ATTEMPTS
from tests.unit.daemon.lines import HIDDEN, POLL_MS, STORM, Line, Stage

#: Spoofed ACKs whose numbers go on as those of connections do, beside a few connections that are real.
FEIGNED = Line(acks=4000, segments=60, attempts=20, live=105, shown=5)


@pytest.mark.parametrize("sign", ["answered", "refused", "repeated"])
def test_feigned_flows_hide_nothing_while_handshakes_go_both_ways(sign: str) -> None:
    """One answer, refusal or repeated SYN-ACK a second is enough: neither an alert nor another counting."""
    stage = Stage()
    for _ in range(60):
        stage.run(1, replace(FEIGNED, **{sign: 1}))
        assert stage.egress.flows is None
    assert stage.times("look")
    assert stage.times("one way") == []


@pytest.mark.parametrize("attempts", [0, (LEAST_ATTEMPTS - 1) / 2.5])
def test_flows_alone_are_words_and_change_no_counting(attempts: float) -> None:
    """Without unanswered attempts an alert is all, and it ends a minute after the last look that found it."""
    stage = Stage().run(60, replace(FEIGNED, attempts=attempts))
    assert stage.times("one way") == []
    assert stage.egress.flows is not None
    assert stage.egress.flows.live == 105
    stage.run(55, Line())
    assert stage.egress.flows is not None
    stage.run(10, Line())
    assert stage.egress.flows is None


def test_an_answer_takes_the_words_back() -> None:
    """What flows seemed to say ends with the first answer that egress shows."""
    stage = Stage().run(10, replace(FEIGNED, attempts=0)).run(POLL_MS / 1000, Line(answered=1000 / POLL_MS))
    assert stage.egress.flows is None


@pytest.mark.parametrize("sign", ["answered", "refused", "repeated"])
def test_a_single_answer_ends_one_direction_on_a_quiet_host(sign: str) -> None:
    """No flow is needed for it, nor five segments, nor another look."""
    often = 1000 / POLL_MS
    answers = {
        "answered": Line(attempts=20, answered=often),
        "refused": Line(attempts=20, refused=often),
        "repeated": Line(attempts=20, repeated=often),
    }
    stage = Stage().run(10, HIDDEN).run(600, Line())
    assert stage.times("both ways") == [0]
    stage.run(POLL_MS / 1000, answers[sign])
    assert not stage.egress.one_way
    assert stage.times("both ways")[-1] == stage.now_ms
    assert stage.egress.flows is None
    assert stage.times("look")[-1] < 10_000


def test_doubt_cannot_be_kept_up_by_turning_the_way_of_counting_again_and_again() -> None:
    """Whoever feigns hidden egress, has himself answered, and begins anew, buys 12 s of doubt a minute."""
    stage = Stage()
    while stage.now_ms < 600_000:
        stage.run(4, HIDDEN).run(POLL_MS / 1000, Line(attempts=20, answered=1000 / POLL_MS))
    assert 5 <= len(stage.times("one way")) <= 10
    for minute_ms in range(0, 540_000, 10_000):
        doubted = [ms for ms in stage.doubted_ms if minute_ms < ms <= minute_ms + 60_000]
        assert len(doubted) * POLL_MS <= 12_000


@pytest.mark.parametrize("pause_s", [1, 7, 59])
def test_storms_in_turns_are_doubted_once(pause_s: int) -> None:
    """A look is in doubt at most once a minute, and not at all while storms keep coming."""
    stage = Stage()
    for _ in range(10):
        stage.run(3, STORM).run(pause_s, Line())
    assert 0 < stage.doubted_ms[-1] <= 3100


def test_an_answer_ends_the_doubt_of_a_look() -> None:
    """From the first answer on there is none, though the look goes on, and begins anew."""
    stage = Stage().run(1, STORM)
    assert stage.doubted_ms
    stage.run(POLL_MS / 1000, replace(STORM, answered=1000 / POLL_MS))
    before = len(stage.doubted_ms)
    stage.run(30, STORM)
    assert len(stage.doubted_ms) <= before

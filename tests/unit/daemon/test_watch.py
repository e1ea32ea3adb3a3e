"""The loop between detector and responder: what an alert's record says of responses over its life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from synguard.config.settings import ProbeSettings
from synguard.daemon.watch import Watch, pause_until_next
from synguard.model import (
    Alert,
    AlertClass,
    AlertClosed,
    AlertKind,
    AlertOpened,
    AlertState,
    AlertUpdated,
    RespondMode,
    Response,
    Severity,
)
from synguard.respond.policy import Decision, Rules

FLOOD = Alert(
    1,
    AlertKind.SYN_FLOOD,
    AlertClass.SINGLE_SOURCE,
    Severity.HIGH,
    AlertState.OPEN,
    1_790_000_000.0,
    None,
    ip_network("198.51.100.7"),
)
NOTHING = Decision(None, "a distributed flood has no source that could be dropped")


def drop(mode: RespondMode = RespondMode.ENFORCE, lasts_s: float = 86_400.0) -> Decision:
    """Return the decision to drop the flooding source."""
    return Decision(Response("drop", mode, "198.51.100.7", "floods", time.time() + lasts_s), "floods")


class Stage:
    """A watch whose detector says what the test says, and whose responder decides as told."""

    def __init__(self, decisions: list[Decision]) -> None:
        self.considered: list[Alert] = []
        self.saved: list[Alert] = []
        self._decisions: Iterator[Decision] = iter(decisions)
        self._open: list[Alert] = []
        detector = SimpleNamespace(open_alerts=lambda: tuple(self._open))
        rules = Rules(RespondMode.ENFORCE, "always", 600.0, 10)
        responder = SimpleNamespace(rules=rules, consider=self._consider)
        history = SimpleNamespace(save=self.saved.append)
        probe = SimpleNamespace(watch_flows=None, set_one_way=lambda _one_way: None)
        parts: list[Any] = [probe, None, detector, history, responder]
        self.watch = Watch(*parts, settings=ProbeSettings(), log=structlog.get_logger())

    async def _consider(self, alert: Alert, _wall_s: float) -> Decision:
        self.considered.append(alert)
        return next(self._decisions)

    async def play(self, *actions: AlertOpened | AlertUpdated | AlertClosed) -> Alert:
        """Carry actions out, letting each decision land; return what was saved last."""
        for action in actions:
            self._open = [] if isinstance(action, AlertClosed) else [action.alert]
            self.watch._carry_out(action)
            await asyncio.gather(*self.watch._considering.values())
        return self.saved[-1]


@pytest.mark.parametrize(
    ("first", "shown"), [(drop(), "drop"), (drop(RespondMode.DRY_RUN), None), (drop(lasts_s=-1.0), None)]
)
def test_a_block_that_goes_on_stays_in_the_record(first: Decision, shown: str | None) -> None:
    """An alert that turns out distributed still tells of the block that was set, while that lasts."""
    stage = Stage([first, NOTHING])
    refined = replace(FLOOD, alert_class=AlertClass.DISTRIBUTED, source=None)
    saved = asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(refined)))
    assert (saved.response.response if saved.response else None) == shown
    assert NOTHING.reason in saved.decision


def test_a_decision_is_made_once_and_told_in_every_later_word() -> None:
    """Updates and the closing carry what was decided at the opening, without asking again."""
    stage = Stage([drop()])
    closed = replace(FLOOD, state=AlertState.CLOSED)
    saved = asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(FLOOD), AlertClosed(closed)))
    assert len(stage.considered) == 1
    assert saved.state is AlertState.CLOSED
    assert saved.response is not None
    assert saved.decision == "floods"


def test_a_response_that_is_about_to_end_is_decided_anew() -> None:
    """A flood that outlasts its block is dropped on."""
    stage = Stage([drop(lasts_s=1.0), drop()])
    asyncio.run(stage.play(AlertOpened(FLOOD), AlertUpdated(FLOOD), AlertUpdated(FLOOD)))
    assert len(stage.considered) == 2


def test_what_is_not_seen_is_saved_and_calls_for_no_decision() -> None:
    """Blindness is mended and not responded to, whatever the mode becomes."""
    stage = Stage([])
    blind = replace(FLOOD, kind=AlertKind.BLIND, alert_class=None, source=None)
    saved = asyncio.run(stage.play(AlertOpened(blind), AlertUpdated(blind)))
    stage.watch.mode_changed()
    assert stage.considered == []
    assert saved == blind


def test_a_fault_in_deciding_costs_the_answer_and_not_the_guard() -> None:
    """The alert stays, with the reason why nothing was done."""
    stage = Stage([])
    saved = asyncio.run(stage.play(AlertOpened(FLOOD)))
    assert saved.response is None
    assert "deciding failed" in saved.decision


def test_reads_come_as_often_as_set_while_they_cost_little() -> None:
    """And half as often while nothing happens."""
    assert pause_until_next(0.05, 0.002, active=True) == 0.05
    assert pause_until_next(0.05, 0.002, active=False) == 0.1


def test_reads_that_cost_much_come_further_apart() -> None:
    """They take a twentieth of a core at most, as long as nothing leaves the rings unread meanwhile."""
    assert pause_until_next(0.05, 0.04, active=True) == pytest.approx(0.8)
    assert pause_until_next(0.05, 0.9, active=True) == 2.0

"""Cases whose detector says what the test says, and whose responder decides as told."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import structlog
from structlog.testing import LogCapture

from synguard.daemon.cases import Cases
from synguard.daemon.silences import Silences
from synguard.endpoint import Listener, Target, parse_target
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
from synguard.silence import Silence

FLOOD = Alert(
    1,
    AlertKind.SYN_FLOOD,
    AlertClass.SINGLE_SOURCE,
    Severity.HIGH,
    AlertState.OPEN,
    1_790_000_000.0,
    Listener.parse("203.0.113.5:443"),
    ip_network("198.51.100.7"),
)
NOTHING = Decision((), "a distributed flood has no source that could be dropped")


def drop(mode: RespondMode = RespondMode.ENFORCE, lasts_s: float = 86_400.0) -> Decision:
    """Return the decision to drop the flooding source."""
    return Decision((Response("drop", mode, "198.51.100.7", "floods", time.time() + lasts_s),), "floods")


def silence(target: str, lasts_s: float = 3600.0, reason: str = "maintenance") -> Silence:
    """Return a silence that somebody asks for now."""
    now_s = time.time()
    return Silence(parse_target(target), now_s + lasts_s, reason, "uid 1000", now_s)


class Stage:
    """Plays the detector and the responder, and notes what is saved, logged and asked."""

    def __init__(self, *decisions: Decision) -> None:
        self.considered: list[Alert] = []
        self.saved: list[Alert] = []
        self.kept: list[object] = []
        #: What alerts have brought about and goes on, and what ends with the next one that closes.
        self.standing: tuple[Response, ...] = ()
        self.ended: list[Target] = []
        self.closed: list[int] = []
        self.rules = Rules(RespondMode.ENFORCE, "always", 600.0, 10)
        self._decisions = iter(decisions)
        self._open: dict[int, Alert] = {}
        self._log = LogCapture()
        log = structlog.wrap_logger(
            None, processors=[self._log], wrapper_class=structlog.make_filtering_bound_logger(0)
        )
        history: Any = SimpleNamespace(
            save=self.saved.append,
            save_silence=self.kept.append,
            remove_silence=self.kept.append,
        )
        responder: Any = SimpleNamespace(
            rules=self.rules, consider=self._consider, closed=self._closed, in_force=self._in_force
        )
        upkeep: Any = SimpleNamespace(responder=responder)
        self.silences = Silences(64, history, log)
        self.cases = Cases(self._open.values, history, upkeep, self.silences, log)

    async def _consider(self, alert: Alert, _wall_s: float) -> Decision:
        self.considered.append(alert)
        await asyncio.sleep(0)
        decision = next(self._decisions)
        self.standing = () if decision.undo else self.standing
        self.standing = decision.responses or self.standing
        return decision

    def _in_force(self, _alert: Alert) -> tuple[Response, ...]:
        mode, now_s = self.cases.responder.rules.mode, time.time()
        return tuple(one for one in self.standing if one.mode is mode and (one.until_s or 0.0) > now_s)

    async def _closed(self, alert_id: int) -> list[Target]:
        self.closed.append(alert_id)
        return self.ended

    async def play(self, *actions: AlertOpened | AlertUpdated | AlertClosed) -> Alert:
        """Carry actions out, letting each decision land; return what was saved last."""
        for action in actions:
            self.begin(action)
            await self.settle()
        return self.saved[-1]

    def begin(self, action: AlertOpened | AlertUpdated | AlertClosed) -> None:
        """Carry an action out, and do not wait for what is decided."""
        self._open[action.alert.id] = action.alert
        if isinstance(action, AlertClosed):
            del self._open[action.alert.id]
        self.cases.carry_out(action)

    async def settle(self) -> None:
        """Let what is being decided land."""
        await self.cases.settle()

    async def review(self) -> Alert:
        """Heed silences anew, let decisions land, and return what was saved last."""
        self.cases.review()
        await self.settle()
        return self.saved[-1]

    def logged(self, *levels: str) -> list[str]:
        """Return the events logged at these levels, all of alerts without any."""
        return [
            entry["event"]
            for entry in self._log.entries
            if (entry["log_level"] in levels if levels else entry["event"].startswith("alert."))
        ]

    def entries(self, event: str) -> list[dict[str, Any]]:
        """Return what was logged under an event, in order."""
        return [dict(entry) for entry in self._log.entries if entry["event"] == event]

"""What becomes of an alert: it is recorded, announced and answered, or under a silence recorded alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, Protocol

from structlog.typing import FilteringBoundLogger

from synguard.daemon.announcement import changed, described, picture
from synguard.daemon.case import Case, gist, grounds
from synguard.daemon.silences import Silences
from synguard.daemon.timeline import merged, responses_text
from synguard.endpoint import target_text
from synguard.history.records import time_to_json
from synguard.model import Action, Alert, AlertClosed, AlertKind
from synguard.respond.policy import Decision
from synguard.respond.upkeep import Upkeep
from synguard.silence import Silence

#: A response that ends while its alert is open is decided anew this long before.
RENEW_BEFORE_S = 2.0
#: What stood against a response may have passed after this long.
DECIDE_AGAIN_AFTER_S = 5.0


class AlertHistory(Protocol):
    """Where alerts are written down."""

    def save(self, alert: Alert) -> None:
        """Take an alert in."""


class Cases:
    """The open alerts and what is done about each.

    Args:
        open_alerts: the detector's word on those that are open now.
        history: where every word is recorded.
        upkeep: keeps the responder, which decides about those that are not silenced.
        silences: what people want to hear nothing of.
        log: where they are announced.

    """

    def __init__(
        self,
        open_alerts: Callable[[], Iterable[Alert]],
        history: AlertHistory,
        upkeep: Upkeep,
        silences: Silences,
        log: FilteringBoundLogger,
    ) -> None:
        self._open_alerts = open_alerts
        self._history = history
        self.upkeep = upkeep
        self.responder = upkeep.responder
        self.silences = silences
        self._log = log
        self._cases: dict[int, Case] = {}
        #: What is under way and nobody waits for.
        self._tasks: set[asyncio.Task[None]] = set()

    def carry_out(self, action: Action) -> None:
        """Take in what the detector says of an alert."""
        alert = action.alert
        case = self._cases.setdefault(alert.id, Case())
        self._heed_silence(case, alert)
        if not isinstance(action, AlertClosed):
            self._go_on(case, alert)
            return
        shown = self._shown(alert)
        self._history.save(shown)
        if case.announced:
            self._log.info("alert.closed", **described(shown), because=str(shown.closed_because))
        del self._cases[alert.id]
        self._begin(self._end_responses(alert.id))

    def mode_changed(self) -> None:
        """Decide again about every open alert, since the operator changed what may be done."""
        for alert in self._open_alerts():
            case = self._cases.get(alert.id)
            if case is None or case.silence is not None:
                continue
            case.decided = None
            # One that is being decided now may still go by the mode before.
            case.overdue = True
            self._decide_if_due(case, alert)

    def reconsider(self, alert_id: int) -> None:
        """Decide anew about an open alert: what it was answered with is not what is in force any more."""
        case = self._cases.get(alert_id)
        alert = next((alert for alert in self._open_alerts() if alert.id == alert_id), None)
        if case is None or alert is None or case.silence is not None:
            return
        case.overdue = True
        self._decide_if_due(case, alert)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_responses(self, alert_id: int) -> None:
        """End what lasts as long as its alert; another one that relied on it is decided anew."""
        try:
            ended = {target_text(target) for target in await self.responder.closed(alert_id)}
        except Exception:  # noqa: BLE001 — as in deciding; the kernel ends it in time.
            self._log.exception("response.failed", alert_id=alert_id)
            return
        for other, case in [*self._cases.items()]:
            done = case.decided[1].responses if case.decided else ()
            if any(response.target in ended for response in done):
                self.reconsider(other)

    async def settle(self) -> None:
        """Wait for what is under way: decisions, and responses that end."""
        while under_way := [*self._tasks, *filter(None, (case.considering for case in self._cases.values()))]:
            await asyncio.gather(*under_way, return_exceptions=True)

    def tidy(self) -> None:
        """Let end silences that are over, of alerts that are still open, too."""
        self.silences.tidy(time.time())
        self.review()

    def review(self) -> None:
        """Heed silences that have begun or ended since the last word on each alert."""
        if not (len(self.silences) or any(case.silence for case in self._cases.values())):
            return
        for alert in self._open_alerts():
            case = self._cases.get(alert.id)
            if case is not None and self._heed_silence(case, alert):
                self._go_on(case, alert)

    def open_alerts(self) -> list[Alert]:
        """Return the open alerts with what was decided about them."""
        return [self._shown(alert) for alert in self._open_alerts()]

    @property
    def open_count(self) -> int:
        """Return how many alerts are open, without a look at each."""
        return len(self._cases)

    def _go_on(self, case: Case, alert: Alert) -> None:
        """Record an open alert's present state, announce what is new, and have it decided if it is due."""
        self._history.save(self._shown(alert))
        if case.silence is not None:
            return
        if not case.announced:
            self._log.warning("alert.raised", **described(alert))
        elif news := changed(case.told, alert):
            self._log.warning("alert.refined", **described(alert), changed=", ".join(news))
        case.announced, case.told = True, picture(alert)
        self._decide_if_due(case, alert)

    def _shown(self, alert: Alert) -> Alert:
        """Return the detector's alert with what it does not know: silences, decisions and their story."""
        case = self._cases.get(alert.id)
        if case is None:
            return alert
        decision = case.decided[1] if case.decided else None
        return replace(
            alert,
            response=decision.response if decision else alert.response,
            decision=decision.reason if decision else alert.decision,
            silenced=case.silence is not None,
            timeline=merged(alert.timeline, case.changes) if case.changes else alert.timeline,
        )

    def _heed_silence(self, case: Case, alert: Alert) -> bool:
        """Let a silence begin, change or end; tell whether it did."""
        before, case.silence = case.silence, self.silences.on(alert, time.time())
        if case.silence == before:
            return False
        case.note("silence", _until(before), _until(case.silence), _why(case.silence, before))
        if case.silence is None:
            case.announced = False
            case.overdue = True
            return True
        self._decided(case, alert, _silenced(case.silence))
        if before is None:
            self._log.info("alert.silenced", **described(alert), why=_silenced(case.silence).reason)
        return True

    def _decide_if_due(self, case: Case, alert: Alert) -> None:
        if self._needs_decision(case, alert):
            case.overdue = False
            case.considering = asyncio.get_running_loop().create_task(self._decide(case, alert))

    def _needs_decision(self, case: Case, alert: Alert) -> bool:
        """Tell whether the picture, the mode or the time calls for a new decision."""
        if case.considering is not None or alert.kind is AlertKind.BLIND:
            return False
        if case.decided is None or case.overdue:
            return True
        before, decision = case.decided
        if grounds(before) != grounds(alert):
            return True
        if decision.retry and time.monotonic() >= case.retry_at_s:
            return True
        rules = self.responder.rules
        renew_before_s = min(RENEW_BEFORE_S, rules.block_ttl_s / 2)
        return any(
            response.mode is not rules.mode or (response.until_s or 0.0) - time.time() < renew_before_s
            for response in decision.responses
        )

    async def _decide(self, case: Case, alert: Alert) -> None:
        try:
            decision = await self.responder.consider(alert, time.time())
        except Exception as error:  # noqa: BLE001 — a fault in responding costs this answer, not the guard.
            self._log.exception("response.failed", alert_id=alert.id)
            decision = Decision((), f"deciding failed ({error}); the log has the details", retry=True)
        finally:
            case.considering = None
        current = {held.id: held for held in self._open_alerts()}.get(alert.id)
        if current is None:
            # It closed meanwhile, before this was brought about.
            await self.responder.closed(alert.id)
            return
        is_news = self._decided(case, alert, decision)
        if case.silence is not None:
            # It began meanwhile: what was set before that lasts, and nothing is added to it.
            self._decided(case, alert, _silenced(case.silence))
        self._history.save(self._shown(current))
        if is_news:
            self._log.info(
                "alert.decided",
                alert_id=alert.id,
                response=decision.response.response if decision.response else None,
                mode=str(self.responder.rules.mode),
                reason=decision.reason,
            )
        if case.overdue and case.silence is None:
            self._decide_if_due(case, current)

    def _decided(self, case: Case, alert: Alert, decision: Decision) -> bool:
        """Take in a decision; tell whether it is another than the one before."""
        before = case.decided[1] if case.decided else None
        decision = self._with_what_stands(alert, decision)
        case.decided = (alert, decision)
        case.retry_at_s = time.monotonic() + DECIDE_AGAIN_AFTER_S
        told, case.told_response = case.told_response, responses_text(decision.responses)
        if told != case.told_response:
            case.note("response", told, case.told_response, decision.reason)
        return before is None or gist(decision) != gist(before)

    def _with_what_stands(self, alert: Alert, decision: Decision) -> Decision:
        """Return the decision, with the responses that an earlier one set if those go on regardless.

        An alert that turns out to be no single source's ends no block, so the record must not say there is
        none; unless the decision is to undo it.
        """
        if decision.undo or decision.responses:
            return decision
        standing = self.responder.in_force(alert)
        if not standing:
            return decision
        return Decision(standing, f"{decision.reason}; what was set before lasts its time", decision.retry)


def _silenced(silence: Silence) -> Decision:
    """Return the decision to do nothing, since somebody asked for silence."""
    return Decision(
        (), f"{target_text(silence.target)} is silenced {_until(silence)} by {_why(silence, None)}"
    )


def _until(silence: Silence | None) -> str | None:
    return None if silence is None else f"until {time_to_json(silence.until_s)}"


def _why(silence: Silence | None, before: Silence | None) -> str:
    """Say who wanted a silence, and why; or why there is none any more."""
    if silence is not None:
        return f"{silence.asked_by}: {silence.reason}" if silence.reason else silence.asked_by
    if before is not None and before.until_s <= time.time():
        return "its time is over"
    return "it was removed, or no longer covers all of the alert"

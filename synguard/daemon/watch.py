"""The daemon's loop: reads the probe, feeds the detector, and carries out what it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from structlog.typing import FilteringBoundLogger

from synguard.config.settings import ProbeSettings
from synguard.daemon.control import ControlServer
from synguard.daemon.egress import Egress
from synguard.daemon.guard import Guard
from synguard.daemon.lookout import Lookout
from synguard.daemon.stopping import StopRequest
from synguard.detect import Detector
from synguard.endpoint import source_text
from synguard.errors import SynguardError
from synguard.history.store import HistoryStore
from synguard.impact.impact import ServerWatch
from synguard.model import Action, Alert, AlertClosed, AlertKind, AlertOpened, RespondMode, Snapshot
from synguard.observe import systemd
from synguard.probe.probe import Probe
from synguard.probe.reader import ProbeReader
from synguard.respond.policy import Decision
from synguard.respond.responder import Responder

LOOK_INTERVAL_S = 1.0
PROTECTED_INTERVAL_S = 10.0
#: While no handshake moves, reads are this many times as far apart: an idle host costs half.
IDLE_PACE = 2
#: Reading and judging take one part of a core in so many: where hundreds of listeners or sources are active,
#: reads come further apart, but never so far that attempts leave the rings (4.29 s) unread.
READ_SHARE = 20
LONGEST_PAUSE_S = 2.0
#: A response that ends while its alert is open is decided anew this long before.
RENEW_BEFORE_S = 2.0
#: What stood against a response may have passed after this long.
DECIDE_AGAIN_AFTER_S = 5.0


def pause_until_next(poll_interval_s: float, spent_s: float, *, active: bool) -> float:
    """Return how long after a read the next one is due; the last one took ``spent_s`` of a core."""
    pause_s = poll_interval_s * (1 if active else IDLE_PACE)
    return max(pause_s, min(spent_s * READ_SHARE, LONGEST_PAUSE_S))


class Watch:
    """Runs everything on one asyncio loop; what may block goes to a thread."""

    def __init__(
        self,
        probe: Probe,
        guard: Guard,
        detector: Detector,
        history: HistoryStore,
        responder: Responder,
        *,
        settings: ProbeSettings,
        log: FilteringBoundLogger,
    ) -> None:
        self.reader = ProbeReader(probe)
        self.guard = guard
        egress = Egress(settings.visibility, probe.watch_flows, self.reader.flows, probe.set_one_way, log)
        self.server = ServerWatch(log)
        self._lookout = Lookout(guard, self.reader, egress, self.server)
        self.detector = detector
        self.started_at_s = time.time()
        self.snapshot: Snapshot | None = None
        self._probe = probe
        self._history = history
        self._responder = responder
        self._poll_interval_s = settings.poll_interval_ms / 1000
        self._log = log
        self._stop = asyncio.Event()
        self._decided: dict[int, tuple[Alert, Decision]] = {}
        self._retry_at_s: dict[int, float] = {}
        self._considering: dict[int, asyncio.Task[None]] = {}

    async def run(self, control: ControlServer, stop: StopRequest) -> None:
        """Guard until told to stop; then close alerts and take leave.

        Raises SynguardError when a duty fails; what failed is in the log.
        """
        loop = asyncio.get_running_loop()
        stop.tell(lambda: loop.call_soon_threadsafe(self._stop.set))
        try:
            # First: where another daemon answers, its alerts in the history are not ours to close.
            await control.start()
            await self._take_over()
            self._log.info("daemon.ready", memlock_bytes=self._probe.memlock_bytes())
            systemd.notify("READY=1\nSTATUS=Guarding")
            await self._until_stopped()
        except ExceptionGroup as failures:
            self._log.exception("daemon.failed")
            raise SynguardError(
                f"guarding failed: {failures.exceptions[0]}; the log has the details, start it again"
            ) from failures
        finally:
            stop.tell(None)
            systemd.notify("STOPPING=1")
            await control.stop()
            self.server.close()
            self._close_alerts()
            self._log.info("daemon.stopped")

    async def _take_over(self) -> None:
        """Settle what the last daemon left, and read the probe once."""
        self._history.close_interrupted(time.time())
        await self._responder.spare_protected()
        self._read()

    async def _until_stopped(self) -> None:
        """Run every periodic duty until told to stop; the first one that fails ends them all."""
        async with asyncio.TaskGroup() as group:
            duties = [
                group.create_task(self._poll()),
                group.create_task(self._every(LOOK_INTERVAL_S, self._look)),
                group.create_task(self._every(PROTECTED_INTERVAL_S, self._responder.spare_protected)),
            ]
            await self._stop.wait()
            for duty in duties:
                duty.cancel()

    @staticmethod
    async def _every(seconds: float, duty: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await duty()

    async def _look(self) -> None:
        await asyncio.to_thread(self.guard.look, self._probe)
        await asyncio.to_thread(self.guard.verify, self._probe, self.reader.interface_packets)
        self._responder.tidy()

    async def _poll(self) -> None:
        """Read at a steady pace; a read that came late does not shift the next ones."""
        due_s, pause_s = time.monotonic(), 0.0
        while True:
            await asyncio.sleep(due_s - time.monotonic())
            began_s = time.thread_time()
            self._read(pause_s)
            spent_s = time.thread_time() - began_s
            pause_s = pause_until_next(self._poll_interval_s, spent_s, active=self.reader.active)
            due_s = max(due_s + pause_s, time.monotonic())

    def _read(self, pause_s: float = 0.0) -> None:
        """Read once, ``pause_s`` seconds after the last time if all went well."""
        snapshot = self.reader.read(time.monotonic_ns(), time.time())
        self.snapshot = self._lookout.complete(snapshot, pause_s, self.detector.suspects())
        for action in self.detector.observe(self.snapshot):
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        alert = self._with_decision(action.alert)
        self._history.save(alert)
        if isinstance(action, AlertClosed):
            self._log.info("alert.closed", **_described(alert), because=str(alert.closed_because))
            self._decided.pop(alert.id, None)
            self._retry_at_s.pop(alert.id, None)
            return
        if isinstance(action, AlertOpened):
            self._log.warning("alert.raised", **_described(alert))
        elif self._decided.get(alert.id, (alert, None))[0].alert_class is not alert.alert_class:
            self._log.warning("alert.refined", **_described(alert))
        if self._needs_decision(alert):
            self._consider(alert)

    def _with_decision(self, alert: Alert) -> Alert:
        """Return the detector's alert with what was decided about it; it knows nothing of responses."""
        if alert.id not in self._decided:
            return alert
        _, decision = self._decided[alert.id]
        return replace(alert, response=decision.response, decision=decision.reason)

    def _needs_decision(self, alert: Alert) -> bool:
        """Tell whether the picture, the mode or the time calls for a new decision."""
        if alert.id in self._considering or alert.kind is AlertKind.BLIND:
            return False
        if alert.id not in self._decided:
            return True
        before, decision = self._decided[alert.id]
        if (before.alert_class, before.source) != (alert.alert_class, alert.source):
            return True
        response = decision.response
        if response is None:
            return decision.retry and time.monotonic() >= self._retry_at_s[alert.id]
        renew_before_s = min(RENEW_BEFORE_S, self._responder.rules.block_ttl_s / 2)
        ends_soon = response.until_s is not None and response.until_s - time.time() < renew_before_s
        return ends_soon or response.mode is not self._responder.rules.mode

    def _consider(self, alert: Alert) -> None:
        task = asyncio.get_running_loop().create_task(self._decide(alert))
        self._considering[alert.id] = task

    async def _decide(self, alert: Alert) -> None:
        try:
            decision = await self._responder.consider(alert, time.time())
        except Exception as error:  # noqa: BLE001 — a fault in responding costs this answer, not the guard.
            self._log.exception("response.failed", alert_id=alert.id)
            decision = Decision(None, f"deciding failed ({error}); the log has the details", retry=True)
        finally:
            self._considering.pop(alert.id, None)
        current = {held.id: held for held in self.detector.open_alerts()}.get(alert.id)
        if current is None:
            return
        _, before = self._decided.get(alert.id, (None, None))
        decision = _still_in_force(before, decision, time.time())
        self._decided[alert.id] = (alert, decision)
        self._retry_at_s[alert.id] = time.monotonic() + DECIDE_AGAIN_AFTER_S
        self._history.save(self._with_decision(current))
        if decision == before:
            return
        self._log.info(
            "alert.decided",
            alert_id=alert.id,
            response=decision.response.response if decision.response else None,
            mode=str(self._responder.rules.mode),
            reason=decision.reason,
        )

    def mode_changed(self) -> None:
        """Decide again about every open alert, since the operator changed what may be done."""
        self._decided.clear()
        for alert in self.detector.open_alerts():
            if self._needs_decision(alert):
                self._consider(alert)

    def open_alerts(self) -> list[Alert]:
        """Return the open alerts with what was decided about them."""
        return [self._with_decision(alert) for alert in self.detector.open_alerts()]

    def _close_alerts(self) -> None:
        for action in self.detector.stop(time.time()):
            self._carry_out(action)


def _still_in_force(before: Decision | None, decision: Decision, wall_s: float) -> Decision:
    """Return the decision, with the response that an earlier one set if that goes on regardless.

    An alert that turns out to be no single source's ends no block, so the record must not say there is none.
    """
    response = before.response if before else None
    if decision.response is not None or response is None or response.mode is not RespondMode.ENFORCE:
        return decision
    if response.until_s is None or response.until_s <= wall_s:
        return decision
    return Decision(response, f"{decision.reason}; what was set before lasts its time", decision.retry)


def _described(alert: Alert) -> dict[str, Any]:
    """Return what the log tells of an alert."""
    if alert.kind is AlertKind.BLIND:
        told = {item.name: item.value for item in alert.evidence}
        return {"alert_id": alert.id, "kind": str(alert.kind), "severity": str(alert.severity), **told}
    return {
        "alert_id": alert.id,
        "kind": str(alert.kind),
        "class": str(alert.alert_class) if alert.alert_class else None,
        "severity": str(alert.severity),
        "listener": str(alert.listener) if alert.listener else None,
        "source": source_text(alert.source) if alert.source else None,
        "attempts": alert.attempts,
        "half_open_ratio": alert.half_open_ratio,
        "peak_syn_per_s": round(alert.peak_syn_per_s, 1),
    }

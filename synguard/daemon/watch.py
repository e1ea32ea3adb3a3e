"""The daemon's loop: reads the probe, feeds the detector, and carries out what it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from synguard.config import Settings
from synguard.daemon import trimming
from synguard.daemon.cases import Cases
from synguard.daemon.control import ControlServer
from synguard.daemon.egress import Egress
from synguard.daemon.guard import Guard
from synguard.daemon.lookout import Lookout
from synguard.daemon.one_line import OneLine
from synguard.daemon.pace import Pace
from synguard.daemon.seconds import Seconds
from synguard.daemon.stopping import StopRequest
from synguard.detect import Detector, Thresholds
from synguard.errors import SynguardError
from synguard.history.store import HistoryStore
from synguard.impact.impact import ServerWatch
from synguard.model import Snapshot
from synguard.observe import systemd
from synguard.probe.probe import Probe
from synguard.probe.reader import ProbeReader
from synguard.respond.cookies import LOOK_EVERY_S

LOOK_INTERVAL_S = 1.0
#: Whom to spare, and what the kernel holds, is looked at anew this often.
REVIEW_INTERVAL_S = 10.0
#: What a killed daemon has learned since the last time is forgotten.
BASELINES_INTERVAL_S = 60.0
#: That an idle daemon runs is written down this often; a busy one's seconds tell.
RUN_INTERVAL_S = 10.0
#: What floods and questions leave free in malloc's heaps would else be held for months.
TRIM_INTERVAL_S = 60.0


#: Reads the settings file anew, and returns why it is refused, or None.
Reload = Callable[[], Awaitable[str | None]]


class Watch:
    """Runs everything on one asyncio loop; what may block goes to a thread."""

    def __init__(
        self,
        probe: Probe,
        guard: Guard,
        detector: Detector,
        history: HistoryStore,
        cases: Cases,
        *,
        settings: Settings,
        log: FilteringBoundLogger,
    ) -> None:
        self.reader = ProbeReader(probe)
        self.guard = guard
        visibility = settings.probe.visibility
        egress = Egress(visibility, probe.watch_flows, self.reader.flows, probe.set_one_way, log)
        self.server = ServerWatch(log)
        self._lookout = Lookout(guard, self.reader, egress, self.server)
        self.detector = detector
        self.cases = cases
        self.upkeep = cases.upkeep
        self.started_at_s = time.time()
        self.snapshot: Snapshot | None = None
        self._probe = probe
        self._history = history
        self._seconds = Seconds(
            lambda: self.reader.listeners(time.monotonic_ns()), settings.history.series_listeners
        )
        self._one_line = OneLine()
        self._heart = systemd.Heart()
        self._pace = Pace(settings.probe.poll_interval_ms / 1000)
        self._log = log
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        #: What is wrong with the settings file.
        self._refused: str | None = None

    async def run(self, control: ControlServer, stop: StopRequest, reload: Reload) -> None:
        """Guard until told to stop, and ``reload`` whenever told to; then close alerts and take leave.

        Raises SynguardError when a duty fails; what failed is in the log.
        """
        loop = asyncio.get_running_loop()
        stop.tell(lambda: loop.call_soon_threadsafe(self._stop.set))
        stop.tell_reload(lambda: loop.call_soon_threadsafe(self._reload.set))
        try:
            # First: where another daemon answers, its alerts in the history are not ours to close.
            await control.start()
            await self._take_over()
            self._log.info("daemon.ready", memlock_bytes=self._probe.memlock_bytes())
            self._say_ready()
            await self._until_stopped(reload)
            # For the figures alone: what came since the last read is not to be missing in them.
            self.snapshot = self.reader.read(time.monotonic_ns(), time.time())
        except ExceptionGroup as failures:
            self._log.exception("daemon.failed")
            raise SynguardError(
                f"guarding failed: {failures.exceptions[0]}; the log has the details, start it again"
            ) from failures
        finally:
            stop.tell(None)
            stop.tell_reload(None)
            systemd.notify("STOPPING=1")
            await control.stop()
            self.server.close()
            self._close_alerts()
            await self.cases.settle()
            await self._save_baselines()
            self._log.info("daemon.stopped")

    async def _take_over(self) -> None:
        """Settle what the last daemon left, and read the probe once."""
        self._history.close_interrupted(time.time())
        await self._kept(self.upkeep.responder.spare_protected)
        self._read()

    async def _until_stopped(self, reload: Reload) -> None:
        """Run every periodic duty until told to stop; the first one that fails ends them all."""
        async with asyncio.TaskGroup() as group:
            duties = [
                group.create_task(self._poll()),
                group.create_task(self._every(LOOK_INTERVAL_S, self._look)),
                group.create_task(self._every(LOOK_EVERY_S, self._look_after)),
                group.create_task(self._every(REVIEW_INTERVAL_S, self._review)),
                group.create_task(self._every(BASELINES_INTERVAL_S, self._save_baselines)),
                group.create_task(self._every(RUN_INTERVAL_S, self._go_on)),
                group.create_task(self._every(TRIM_INTERVAL_S, self._trim)),
                group.create_task(self._reload_when_told(reload)),
            ]
            await self._stop.wait()
            for duty in duties:
                duty.cancel()

    @staticmethod
    async def _every(seconds: float, duty: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await duty()

    async def _reload_when_told(self, reload: Reload) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            try:
                self._refused = await reload()
            except Exception:  # noqa: BLE001 — what is no fault of the file's costs the reload, not the guard.
                self._log.exception("config.not_reloaded")
            self._say_ready()

    def adjust(self, settings: Settings, thresholds: Thresholds) -> None:
        """Read, judge and draw by these from now on."""
        self.detector.adjust(thresholds)
        self._pace.poll_interval_s = settings.probe.poll_interval_ms / 1000
        self._seconds.most_listeners = settings.history.series_listeners

    def _say_ready(self) -> None:
        systemd.notify(f"READY=1\n{self._status()}")

    async def _look(self) -> None:
        await asyncio.to_thread(self.guard.look, self._probe)
        await asyncio.to_thread(self.guard.verify, self._probe, self.reader.interface_packets)
        self.cases.tidy()
        await self._kept(self.upkeep.tidy)
        if systemd.has_manager():
            systemd.notify(self._status())

    def _status(self) -> str:
        if self.snapshot is None:
            return "STATUS=Guarding"
        blocks = len(self.upkeep.responder.book.blocks)
        said = self._one_line.text(self.guard.names(), self.snapshot, self.cases.open_count, blocks)
        refused = "; the settings file is refused, see the log" if self._refused else ""
        return f"STATUS={said}{refused}"

    async def _look_after(self) -> None:
        await self._kept(self.upkeep.look_after)

    async def _review(self) -> None:
        await self._kept(self.upkeep.review)

    async def _kept(self, duty: Callable[[], Awaitable[None]]) -> None:
        """Do something about responses: a fault there costs them, and not the guard."""
        try:
            await duty()
        except Exception:  # noqa: BLE001 — the same duty comes again; until then the kernel goes on by itself.
            self._log.exception("response.failed")

    async def _save_baselines(self) -> None:
        self._history.save_baselines(self.detector.baselines())

    async def _go_on(self) -> None:
        self._history.run_goes_on(time.time())

    async def _trim(self) -> None:
        await asyncio.to_thread(trimming.give_back)

    async def _poll(self) -> None:
        """Read at a steady pace; a read that came late does not shift the next ones."""
        due_s, pause_s = time.monotonic(), 0.0
        while True:
            await asyncio.sleep(due_s - time.monotonic())
            began_s = time.thread_time()
            self._read(pause_s)
            self._heart.beat()
            spent_s = time.thread_time() - began_s
            pause_s = self._pace.pause_s(spent_s, active=self.reader.active, hurry=self.detector.hurries)
            due_s = max(due_s + pause_s, time.monotonic())

    def _read(self, pause_s: float = 0.0) -> None:
        """Read once, ``pause_s`` seconds after the last time if all went well."""
        snapshot = self.reader.read(time.monotonic_ns(), time.time())
        self.snapshot = self._lookout.complete(snapshot, pause_s, self.detector.suspects())
        self.upkeep.figures.take(self.snapshot)
        for action in self.detector.observe(self.snapshot):
            self.cases.carry_out(action)
        self._keep_second(self.snapshot)

    def _keep_second(self, snapshot: Snapshot, *, last: bool = False) -> None:
        second = self._seconds.take(snapshot, self.detector.suspects(), last=last)
        if second is not None:
            self._history.save_second(second)

    def _close_alerts(self) -> None:
        if self.snapshot is not None:
            self._keep_second(self.snapshot, last=True)
        for action in self.detector.stop(time.time()):
            self.cases.carry_out(action)

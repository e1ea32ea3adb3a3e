"""Runs the daemon by a driven clock, plays a day's packets to it, and samples what it holds."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import msgspec

from bench.life.clock import DrivenClock, DrivenCondition
from bench.life.traffic import Traffic
from synguard import client
from synguard.config import Settings
from synguard.daemon import placing, service
from synguard.detect import Detector
from synguard.history import writer
from synguard.model import Action, Snapshot
from synguard.probe.probe import Probe
from synguard.probe.reader import ProbeReader

_NS_PER_S = 10**9
#: How often, by the driven clock, what it holds is looked at, it is asked, and it reloads.
SAMPLE_S, _ASK_S, _RELOAD_S = 600, 60, 3600
#: As `synguard alerts` asks by default: the answer is not to grow with the day.
ALERTS_ASKED = 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class DayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Where the daemon lives, and for how many snapshots."""

    snapshots: int
    #: Settings by their dotted keys.
    settings: dict[str, Any]
    interface: str
    #: The namespace and the port at the other end of the wire.
    switch: str
    port: str
    database: str
    socket: str


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon holds at one moment."""

    hours: float
    snapshots: int
    resident_bytes: int
    descriptors: int
    threads: int
    database_bytes: int
    #: Sent by then, and counted by the probe.
    syns: int
    attempts: int
    floods: int
    #: How often the daemon has answered who asked.
    answers: int
    #: The last one is taken when the snapshots are done.
    last: bool


class _Asker:
    """A thread that asks the daemon as people do, while its clock stands."""

    def __init__(self, clock: DrivenClock, path: Path) -> None:
        self.answers = 0
        self._clock = clock
        self._path = path
        self._due: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="asker", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        self._clock.work(1)
        self._due.put(None)

    def _run(self) -> None:
        while True:
            self._due.get()
            try:
                client.request(self._path, "status")
                client.request(self._path, "alerts", filter={"limit": ALERTS_ASKED})
                self.answers += 2
            finally:
                self._clock.work(-1)


class _Day:
    def __init__(self, plan: DayPlan, clock: DrivenClock) -> None:
        self.snapshots = 0
        self.ended = False
        self._plan = plan
        self._clock = clock
        self._probe: Probe | None = None
        self._reader: ProbeReader | None = None
        self._traffic: Traffic | None = None
        self._asker = _Asker(clock, Path(plan.socket))
        self._began_ns = clock.now_ns
        self._reloads = 0

    def read(self) -> Settings:
        """Return the settings, other ones at each reload."""
        self._reloads += 1
        threshold = {"detect.half_open_per_s": 50 + self._reloads % 2}
        return Settings().with_overrides({**self._plan.settings, **threshold})

    def load(self, *arguments: Any) -> Probe:
        """Load the probe and stop its clock."""
        probe = Probe.load(*arguments)
        probe.set_clock(self._clock.now_ns)
        self._probe, self._reader = probe, ProbeReader(probe)
        return probe

    def begin(self) -> None:
        """Let time pass from now on: called once the daemon judges."""
        plan = self._plan
        self._began_ns = self._clock.now_ns
        self._traffic = Traffic(plan.switch, plan.port, plan.interface, self._began_ns)
        self._clock.passing = self._pass

    def _pass(self, from_ns: int, to_ns: int) -> None:
        assert self._traffic is not None  # noqa: S101 - begin() has made both
        assert self._probe is not None  # noqa: S101
        self._traffic.play(to_ns, self._probe.set_clock)
        if self._is_time(_ASK_S, from_ns, to_ns):
            self._asker.ask()
        if self._is_time(SAMPLE_S, from_ns, to_ns):
            self._sample(to_ns)
        if self._is_time(_RELOAD_S, from_ns, to_ns):
            os.kill(os.getpid(), signal.SIGHUP)
        if self.snapshots >= self._plan.snapshots and not self.ended:
            self.ended = True
            self._sample(to_ns)
            os.kill(os.getpid(), signal.SIGTERM)

    def _is_time(self, every_s: int, from_ns: int, to_ns: int) -> bool:
        every_ns = every_s * _NS_PER_S
        return (from_ns - self._began_ns) // every_ns != (to_ns - self._began_ns) // every_ns

    def _sample(self, at_ns: int) -> None:
        assert self._traffic is not None  # noqa: S101 - as above
        assert self._reader is not None  # noqa: S101
        with Path("/proc/self/statm").open(encoding="ascii") as statm:
            resident_pages = int(statm.read().split()[1])
        database = Path(self._plan.database)
        sample = Sample(
            hours=round((at_ns - self._began_ns) / _NS_PER_S / 3600, 3),
            snapshots=self.snapshots,
            resident_bytes=resident_pages * _PAGE_BYTES,
            descriptors=len(list(Path("/proc/self/fd").iterdir())) - 1,
            threads=len(list(Path("/proc/self/task").iterdir())),
            database_bytes=sum(one.stat().st_size for one in database.parent.glob(f"{database.name}*")),
            syns=self._traffic.syns,
            attempts=self._reader.totals()["attempts"],
            floods=self._traffic.floods(at_ns),
            answers=self._asker.answers,
            last=self.ended,
        )
        sys.stdout.write(msgspec.json.encode(sample).decode() + "\n")
        sys.stdout.flush()


def live(clock: DrivenClock) -> None:
    """Run the daemon as ``synguard run`` does until the plan's snapshots are done."""
    plan = msgspec.convert(json.load(sys.stdin), DayPlan)
    day = _Day(plan, clock)

    class Counting(Detector):
        """The detector; tells of each snapshot."""

        def observe(self, snapshot: Snapshot) -> tuple[Action, ...]:
            if day.snapshots == 0:
                day.begin()
            day.snapshots += 1
            return super().observe(snapshot)

    vars(placing)["Probe"] = SimpleNamespace(load=day.load)
    vars(service).update(asyncio=SimpleNamespace(run=clock.run), Detector=Counting)
    vars(writer)["threading"] = SimpleNamespace(
        Condition=lambda: DrivenCondition(clock), Event=threading.Event, Thread=threading.Thread
    )
    service.run(day.read)

"""Drives the generator's child process: starts floods, waits for their first frame and their report."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from bench.flood.child import Errand, Said
from bench.flood.plan import FloodPlan, FloodReport
from bench.net.namespaces import Topology
from bench.talk import Child
from synguard.errors import SynguardError, UnsupportedError, UsageError

_READY_TIMEOUT_S = 60.0
_GRACE_S = 5.0
_NOTHING_YET = FloodReport(frames=0, first_ns=0, last_ns=0)
_ERRORS = {error.exit_code: error for error in (SynguardError, UsageError, UnsupportedError)}


class FloodGenerator:
    """An in-kernel SYN generator that sends out of one interface, while the ``with`` block lasts.

    Compiled once, it sends any number of floods, one at a time. All of them end by themselves, and
    with this process. It sends on the last CPU that this process may use.

    Args:
        namespace: where the frames leave from, by ``interface``.
        interface: one of the bench's own; the far end of its veth takes the frames.
        macs: destination and source of the frames.

    Raises:
        UsageError: an interface or namespace that the bench did not make.
        UnsupportedError: no bcc, or not permitted.
        SynguardError: the generator could not be compiled, or ended unexpectedly.

    """

    def __init__(self, namespace: str, interface: str, macs: tuple[str, str]) -> None:
        errand = Errand(namespace, interface, *macs, max(os.sched_getaffinity(0)))
        self._child = Child("bench.flood.child", errand, Said)
        self._ready = False
        self._sending = False

    @classmethod
    def between(cls, topology: Topology) -> Self:
        """Return the generator that floods a topology's guarded host in its attacker's name.

        It is the wire into that host: frames leave the switch's port for it, and no bridge carries them.
        """
        guarded = topology.guarded
        return cls(topology.switch, guarded.port, (guarded.mac, topology.attacker.mac))

    def __enter__(self) -> Self:
        """Start compiling; what goes wrong is raised by whatever needs it ready."""
        self._child.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.end()

    def wait_until_ready(self) -> None:
        """Wait until it is compiled and may send."""
        if not self._ready:
            self._heard("ready", _READY_TIMEOUT_S)
            self._ready = True

    @property
    def pid(self) -> int:
        """The sending process's id."""
        return self._child.pid

    def start(self, plan: FloodPlan) -> FloodReport:
        """Start a flood; return, once its first frame has left, what it has done so far.

        Raises UsageError for a plan without bounds or sense.
        """
        plan.check()
        self.wait_until_ready()
        self._sending = True
        self._child.order(plan)
        return self._heard("started", _GRACE_S)

    def finish(self, plan: FloodPlan) -> FloodReport:
        """Wait for the end of the flood started last and return its report."""
        return self._heard("done", plan.duration_s + _GRACE_S)

    def stop(self) -> FloodReport:
        """End the flood now and return its report; harmless when none is being sent.

        Raises SynguardError for a generator that has ended, or that has to be killed to be stopped.
        """
        if not self._sending:
            return _NOTHING_YET
        try:
            self._child.order(None)
            return self._heard("done", _GRACE_S, passing="started")
        except SynguardError:
            self._child.kill()
            raise
        finally:
            self._sending = False

    def flood(self, plan: FloodPlan) -> FloodReport:
        """Send one whole flood and return its report."""
        self.start(plan)
        return self.finish(plan)

    def _heard(self, event: str, timeout_s: float, passing: str = "") -> FloodReport:
        """Return the report of that event, which another may come before; each has its time."""
        said = self._child.hear(timeout_s)
        if said.event == passing:
            said = self._child.hear(timeout_s)
        if said.event in {"done", "failed"}:
            self._sending = False
        if said.event == "failed":
            raise _ERRORS.get(self._child.end(), SynguardError)(said.text)
        if said.event != event:
            raise SynguardError(f"the generator said {said.event!r} where {event!r} was expected")
        return said.report or _NOTHING_YET

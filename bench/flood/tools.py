"""Second opinions on the generator: hping3, nmap and trafgen, sending from the attacker's namespace.

A ``ToolFlood`` is used like a ``FloodGenerator``. Every flood ends by itself: ``timeout`` of coreutils ends
the tool even where this process cannot any more.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from types import TracebackType
from typing import Any, Protocol, Self

from bench.flood.commands import PACKAGES, Tool, command_of, is_connect_scan, sent_in
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan, FloodReport
from bench.folders import folder
from bench.net.counters import syns_sent
from bench.net.enter import enter
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, start_in
from synguard.errors import SynguardError, UnsupportedError

#: So much longer than the flood may they live: to start, and to send by count what they are slow with.
_START_S = 0.1
_GRACE_S = 0.5
_KILL_AFTER_S = 2.0
_START_TIMEOUT_S = 10.0
#: How often the interface is looked at, before the first frame and after it.
_LOOK_S = (0.001, 0.01)
_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Flooder(Protocol):
    """Whatever floods a topology's server: the generator, or a tool."""

    def __enter__(self) -> Self:
        """Make it ready."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End whatever it sends."""

    def wait_until_ready(self) -> None:
        """Wait until it may send."""

    def start(self, plan: FloodPlan) -> FloodReport:
        """Start a flood; return, once its first frame has left, what it has done so far."""

    def finish(self, plan: FloodPlan) -> FloodReport:
        """Wait for the end of the flood started last and return its report."""

    def stop(self) -> FloodReport:
        """End the flood now and return its report."""


def flooder(tool: Tool | str, topology: Topology) -> Flooder:
    """Return what ``FloodSpec.tool`` names, to flood the topology's server: a tool, or the generator."""
    for name in PACKAGES:
        if name == tool:
            return ToolFlood(name, topology)
    return FloodGenerator.between(topology)


class _Watch(threading.Thread):
    """Looks at how many frames an endpoint has sent, until told to end.

    What goes wrong in it is raised by whoever waits for it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(name=f"watch-{endpoint.namespace}", daemon=True)
        self._endpoint = endpoint
        self.first_seen = threading.Event()
        self._looking = threading.Event()
        self._ended = threading.Event()
        self._error: OSError | SynguardError | None = None
        self.frames = 0
        self.first_ns = 0
        self.last_ns = 0

    def run(self) -> None:
        """Look until the end, and once more."""
        try:
            enter(self._endpoint.namespace)
            self._look()
        except (OSError, SynguardError) as error:
            self._error = error
        self._looking.set()

    def _look(self) -> None:
        before = self._sent_frames()
        self._looking.set()
        ended = False
        while not ended:
            ended = self._ended.wait(_LOOK_S[self.first_seen.is_set()])
            frames, now_ns = self._sent_frames() - before, time.monotonic_ns()
            if frames > self.frames:
                self.frames, self.last_ns = frames, now_ns
                self.first_ns = self.first_ns or now_ns
                self.first_seen.set()

    def wait_until_looking(self) -> None:
        """Wait until every frame from now on is seen; raises SynguardError when none would be."""
        if not self._looking.wait(_START_TIMEOUT_S):
            raise SynguardError(f"nobody looks at {self._endpoint.interface} after {_START_TIMEOUT_S:g} s")
        self._check()

    def end(self) -> None:
        """Look one last time; raises SynguardError when it could not be looked at to the end."""
        self._ended.set()
        self.join()
        self._check()

    def _check(self) -> None:
        if self._error:
            where = f"{self._endpoint.interface} of {self._endpoint.namespace}"
            raise SynguardError(f"counting the frames of {where}: {self._error}") from self._error

    def _sent_frames(self) -> int:
        with open("/proc/thread-self/net/dev", encoding="ascii") as file:
            for line in file:
                name, _, counters = line.partition(":")
                if name.strip() == self._endpoint.interface:
                    return int(counters.split()[9])
        raise SynguardError(f"{self._endpoint.interface} is not in {self._endpoint.namespace} any more")


class ToolFlood:
    """A tool that floods a topology's server from its attacker, while the ``with`` block lasts.

    Its reports' ``frames`` are those that the attacker's interface sent meanwhile, its ``syns`` what the
    tool says at its end, or for a connect scan the kernel. Times are those at which the interface's
    counter was seen to move, after at most some milliseconds. The tool sends on the last CPU that
    this process may use.

    Args:
        tool: which.
        topology: whose attacker sends to whose guarded host.

    Raises:
        UnsupportedError: the tool is not installed.

    """

    def __init__(self, tool: Tool, topology: Topology) -> None:
        self._tool = tool
        self._topology = topology
        self._process: subprocess.Popen[Any] | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if shutil.which(self._tool, path=_FOLDERS) is None:
            package = PACKAGES[self._tool]
            raise UnsupportedError(f"{self._tool} is missing here: install Debian's package {package}")
        self._folder = self._open.enter_context(folder("flood"))
        self._output = self._folder / "output"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._open:
            if self._process is not None:
                self.stop()

    def wait_until_ready(self) -> None:
        """Return at once: a tool is ready when it is started."""

    def start(self, plan: FloodPlan) -> FloodReport:
        """Start a flood; return, once its first frame has left, what it has done so far.

        Raises UsageError for a plan that the tool cannot keep, SynguardError when it sends nothing.
        """
        attacker = self._topology.attacker
        command = command_of(self._tool, plan, attacker, self._topology.guarded.mac, self._folder)
        bound_s = f"{plan.duration_s + (_START_S if plan.syn_per_s is None else _GRACE_S):.3f}"
        limits = ["timeout", "--signal=INT", f"--kill-after={_KILL_AFTER_S:g}", bound_s]
        # Of a connect scan, only the kernel knows how many SYNs it sent.
        self._syns_before = syns_sent(attacker) if is_connect_scan(self._tool, plan) else None
        self._watch = _Watch(attacker)
        self._watch.start()
        self._watch.wait_until_looking()
        with self._output.open("wb") as output:
            self._process = start_in(
                attacker,
                limits + command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # So that the tool can be killed together with what limits it.
                start_new_session=True,
            )
        os.sched_setaffinity(self._process.pid, {max(os.sched_getaffinity(0))})
        self._wait_for_first_frame(self._process)
        return self._report(self._watch.frames)

    def finish(self, plan: FloodPlan) -> FloodReport:
        """Wait for the end of the flood started last and return its report."""
        return self._ended(plan.duration_s + _GRACE_S + _KILL_AFTER_S + _START_TIMEOUT_S)

    def stop(self) -> FloodReport:
        """End the flood now and return its report."""
        if self._process is not None:
            # It hands the signal on to the tool, and kills it when that does not help.
            self._process.send_signal(signal.SIGINT)
        return self._ended(_KILL_AFTER_S + _START_TIMEOUT_S)

    def flood(self, plan: FloodPlan) -> FloodReport:
        """Send one whole flood and return its report."""
        self.start(plan)
        return self.finish(plan)

    def _wait_for_first_frame(self, process: subprocess.Popen[Any]) -> None:
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not self._watch.first_seen.wait(0.01):
            if process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                raise SynguardError(f"{self._tool} sent nothing: {self._said()}")

    def _ended(self, timeout_s: float) -> FloodReport:
        """Wait for the process's end and return its report; kill it when it does not end in time."""
        process, self._process = self._process, None
        if process is None:
            raise SynguardError(f"{self._tool} was not started")
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise SynguardError(f"{self._tool} did not end within {timeout_s:g} s: {self._said()}") from error
        finally:
            _kill(process)
            self._watch.end()
        sent = sent_in(self._tool, self._said())
        if self._syns_before is not None:
            sent = syns_sent(self._topology.attacker) - self._syns_before
        return self._report(self._watch.frames if sent is None else sent)

    def _said(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace").strip()

    def _report(self, syns: int) -> FloodReport:
        watch = self._watch
        return FloodReport(
            frames=watch.frames,
            first_ns=watch.first_ns,
            last_ns=watch.last_ns,
            syns=syns,
            distinct_syns=syns,
        )


def _kill(process: subprocess.Popen[Any]) -> None:
    """Kill a process, and what it started; harmless when it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

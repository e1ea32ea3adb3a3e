"""The process that sends: it enters the attacker's namespace, so that its parent need not.

It is started with an ``Errand``, says ``ready``, then is given one ``FloodPlan`` after another and
answers each with ``started`` and ``done``. ``null`` ends a flood early; the end of its input, which is
the parent's end, ends everything.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.flood.plan import (
    DEFINES,
    SENT,
    FloodPlan,
    FloodReport,
    encode_plan,
    encode_sources,
)
from bench.net import links
from bench.net.enter import NAMESPACES, enter
from bench.net.namespaces import created_by
from bench.talk import Parent
from synguard.errors import SynguardError, UsageError
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.syscall import BPF_F_TEST_XDP_LIVE_FRAMES, test_run

_PROGRAM = "send_syn"
_FIRST = struct.pack("=I", 0)
#: Frames are sent in bursts of at most this long a time's worth; faster, a burst is one system call.
TICK_S = 0.002
#: After a stall the generator catches up by bursts of at most this long a time's worth.
_CATCH_UP_S = 0.02


class Errand(msgspec.Struct, frozen=True):
    """Where to send from and to whom."""

    namespace: str
    interface: str
    destination_mac: str
    #: A namespace of the bench's whose loopback interface is down, see ``_resident``.
    idle_namespace: str
    cpu: int


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the child's answer."""

    event: str
    report: FloodReport | None = None
    text: str = ""


def check_interface(namespace: str, interface: str) -> links.LinkReading:
    """Return the interface's reading; raise UsageError unless the bench made both it and its namespace."""
    path = NAMESPACES / namespace
    if created_by(namespace) is None or not path.exists():
        raise UsageError(f"{namespace!r} is not a namespace that the bench made; floods stay inside those")
    if path.samefile("/proc/self/ns/net"):
        raise UsageError(f"{namespace!r} is this process's own network; floods stay out of it")
    reading = links.read_link(namespace, interface)
    if reading.alias != links.ALIAS:
        raise UsageError(f"{interface!r} in {namespace} is not an interface that the bench made")
    return reading


def check_idle(namespace: str) -> None:
    """Raise UsageError unless the bench made the namespace and its loopback interface is down."""
    if created_by(namespace) is None or links.read_link(namespace, "lo").up:
        raise UsageError(f"{namespace!r} is not a namespace of the bench's whose loopback is down")


@contextmanager
def _resident(program: int, namespace: str) -> Iterator[None]:
    """Keep the program attached to an interface that is down while it sends.

    BPF_PROG_TEST_RUN enters a program into the kernel's XDP dispatcher for each call and waits for
    RCU twice, 24 to 48 ms in all. One that is attached somewhere is there already: 0.02 ms.
    """
    links.attach_xdp(namespace, "lo", program)
    try:
        yield
    finally:
        links.attach_xdp(namespace, "lo", -1)


class Generator:
    """The loaded program with its maps, and the pace."""

    def __init__(self, loaded: LoadedObject, interface_index: int, macs: tuple[str, str]) -> None:
        self._loaded = loaded
        self._index = interface_index
        self._macs = macs

    def send(self, plan: FloodPlan, orders: Parent) -> FloodReport:
        """Send one flood, until its own bounds, another order, or the end of the orders."""
        self._prepare(plan)
        sent_frames = 0
        start_s = time.monotonic()
        while sent_frames < plan.frame_limit and not orders.ended:
            elapsed_s = time.monotonic() - start_s
            due_frames = _due_frames(plan, elapsed_s, sent_frames)
            if due_frames:
                self._burst(plan, due_frames)
                sent_frames += due_frames
                if sent_frames == due_frames:
                    orders.say(Said("started", self._report()))
            if elapsed_s >= plan.duration_s:
                break
            next_s = start_s + max(elapsed_s + TICK_S, sent_frames / plan.syn_per_s)
            if orders.next(max(next_s - time.monotonic(), 0.0)) is not None:
                break
        return self._report()

    def _prepare(self, plan: FloodPlan) -> None:
        maps = self._loaded.maps
        maps["plans"].update(_FIRST, encode_plan(plan, self._index, *self._macs))
        for index, source in enumerate(encode_sources(plan)):
            maps["sources"].update(struct.pack("=I", index), source)
        maps["sent"].update(_FIRST, bytes(maps["sent"].value_bytes))

    def _burst(self, plan: FloodPlan, frames: int) -> None:
        program = self._loaded.programs[_PROGRAM]
        test_run(program, bytes(plan.frame_bytes), repeat=frames, flags=BPF_F_TEST_XDP_LIVE_FRAMES)

    def _report(self) -> FloodReport:
        values = self._loaded.maps["sent"].lookup(_FIRST) or b""
        busy = [record for record in SENT.iter_unpack(values) if record[0]]
        now_s, now_ns = time.time(), time.monotonic_ns()
        first_ns = min((record[1] for record in busy), default=0)
        return FloodReport(
            frames=sum(record[0] for record in busy),
            first_ns=first_ns,
            last_ns=max((record[2] for record in busy), default=0),
            first_s=now_s - (now_ns - first_ns) / 1e9,
        )


def _due_frames(plan: FloodPlan, elapsed_s: float, sent_frames: int) -> int:
    """Return how many frames to send now: those the clock asks for, in bursts of bounded length."""
    asked = min(plan.frame_limit, int(plan.syn_per_s * elapsed_s) + 1)
    return min(asked - sent_frames, max(1, round(plan.syn_per_s * _CATCH_UP_S)))


def _serve(errand: Errand, loaded: LoadedObject, source: links.LinkReading, orders: Parent) -> None:
    os.sched_setaffinity(0, {errand.cpu})
    enter(errand.namespace)
    generator = Generator(loaded, source.index, (errand.destination_mac, source.mac))
    orders.say(Said("ready"))
    while (line := orders.next(None)) is not None:
        plan = msgspec.json.decode(line, type=FloodPlan | None)
        if plan is not None:
            plan.check()
            orders.say(Said("done", generator.send(plan, orders)))


def main(argument: str) -> int:
    """Run the errand; return the exit code."""
    errand = msgspec.json.decode(argument, type=Errand)
    orders = Parent()
    try:
        source = check_interface(errand.namespace, errand.interface)
        check_idle(errand.idle_namespace)
        programs = {_PROGRAM: ProgramType.XDP}
        loaded = load_object(Path(__file__).with_name("generator.c"), programs, DEFINES)
        with _resident(loaded.programs[_PROGRAM], errand.idle_namespace):
            _serve(errand, loaded, source, orders)
    except SynguardError as error:
        orders.say(Said("failed", text=str(error)))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""The process that sends: it enters the sending namespace, so that its parent need not.

It is started with an ``Errand``, says ``ready``, then is given one ``FloodPlan`` after another and
answers each with ``started`` and ``done``. ``null`` ends a flood early; the end of its input, which is
the parent's end, ends everything.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.flood.layout import DEFINES
from bench.flood.plan import FloodPlan, FloodReport
from bench.flood.sender import PROGRAM, Sender
from bench.net import links
from bench.net.enter import NAMESPACES, enter
from bench.net.namespaces import created_by
from bench.net.promptness import ask_for_promptness
from bench.talk import Parent
from synguard.errors import SynguardError, UsageError
from synguard.probe.compiler import LoadedObject, ProgramType, load_object

_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


class Errand(msgspec.Struct, frozen=True):
    """Where to send from, and between which MAC addresses."""

    namespace: str
    interface: str
    destination_mac: str
    source_mac: str
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


def _new_namespace() -> int:
    """Return a descriptor of a network namespace that nobody is in and that has no name."""

    def leave() -> int:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise SynguardError(f"making a network namespace: {os.strerror(code)}")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(leave).result()


@contextmanager
def _resident(program: int) -> Iterator[None]:
    """Keep the program attached to an interface of its own, which is down, while it sends.

    BPF_PROG_TEST_RUN enters a program into the kernel's XDP dispatcher for each call and waits for
    RCU twice, 24 to 48 ms in all. One that is attached somewhere is there already: 0.02 ms.
    """
    namespace = _new_namespace()
    try:
        links.attach_xdp(f"/proc/{os.getpid()}/fd/{namespace}", "lo", program)
        yield
    finally:
        os.close(namespace)


def _serve(errand: Errand, loaded: LoadedObject, interface_index: int, orders: Parent) -> None:
    os.sched_setaffinity(0, {errand.cpu})
    # It stands for the wire, which does not get slower when the machine has other things to do.
    ask_for_promptness(0)
    enter(errand.namespace)
    sender = Sender(loaded, interface_index, (errand.destination_mac, errand.source_mac))
    orders.say(Said("ready"))
    while (line := orders.next(None)) is not None:
        plan = msgspec.json.decode(line, type=FloodPlan | None)
        if plan is not None:
            plan.check()
            report = sender.send(plan, orders, lambda: orders.say(Said("started", sender.report())))
            orders.say(Said("done", report))


def main(argument: str) -> int:
    """Run the errand; return the exit code."""
    errand = msgspec.json.decode(argument, type=Errand)
    orders = Parent()
    try:
        interface = check_interface(errand.namespace, errand.interface)
        source = Path(__file__).with_name("generator.c")
        loaded = load_object(source, {PROGRAM: ProgramType.XDP}, DEFINES)
        with _resident(loaded.programs[PROGRAM]):
            _serve(errand, loaded, interface.index, orders)
    except SynguardError as error:
        orders.say(Said("failed", text=str(error)))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

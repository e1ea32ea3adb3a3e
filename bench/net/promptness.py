"""Lets a thread that stands in for an interrupt, or for the wire itself, run as soon as it wakes.

A packet's interrupt waits for no process's time slice. The thread in its place would, and its ring of 256
frames is full after 5 ms of 50,000 frames a second. So it goes before all others of the default policy, and
its turn comes early and ends early by a short slice (Linux 6.12 and newer; older kernels take no notice of
that). Measured beside other work, a seventh of the frames was lost at 300,000/s that was lost without.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

#: ``sched_setattr``, by machine.
_SYSCALL_NUMBERS = {"x86_64": 314, "aarch64": 274, "riscv64": 274, "s390x": 345, "ppc64le": 355}
#: The shortest that the kernel takes.
_SLICE_NS = 100_000
_NICENESS = -20
#: ``struct sched_attr``: size, policy, flags, nice, priority, runtime, deadline, period.
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")

#: Whoever holds this open says how long a CPU may take to wake, in µs.
_DMA_LATENCY = Path("/dev/cpu_dma_latency")
_IDLE_DRIVER = Path("/sys/devices/system/cpu/cpuidle/current_driver")

_libc = ctypes.CDLL(None, use_errno=True)


def put_first(pid: int) -> None:
    """Let a thread, by its pid (0: the caller), run before all ordinary ones of this machine.

    For measurements of fractions of a second: whatever else would run on its CPU waits until it rests. Where
    the default policy groups processes by session, its first place is one of its own session only.

    Raises PermissionError without CAP_SYS_NICE.
    """
    os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO)))


@contextmanager
def before_all(pids: Sequence[int]) -> Iterator[None]:
    """Put threads that ``ask_for_promptness`` was asked for first, while the ``with`` block lasts.

    Below its CPU's limit an interrupt waits for nobody; above, Linux hands it to a thread that takes turns.
    """
    for pid in pids:
        put_first(pid)
    try:
        yield
    finally:
        for pid in pids:
            ask_for_promptness(pid)


@contextmanager
def alone() -> Iterator[None]:
    """Keep this thread on its last CPU and before all others there, while the ``with`` block lasts."""
    affinity, policy, parameters = os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setaffinity(0, {max(affinity)})
    put_first(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)
        os.sched_setaffinity(0, affinity)


@contextmanager
def awake() -> Iterator[bool]:
    """Keep this machine's idle CPUs from sleeping, while the ``with`` block lasts; yield whether they obey.

    A virtual CPU that halts needs tens of microseconds to wake, in which 10 M packets/s fill a ring of 256
    twice: measured, an empty program was then busy for 30 to 70 % of the time while its ring refused 5 %.
    Needs a driver of idle states and the right to write to ``/dev/cpu_dma_latency``
    (Documentation/power/pm_qos_interface.rst).
    """
    try:
        latency = _DMA_LATENCY.open("r+b", buffering=0)
    except OSError:
        yield False
        return
    with latency:
        latency.write(struct.pack("=i", 0))
        yield _IDLE_DRIVER.exists() and _IDLE_DRIVER.read_text().strip() != "none"


def ask_for_promptness(pid: int) -> None:
    """Give a thread, by its pid (0: the caller), the default policy's first place and shortest slice.

    Raises OSError when the kernel refuses. A machine whose system call is not known gets the place alone.
    """
    number = _SYSCALL_NUMBERS.get(platform.machine())
    if number is None:
        os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)
        return
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, _NICENESS, 0, _SLICE_NS, 0, 0)
    if _libc.syscall(number, pid, ctypes.create_string_buffer(attributes, _ATTRIBUTES.size), 0):
        code = ctypes.get_errno()
        raise OSError(code, f"sched_setattr: {os.strerror(code)}")

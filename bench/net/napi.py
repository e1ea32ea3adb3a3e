"""Gives a guarded interface's NAPI a kernel thread of its own, on a CPU of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bench.net.enter import NAMESPACES, call_in, mount_sysfs
from bench.net.links import Endpoint
from bench.net.promptness import ask_for_promptness
from synguard.errors import UnsupportedError, UsageError

#: All of them are children of kthreadd.
_KERNEL_THREADS = Path("/proc/2/task/2/children")


def give_thread(endpoint: Endpoint, cpu: int) -> tuple[int, ...]:
    """Make the NAPI of an endpoint's interface threaded; return its threads, which stay on that CPU.

    Raises UsageError for a CPU that this process may not use, UnsupportedError where the kernel cannot.
    """
    if cpu not in os.sched_getaffinity(0):
        raise UsageError(f"there is no CPU {cpu} for the receiver here")
    with _alone():
        before = _threads_of(endpoint.interface)
        call_in(endpoint.namespace, lambda: _make_threaded(endpoint.interface))
        threads = sorted(_threads_of(endpoint.interface) - before)
    if not threads:
        raise UnsupportedError(f"{endpoint.interface} got no NAPI thread that can be seen from here")
    for pid in threads:
        os.sched_setaffinity(pid, {cpu})
        ask_for_promptness(pid)
    return tuple(threads)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep other runs of the bench from making NAPI threads: theirs have the same names."""
    fd = os.open(NAMESPACES, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _threads_of(interface: str) -> set[int]:
    found = set()
    try:
        children = _KERNEL_THREADS.read_text(encoding="ascii")
    except OSError as error:
        raise UnsupportedError(
            "the kernel's threads cannot be seen from here; is this a container?"
        ) from error
    for pid in children.split():
        with contextlib.suppress(OSError):  # it has just ended
            name = Path(f"/proc/{pid}/comm").read_text(encoding="ascii")
            if name.startswith(f"napi/{interface}-"):
                found.add(int(pid))
    return found


def _make_threaded(interface: str) -> None:
    # What sysfs shows is the namespace of whoever mounted it.
    mount_sysfs()
    try:
        Path(f"/sys/class/net/{interface}/threaded").write_text("1", encoding="ascii")
    except OSError as error:
        raise UnsupportedError("threaded NAPI needs Linux 5.12") from error

"""Enters a named network namespace: for one call in a thread, or for a whole child process.

``setns`` moves one thread, so a call runs in a fresh thread that ends with it, and sockets opened
there stay in that namespace for good. A child process enters by ``python -m bench.net.enter NAME -- ARGV``
and dies with its parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

#: Where iproute2 and pyroute2 keep namespaces by name.
NAMESPACES = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_CLONE_NEWNS = 0x00020000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)
_Result = TypeVar("_Result")


def _checked(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def enter(name: str) -> None:
    """Move the calling thread into the named namespace. Raises OSError when there is none."""
    fd = os.open(NAMESPACES / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(fd, _CLONE_NEWNET), f"entering namespace {name}")
    finally:
        os.close(fd)


def mount_sysfs() -> None:
    """Show the calling thread, and nobody else, the sysfs of the network namespace that it is in."""
    _checked(_libc.unshare(_CLONE_NEWNS), "leaving the mount namespace")
    _checked(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "keeping mounts to ourselves")
    _checked(_libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None), "mounting sysfs")


def call_in(name: str, function: Callable[[], _Result]) -> _Result:
    """Return ``function()`` as run inside the named namespace; what it raises is raised here."""
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            enter(name)
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            errors.append(error)

    thread = threading.Thread(target=run, name=f"in-{name}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def command_in(name: str, argv: Sequence[str]) -> list[str]:
    """Return the command line that runs ``argv`` inside the named namespace until its parent ends."""
    return [sys.executable, "-m", "bench.net.enter", name, "--", *argv]


def child_environment() -> dict[str, str]:
    """Return this process's environment, in which a child finds ``bench`` and ``synguard`` here."""
    checkout = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{checkout}:{inherited}" if inherited else checkout}


def main(arguments: Sequence[str]) -> None:
    """Enter the namespace named first and become the command after ``--``."""
    name, separator, *argv = arguments
    if separator != "--" or not argv:
        raise SystemExit("usage: python -m bench.net.enter NAMESPACE -- COMMAND [ARGUMENT]...")
    parent = os.getppid()
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0), "asking to end with the parent")
    if os.getppid() != parent:
        raise SystemExit("the parent ended first")
    enter(name)
    os.execvp(argv[0], argv)  # noqa: S606 - replacing this process is the point


if __name__ == "__main__":
    main(sys.argv[1:])

"""Takes our XDP program off an interface that was moved into another network namespace.

The filters of tc end when an interface moves. An XDP program goes along, and would count there and enforce
our blocks for as long as the interface lives (__dev_change_net_namespace() in the kernel's net/core/dev.c).
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from synguard.probe import xdp
from synguard.probe.interfaces import describe
from synguard.probe.known import KnownPrograms

_OWN = Path("/proc/self/ns/net")
_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def remove_elsewhere(program_id: int, known: KnownPrograms) -> list[str]:
    """Remove an XDP program from the interfaces of every other namespace; return these, in words.

    Only namespaces that a process is in, or that have a name, can be looked into, and only by root.
    """
    removed: list[str] = []
    with ExitStack() as stack:
        for namespace in _others(stack):
            with suppress(OSError, NetlinkError):  # not permitted, or what it had is gone
                _call_in(namespace, lambda: removed.extend(_remove(program_id, known)))
    return removed


def _others(stack: ExitStack) -> list[int]:
    """Return descriptors of the others, until ``stack`` is closed: the process that leads to one may end."""
    found = {_OWN.stat().st_ino: -1}
    for path in (*Path("/run/netns").glob("*"), *Path("/proc").glob("[0-9]*/ns/net")):
        with suppress(OSError):  # it ended meanwhile
            inode = path.stat().st_ino
            if inode not in found:
                found[inode] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, found[inode])
    return [fd for fd in found.values() if fd >= 0]


def _call_in(namespace: int, work: Callable[[], None]) -> None:
    """Call ``work`` in a thread that has entered the namespace, and ends; what it raises is raised here."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            _enter(namespace)
            work()
        except (OSError, NetlinkError) as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="elsewhere")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")


def _remove(program_id: int, known: KnownPrograms) -> Iterator[str]:
    with IPRoute() as ipr:
        for link in list(ipr.get_links()):
            interface = describe(link)
            if interface.xdp_program_id == program_id:
                xdp.remove_own(ipr, interface, known)
                yield f"{interface.name} in another network namespace: XDP program"

"""Keeps XDP programs in the kernel's dispatcher while they are measured.

BPF_PROG_TEST_RUN enters an XDP program into the dispatcher for each call and waits for RCU twice, 24 to
48 ms in all; one that is attached somewhere is there already. So each is attached to the loopback
interface of a network namespace of its own, which is down and has no name: it exists as long as one
socket does, and no killed process leaves it behind.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from synguard.errors import SynguardError, UnsupportedError

_CLONE_NEWNET = 0x40000000
_LOOPBACK_INDEX = 1
_RTM_SETLINK = 19
_NLM_F_REQUEST, _NLM_F_ACK = 1, 4
_NLA_F_NESTED = 1 << 15
_IFLA_XDP, _IFLA_XDP_FD, _IFLA_XDP_FLAGS = 43, 1, 3
_XDP_FLAGS_SKB_MODE = 1 << 1
_ANSWER_BYTES = 4096
_ANSWER_TIMEOUT_S = 5.0

_libc = ctypes.CDLL(None, use_errno=True)


def _unshared_socket() -> socket.socket:
    """Return a route netlink socket in a namespace that nothing else is in."""
    made: list[socket.socket] = []
    codes: list[int] = []

    def unshare() -> None:
        if _libc.unshare(_CLONE_NEWNET):
            codes.append(ctypes.get_errno())
        else:
            made.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))

    thread = threading.Thread(target=unshare, name="unshared")
    thread.start()
    thread.join()
    if not made:
        why = os.strerror(codes[0]) if codes else "no netlink socket"
        raise UnsupportedError(f"no network namespace for measuring in: {why}; it needs root")
    made[0].settimeout(_ANSWER_TIMEOUT_S)
    return made[0]


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value


def _attach(route: socket.socket, program: int) -> None:
    flags = _attribute(_IFLA_XDP_FLAGS, struct.pack("=I", _XDP_FLAGS_SKB_MODE))
    xdp = _attribute(_IFLA_XDP_FD, struct.pack("=i", program)) + flags
    link = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, _LOOPBACK_INDEX, 0, 0)
    body = link + _attribute(_IFLA_XDP | _NLA_F_NESTED, xdp)
    header = struct.pack("=IHHII", 16 + len(body), _RTM_SETLINK, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0)
    route.send(header + body)
    # NLMSG_ERROR: the header, then the error number, 0 for done.
    (code,) = struct.unpack_from("=i", route.recv(_ANSWER_BYTES), 16)
    if code:
        raise SynguardError(f"attaching a program to be measured: {os.strerror(-code)}")


@contextmanager
def resident(programs: Iterable[int]) -> Iterator[None]:
    """Keep XDP programs in the dispatcher, while the ``with`` block lasts.

    Raises UnsupportedError without the right to make network namespaces.
    """
    with ExitStack() as stack:
        for program in programs:
            route = stack.enter_context(_unshared_socket())
            _attach(route, program)
        yield

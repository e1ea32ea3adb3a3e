"""A server of a packet vector with a real listening socket, in a network namespace that nobody else has."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path

from synguard.endpoint import Address
from tests.kernel.wire import Connection, Wire

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _moved(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "this thread stays in its network namespace")


@contextmanager
def own_namespace() -> Iterator[None]:
    """Let the calling thread be in a new network namespace meanwhile: test runs look for sockets there."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _moved(_libc.unshare(_CLONE_NEWNET))
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            _moved(_libc.setns(before, _CLONE_NEWNET))
    finally:
        os.close(before)


def set_sysctl(name: str, value: int) -> None:
    """Set one of ``net.ipv4``, in the namespace that the calling thread is in."""
    Path("/proc/sys/net/ipv4", name).write_text(f"{value}\n", encoding="ascii")


def own_address(address: Address) -> None:
    """Let an address be one of this namespace's."""
    at_once = ["nodad"] if isinstance(address, IPv6Address) else []
    subprocess.run(["ip", "addr", "add", str(address), *at_once, "dev", "lo"], check=True)


def tcp_socket(wire: Wire) -> socket.socket:
    """Return a new socket of the wire's IP version."""
    return socket.socket(socket.AF_INET if wire.version == 4 else socket.AF_INET6)


@contextmanager
def server_of(wire: Wire) -> Iterator[socket.socket]:
    """Yield a socket that listens at port 443 of the wire's server, where cookies are always on."""
    with own_namespace(), tcp_socket(wire) as listening:
        set_sysctl("tcp_syncookies", 2)
        own_address(wire.server)
        listening.bind((str(wire.server), 443))
        listening.listen(64)
        yield listening


def connect_as(wire: Wire, connection: Connection) -> socket.socket:
    """Return a socket of the connection's client that is really connected; its address becomes ours."""
    own_address(connection.client)
    client = tcp_socket(wire)
    client.settimeout(5)
    client.bind((str(connection.client), connection.client_port))
    client.connect((str(connection.server), connection.server_port))
    return client

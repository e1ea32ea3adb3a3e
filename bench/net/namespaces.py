"""Builds attacker, client and server in network namespaces, joined by a switch, and removes them.

    attacker net0 ── port-attacker ┐
                                   ├ bridge (switch) ── port-server ── net0 server
    client   net0 ── port-client ──┘

The server has one interface, so what guards it sees everything both ways. Its default route leads to
the attacker: answers to spoofed addresses leave by that interface and vanish at the attacker, which
owns none of them. Addresses are those set aside for benchmarks (RFC 2544, RFC 5180).

Names are ``sg-PID-NUMBER-ROLE`` with the pid of the process that made them. Whoever comes next
removes those whose process has died.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self, TypeVar

from bench.net import links
from bench.net.enter import NAMESPACES, call_in, child_environment, command_in
from bench.net.links import Endpoint, Route
from synguard.errors import SynguardError, UnsupportedError

#: The flooding address of a single-source flood: the attacker's subnet, owned by no host, so that
#: nothing answers the server's SYN-ACKs with RST and empties its queue.
SILENT_IPV4 = IPv4Address("198.18.66.13")
SILENT_IPV6 = IPv6Address("2001:2:0:66::13")

READY_TIMEOUT_S = 5.0

_NAME = re.compile(r"sg-(?P<pid>\d+)-\d+-[a-z]+")
_numbers = itertools.count()
_Result = TypeVar("_Result")

#: Set before the interfaces exist, so that these inherit them. Paths below /proc/sys/net.
_QUIET_HOST = {
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
    "ipv6/conf/all/accept_dad": 0,
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/default/dad_transmits": 0,
    "ipv6/conf/default/accept_ra": 0,
    "ipv6/conf/default/router_solicitations": 0,
}
#: The switch is no host, and its frames are no business of iptables'.
_QUIET_SWITCH = {
    "ipv6/conf/default/disable_ipv6": 1,
    "bridge/bridge-nf-call-iptables": 0,
    "bridge/bridge-nf-call-ip6tables": 0,
    "bridge/bridge-nf-call-arptables": 0,
}


def wait_until(ready: Callable[[], bool], what: str, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Ask ``ready`` until it says yes; raises SynguardError naming ``what`` after ``timeout_s``."""
    deadline_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while not ready():
        if time.monotonic() > deadline_s:
            raise SynguardError(f"{what} was not ready within {timeout_s:g} s")
        pause.wait(0.005)


@contextlib.contextmanager
def exit_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that every ``with`` block cleans up."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Keep an impatient second Ctrl-C from cutting a clean-up short."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def created_by(name: str) -> int | None:
    """Return the pid of the process that made a namespace of the bench's, None for anyone else's."""
    match = _NAME.fullmatch(name)
    return int(match["pid"]) if match else None


def namespaces_of(pid: int) -> list[str]:
    """Return the namespaces that the process made and that are still there."""
    if not NAMESPACES.is_dir():
        return []
    return sorted(entry.name for entry in NAMESPACES.iterdir() if created_by(entry.name) == pid)


def remove_stale() -> list[str]:
    """Remove the namespaces of processes that have died; return their names."""
    if not NAMESPACES.is_dir():
        return []
    pids = {pid for entry in NAMESPACES.iterdir() if (pid := created_by(entry.name)) is not None}
    names = [name for pid in pids if not Path(f"/proc/{pid}").exists() for name in namespaces_of(pid)]
    _remove(names)
    return names


def _remove(names: Sequence[str]) -> None:
    for name in names:
        if name.endswith("-switch"):
            # One made only half, or that another run is removing too, has nothing left to delete.
            with contextlib.suppress(OSError, SynguardError):
                links.remove_links(name)
    for name in names:
        links.remove_namespace(name)


def write_sysctls(namespace: str, values: Mapping[str, int]) -> None:
    """Set sysctls, given by their path below /proc/sys/net, in a namespace."""

    def write() -> None:
        for path, value in values.items():
            file = Path("/proc/sys/net") / path
            if file.exists():
                file.write_text(str(value), encoding="ascii")

    call_in(namespace, write)


class Topology:
    """The three hosts and their switch, while the ``with`` block lasts.

    Args:
        server_sysctls: set in the server's namespace, by path below /proc/sys/net
            (``ipv4/tcp_syncookies``).

    Raises:
        UnsupportedError: without root.
        SynguardError: the kernel refused a part, or it was not up within ``READY_TIMEOUT_S``.

    """

    def __init__(self, server_sysctls: Mapping[str, int] | None = None) -> None:
        prefix = f"sg-{os.getpid()}-{next(_numbers)}"
        self._server_sysctls = dict(server_sysctls or {})
        self.switch = f"{prefix}-switch"
        self.server = _endpoint(prefix, "server", 1, "198.18.0.1/24", "2001:2:0:1::1/64")
        self.client = _endpoint(prefix, "client", 2, "198.19.10.2/24", "2001:2:0:10::2/64")
        self.attacker = _endpoint(prefix, "attacker", 3, "198.18.66.2/24", "2001:2:0:66::2/64")

    @property
    def endpoints(self) -> tuple[Endpoint, Endpoint, Endpoint]:
        """The hosts."""
        return self.server, self.client, self.attacker

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise UnsupportedError("network namespaces need root: run it with sudo")
        remove_stale()
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything; what is already gone is as good. Harmless when done twice."""
        with _signals_held():
            _remove([self.switch, *(endpoint.namespace for endpoint in self.endpoints)])

    def _build(self) -> None:
        for name in (self.switch, *(endpoint.namespace for endpoint in self.endpoints)):
            links.create_namespace(name)
        write_sysctls(self.switch, _QUIET_SWITCH)
        for endpoint in self.endpoints:
            write_sysctls(endpoint.namespace, _QUIET_HOST)
        write_sysctls(self.server.namespace, self._server_sysctls)
        links.build_switch(self.switch, self.endpoints)
        links.enable_napi(self.switch, self.attacker.port)
        for endpoint, routes in self._routes():
            links.configure_endpoint(endpoint, routes)
        for endpoint in self.endpoints:
            wait_until(partial(links.endpoint_is_ready, endpoint), endpoint.namespace)
        wait_until(lambda: links.switch_is_ready(self.switch, self.endpoints), self.switch)

    def _routes(self) -> Iterator[tuple[Endpoint, list[Route]]]:
        client, attacker, server = self.client, self.attacker, self.server
        yield (
            server,
            [
                Route(str(client.ipv4.network), "198.18.0.253", client),
                Route("default", "198.18.0.254", attacker),
                Route(str(client.ipv6.network), "2001:2:0:1::fd", client),
                Route("default", "2001:2:0:1::fe", attacker),
            ],
        )
        for host in (client, attacker):
            gateways = (host.ipv4.network.broadcast_address - 1, host.ipv6.network.network_address + 0xFE)
            yield host, [Route("default", str(gateway), server) for gateway in gateways]


def _endpoint(prefix: str, role: str, number: int, ipv4: str, ipv6: str) -> Endpoint:
    mac = f"02:73:67:00:00:{number:02x}"
    return Endpoint(role, f"{prefix}-{role}", mac, IPv4Interface(ipv4), IPv6Interface(ipv6))


def run_in(endpoint: Endpoint, work: Callable[[], _Result]) -> _Result:
    """Return ``work()`` as run in an endpoint's namespace; what it raises is raised here."""
    return call_in(endpoint.namespace, work)


def start_in(endpoint: Endpoint, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a command in an endpoint's namespace; it gets SIGTERM when the calling thread ends."""
    return subprocess.Popen(command_in(endpoint.namespace, argv), env=child_environment(), **options)

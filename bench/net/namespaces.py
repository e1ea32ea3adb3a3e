"""Builds attacker, clients and server in network namespaces, joined by a switch, and removes them.

    attacker net0 ── port-attacker ┐
                                   ├ bridge (switch) ── port-server ── net0 server
    client   net0 ── port-client ──┘
                                   with a gateway:   ── port-gateway ── net0 gateway net1 ── net0 server

The guarded, which is the server or the gateway before it, has one interface to the switch, so what guards
that sees everything both ways. Its default route leads to the attacker: answers to spoofed addresses leave
by that interface and vanish at the attacker, which owns none of them.

The guarded's interface has a NAPI with a ring of 256 frames, as a network card has, and all that comes from
the switch goes through it.

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
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self, TypeVar

from bench.net import ethtool, links, napi
from bench.net.enter import NAMESPACES, call_in, child_environment, command_in
from bench.net.layout import Layout, Role
from bench.net.line import DelayLine, Line
from bench.net.links import Endpoint
from synguard.errors import SynguardError, UnsupportedError

#: The flooding address of a single-source flood: the attacker's subnet, owned by no host, so that
#: nothing answers the server's SYN-ACKs with RST and empties its queue.
SILENT_IPV4 = IPv4Address("198.18.66.13")
SILENT_IPV6 = IPv6Address("2001:2:0:66::13")

READY_TIMEOUT_S = 5.0

_NAME = re.compile(r"sg-(?P<pid>\d+)-\d+-[a-z]+\d*")
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
#: Set before all others: they go back to what a router's defaults are.
_FORWARDING = {"ipv4/conf/all/forwarding": 1, "ipv6/conf/all/forwarding": 1}
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


def remove_stale() -> None:
    """Remove the namespaces of processes that have died."""
    if not NAMESPACES.is_dir():
        return
    pids = {pid for entry in NAMESPACES.iterdir() if (pid := created_by(entry.name)) is not None}
    _remove([name for pid in pids if not Path(f"/proc/{pid}").exists() for name in namespaces_of(pid)])


def _remove(names: Sequence[str]) -> None:
    for name in names:
        if name.endswith(("-switch", "-gateway")):
            # One made only half, or that another run is removing too, has nothing left to delete.
            with contextlib.suppress(OSError, SynguardError):
                links.remove_links(name)
    for name in names:
        links.remove_namespace(name)


def write_sysctls(namespace: str, values: Mapping[str, int | str]) -> None:
    """Set sysctls, given by their path below /proc/sys/net, in a namespace."""

    def write() -> None:
        for path, value in values.items():
            file = Path("/proc/sys/net") / path
            if file.exists():
                file.write_text(str(value), encoding="ascii")

    call_in(namespace, write)


class Topology:
    """The hosts and their switch, while the ``with`` block lasts.

    Args:
        server_sysctls: set in the server's namespace, by path below /proc/sys/net
            (``ipv4/tcp_syncookies``).
        clients: how far away each of the clients is, by name; one nearby where not given.
        role: ``host``: the server is guarded; ``gateway``: a gateway before it is.
        receiver_cpu: where the guarded takes in what comes from the switch, by a thread of its own;
            without it, that is done wherever the sender happens to run.

    Raises:
        UsageError: a role, a number of clients or a line that there is not.
        UnsupportedError: without root, or no threaded NAPI in this kernel.
        SynguardError: the kernel refused a part, or it was not up within ``READY_TIMEOUT_S``.

    """

    def __init__(
        self,
        server_sysctls: Mapping[str, int] | None = None,
        *,
        clients: Mapping[str, Line] | None = None,
        role: Role = "host",
        receiver_cpu: int | None = None,
    ) -> None:
        lines = {"client": Line()} if clients is None else dict(clients)
        layout = Layout(f"sg-{os.getpid()}-{next(_numbers)}", len(lines), role)
        self._layout = layout
        self._server_sysctls = dict(server_sysctls or {})
        self._receiver_cpu = receiver_cpu
        self._stack = contextlib.ExitStack()
        self.switch = layout.switch
        self.server = layout.server
        self.attacker = layout.attacker
        self.gateway = layout.gateway
        self.guarded = layout.guarded
        self.clients = dict(zip(lines, layout.clients, strict=True))
        self.lines = {
            name: DelayLine(line, self.clients[name], self.switch)
            for name, line in lines.items()
            if not line.is_null
        }
        #: The guarded's NAPI threads, pinned to ``receiver_cpu``; none without it.
        self.receiver_threads: tuple[int, ...] = ()

    @property
    def client(self) -> Endpoint:
        """The first of the clients."""
        return self._layout.clients[0]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The hosts: server, clients, attacker, and the gateway where there is one."""
        return self._layout.endpoints

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
            # Lines first: a TAP device keeps the namespace of whoever opened it.
            self._stack.close()
            _remove(self._names())

    def _names(self) -> list[str]:
        return [self.switch, *(endpoint.namespace for endpoint in self.endpoints)]

    def _build(self) -> None:
        for name in self._names():
            links.create_namespace(name)
        for line in self.lines.values():
            self._stack.enter_context(line)
        self._write_sysctls()
        self._join()
        for endpoint, routes in self._layout.routes():
            links.configure_endpoint(endpoint, routes)
        for endpoint in self.endpoints:
            wait_until(partial(links.endpoint_is_ready, endpoint), endpoint.namespace)
        on_switch = self._layout.on_switch
        wait_until(lambda: links.switch_is_ready(self.switch, on_switch), self.switch)
        self._equip()

    def _equip(self) -> None:
        """Let XDP send to the guarded, and to the attacker's port.

        Only on an interface that is up does the kernel mark the far end as one that XDP may send to.
        """
        ethtool.enable_napi(self.switch, self.attacker.port)
        ethtool.enable_napi(self.guarded.namespace, self.guarded.interface)
        ethtool.disable_tso(self.switch, self.guarded.port)
        if self._receiver_cpu is not None:
            self.receiver_threads = napi.give_thread(self.guarded, self._receiver_cpu)

    def _write_sysctls(self) -> None:
        write_sysctls(self.switch, _QUIET_SWITCH)
        if self.gateway:
            write_sysctls(self.gateway.namespace, _FORWARDING)
        for endpoint in self.endpoints:
            write_sysctls(endpoint.namespace, _QUIET_HOST)
        write_sysctls(self.server.namespace, self._server_sysctls)

    def _join(self) -> None:
        afar = [self.clients[name] for name in self.lines]
        nearby = [endpoint for endpoint in self._layout.on_switch if endpoint not in afar]
        links.build_switch(self.switch, nearby)
        if self.gateway:
            links.join_directly(self._layout.inner, self.server)
        for endpoint, line in zip(afar, self.lines.values(), strict=True):
            line.wait_until_ready()
            links.adopt_port(self.switch, endpoint)


def run_in(endpoint: Endpoint, work: Callable[[], _Result]) -> _Result:
    """Return ``work()`` as run in an endpoint's namespace; what it raises is raised here."""
    return call_in(endpoint.namespace, work)


def start_in(endpoint: Endpoint, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a command in an endpoint's namespace; it gets SIGTERM when the calling thread ends."""
    return subprocess.Popen(command_in(endpoint.namespace, argv), env=child_environment(), **options)

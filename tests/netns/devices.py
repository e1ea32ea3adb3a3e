"""Devices of the kinds that this kernel has, each between server and client with addresses of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import stat
import struct
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.defences.guard import Guard, Setting
from bench.net.enter import command_in, mount_sysfs
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, run_in, wait_until
from bench.peers.clients import shake_hands
from synguard.errors import SynguardError

PORT = 8080
#: A prime number of handshakes, which nothing makes by chance.
HANDSHAKES = 23
COUNTED = ("attempts", "answered", "completed")
#: A macvlan's parent has the same addresses at hand and would answer for it, too.
QUIET_PARENTS = {"ipv4/conf/all/arp_ignore": 1}

IFF_TUN, IFF_TAP = 0x0001, 0x0002
_IFF_NO_PI = 0x1000
_TUNSETIFF = 0x400454CA
_PACKET_BYTES = 1 << 16


def ip(endpoint: Endpoint, *commands: str) -> None:
    """Run commands of ``ip`` in a namespace; raises CalledProcessError at the first that fails."""
    argv = ["ip", "-n", endpoint.namespace, "-batch", "-"]
    subprocess.run(argv, input="\n".join(commands), text=True, check=True, capture_output=True)


def said(endpoint: Endpoint, *argv: str) -> str:
    """Return what a command prints in a host's namespace; raises CalledProcessError when it fails."""
    argv = ("ip", "netns", "exec", endpoint.namespace, *argv)
    return subprocess.run(argv, text=True, check=True, capture_output=True).stdout


def shown(endpoint: Endpoint, interface: str) -> str:
    """Return what ip(8) shows of an interface, the XDP program on it among the rest."""
    return said(endpoint, "ip", "-details", "link", "show", "dev", interface)


def everything(endpoint: Endpoint) -> str:
    """Return what is on the interfaces of a namespace: XDP programs, qdiscs, and the filters of tc."""
    filters = said(endpoint, "tc", "filter", "show", "dev", endpoint.interface, "egress")
    return said(endpoint, "ip", "link") + said(endpoint, "tc", "qdisc") + filters


@dataclass(frozen=True, slots=True)
class Way:
    """A way from the client to the server."""

    #: The interface that is guarded.
    guarded: str
    server: Endpoint
    client: Endpoint
    #: The server's, of IPv4 and IPv6.
    addresses: tuple[str, str]


class Workshop:
    """Builds ways between the server and the client of a topology, while the ``with`` block lasts."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._stack = contextlib.ExitStack()
        self._ways = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def address(
        self, device: str, far: str, *, guarded: str | None = None, server: Endpoint | None = None
    ) -> Way:
        """Give ``device`` at the server, and the client's end of it, their addresses, and take them up."""
        self._ways += 1
        server, client = server or self._topology.server, self._topology.client
        ipv4, ipv6 = f"198.18.{100 + self._ways}.", f"2001:2:0:{100 + self._ways}::"
        for host, name, number in ((server, device, 1), (client, far, 2)):
            ip(
                host,
                f"addr add {ipv4}{number}/24 dev {name}",
                f"addr add {ipv6}{number}/64 dev {name} nodad",
                f"link set {name} up",
            )
        return Way(guarded or device, server, client, (f"{ipv4}1", f"{ipv6}1"))

    def wire(self, name: str, mtu: int = 1500) -> None:
        """Lay a veth from the server to the client, of the same name at either end."""
        client = self._topology.client
        ip(
            self._topology.server,
            f"link add {name} mtu {mtu} type veth peer name {name} mtu {mtu} netns {client.namespace}",
            f"link set {name} up",
        )
        ip(client, f"link set {name} up")

    def veth(self, name: str, mtu: int = 1500) -> Way:
        """Build a veth."""
        self.wire(name, mtu)
        return self.address(name, name)

    def offload(self, name: str) -> None:
        """Let both ends of a veth merge what they receive, and send giant segments."""
        for host in (self._topology.server, self._topology.client):
            said(host, "ethtool", "-K", name, "gro", "on", "tso", "on", "gso", "on")

    def bridge(self, name: str, *, guard_port: bool = False) -> Way:
        """Build a bridge with one port, to guard either."""
        port = f"{name}-port"
        self.wire(port)
        ip(self._topology.server, f"link add {name} type bridge", f"link set {port} master {name}")
        return self.address(name, port, guarded=port if guard_port else None)

    def macvlan(self, name: str, mode: str) -> Way:
        """Build a macvlan on a veth."""
        parent = f"{name}-par"
        self.wire(parent)
        ip(self._topology.server, f"link add link {parent} name {name} type macvlan mode {mode}")
        return self.address(name, parent)

    def macvtap(self, name: str) -> Way:
        """Build a macvtap on a veth, and let the attacker's namespace be the guest that serves behind it."""
        parent, server, guest = f"{name}-par", self._topology.server, self._topology.attacker
        self.wire(parent)
        ip(
            server,
            f"link add link {parent} name {name} type macvtap mode bridge",
            # The guest's multicast groups are unknown to the host.
            f"link set {name} allmulticast on up",
        )
        near, mac = run_in(server, partial(open_macvtap, name))
        far = run_in(guest, partial(open_tuntap, name, IFF_TAP))
        self._stack.enter_context(Carrier(near, far))
        ip(guest, f"link set {name} address {mac}")
        return self.address(name, parent, server=guest)

    def vxlan(self, name: str) -> Way:
        """Build a VXLAN tunnel over a veth."""
        under = f"{name}-low"
        self.wire(under)
        way = self.address(under, under)
        near, far = way.addresses[0], way.addresses[0].removesuffix("1") + "2"
        options = f"type vxlan id {HANDSHAKES} dstport 4789 dev {under}"
        ip(self._topology.server, f"link add {name} {options} local {near} remote {far}")
        ip(self._topology.client, f"link add {name} {options} local {far} remote {near}")
        return self.address(name, name)

    def tuntap(self, name: str, kind: int) -> Way:
        """Build a tun or tap device at either end, and carry what one sends to the other."""
        ends = [
            run_in(host, partial(open_tuntap, name, kind))
            for host in (self._topology.server, self._topology.client)
        ]
        self._stack.enter_context(Carrier(ends[0], ends[1]))
        return self.address(name, name)

    def loopback(self) -> Way:
        """Let the server be its own client."""
        server = self._topology.server
        return Way("lo", server, server, ("127.0.0.1", "::1"))


def open_tuntap(name: str, kind: int) -> int:
    """Return the descriptor of a new device in the calling thread's namespace; both end together."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), kind | _IFF_NO_PI))
    return fd


def open_macvtap(name: str) -> tuple[int, str]:
    """Return the descriptor that a guest would hold of a macvtap in this thread's namespace, and its MAC."""
    mount_sysfs()
    device = Path("/sys/class/net") / name
    (tap,) = (device / "macvtap").iterdir()
    major, minor = (int(number) for number in (tap / "dev").read_text(encoding="ascii").split(":"))
    with tempfile.TemporaryDirectory() as folder:
        node = Path(folder) / "tap"
        os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(major, minor))
        fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", b"", IFF_TAP | _IFF_NO_PI))
    return fd, (device / "address").read_text(encoding="ascii").strip()


class Carrier:
    """Carries packets from each of two descriptors to the other, and closes them in the end."""

    def __init__(self, near: int, far: int) -> None:
        self._other = {near: far, far: near}
        self._ends, self._end = os.pipe()
        self._thread = threading.Thread(target=self._carry, name="carrier", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._end)
        self._thread.join()
        for fd in (self._ends, *self._other):
            os.close(fd)

    def _carry(self) -> None:
        while True:
            ready, _, _ = select.select([self._ends, *self._other], [], [])
            if self._ends in ready:
                return
            for fd in ready:
                with contextlib.suppress(OSError):  # the far end is down, or has no room
                    os.write(self._other[fd], os.read(fd, _PACKET_BYTES))


class Daemon(Guard):
    """A daemon that guards as many interfaces of a host as it is told to.

    ``inside`` goes before its command line: what makes the container that it runs in.
    """

    def __init__(
        self,
        server: Endpoint,
        interfaces: Sequence[str],
        folder: Path,
        settings: Mapping[str, Mapping[str, Setting]] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        super().__init__(replace(server, interface=interfaces[0]), folder, "dry-run", settings)
        enter = command_in(server.namespace, ())
        more = [word for name in interfaces[1:] for word in ("--interface", name)]
        self._argv = [*enter, *inside, *self._argv[len(enter) :], *more]

    def interface(self, name: str) -> dict[str, object]:
        """Return what ``synguard status`` says of an interface."""
        (found,) = (row for row in self.status()["interfaces"] if row["name"] == name)
        described: dict[str, object] = found
        return described

    def totals(self) -> dict[str, int]:
        """Return the totals that ``synguard status`` shows."""
        counted: dict[str, int] = self.status()["totals"]
        return counted


def listen(server: Endpoint, address: str, stack: contextlib.ExitStack) -> socket.socket:
    """Listen on a port of the server, until ``stack`` is closed; the kernel completes handshakes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = run_in(server, lambda: socket.create_server((address, PORT), family=family))
    return stack.enter_context(listener)


def count_handshakes(daemon: Daemon, way: Way) -> dict[str, int]:
    """Make 23 handshakes of either family, and return by how much each of the totals rose meanwhile."""
    before = daemon.totals()
    with contextlib.ExitStack() as stack:
        for address in way.addresses:
            listen(way.server, address, stack).listen(2 * HANDSHAKES)
            shake_hands(way.client, address, PORT, HANDSHAKES)
        after = totals_after(daemon, before["completed"] + 2 * HANDSHAKES)
    return {name: after[name] - before[name] for name in after}


def totals_after(daemon: Daemon, completed: int) -> dict[str, int]:
    """Return the totals of a read that has come to so many completions, or those at the end of waiting."""
    with contextlib.suppress(SynguardError):  # the figures say it better
        wait_until(lambda: daemon.totals()["completed"] >= completed, "the last ACK")
    return daemon.totals()


def assert_exact(risen: Mapping[str, int]) -> None:
    """Hold the totals of :func:`count_handshakes` against what was done: nothing missed, nothing twice."""
    assert {name: risen[name] for name in COUNTED} == dict.fromkeys(COUNTED, 2 * HANDSHAKES)
    amiss = ("syn_retransmits", "syn_duplicates", "synack_retransmits", "unparsed", "aborted", "refused")
    assert {name: risen[name] for name in amiss if risen[name]} == {}

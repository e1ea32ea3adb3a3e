"""A real probe between real kernels: what one test does on a topology, and what was counted meanwhile."""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from pathlib import Path

from bench.net.counters import tcp_counters
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, run_in, wait_until, write_sysctls
from synguard.endpoint import Address, Listener
from synguard.errors import SynguardError
from synguard.model import HandshakeCounts
from synguard.probe import address_layout, attach, layout
from synguard.probe.claim import Claim
from synguard.probe.interfaces import find_interface
from synguard.probe.known import KnownPrograms
from synguard.probe.probe import Probe
from synguard.probe.reader import ProbeReader

#: Longer than the second after which kernels repeat their SYNs, on a busy machine too.
PATIENCE_S = 10.0
#: Counted of any traffic at all, so of no use in telling what it was taken for. Hosts that speak IPv6 say
#: things of their own.
_PLAIN_TRAFFIC = frozenset({"packets", "egress_packets", "not_ip", "not_tcp", "ack_segments", "egress_tcp"})
_MARKER_TYPE = 0x88B5  # IEEE 802: for local experiments
_EVERY_TYPE = 0x0003  # ETH_P_ALL

_ports = itertools.count(8000)
_tables = itertools.count()


class Ground:
    """A topology whose guarded interfaces carry the probe, while the ``with`` block lasts.

    Args:
        probe: its programs are attached, its maps tell what was counted.
        topology: entered already.
        claims: a folder for the claims on interfaces, which are this test run's own.
        interfaces: those of the guarded that are guarded.
        xdp_mode: how, as ``probe.xdp_mode`` says it.

    """

    def __init__(
        self,
        probe: Probe,
        topology: Topology,
        claims: Path,
        interfaces: Sequence[str] = ("net0",),
        xdp_mode: str = "native",
    ) -> None:
        self.probe = probe
        self.topology = topology
        self.reader = ProbeReader(probe)
        self._interfaces = interfaces
        self._claims = claims
        self._xdp_mode = xdp_mode
        self._stack = contextlib.ExitStack()
        self._wires: dict[str, socket.socket] = {}

    def __enter__(self) -> Ground:
        run_in(self.topology.guarded, self._attach)
        self.sender = self._stack.enter_context(
            run_in(self.topology.attacker, lambda: _open_wire(self.topology.attacker, 0))
        )
        return self

    def __exit__(self, *_: object) -> None:
        run_in(self.topology.guarded, self._stack.close)

    def wire_of(self, endpoint: Endpoint) -> socket.socket:
        """Return a socket for whole frames on a host's interface; it has heard nothing yet.

        There is one for all tests: to open or close one, the kernel waits for every CPU.
        """
        if endpoint.role not in self._wires:
            self._wires[endpoint.role] = self._stack.enter_context(
                run_in(endpoint, lambda: _open_wire(endpoint))
            )
        wire = self._wires[endpoint.role]
        wire.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while wire.recv(1):
                pass
        wire.settimeout(PATIENCE_S)
        return wire

    def _attach(self) -> None:
        for name in self._interfaces:
            claim = Claim(self._claims / f"{name}.lock", "taken by {pid}")
            self._stack.callback(claim.close)
            known = self._stack.enter_context(contextlib.closing(KnownPrograms()))
            attached = attach.attach(find_interface(name), self.probe.programs, self._xdp_mode, claim, known)
            self._stack.callback(attach.detach_renamed, attached, known, made_clsact=True)

    def forget(self) -> None:
        """Forget every listener and source that earlier tests left in the probe's maps."""
        for name in ("listeners", "closed_buckets", "sources"):
            for key, _ in list(self.probe.maps[name].items()):
                self.probe.maps[name].delete(key)


@dataclass(slots=True)
class Stage:
    """What one test has to itself: an IP version, tcp_syncookies, and counts that begin at zero."""

    ground: Ground
    version: int
    syncookies: int
    stack: contextlib.ExitStack
    _totals: dict[str, int]
    _kernel: dict[str, int]

    @classmethod
    def on(cls, ground: Ground, version: int, syncookies: int, stack: contextlib.ExitStack) -> Stage:
        """Set the stage."""
        write_sysctls(ground.topology.server.namespace, {"ipv4/tcp_syncookies": syncookies})
        stage = cls(ground, version, syncookies, stack, {}, {})
        stage.begin_anew()
        return stage

    def begin_anew(self, *, forgets: bool = True) -> None:
        """Count totals from zero, and listeners and sources too unless these are to go on as they are."""
        self.let_pass()
        if forgets:
            self.ground.forget()
        self._totals = self.ground.reader.totals()
        self._kernel = tcp_counters(self.topology.server)

    @property
    def topology(self) -> Topology:
        """The hosts."""
        return self.ground.topology

    @property
    def family(self) -> socket.AddressFamily:
        """The address family of this test's sockets."""
        return socket.AF_INET if self.version == 4 else socket.AF_INET6

    def address_of(self, endpoint: Endpoint) -> str:
        """Return a host's address of this test's IP version."""
        return str(endpoint.ipv4.ip if self.version == 4 else endpoint.ipv6.ip)

    @property
    def server(self) -> str:
        """The server's address."""
        return self.address_of(self.topology.server)

    @property
    def client(self) -> str:
        """The client's address."""
        return self.address_of(self.topology.client)

    def socket_in(self, endpoint: Endpoint, protocol: int = 0) -> socket.socket:
        """Return a TCP socket of a host, with limits to its patience; closed when the test ends."""
        made = run_in(endpoint, lambda: socket.socket(self.family, socket.SOCK_STREAM, protocol))
        made.settimeout(PATIENCE_S)
        return self.stack.enter_context(made)

    def listen(
        self,
        backlog: int = 1024,
        endpoint: Endpoint | None = None,
        options: Sequence[tuple[int, int, int | bytes]] = (),
        protocol: int = 0,
    ) -> tuple[socket.socket, tuple[str, int]]:
        """Return a listening socket of the server's, or of another host's, and where it listens."""
        endpoint = endpoint or self.topology.server
        where = (self.address_of(endpoint), next(_ports))
        listener = self.socket_in(endpoint, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option in options:
            listener.setsockopt(*option)
        listener.bind(where)
        listener.listen(backlog)
        return listener, where

    def connect(
        self,
        where: tuple[str, int],
        *,
        endpoint: Endpoint | None = None,
        source_port: int = 0,
    ) -> socket.socket:
        """Connect from the client, or another host, and return the socket once its kernel says so."""
        endpoint = endpoint or self.topology.client
        caller = self.socket_in(endpoint)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if source_port:
            caller.bind((self.address_of(endpoint), source_port))
        caller.connect(where)
        return caller

    def begin_to_connect(self, where: tuple[str, int]) -> socket.socket:
        """Send a SYN from the client and return the socket whose it is."""
        caller = self.socket_in(self.topology.client)
        caller.setblocking(False)
        assert caller.connect_ex(where) == errno.EINPROGRESS
        return caller

    def accept(self, listener: socket.socket) -> socket.socket:
        """Return the next connection of a listener's; closed when the test ends."""
        accepted, _ = listener.accept()
        accepted.settimeout(PATIENCE_S)
        return self.stack.enter_context(accepted)

    def firewall(self, endpoint: Endpoint, rules: str) -> None:
        """Load nftables rules into a host, until the test ends."""

        def load(text: str) -> None:
            subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True, timeout=30)

        table = f"table inet rules{next(_tables)}"
        run_in(endpoint, lambda: load(f"{table} {{\n{rules}\n}}"))
        self.stack.callback(lambda: run_in(endpoint, lambda: load(f"delete {table}")))

    def kernel(self, name: str) -> int:
        """Return by how much one of the server's own counters has grown."""
        return tcp_counters(self.topology.server).get(name, 0) - self._kernel.get(name, 0)

    def counted(self) -> dict[str, int]:
        """Return every total that moved, but not those of traffic as such."""
        return {
            name: now - self._totals[name]
            for name, now in self.ground.reader.totals().items()
            if now != self._totals[name] and name not in _PLAIN_TRAFFIC
        }

    def expect(self, wanted: Mapping[str, int]) -> None:
        """Wait until these totals moved just so and no other did, and see that they stay there."""
        wanted = {name: value for name, value in wanted.items() if value}
        with contextlib.suppress(SynguardError):
            wait_until(lambda: self.counted() == wanted, "the counts", PATIENCE_S)
        self.let_pass()
        moved = self.counted()
        assert moved == wanted, f"counted {moved}, expected {wanted}"

    def let_pass(self) -> None:
        """Wait until the probe has seen a frame that was sent after all others."""
        guarded, sender = self.topology.guarded, self.topology.attacker
        frame = bytes.fromhex((guarded.mac + sender.mac).replace(":", ""))
        frame += _MARKER_TYPE.to_bytes(2, "big") + bytes(46)
        before = self.ground.reader.totals()["not_ip"]
        self.ground.sender.send(frame)
        wait_until(lambda: self.ground.reader.totals()["not_ip"] > before, "the marker")

    def at_listener(self, where: tuple[str, int]) -> dict[str, int]:
        """Return what is booked to a listener; to an address's closed ports where the port is 0."""
        wanted = Listener(_address(where[0]), where[1])
        for reading in self.ground.reader.listeners(time.monotonic_ns()):
            if reading.listener == wanted:
                return _moved(reading.counts)
        return {}

    def at_source(self, address: str) -> dict[str, int]:
        """Return what is booked to the source that an address belongs to."""
        network = ip_network((address, 32 if self.version == 4 else 64), strict=False)
        raw = self.ground.probe.maps["sources"].lookup(address_layout.encode_address(network.network_address))
        if raw is None:
            return {}
        return _moved(layout.decode_source(raw, network, time.monotonic_ns()).counts)


def _open_wire(endpoint: Endpoint, hears: int = _EVERY_TYPE) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(hears))
    wire.bind((endpoint.interface, hears))
    return wire


def _address(text: str) -> Address:
    return ip_interface(text).ip


def _moved(counts: HandshakeCounts) -> dict[str, int]:
    return {name: value for name in layout.HANDSHAKE_COUNTERS if (value := getattr(counts, name))}

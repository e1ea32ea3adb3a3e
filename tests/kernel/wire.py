"""What the packet vectors speak: connections, the segments of their handshakes, and what the probe counts."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Protocol

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from synguard.endpoint import Address, Listener, Network
from synguard.model import HandshakeCounts, ListenerReading, SourceReading
from synguard.probe.probe import Probe
from synguard.probe.programs import TC_EGRESS_PROGRAM, XDP_PROGRAM
from synguard.probe.reader import ProbeReader
from synguard.probe.syscall import test_run as run_program

ONLY_KEY = bytes(4)
NS_PER_MS = 10**6

_XDP_VERDICTS = {1: "drop", 3: "tx"}
_PASSED = {True: 2, False: 0xFFFFFFFF}  # XDP_PASS, TC_ACT_UNSPEC
#: Counted for every packet, so of no use in telling what a packet was taken for.
_ALWAYS_COUNTED = ("packets", "egress_packets", "ack_segments", "egress_tcp")


def ethernet(version: int) -> Packet:
    """Return an Ethernet header with addresses of its own: without, scapy asks the real network for them."""
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x0800 if version == 4 else 0x86DD)


def forwarded(frame: bytes) -> bytes:
    """Return the frame as a router sends it on: other link addresses, and one hop less to live."""
    sent = bytearray(frame)
    sent[:12] = bytes.fromhex("020000000004020000000003")
    hops = {b"\x08\x00": 22, b"\x86\xdd": 21}.get(frame[12:14])
    if hops is not None and hops < len(frame):
        sent[hops] = max(sent[hops], 1) - 1
    return bytes(sent)


@dataclass(frozen=True, slots=True)
class Connection:
    """A four-tuple with the initial sequence numbers of both sides."""

    client: Address
    client_port: int
    server: Address
    server_port: int = 443
    isn: int = 0x10000000
    server_isn: int = 0x70000000

    @property
    def listener(self) -> Listener:
        """Return the destination as the probe names it."""
        return Listener(self.server, self.server_port)

    @property
    def closed_bucket(self) -> Listener:
        """Return the destination's bucket of ports that do not answer."""
        return Listener(self.server, 0)

    def network(self, *, outgoing: bool = False) -> Packet:
        """Return the IP header of a packet to the server, or of one that it sends."""
        header = IP if self.server.version == 4 else IPv6
        if outgoing:
            return header(src=str(self.server), dst=str(self.client))
        return header(src=str(self.client), dst=str(self.server))

    def segment(
        self,
        flags: str,
        *,
        seq: int | None = None,
        ack: int | None = None,
        options: Sequence[tuple[str, object]] = (("MSS", 1460),),
        outgoing: bool = False,
    ) -> Packet:
        """Return a TCP header; numbers that are not given are those that follow from the handshake."""
        ports = (self.client_port, self.server_port)
        own, peer = (self.server_isn, self.isn) if outgoing else (self.isn, self.server_isn)
        return TCP(
            sport=ports[outgoing],
            dport=ports[not outgoing],
            flags=flags,
            seq=(own + (0 if "S" in flags else 1) if seq is None else seq) % 2**32,
            ack=((peer + 1 if "A" in flags else 0) if ack is None else ack) % 2**32,
            options=list(options),
        )

    def frame(self, segment: Packet, payload: bytes = b"", *, outgoing: bool = False) -> bytes:
        """Return the segment in an Ethernet frame."""
        return bytes(ethernet(self.server.version) / self.network(outgoing=outgoing) / segment / Raw(payload))


class Delta:
    """How the probe's totals moved since it was made."""

    def __init__(self, reader: ProbeReader) -> None:
        self._reader = reader
        self._before = reader.totals()

    def __call__(self) -> dict[str, int]:
        """Return every total that moved, but not the plain counts of packets."""
        after = self._reader.totals()
        return {
            name: after[name] - before
            for name, before in self._before.items()
            if after[name] != before and name not in _ALWAYS_COUNTED
        }


class Wire:
    """The probe between a server and its peers, under a clock that the test drives.

    One probe serves all tests: each has a server address and a stretch of time of its own, and looks at
    what the totals moved by.
    """

    def __init__(self, probe: Probe, ingress_program: str, version: int, number: int, start_ns: int) -> None:
        self.probe = probe
        self.reader = ProbeReader(probe)
        self.version = version
        self._is_xdp = ingress_program == XDP_PROGRAM
        self._ingress_fd = probe.programs[ingress_program]
        self._egress_fd = probe.programs[TC_EGRESS_PROGRAM]
        self._number = number
        self._clients = 0
        self._random = random.Random(number)  # noqa: S311  a test that fails must fail again
        self.left = b""
        self.at(start_ns)

    def at(self, now_ns: int) -> None:
        """Set the probe's clock."""
        self.now_ns = now_ns
        self.probe.set_clock(now_ns)

    def wait(self, ms: float) -> None:
        """Let time pass."""
        self.at(self.now_ns + round(ms * NS_PER_MS))

    @property
    def number(self) -> int:
        """Return this wire's number, which no other has."""
        return self._number

    @property
    def server(self) -> Address:
        """Return this test's server."""
        if self.version == 4:
            return IPv4Address("10.0.0.0") + self._number * 256
        return IPv6Address("2001:db8:ffff::") + self._number * 256

    def client(self) -> Address:
        """Return an address that no other client of any test has; an IPv6 one has a /64 of its own."""
        self._clients += 1
        if self.version == 4:
            return IPv4Address("16.0.0.0") + (self._number << 12) + self._clients
        return IPv6Address("2001:db8::1") + ((self._number << 16) + self._clients << 64)

    def connection(self, **changes: object) -> Connection:
        """Return the connection of a new client to this test's server, changed as said."""
        numbers = (self._random.getrandbits(32) for _ in range(2))
        port = self._random.randrange(1024, 65536)
        return replace(Connection(self.client(), port, self.server, 443, *numbers), **changes)  # type: ignore[arg-type]

    def deliver(self, frame: bytes | Packet) -> str:
        """Give a frame to the ingress program; return ``pass``, ``drop`` or ``tx``, and nothing else.

        The frame as it then is, in :attr:`left`: unless it is sent back, nothing of it may have changed.
        """
        result = run_program(self._ingress_fd, bytes(frame))
        self.left = result.data
        if self._is_xdp and result.return_value in _XDP_VERDICTS:
            return _XDP_VERDICTS[result.return_value]
        assert result.return_value == _PASSED[self._is_xdp]
        assert result.data == bytes(frame)
        return "pass"

    def repeat(self, frame: bytes, times: int) -> None:
        """Give a frame to the ingress program so many times, whatever becomes of it."""
        run_program(self._ingress_fd, frame, repeat=times)

    def emit(self, frame: bytes | Packet, *, came_in_by: int = 0) -> None:
        """Give a frame to the egress program, which must let it go on.

        What is forwarded came in by an interface, of that index.
        """
        context = struct.pack("=36xI", came_in_by)  # struct __sk_buff up to ingress_ifindex
        answer = run_program(self._egress_fd, bytes(frame), context=context)
        assert answer.return_value == _PASSED[False]

    def segment(self, connection: Connection, flags: str, **numbers: int) -> str:
        """Deliver a segment without payload from the client."""
        return self.deliver(connection.frame(connection.segment(flags, **numbers)))  # type: ignore[arg-type]

    def syn(self, connection: Connection, flags: str = "S", payload: bytes = b"") -> str:
        """Deliver the client's SYN."""
        return self.deliver(connection.frame(connection.segment(flags), payload))

    def synack(self, connection: Connection, **numbers: int) -> None:
        """Let the server answer."""
        segment = connection.segment("SA", outgoing=True, **numbers)  # type: ignore[arg-type]
        self.emit(connection.frame(segment, outgoing=True))

    def ack(self, connection: Connection, flags: str = "A", payload: bytes = b"", **numbers: int) -> str:
        """Deliver an ACK of the client's, by default the right one."""
        segment = connection.segment(flags, **numbers)  # type: ignore[arg-type]
        return self.deliver(connection.frame(segment, payload))

    def refuse(self, connection: Connection, flags: str = "RA", **numbers: int) -> None:
        """Let the server reset."""
        segment = connection.segment(flags, outgoing=True, **({"seq": 0} | numbers))  # type: ignore[arg-type]
        self.emit(connection.frame(segment, outgoing=True))

    def handshake(self, connection: Connection) -> None:
        """Do all three steps at once."""
        self.syn(connection)
        self.synack(connection)
        self.ack(connection)

    @contextmanager
    def counted(self) -> Iterator[Delta]:
        """Yield what tells how the totals moved since."""
        yield Delta(self.reader)

    def listener(self, listener: Listener) -> ListenerReading | None:
        """Return what the probe knows of a listener now."""
        for reading in self.reader.listeners(self.now_ns):
            if reading.listener == listener:
                return reading
        return None

    def known_listener(self, listener: Listener) -> ListenerReading:
        """Return what the probe knows of a listener that it must know."""
        reading = self.listener(listener)
        assert reading is not None
        return reading

    def source(self, address: Address) -> SourceReading | None:
        """Return what the probe knows of a source now."""
        network: Network = ip_network((address, 32 if address.version == 4 else 64), strict=False)
        return self.reader.source(network, self.now_ns)

    def known_source(self, address: Address) -> SourceReading:
        """Return what the probe knows of a source that it must know."""
        reading = self.source(address)
        assert reading is not None
        return reading

    def booked(self, connection: Connection) -> tuple[HandshakeCounts, HandshakeCounts]:
        """Return what the connection's source and its listener, which both must be known, have counted."""
        return self.known_source(connection.client).counts, self.known_listener(connection.listener).counts

    def flood(self, connection: Connection, sources: Iterable[int]) -> None:
        """Deliver a bare SYN from each IPv4 source, given as a number, fast: all else stays the same."""
        frame = bytearray(connection.frame(connection.segment("S", options=())))
        for source in sources:
            struct.pack_into("!I", frame, 26, source)
            run_program(self._ingress_fd, bytes(frame))


class GatewayWire(Wire):
    """A gateway that guards both its sides: each frame comes in by one and leaves by the other.

    What the peer sends comes in by the outer interface and leaves by the inner one, and so back.
    """

    def deliver(self, frame: bytes | Packet) -> str:
        """Give a frame to the outer interface's ingress; unless it is dropped, the inner one sends it on."""
        verdict = super().deliver(frame)
        if verdict == "pass":
            super().emit(forwarded(bytes(frame)))
        return verdict

    def emit(self, frame: bytes | Packet, *, came_in_by: int = 0) -> None:
        """Give a frame of the server's to the inner interface's ingress; the outer one sends it on."""
        assert super().deliver(frame) == "pass"
        super().emit(forwarded(bytes(frame)), came_in_by=came_in_by)


class MakeWire(Protocol):
    """Makes a wire through an ingress program, of an IP version, in one role."""

    def __call__(self, program: str, version: int, role: type[Wire] = Wire) -> Wire:
        """Return the wire, with a server and a stretch of time of its own."""

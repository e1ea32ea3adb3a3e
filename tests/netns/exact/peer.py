"""A peer without a kernel: it sends what it is told, hears what it is sent, and nothing answers for it."""

from __future__ import annotations

import itertools
import random
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from bench.net.links import Endpoint
from bench.net.namespaces import SILENT_IPV4, SILENT_IPV6

from .stage import PATIENCE_S, Stage

_SEQUENCES = 1 << 32

_ports = itertools.count(20_000)


class Peer:
    """Sends from an address that no kernel owns, or from a host's own where ``endpoint`` is given."""

    def __init__(self, stage: Stage, endpoint: Endpoint | None = None) -> None:
        at = endpoint or stage.topology.attacker
        silent = SILENT_IPV4 if stage.version == 4 else SILENT_IPV6
        self.address = stage.address_of(endpoint) if endpoint else str(silent)
        self.stage = stage
        self._macs = at.mac, stage.topology.guarded.mac
        self._wire = stage.ground.wire_of(at)

    def network(self) -> Packet:
        """Return the IP header of a packet to the server."""
        header = IP if self.stage.version == 4 else IPv6
        return header(src=self.address, dst=self.stage.server)

    def send(self, packet: Packet, vlans: Sequence[int] = ()) -> None:
        """Send a packet, behind so many VLAN tags, the outer of two being 802.1ad."""
        source, destination = self._macs
        frame = Ether(src=source, dst=destination)
        for number, vlan in enumerate(vlans, start=1):
            frame /= (Dot1AD if number < len(vlans) else Dot1Q)(vlan=vlan)
        self._wire.send(bytes(frame / packet))

    def hear(self, port: int, where: tuple[str, int]) -> TCP:
        """Return the next segment from there to a port of the peer's."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            raw, sender = self._wire.recvfrom(1 << 16)
            packet = Ether(raw)
            network = packet.getlayer(IP) or packet.getlayer(IPv6)
            if sender[2] == socket.PACKET_OUTGOING or network is None or TCP not in packet:
                continue
            if (network.src, packet[TCP].sport, packet[TCP].dport) == (*where, port):
                segment: TCP = packet[TCP]
                return segment
        raise TimeoutError(f"nothing came from {where}")

    def call(self, where: tuple[str, int]) -> Call:
        """Return a connection that has not begun."""
        return Call(self, where)


@dataclass(slots=True)
class Call:
    """One connection of a scripted peer's, and the numbers of both sides."""

    peer: Peer
    where: tuple[str, int]
    port: int = field(default_factory=lambda: next(_ports))
    isn: int = field(default_factory=lambda: random.getrandbits(32))
    server_isn: int = 0

    def send(
        self,
        flags: str,
        seq: int = 1,
        ack: int = 1,
        payload: bytes = b"",
        options: Sequence[tuple[str, object]] = (),
    ) -> None:
        """Send a segment whose numbers are so far behind the two ISNs; without A it acknowledges nothing."""
        segment = TCP(
            sport=self.port,
            dport=self.where[1],
            flags=flags,
            seq=(self.isn + seq) % _SEQUENCES,
            ack=(self.server_isn + ack) % _SEQUENCES if "A" in flags else 0,
            options=list(options),
        )
        self.peer.send(self.peer.network() / segment / Raw(payload))

    def syn(self, options: Sequence[tuple[str, object]] = ()) -> None:
        """Ask for the connection."""
        self.send("S", seq=0, options=options)

    def hear_answer(self) -> TCP:
        """Wait for the SYN-ACK and return it."""
        answer = self.hear()
        assert answer.flags == "SA"
        assert answer.ack == (self.isn + 1) % _SEQUENCES
        self.server_isn = answer.seq
        return answer

    def hear(self) -> TCP:
        """Wait for the next segment of the server's."""
        return self.peer.hear(self.port, self.where)

    def open_halfway(self, options: Sequence[tuple[str, object]] = ()) -> None:
        """Ask, and wait for the answer."""
        self.syn(options)
        self.hear_answer()

    def open(self, options: Sequence[tuple[str, object]] = ()) -> None:
        """Make the whole handshake."""
        self.open_halfway(options)
        self.send("A")

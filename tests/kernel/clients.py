"""Many clients' segments, written into the bytes of one: scapy takes a thousand times as long for each."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from synguard.endpoint import Address
from tests.kernel.wire import Connection, Wire

#: Where addresses and TCP begin in a frame of the wire's.
_SOURCE_AT = {4: 26, 6: 22}
_DESTINATION_AT = {4: 30, 6: 38}
_TCP_AT = {4: 34, 6: 54}
_TTL_AT = {4: 22, 6: 21}
#: Behind the ports.
_NUMBERS = struct.Struct("!II")
_PORT = struct.Struct("!H")
_ISN_STEP = 1_000_003


def own_addresses(wire: Wire) -> Address:
    """Return the first address of a stretch that no other test has, nor a stranger: a /22, or four /48s."""
    if wire.version == 4:
        return IPv4Address("240.0.0.0") + (wire.number << 10)
    return IPv6Address("2001:e00::") + (wire.number << 82)


class Clients:
    """Clients of one server port; each of a client's connections has a number, 0 to 60,000."""

    def __init__(self, wire: Wire, server: Connection | None = None) -> None:
        self._wire = wire
        self._server = server or wire.connection()
        self._frames: dict[tuple[str, bool], bytearray] = {}

    @property
    def server(self) -> Connection:
        """Return a connection to the server port that all these ask."""
        return self._server

    def _frame(self, flags: str, client: Address, number: int, *, outgoing: bool = False) -> bytearray:
        """Return the segment's frame; the next one of such flags is written into the same bytes."""
        frame = self._frames.get((flags, outgoing))
        if frame is None:
            segment = self._server.segment(flags, outgoing=outgoing)
            frame = bytearray(self._server.frame(segment, outgoing=outgoing))
            self._frames[flags, outgoing] = frame
        version = client.version
        at = _DESTINATION_AT[version] if outgoing else _SOURCE_AT[version]
        frame[at : at + len(client.packed)] = client.packed
        tcp = _TCP_AT[version]
        _PORT.pack_into(frame, tcp + (2 if outgoing else 0), 1024 + number)
        isn, server_isn = self.isns(number)
        own, peer = (server_isn, isn) if outgoing else (isn, server_isn)
        following = own if "S" in flags else own + 1
        _NUMBERS.pack_into(frame, tcp + 4, following % 2**32, (peer + 1) % 2**32 if "A" in flags else 0)
        return frame

    def isns(self, number: int) -> tuple[int, int]:
        """Return the client's and the server's ISN of a client's connection of that number."""
        return (self._server.isn + number * _ISN_STEP) % 2**32, self._server.server_isn

    def syn(self, client: Address, number: int = 0, *, ttl: int | None = None) -> None:
        """Deliver a client's SYN."""
        self._deliver(self._frame("S", client, number), ttl)

    def synack(self, client: Address, number: int = 0) -> None:
        """Let the server answer it."""
        self._wire.emit(bytes(self._frame("SA", client, number, outgoing=True)))

    def ack(
        self,
        client: Address,
        number: int = 0,
        *,
        flags: str = "A",
        seq: int | None = None,
        ack: int | None = None,
        ttl: int | None = None,
    ) -> None:
        """Deliver a client's ACK; numbers that are not given are the right ones."""
        frame = self._frame(flags, client, number)
        at = _TCP_AT[client.version] + 4
        right_seq, right_ack = _NUMBERS.unpack_from(frame, at)
        numbers = (right_seq if seq is None else seq, right_ack if ack is None else ack)
        _NUMBERS.pack_into(frame, at, *(number % 2**32 for number in numbers))
        self._deliver(frame, ttl)

    def segment(self, flags: str, client: Address, number: int = 0) -> None:
        """Deliver a client's segment with any other flags."""
        self._deliver(self._frame(flags, client, number), None)

    def _deliver(self, frame: bytearray, ttl: int | None) -> None:
        frame[_TTL_AT[self._wire.version]] = 64 if ttl is None else ttl
        assert self._wire.deliver(bytes(frame)) == "pass"

    def open(self, client: Address, number: int = 0) -> None:
        """Do the first two steps of a handshake."""
        self.syn(client, number)
        self.synack(client, number)

    def handshake(self, client: Address, number: int = 0) -> None:
        """Do all three steps."""
        self.open(client, number)
        self.ack(client, number)

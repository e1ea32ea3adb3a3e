"""ICMP errors quote our segments and our peers': none of these is a segment."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP
from scapy.packet import Packet, Raw

from tests.kernel.wire import Connection, Wire, ethernet

pytestmark = [pytest.mark.root, pytest.mark.kernel]

#: Unreachable, source quench, redirect, time exceeded, parameter problem; of ICMPv6 too big as well.
ERRORS = {4: (3, 4, 5, 11, 12), 6: (1, 2, 3, 4)}
QUOTED = [("S", False), ("SA", True), ("A", False), ("R", False), ("RA", False), ("RA", True), ("FPU", False)]


def error(connection: Connection, kind: int, quoted: bytes, *, outgoing: bool) -> bytes:
    """Return the frame of an ICMP error that quotes a packet, from a router beside the peer or from us."""
    header = connection.network(outgoing=outgoing)
    if connection.server.version == 4:
        header.proto = 1
        message: Packet = ICMP(type=kind, code=1) / Raw(quoted)
    else:
        header.nh = 58
        message = Raw(bytes([kind, 0, 0, 0, 0, 0, 5, 0]) + quoted)
    return bytes(ethernet(connection.server.version) / header / message)


def quote(connection: Connection, flags: str, *, outgoing: bool, quoted_bytes: int = 1000) -> bytes:
    """Return the packet that an error quotes, from its IP header on."""
    frame = connection.frame(connection.segment(flags, outgoing=outgoing), outgoing=outgoing)
    return frame[14 : 14 + quoted_bytes]


@pytest.mark.parametrize(("flags", "outgoing"), QUOTED)
def test_quoted_segments_of_a_waiting_handshake_change_nothing(
    wire: Wire, flags: str, outgoing: bool
) -> None:
    """Every error there is, with every segment of an answered handshake in it, whole or cut off."""
    connection = wire.connection()
    wire.syn(connection)
    wire.synack(connection)
    errors = ERRORS[wire.version]
    with wire.counted() as moved:
        for kind in errors:
            for quoted_bytes in (28, 1000):
                quoted = quote(connection, flags, outgoing=outgoing, quoted_bytes=quoted_bytes)
                assert wire.deliver(error(connection, kind, quoted, outgoing=False)) == "pass"
        assert moved() == {"not_tcp": 2 * len(errors)}
        wire.ack(connection)
    assert moved() == {"not_tcp": 2 * len(errors), "completed": 1}


@pytest.mark.parametrize(("flags", "outgoing"), QUOTED)
def test_errors_that_we_send_change_nothing(host_wire: Wire, flags: str, outgoing: bool) -> None:
    """A firewall that rejects by ICMP refuses nothing that a RST would, and quotes no answer."""
    wire = host_wire
    connection = wire.connection()
    wire.syn(connection)
    with wire.counted() as moved:
        for kind in ERRORS[wire.version]:
            wire.emit(error(connection, kind, quote(connection, flags, outgoing=outgoing), outgoing=True))
        assert moved() == {}
        wire.synack(connection)
    assert moved() == {"answered": 1}


def test_errors_about_a_flood_make_no_source(wire: Wire) -> None:
    """Backscatter of 23 forged SYNs that quote our address: nobody becomes a source or a listener by it."""
    connections = [wire.connection() for _ in range(23)]
    with wire.counted() as moved:
        for connection in connections:
            quoted = quote(connection, "S", outgoing=False)
            wire.deliver(error(connection, ERRORS[wire.version][0], quoted, outgoing=False))
    assert moved() == {"not_tcp": 23}
    assert {wire.source(connection.client) for connection in connections} == {None}
    assert wire.listener(connections[0].closed_bucket) is None

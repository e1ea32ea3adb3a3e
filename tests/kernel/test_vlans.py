"""VLAN tags in the frame: whatever they say, and where both ways differ."""

from __future__ import annotations

import pytest
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet

from synguard.model import HandshakeCounts
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]


def tagged(connection: Connection, flags: str, *tags: Packet, outgoing: bool = False) -> bytes:
    """Return a segment behind VLAN tags."""
    frame: Packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for tag in tags:
        frame /= tag
    return bytes(frame / connection.network(outgoing=outgoing) / connection.segment(flags, outgoing=outgoing))


@pytest.mark.parametrize(
    "tag", [Dot1Q(vlan=0, prio=7), Dot1Q(vlan=4095), Dot1Q(vlan=1, dei=1), Dot1AD(vlan=2)]
)
def test_any_tag_is_stepped_over(wire: Wire, tag: Packet) -> None:
    """Priority tags, the last identifier, drop-eligible frames and service tags."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.deliver(tagged(connection, "S", tag))
        wire.emit(tagged(connection, "SA", tag, outgoing=True))
        wire.deliver(tagged(connection, "A", tag))
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


def test_a_router_between_vlans_on_one_interface_counts_once(host_wire: Wire) -> None:
    """Each segment comes in by one VLAN and leaves by another: one handshake."""
    wire = host_wire
    client_side, server_side = Dot1Q(vlan=10), Dot1Q(vlan=20)
    connections = [wire.connection() for _ in range(23)]
    with wire.counted() as moved:
        for connection in connections:
            for flags, outgoing in (("S", False), ("SA", True), ("A", False)):
                tags = [server_side, client_side] if outgoing else [client_side, server_side]
                wire.deliver(tagged(connection, flags, tags[0], outgoing=outgoing))
                wire.emit(tagged(connection, flags, tags[1], outgoing=outgoing))
    assert moved() == {"attempts": 23, "answered": 23, "completed": 23}
    counts = HandshakeCounts(23, answered=23, completed=23)
    assert wire.known_listener(connections[0].listener).counts == counts


def test_tags_may_differ_between_the_ways(wire: Wire) -> None:
    """A network card that keeps the tag of what comes in, and adds that of what leaves by itself."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.deliver(tagged(connection, "S", Dot1AD(vlan=5), Dot1Q(vlan=6)))
        wire.synack(connection)
        wire.deliver(tagged(connection, "A", Dot1Q(vlan=6)))
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


def test_a_frame_that_ends_within_its_tags_is_truncated(wire: Wire) -> None:
    """At every length from one tag's start to the other's end."""
    whole = tagged(wire.connection(), "S", Dot1AD(vlan=5), Dot1Q(vlan=6))
    for length in range(14, 22):
        with wire.counted() as moved:
            assert wire.deliver(whole[:length]) == "pass"
        assert moved() == {"truncated_link": 1}, length


def test_an_answer_behind_too_many_tags_is_not_seen(host_wire: Wire) -> None:
    """Three tags on our own SYN-ACK: it is not read, and counts nothing."""
    wire = host_wire
    connection = wire.connection()
    wire.syn(connection)
    with wire.counted() as moved:
        wire.emit(tagged(connection, "SA", Dot1AD(vlan=5), Dot1Q(vlan=6), Dot1Q(vlan=7), outgoing=True))
    assert moved() == {}

"""A gateway that guards both its sides: whichever way a connection crosses it, it counts once."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from synguard.endpoint import Address
from synguard.model import HandshakeCounts
from tests.kernel.wire import Connection, Wire, forwarded

pytestmark = [pytest.mark.root, pytest.mark.kernel]

INBOUND, OUTBOUND = 23, 29


def translated(connection: Connection) -> Connection:
    """Return the connection as it looks behind destination NAT: another server address and port."""
    inside: Address = IPv4Address("192.168.7.7")
    if connection.server.version == 6:
        inside = IPv6Address("fd00:7::7")
    return replace(connection, server=inside, server_port=8443)


class OutboundSide:
    """What a host behind the gateway sends out to a server before it, and what comes back."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def up(self, connection: Connection, flags: str, **numbers: int) -> None:
        """Let the host inside send a segment out."""
        self.wire.emit(connection.frame(connection.segment(flags, **numbers)))  # type: ignore[arg-type]

    def down(self, connection: Connection, flags: str, **numbers: int) -> None:
        """Let the server outside send a segment in."""
        segment = connection.segment(flags, outgoing=True, **numbers)  # type: ignore[arg-type]
        assert self.wire.deliver(connection.frame(segment, outgoing=True)) == "pass"

    def handshake(self, connection: Connection) -> None:
        """Do all three steps at once."""
        self.up(connection, "S")
        self.down(connection, "SA")
        self.up(connection, "A")


def test_connections_of_both_directions_count_once_each(gateway_wire: Wire) -> None:
    """Inbound and outbound handshakes in turns: each is one attempt at its own listener."""
    wire, out = gateway_wire, OutboundSide(gateway_wire)
    outside = wire.client()
    inbound = [wire.connection() for _ in range(INBOUND)]
    outbound = [wire.connection(server=outside, server_port=8080) for _ in range(OUTBOUND)]
    with wire.counted() as moved:
        for number in range(OUTBOUND):
            if number < INBOUND:
                wire.handshake(inbound[number])
            out.handshake(outbound[number])
    both = INBOUND + OUTBOUND
    assert moved() == {"attempts": both, "answered": both, "completed": both}
    counts = HandshakeCounts(INBOUND, answered=INBOUND, completed=INBOUND)
    assert wire.known_listener(inbound[0].listener).counts == counts
    counts = HandshakeCounts(OUTBOUND, answered=OUTBOUND, completed=OUTBOUND)
    assert wire.known_listener(outbound[0].listener).counts == counts
    assert wire.booked(outbound[0])[0] == HandshakeCounts(1, answered=1, completed=1)


def test_an_established_connection_counts_nothing_either_way(gateway_wire: Wire) -> None:
    """Data, FIN and RST of both ends cross both interfaces unnoticed."""
    wire, out = gateway_wire, OutboundSide(gateway_wire)
    inbound, outbound = wire.connection(), wire.connection(server=wire.client())
    wire.handshake(inbound)
    out.handshake(outbound)
    with wire.counted() as moved:
        for flags in ("A", "PA", "FA", "RA", "R"):
            wire.ack(inbound, flags)
            wire.refuse(inbound, flags, seq=inbound.server_isn + 1)
            out.up(outbound, flags)
            out.down(outbound, flags)
    assert moved() == {}


def test_an_outbound_connection_may_be_refused(gateway_wire: Wire) -> None:
    """The RST of a server outside refuses the attempt of a host inside, once."""
    wire, out = gateway_wire, OutboundSide(gateway_wire)
    connection = wire.connection(server=wire.client())
    with wire.counted() as moved:
        out.up(connection, "S")
        out.down(connection, "RA", seq=0)
    assert moved() == {"attempts": 1, "refused": 1}


def test_an_outbound_connection_may_be_aborted(gateway_wire: Wire) -> None:
    """A host inside that resets what a server outside answered is the peer there."""
    wire, out = gateway_wire, OutboundSide(gateway_wire)
    connection = wire.connection(server=wire.client())
    with wire.counted() as moved:
        out.up(connection, "S")
        out.down(connection, "SA")
        out.up(connection, "R", ack=0)
    assert moved() == {"attempts": 1, "answered": 1, "aborted": 1}


def test_crossing_syns_are_an_attempt_each(gateway_wire: Wire) -> None:
    """A simultaneous open through the gateway has two SYNs, each with its own answer and its own ACK."""
    wire, out = gateway_wire, OutboundSide(gateway_wire)
    connection = wire.connection(client_port=5000, server_port=6000)
    mirrored = Connection(
        connection.server, 6000, connection.client, 5000, connection.server_isn, connection.isn
    )
    with wire.counted() as moved:
        wire.syn(connection)
        out.up(mirrored, "S")
        wire.synack(connection)
        out.down(mirrored, "SA")
        assert moved() == {"attempts": 2, "answered": 2}
        wire.ack(connection)
        out.up(mirrored, "A")
    assert moved() == {"attempts": 2, "answered": 2, "completed": 2}
    for one in (connection, mirrored):
        assert wire.known_listener(one.listener).counts == HandshakeCounts(1, answered=1, completed=1)


def test_behind_nat_the_public_listener_alone_is_known(host_wire: Wire) -> None:
    """Where the gateway rewrites the destination, the outer side has the handshake and the inner nothing."""
    wire = host_wire
    public = wire.connection()
    private = translated(public)
    with wire.counted() as moved:
        wire.syn(public)
        wire.emit(forwarded(private.frame(private.segment("S"))))
        wire.deliver(private.frame(private.segment("SA", outgoing=True), outgoing=True))
        wire.synack(public)
        wire.ack(public)
        wire.emit(forwarded(private.frame(private.segment("A"))))
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}
    assert wire.listener(private.listener) is wire.listener(private.closed_bucket) is None


def test_a_masqueraded_connection_is_the_host_insides(host_wire: Wire) -> None:
    """Where the gateway rewrites the source, the inner side has the handshake, under the true address."""
    wire = host_wire
    inner = wire.connection(server=wire.client())
    outer = replace(inner, client=wire.client(), client_port=61001)
    with wire.counted() as moved:
        wire.syn(inner)
        wire.emit(forwarded(outer.frame(outer.segment("S"))))
        wire.deliver(outer.frame(outer.segment("SA", outgoing=True), outgoing=True))
        wire.synack(inner)
        wire.ack(inner)
        wire.emit(forwarded(outer.frame(outer.segment("A"))))
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}
    assert wire.known_source(inner.client).counts.completed == 1
    assert wire.source(outer.client) is None


def test_a_segment_that_comes_in_twice_is_no_second_attempt(gateway_wire: Wire) -> None:
    """A detour through a firewall in a third namespace: what comes in again at once is a duplicate."""
    wire = gateway_wire
    connection = wire.connection()
    with wire.counted() as moved:
        for step in (wire.syn, wire.synack, wire.ack):
            step(connection)
            wire.wait(0.05)
            step(connection)
    assert moved() == {
        "attempts": 1,
        "syn_duplicates": 1,
        "answered": 1,
        "synack_retransmits": 1,
        "completed": 1,
    }
    source, listener = wire.booked(connection)
    assert source == HandshakeCounts(1, syn_duplicates=1, answered=1, completed=1)
    assert (listener.attempts, listener.answered, listener.completed) == (1, 1, 1)

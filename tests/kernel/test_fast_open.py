"""TCP Fast Open: data in the SYN, and data of the server's before the handshake is complete."""

from __future__ import annotations

import pytest

from synguard.model import HandshakeCounts
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

COOKIE = (34, b"12345678")
COOKIE_REQUEST = (34, b"")


def fast_syn(wire: Wire, connection: Connection, option: tuple[int, bytes], payload: bytes = b"") -> None:
    """Deliver a SYN with a Fast Open option."""
    options = (("MSS", 1460), ("NOP", None), ("NOP", None), option)
    wire.deliver(connection.frame(connection.segment("S", options=options), payload))  # type: ignore[arg-type]


def early(wire: Wire, connection: Connection, *, sent_bytes: int, acked_bytes: int) -> None:
    """Let the server send data right behind its SYN-ACK."""
    for start in range(0, sent_bytes, 1000):
        segment = connection.segment(
            "PA", seq=connection.server_isn + 1 + start, ack=connection.isn + 1 + acked_bytes, outgoing=True
        )
        wire.emit(connection.frame(segment, bytes(min(1000, sent_bytes - start)), outgoing=True))


def test_a_request_for_a_cookie_is_an_ordinary_handshake(wire: Wire) -> None:
    """The first contact carries an empty option and no data: only the plain number completes."""
    connection = wire.connection()
    with wire.counted() as moved:
        fast_syn(wire, connection, COOKIE_REQUEST)
        wire.synack(connection)
        wire.ack(connection, ack=connection.server_isn + 2)
        assert moved() == {"attempts": 1, "answered": 1}
        wire.ack(connection)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


@pytest.mark.parametrize("payload_bytes", [1, 500, 1420])
def test_accepted_data_without_early_data_completes_plainly(wire: Wire, payload_bytes: int) -> None:
    """The server waits: the ACK carries ISN + 1."""
    connection = wire.connection()
    with wire.counted() as moved:
        fast_syn(wire, connection, COOKIE, bytes(payload_bytes))
        wire.synack(connection, ack=connection.isn + 1 + payload_bytes)
        wire.ack(connection, seq=connection.isn + 1 + payload_bytes)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}
    source, listener = wire.booked(connection)
    assert source == listener == HandshakeCounts(1, answered=1, completed=1)


@pytest.mark.parametrize("acknowledged_bytes", [0, 1, 1000, 5000])
def test_early_data_may_be_acknowledged_at_once(wire: Wire, acknowledged_bytes: int) -> None:
    """The first ACK that arrives may cover all, some or none of what the server sent; it counts once."""
    connection = wire.connection()
    with wire.counted() as moved:
        fast_syn(wire, connection, COOKIE, b"GET /")
        wire.synack(connection, ack=connection.isn + 6)
        early(wire, connection, sent_bytes=5000, acked_bytes=5)
        wire.ack(connection, seq=connection.isn + 6, ack=connection.server_isn + 1 + acknowledged_bytes)
        wire.ack(connection, seq=connection.isn + 6, ack=connection.server_isn + 1 + 5000)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


@pytest.mark.parametrize("distance", [-65_536, -1, 0, 65_537, 2**31])
def test_beyond_early_data_an_acknowledgement_is_nothing(wire: Wire, distance: int) -> None:
    """One too low, the ISN itself, and what no server could have sent by then."""
    connection = wire.connection(server_isn=2**32 - 3)
    with wire.counted() as moved:
        fast_syn(wire, connection, COOKIE, b"GET /")
        wire.synack(connection, ack=connection.isn + 6)
        wire.ack(connection, ack=connection.server_isn + distance)
        assert moved() == {"attempts": 1, "answered": 1}
        wire.ack(connection, ack=connection.server_isn + 65_536)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


def test_a_stale_cookies_data_is_sent_again_after_the_handshake(wire: Wire) -> None:
    """The server takes the SYN alone: the data comes again with the ACK, which completes by ISN + 1."""
    connection = wire.connection()
    with wire.counted() as moved:
        fast_syn(wire, connection, COOKIE, b"GET /")
        wire.synack(connection)
        wire.ack(connection, "PA", b"GET /", ack=connection.server_isn + 500)
        assert moved() == {"attempts": 1, "answered": 1}
        wire.ack(connection, "PA", b"GET /")
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


def test_a_fast_syn_is_retransmitted_without_its_data(wire: Wire) -> None:
    """RFC 7413, section 4.1.3: the plain SYN is the same attempt, and so is its answer."""
    connection = wire.connection()
    with wire.counted() as moved:
        fast_syn(wire, connection, COOKIE, b"GET /")
        wire.wait(1000)
        wire.syn(connection)
        wire.synack(connection)
        wire.ack(connection)
    assert moved() == {"attempts": 1, "syn_retransmits": 1, "answered": 1, "completed": 1}


def test_a_lost_answer_to_a_fast_syn_is_retransmitted(wire: Wire) -> None:
    """SYN-ACKs that acknowledge the data and that do not answer the same attempt."""
    connection = wire.connection()
    with wire.counted() as moved:
        fast_syn(wire, connection, COOKIE, b"GET /")
        wire.synack(connection, ack=connection.isn + 6)
        early(wire, connection, sent_bytes=1000, acked_bytes=5)
        wire.wait(1000)
        wire.synack(connection)
        wire.ack(connection, ack=connection.server_isn + 1001)
    assert moved() == {"attempts": 1, "answered": 1, "synack_retransmits": 1, "completed": 1}


@pytest.mark.parametrize(
    ("flags", "seq_distance", "ack"), [("R", 1, False), ("RA", 6, True), ("RA", 1, True)]
)
def test_a_fast_open_may_be_aborted(wire: Wire, flags: str, seq_distance: int, ack: bool) -> None:
    """By the sequence number behind the SYN, or by the right acknowledgement."""
    connection = wire.connection()
    with wire.counted() as moved:
        fast_syn(wire, connection, COOKIE, b"GET /")
        wire.synack(connection, ack=connection.isn + 6)
        number = connection.server_isn + 1 if ack else 0
        wire.segment(connection, flags, seq=connection.isn + seq_distance, ack=number)
    assert moved() == {"attempts": 1, "answered": 1, "aborted": 1}


def test_a_refused_fast_open_is_refused_once(wire: Wire) -> None:
    """A closed port acknowledges SYN and data in its RST."""
    connection = wire.connection()
    with wire.counted() as moved:
        fast_syn(wire, connection, COOKIE, b"GET /")
        wire.refuse(connection, ack=connection.isn + 6)
    assert moved() == {"attempts": 1, "refused": 1}


def test_fast_opens_of_one_client_keep_apart(wire: Wire) -> None:
    """23 connections of one address with data each, answered and completed in another order."""
    client = wire.client()
    connections = [wire.connection(client=client) for _ in range(23)]
    with wire.counted() as moved:
        for connection in connections:
            fast_syn(wire, connection, COOKIE, b"GET /")
        for connection in reversed(connections):
            wire.synack(connection, ack=connection.isn + 6)
        for connection in connections[::2] + connections[1::2]:
            wire.ack(connection, seq=connection.isn + 6, ack=connection.server_isn + 1 + 1000)
    assert moved() == {"attempts": 23, "answered": 23, "completed": 23}
    assert wire.known_source(client).counts == HandshakeCounts(23, answered=23, completed=23)

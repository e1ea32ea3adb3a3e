"""What the wire shows of servers and clients that are slow, full, early or unlucky."""

from __future__ import annotations

import pytest

from synguard.model import HandshakeCounts
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

#: When a stack of today's sends its SYN or SYN-ACK again, in seconds after the first.
RETRIES_S = (1, 3, 7, 15, 31, 63)


def test_a_client_that_nobody_answers_retransmits(wire: Wire) -> None:
    """Six times within a minute, as Linux does: one attempt, everywhere."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection)
        for before_s, at_s in zip((0, *RETRIES_S), RETRIES_S, strict=False):
            wire.wait((at_s - before_s) * 1000)
            wire.syn(connection)
    assert moved() == {"attempts": 1, "syn_retransmits": 6}
    expected = HandshakeCounts(attempts=1, syn_retransmits=6)
    assert wire.known_source(connection.client).counts == expected
    assert wire.known_listener(connection.closed_bucket).counts == expected


def test_a_server_that_hears_no_ack_retransmits(wire: Wire) -> None:
    """Five SYN-ACKs more are retransmissions; the handshake stays unfinished, and nobody aborted it."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection)
        wire.synack(connection)
        for before_s, at_s in zip((0, *RETRIES_S), RETRIES_S[:5], strict=False):
            wire.wait((at_s - before_s) * 1000)
            wire.synack(connection)
    assert moved() == {"attempts": 1, "answered": 1, "synack_retransmits": 5}
    source, listener = wire.booked(connection)
    assert source == listener == HandshakeCounts(attempts=1, answered=1)


def test_the_last_answer_before_giving_up_may_complete(wire: Wire) -> None:
    """Both sides retransmit for half a minute, then the line works: one handshake."""
    connection = wire.connection()
    with wire.counted() as moved:
        for wait_ms in (1000, 2000, 4000, 8000, 16_000):
            wire.syn(connection)
            wire.synack(connection)
            wire.wait(wait_ms)
        wire.ack(connection)
    assert moved() == {
        "attempts": 1,
        "syn_retransmits": 4,
        "answered": 1,
        "synack_retransmits": 4,
        "completed": 1,
    }
    source, listener = wire.booked(connection)
    assert source == listener == HandshakeCounts(1, syn_retransmits=4, answered=1, completed=1)


def test_data_completes_where_the_last_ack_was_lost(wire: Wire) -> None:
    """The first data carries the right number; the second proves nothing new."""
    connection = wire.connection()
    wire.syn(connection)
    wire.synack(connection)
    with wire.counted() as moved:
        wire.wait(230)
        wire.ack(connection, "PA", b"GET / HTTP/1.1\r\n\r\n")
        wire.ack(connection, "PA", b"x" * 1000, seq=connection.isn + 19)
    assert moved() == {"completed": 1}


def test_data_before_the_lost_acks_number_completes_nothing(wire: Wire) -> None:
    """Data that acknowledges more than a server could have sent is forged; the true one comes after it."""
    connection = wire.connection()
    wire.syn(connection)
    wire.synack(connection)
    with wire.counted() as moved:
        wire.ack(connection, "PA", b"data", ack=connection.server_isn + 2)
        wire.ack(connection, "FA", b"data", ack=connection.server_isn)
        assert moved() == {}
        wire.ack(connection, "PA", b"data")
    assert moved() == {"completed": 1}


def test_a_full_accept_queue_does_not_undo_completion(wire: Wire) -> None:
    """The server drops ACK and data and sends its SYN-ACK again; on the wire the handshake is complete."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.handshake(connection)
        for wait_ms in (1000, 2000, 4000):
            wire.ack(connection, "PA", b"data")
            wire.wait(wait_ms)
            wire.synack(connection)
            wire.ack(connection)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1, "synack_retransmits": 3}
    source, listener = wire.booked(connection)
    assert source == listener == HandshakeCounts(1, answered=1, completed=1)


def test_a_full_accept_queue_that_resets_refuses_nothing(wire: Wire) -> None:
    """With tcp_abort_on_overflow our RST follows the ACK: the attempt was answered and completed before."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.handshake(connection)
        wire.refuse(connection, "R", seq=connection.server_isn + 1)
        wire.refuse(connection, "RA", seq=connection.server_isn + 1)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


def test_syns_that_a_full_accept_queue_drops_stay_unanswered(wire: Wire) -> None:
    """A listener at its limit: 23 clients retransmit, and each is one attempt there, none answered."""
    wire.handshake(wire.connection())
    clients = [wire.connection() for _ in range(23)]
    with wire.counted() as moved:
        for _ in range(2):
            for connection in clients:
                wire.syn(connection)
            wire.wait(1000)
    assert moved() == {"attempts": 23, "syn_retransmits": 23}
    counts = wire.known_listener(clients[0].listener).counts
    assert counts == HandshakeCounts(24, syn_retransmits=23, answered=1, completed=1)


def test_a_deferred_accept_completes_on_its_ack(wire: Wire) -> None:
    """With TCP_DEFER_ACCEPT the server ignores the bare ACK and asks again; the wire has seen the proof."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.handshake(connection)
        wire.wait(1000)
        wire.synack(connection)
        wire.ack(connection)
        wire.wait(500)
        wire.ack(connection, "PA", b"data")
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1, "synack_retransmits": 1}
    source, listener = wire.booked(connection)
    assert source == listener == HandshakeCounts(1, answered=1, completed=1)


def test_a_new_synack_number_replaces_the_old_one(wire: Wire) -> None:
    """A server that forgot the first SYN, as with SYN cookies, answers its copy anew: that number counts."""
    connection = wire.connection(server_isn=1000)
    with wire.counted() as moved:
        wire.syn(connection)
        wire.synack(connection)
        wire.wait(1000)
        wire.syn(connection)
        wire.synack(connection, seq=900_000)
        wire.ack(connection)
        assert moved() == {"attempts": 1, "answered": 1, "syn_retransmits": 1, "synack_retransmits": 1}
        wire.ack(connection, ack=900_001)
    assert moved()["completed"] == 1


@pytest.mark.parametrize("flags", ["SA", "SAE", "SAEC", "SAP", "SAU"])
def test_whatever_rides_on_a_synack_it_answers(wire: Wire, flags: str) -> None:
    """ECN's echo, or anything else beside SYN and ACK, changes nothing about the answer."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection, "SEC")
        wire.emit(connection.frame(connection.segment(flags, outgoing=True), outgoing=True))
        wire.ack(connection, "AE")
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


def test_headers_of_60_bytes_ride_both_ways(wire: Wire) -> None:
    """SYN, SYN-ACK and ACK with 40 bytes of options each."""
    connection = wire.connection()
    options = [
        ("NOP", None),
        ("NOP", None),
        ("Timestamp", (7, 0)),
        ("MSS", 1460),
        ("NOP", None),
        ("WScale", 7),
    ]
    options += [("NOP", None)] * 20
    with wire.counted() as moved:
        for flags, outgoing in (("S", False), ("SA", True), ("A", False)):
            segment = connection.segment(flags, options=options, outgoing=outgoing)
            assert len(segment) == 60
            frame = connection.frame(segment, outgoing=outgoing)
            (wire.emit if outgoing else wire.deliver)(frame)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}

"""The handshakes that RFC 9293 section 3.5 draws, figure by figure, and what else may cross on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.model import HandshakeCounts
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]


def sent(wire: Wire, connection: Connection, flags: str, payload: bytes = b"", **numbers: int) -> None:
    """Let our side of the connection send a segment."""
    segment = connection.segment(flags, outgoing=True, **numbers)  # type: ignore[arg-type]
    wire.emit(connection.frame(segment, payload, outgoing=True))


def test_figure_6_the_basic_handshake(wire: Wire) -> None:
    """SYN, SYN-ACK, ACK, then data: one attempt, answered and completed, and nothing else anywhere."""
    connection = wire.connection(isn=100, server_isn=300)
    with wire.counted() as moved:
        wire.handshake(connection)
        wire.ack(connection, "PA", b"data")
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}
    source, listener = wire.booked(connection)
    assert source == listener == HandshakeCounts(1, answered=1, completed=1)


def test_figure_7_simultaneous_open(host_wire: Wire) -> None:
    """The SYNs cross: the peer's is an attempt, ours none; its SYN-ACK completes nothing, its ACK does."""
    wire = host_wire
    connection = wire.connection(isn=100, server_isn=300)
    with wire.counted() as moved:
        sent(wire, connection, "S")
        wire.syn(connection)
        wire.synack(connection)
        wire.segment(connection, "SA", seq=connection.isn)
        assert moved() == {"attempts": 1, "answered": 1}
        wire.ack(connection)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}
    source, listener = wire.booked(connection)
    assert source == listener == HandshakeCounts(1, answered=1, completed=1)


def test_figure_8_recovery_from_an_old_duplicate_syn(wire: Wire) -> None:
    """The stale SYN is answered and reset by the peer; the true one, of another ISN, completes."""
    stale = wire.connection(isn=90, server_isn=300)
    true = replace(stale, isn=100, server_isn=400)
    with wire.counted() as moved:
        wire.syn(stale)
        wire.synack(stale)
        wire.segment(stale, "R", seq=91)
        assert moved() == {"attempts": 1, "answered": 1, "aborted": 1}
        wire.handshake(true)
    assert moved() == {"attempts": 2, "answered": 2, "aborted": 1, "completed": 1}


@pytest.mark.parametrize("stale_isn", [99, 101, 100 + 2**16, 100 + 2**31])
def test_stale_and_true_syn_may_cross(wire: Wire, stale_isn: int) -> None:
    """Both are answered before the peer resets the stale one: only the true one completes."""
    true = wire.connection(isn=100, server_isn=400)
    stale = replace(true, isn=stale_isn, server_isn=300)
    with wire.counted() as moved:
        for attempt in (true, stale):
            wire.syn(attempt)
        for attempt in (true, stale):
            wire.synack(attempt)
        wire.segment(stale, "R")
        wire.ack(true)
    assert moved() == {"attempts": 2, "answered": 2, "aborted": 1, "completed": 1}


def test_figure_9_a_peer_that_crashed_opens_anew(wire: Wire) -> None:
    """Our ACK in answer to its SYN is no SYN-ACK, its RST ends no handshake, its SYN again is the same."""
    before = wire.connection(isn=5_000, server_isn=300)
    wire.handshake(before)
    wire.wait(60_000)
    anew = replace(before, isn=400, server_isn=7_000)
    with wire.counted() as moved:
        wire.syn(anew)
        sent(wire, before, "A")
        wire.segment(anew, "R", seq=before.isn + 1)
        assert moved() == {"attempts": 1}
        wire.wait(1000)
        wire.syn(anew)
        wire.synack(anew)
        wire.ack(anew)
    assert moved() == {"attempts": 1, "syn_retransmits": 1, "answered": 1, "completed": 1}


def test_figure_10_data_to_a_peer_that_crashed(wire: Wire) -> None:
    """What it resets was established before, so nothing is aborted."""
    connection = wire.connection(isn=100, server_isn=300)
    wire.handshake(connection)
    with wire.counted() as moved:
        sent(wire, connection, "PA", b"data")
        wire.segment(connection, "R", seq=connection.isn + 1)
    assert moved() == {}


def test_figure_11_a_peer_that_listens_resets_our_synack(wire: Wire) -> None:
    """An old SYN of a socket that only listens now: answered, and aborted by the RST that it gets."""
    connection = wire.connection(isn=100, server_isn=300)
    with wire.counted() as moved:
        wire.syn(connection)
        wire.synack(connection)
        wire.segment(connection, "R", seq=101)
    assert moved() == {"attempts": 1, "answered": 1, "aborted": 1}
    source, listener = wire.booked(connection)
    assert source == listener == HandshakeCounts(1, answered=1, aborted=1)


def test_a_tuple_used_23_times_is_23_handshakes(wire: Wire) -> None:
    """A client that goes through its ports fast: each ISN is its own attempt, completed in its turn."""
    first = wire.connection()
    with wire.counted() as moved:
        for number in range(23):
            wire.handshake(replace(first, isn=first.isn + number * 64_000, server_isn=number))
            wire.wait(1)
    assert moved() == {"attempts": 23, "answered": 23, "completed": 23}
    source, listener = wire.booked(first)
    assert source == listener == HandshakeCounts(23, answered=23, completed=23)


def test_an_ack_of_the_tuples_last_use_completes_nothing(wire: Wire) -> None:
    """Only the answer to the newest SYN is proved by its number; the one before was aborted and stays so."""
    before = wire.connection(isn=100, server_isn=300)
    anew = replace(before, isn=90_000, server_isn=70_000)
    wire.syn(before)
    wire.synack(before)
    wire.segment(before, "R")
    with wire.counted() as moved:
        wire.syn(anew)
        wire.synack(anew)
        wire.ack(before)
        assert moved() == {"attempts": 1, "answered": 1}
        wire.ack(anew)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}

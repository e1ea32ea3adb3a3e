"""Which RST ends which handshake: the peer's must carry its numbers, ours refuses what was not answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.model import HandshakeCounts
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

#: How far a number may lie beside the right one: next to it, a window away, half the number space away.
BESIDE = (-(2**31), -65_536, -2, -1, 1, 2, 65_535, 2**31 - 1)


def answered(wire: Wire, **changes: int) -> Connection:
    """Return a connection whose SYN was answered."""
    connection = wire.connection(**changes)
    wire.syn(connection)
    wire.synack(connection)
    return connection


@pytest.mark.parametrize("isn", [0x10000000, 0, 2**32 - 2, 2**32 - 1])
@pytest.mark.parametrize("server_isn", [0x70000000, 2**32 - 1])
def test_a_right_reset_aborts_wherever_the_numbers_lie(xdp_wire: Wire, isn: int, server_isn: int) -> None:
    """By its sequence number alone, and by its acknowledgement number alone, across the wrap."""
    by_sequence, by_acknowledgement = (answered(xdp_wire, isn=isn, server_isn=server_isn) for _ in range(2))
    with xdp_wire.counted() as moved:
        xdp_wire.segment(by_sequence, "R", ack=0)
        xdp_wire.segment(by_acknowledgement, "RA", seq=0x12345678)
    assert moved() == {"aborted": 2}


@pytest.mark.parametrize("flags", ["R", "RA", "RPE", "RAUC"])
def test_a_reset_beside_the_right_numbers_is_nothing(wire: Wire, flags: str) -> None:
    """Blind guesses abort nothing, and the ACK completes afterwards."""
    connection = answered(wire)
    right = connection.isn + 1
    with wire.counted() as moved:
        for distance in BESIDE:
            wire.segment(connection, flags, seq=right + distance, ack=connection.server_isn + 1 + distance)
        assert moved() == {}
        wire.ack(connection)
    assert moved() == {"completed": 1}


@pytest.mark.parametrize("flags", ["R", "RP", "REC"])
def test_without_ack_the_acknowledgement_number_proves_nothing(wire: Wire, flags: str) -> None:
    """RFC 9293, section 3.1: the field means something only where the bit is set."""
    connection = answered(wire)
    with wire.counted() as moved:
        wire.segment(connection, flags, seq=connection.isn + 99, ack=connection.server_isn + 1)
    assert moved() == {}


def test_a_flood_of_right_resets_aborts_once(wire: Wire) -> None:
    """What is ended cannot be ended again, nor be completed; the neighbours wait on."""
    connection, bystander = answered(wire), answered(wire)
    with wire.counted() as moved:
        for _ in range(101):
            wire.segment(connection, "R")
            wire.segment(connection, "RA")
        wire.ack(connection)
        assert moved() == {"aborted": 1}
        wire.ack(bystander)
    assert moved() == {"aborted": 1, "completed": 1}
    source, listener = wire.booked(connection)
    assert source == HandshakeCounts(1, answered=1, aborted=1)
    assert listener == HandshakeCounts(2, answered=2, aborted=1, completed=1)


def test_an_aborted_attempt_is_not_in_its_slices_completions(wire: Wire) -> None:
    """The slice of an attempt that was reset has it as unfinished."""
    wire.handshake(wire.connection())
    wire.wait(10_000)
    connection = answered(wire)
    wire.segment(connection, "R")
    (cohort,) = wire.known_listener(connection.listener).cohorts
    assert (cohort.attempts, cohort.completed) == (1, 0)


def test_a_reset_ends_its_own_attempt_of_a_tuple(wire: Wire) -> None:
    """Of seven attempts of one tuple, each RST ends the one whose number it carries."""
    first = wire.connection()
    attempts = [
        replace(first, isn=first.isn + number * 70_001, server_isn=first.server_isn + number * 90_001)
        for number in range(7)
    ]
    for attempt in attempts:
        wire.syn(attempt)
        wire.synack(attempt)
    with wire.counted() as moved:
        for attempt in attempts[::2]:
            wire.segment(attempt, "R")
        assert moved() == {"aborted": 4}
        for attempt in attempts:
            wire.ack(attempt)
    assert moved() == {"aborted": 4, "completed": 3}


def test_a_health_check_that_resets_after_its_ack_has_completed(wire: Wire) -> None:
    """Connect, acknowledge, reset: completed, and nothing was aborted."""
    with wire.counted() as moved:
        for _ in range(23):
            connection = wire.connection()
            wire.handshake(connection)
            wire.segment(connection, "RA")
            wire.wait(10)
    assert moved() == {"attempts": 23, "answered": 23, "completed": 23}


@pytest.mark.parametrize("flags", ["RA", "RAP", "RAU", "RAE"])
def test_our_reset_refuses_only_with_the_right_number(wire: Wire, flags: str) -> None:
    """It acknowledges the SYN that it refuses; beside it, it belongs to something else."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection)
        for ack in (connection.isn, connection.isn + 1 + 65_536, connection.isn + 2**31):
            wire.refuse(connection, flags, ack=ack)
        assert moved() == {"attempts": 1}
        wire.refuse(connection, flags)
    assert moved() == {"attempts": 1, "refused": 1}


def test_our_reset_after_our_answer_refuses_nothing(wire: Wire) -> None:
    """A server that gives up what it answered has not refused it; the peer may not have heard of that."""
    connection = answered(wire)
    with wire.counted() as moved:
        wire.refuse(connection, "RA", seq=connection.server_isn + 1)
        wire.refuse(connection, "R", seq=connection.server_isn + 1)
        assert moved() == {}
        wire.ack(connection)
    assert moved() == {"completed": 1}


def test_refusals_are_booked_to_each_source_and_to_the_address(wire: Wire) -> None:
    """A closed port that 23 clients ask: each client's one, and 23 at the address's closed bucket."""
    clients = [wire.connection(server_port=1024 + number) for number in range(23)]
    with wire.counted() as moved:
        for connection in clients:
            wire.syn(connection)
            wire.refuse(connection)
    assert moved() == {"attempts": 23, "refused": 23}
    assert {wire.known_source(connection.client).counts for connection in clients} == {
        HandshakeCounts(1, refused=1)
    }
    bucket = wire.known_listener(clients[0].closed_bucket)
    assert bucket.counts == HandshakeCounts(23, refused=23)
    assert [(cohort.attempts, cohort.completed) for cohort in bucket.cohorts] == [(23, 0)]


def test_a_listener_that_closes_refuses_under_its_own_name(wire: Wire) -> None:
    """A server restarts: SYNs at a known listener are refused there, not in the closed bucket."""
    wire.handshake(wire.connection())
    clients = [wire.connection() for _ in range(23)]
    for connection in clients:
        wire.syn(connection)
        wire.refuse(connection)
    listener = wire.known_listener(clients[0].listener)
    assert listener.counts == HandshakeCounts(24, answered=1, completed=1, refused=23)
    assert wire.known_listener(clients[0].closed_bucket).counts == HandshakeCounts(1, answered=1)

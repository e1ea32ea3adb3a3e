"""Handshakes that go on after they ended, and clocks of two CPUs that are a moment apart."""

from __future__ import annotations

import pytest

from synguard.model import HandshakeCounts
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]


@pytest.mark.parametrize("early_ms", [1.1, 4, 10])
def test_a_copy_stamped_a_little_earlier_is_a_duplicate(wire: Wire, early_ms: float) -> None:
    """Two CPUs take the time before either has the lock: the copy with the older stamp comes second."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection)
        wire.wait(-early_ms)
        wire.syn(connection)
        wire.syn(connection)
    assert moved() == {"attempts": 2, "syn_duplicates": 1}


def test_an_attempt_stamped_a_little_earlier_pushes_no_newer_one_out(xdp_wire: Wire) -> None:
    """In a full bucket the oldest goes, and what another CPU stamped a moment later is not the oldest."""
    wire = xdp_wire
    first = wire.connection()
    for number in range(6):
        wire.segment(first, "S", seq=first.isn + number * 70_000)
        wire.wait(10)
    youngest = first.isn + 6 * 70_000
    wire.segment(first, "S", seq=youngest)
    wire.wait(-1.1)
    wire.segment(first, "S", seq=first.isn + 7 * 70_000)
    with wire.counted() as moved:
        wire.synack(first, ack=youngest + 1)
    assert moved() == {"answered": 1}


def test_a_client_that_was_refused_may_try_again(wire: Wire) -> None:
    """Some stacks send a refused SYN again, twice, half a second apart: the server may listen by then."""
    connection = wire.connection()
    with wire.counted() as moved:
        for _ in range(2):
            wire.syn(connection)
            wire.refuse(connection)
            wire.wait(500)
        wire.handshake(connection)
    assert moved() == {"attempts": 1, "syn_retransmits": 2, "refused": 1, "answered": 1, "completed": 1}
    source, listener = wire.booked(connection)
    assert source == HandshakeCounts(1, syn_retransmits=2, refused=1, answered=1, completed=1)
    assert listener == HandshakeCounts(1, answered=1, completed=1)


def test_a_client_whose_attempt_somebody_reset_may_try_again(wire: Wire) -> None:
    """A RST by a middlebox or a forger ends the attempt; the client, who knows nothing of it, goes on."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection)
        wire.synack(connection)
        wire.segment(connection, "R")
        wire.wait(1000)
        wire.handshake(connection)
    assert moved() == {
        "attempts": 1,
        "syn_retransmits": 1,
        "answered": 1,
        "synack_retransmits": 1,
        "aborted": 1,
        "completed": 1,
    }


def test_a_tool_that_asks_on_after_a_refusal_is_refused_as_often(wire: Wire) -> None:
    """Its copies count as attempts, also where one came so late that it was taken for a retransmission."""
    connection = wire.connection()
    with wire.counted() as moved:
        for wait_ms in (300, 2, 2, 2):
            wire.syn(connection)
            wire.refuse(connection)
            wire.wait(wait_ms)
    assert moved() == {"attempts": 2, "syn_retransmits": 1, "syn_duplicates": 1, "refused": 2}


@pytest.mark.parametrize("late_ms", [68_800, 70_000, 72_500, 127_000])
def test_a_completion_after_two_minutes_spoils_no_young_slice(xdp_wire: Wire, late_ms: int) -> None:
    """Servers may be told to try for 127 s: what completes then is in no slice any more."""
    wire = xdp_wire
    wire.handshake(wire.connection())
    wire.wait(10_000)
    connection = wire.connection()
    wire.syn(connection)
    wire.synack(connection)
    wire.wait(late_ms - 4000)
    for _ in range(200):
        wire.syn(wire.connection())
        wire.wait(20)
    with wire.counted() as moved:
        wire.ack(connection)
    assert moved() == {"completed": 1}
    assert sum(cohort.completed for cohort in wire.known_listener(connection.listener).cohorts) == 0
    assert wire.known_source(connection.client).cohorts == ()


def test_a_host_without_a_socket_resets_a_fast_open_that_it_forgot(wire: Wire) -> None:
    """Its RST has the number that our SYN-ACK acknowledged, data and all (RFC 9293, section 3.10.7.1)."""
    connection = wire.connection()
    wire.syn(connection, payload=b"GET /")
    wire.synack(connection, ack=connection.isn + 6)
    with wire.counted() as moved:
        wire.segment(connection, "R", seq=connection.isn + 6)
    assert moved() == {"aborted": 1}

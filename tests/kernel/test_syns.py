"""Which segments are attempts, which are copies, and which are probes."""

from __future__ import annotations

import pytest

from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

PRIME = 23


@pytest.mark.parametrize("flags", ["S", "SE", "SC", "SEC", "SP", "SU", "SPU", "SPUEC", "SN"])
def test_flags_that_ride_along_do_not_hide_a_syn(wire: Wire, flags: str) -> None:
    """Real floods carry ECE, CWR, PSH or URG; an attempt is an attempt."""
    with wire.counted() as moved:
        for _ in range(PRIME):
            wire.syn(wire.connection(), flags)
    assert moved() == {"attempts": PRIME}


def test_a_syn_with_payload_is_an_attempt(wire: Wire) -> None:
    """Data in a SYN changes nothing about it."""
    with wire.counted() as moved:
        wire.syn(wire.connection(), payload=b"x" * 512)
    assert moved() == {"attempts": 1}


@pytest.mark.parametrize("flags", ["SF", "SR", "SFR", "SAF", "SAR", "FRA", "FR", "P", "U", "PU", "FU"])
def test_nonsense_is_no_attempt(wire: Wire, flags: str) -> None:
    """Combinations that no stack sends are counted as such, and complete or abort nothing."""
    waiting = wire.connection()
    wire.syn(waiting)
    wire.synack(waiting)
    with wire.counted() as moved:
        wire.segment(waiting, flags, seq=waiting.isn + 1, ack=waiting.server_isn + 1)
    assert moved() == {"nonsense_flags": 1}


@pytest.mark.parametrize(("flags", "counter"), [("F", "fin"), ("", "null"), ("FPU", "xmas")])
def test_scanners_probes_are_counted_by_kind(wire: Wire, flags: str, counter: str) -> None:
    """FIN, NULL and XMAS probes each have their counter, with or without ECN's bits."""
    with wire.counted() as moved:
        for _ in range(PRIME):
            wire.segment(wire.connection(), flags)
        wire.segment(wire.connection(), flags + "E")
    assert moved() == {f"{counter}_probes": PRIME + 1}


@pytest.mark.parametrize("gap_ms", [200, 201, 1000, 3000, 32_000])
@pytest.mark.parametrize("phase_us", [0, 250, 500, 750, 1000])
def test_the_same_syn_later_is_a_retransmission(xdp_wire: Wire, gap_ms: int, phase_us: int) -> None:
    """From 200 ms on it is the client's patience, and however the clock's ticks fall."""
    connection = xdp_wire.connection()
    xdp_wire.wait(phase_us / 1000)
    with xdp_wire.counted() as moved:
        xdp_wire.syn(connection)
        xdp_wire.wait(gap_ms)
        xdp_wire.syn(connection)
    assert moved() == {"attempts": 1, "syn_retransmits": 1}


@pytest.mark.parametrize("gap_ms", [0, 1, 100, 195])
def test_the_first_copy_at_once_is_a_duplicate(wire: Wire, gap_ms: int) -> None:
    """Networks duplicate packets; one copy within 200 ms is no attempt."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection)
        wire.wait(gap_ms)
        wire.syn(connection)
        wire.synack(connection)
        wire.ack(connection)
    assert moved() == {"attempts": 1, "syn_duplicates": 1, "answered": 1, "completed": 1}


def test_the_second_copy_at_once_is_an_attempt(wire: Wire) -> None:
    """Networks do not deliver a packet three times within 200 ms; tools do."""
    connection = wire.connection()
    with wire.counted() as moved:
        for _ in range(3):
            wire.syn(connection)
            wire.wait(10)
    assert moved() == {"attempts": 2, "syn_duplicates": 1}


def test_five_hundred_copies_a_second_are_a_flood(wire: Wire) -> None:
    """Repeating one four-tuple and ISN hides nothing."""
    connection = wire.connection()
    with wire.counted() as moved:
        for _ in range(500):
            wire.syn(connection)
            wire.wait(2)
    assert moved() == {"attempts": 499, "syn_duplicates": 1}
    assert wire.known_source(connection.client).counts.attempts == 499
    assert wire.known_listener(connection.closed_bucket).counts.attempts == 499


def test_a_retransmission_may_be_duplicated_too(wire: Wire) -> None:
    """Each transmission has its one free copy."""
    connection = wire.connection()
    with wire.counted() as moved:
        for _ in range(3):
            wire.syn(connection)
            wire.syn(connection)
            wire.wait(1000)
    assert moved() == {"attempts": 1, "syn_retransmits": 2, "syn_duplicates": 3}


def test_the_eleventh_retransmission_is_an_attempt(wire: Wire) -> None:
    """No client's stack tries that often."""
    connection = wire.connection()
    with wire.counted() as moved:
        for _ in range(1 + 10 + 3):
            wire.syn(connection)
            wire.wait(300)
    assert moved() == {"attempts": 4, "syn_retransmits": 10}


def test_a_completed_handshakes_late_copy_is_no_attempt(wire: Wire) -> None:
    """A SYN that the network held back arrives after its handshake."""
    connection = wire.connection()
    wire.handshake(connection)
    wire.wait(5)
    with wire.counted() as moved:
        wire.syn(connection)
    assert moved() == {"syn_duplicates": 1}


def test_another_isn_is_another_attempt(wire: Wire) -> None:
    """Random ISNs from one four-tuple are as many attempts, and cost a bystander nothing."""
    bystander = wire.connection()
    wire.syn(bystander)
    wire.synack(bystander)
    tuple_ = wire.connection()
    with wire.counted() as moved:
        for number in range(PRIME):
            wire.segment(tuple_, "S", seq=number * 0x01234567)
        wire.ack(bystander)
    assert moved()["attempts"] == PRIME
    assert moved()["completed"] == 1

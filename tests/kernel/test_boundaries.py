"""The moments at which a copy, a slice or a bin changes its name, from both sides."""

from __future__ import annotations

from itertools import pairwise

import pytest

from synguard.model import Cohort, HandshakeCounts
from synguard.probe import layout
from tests.kernel.wire import NS_PER_MS, Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

#: The probe's own grain of time within a handshake: 2^20 ns.
TICK_NS = 1 << 20
SLICE_NS = 1 << layout.LISTENER_COHORT_SHIFT
SOURCE_SLICE_NS = 1 << layout.SOURCE_COHORT_SHIFT


def syns_at(wire: Wire, connection: Connection, *at_ms: float) -> dict[str, int]:
    """Deliver the same SYN at these moments; return what that counted."""
    with wire.counted() as moved:
        wire.syn(connection)
        for before, now in pairwise((0.0, *at_ms)):
            wire.wait(now - before)
            wire.syn(connection)
    return moved()


def align(wire: Wire, grain_ns: int, offset_ns: int = 0) -> None:
    """Go on to the next moment that lies so far behind a multiple of a grain."""
    wire.at(-(-wire.now_ns // grain_ns) * grain_ns + offset_ns)


@pytest.mark.parametrize("offset_us", range(0, 1050, 131))
def test_200_ms_part_duplicates_from_retransmissions(xdp_wire: Wire, offset_us: int) -> None:
    """Up to 198 ms a copy is a duplicate, from 200 ms on a retransmission, wherever the ticks fall."""
    align(xdp_wire, TICK_NS, offset_us * 1000)
    assert syns_at(xdp_wire, xdp_wire.connection(), 198) == {"attempts": 1, "syn_duplicates": 1}
    align(xdp_wire, TICK_NS, offset_us * 1000)
    assert syns_at(xdp_wire, xdp_wire.connection(), 200) == {"attempts": 1, "syn_retransmits": 1}


def test_the_gap_counts_from_the_last_copy(wire: Wire) -> None:
    """Copies 150 ms apart are no retransmissions, though the first SYN is long ago."""
    counted = syns_at(wire, wire.connection(), 150, 300, 450)
    assert counted == {"attempts": 3, "syn_duplicates": 1}
    counted = syns_at(wire, wire.connection(), 150, 350)
    assert counted == {"attempts": 1, "syn_duplicates": 1, "syn_retransmits": 1}


@pytest.mark.parametrize("copies", [9, 10, 11, 23])
def test_ten_retransmissions_and_no_more(wire: Wire, copies: int) -> None:
    """The eleventh is an attempt, and each one after it, whatever they are booked to."""
    connection = wire.connection()
    expected = {"attempts": 1 + max(copies - 10, 0), "syn_retransmits": min(copies, 10)}
    assert syns_at(wire, connection, *(200 * (number + 1) for number in range(copies))) == expected
    counts = HandshakeCounts(expected["attempts"], syn_retransmits=expected["syn_retransmits"])
    assert wire.known_source(connection.client).counts == counts
    assert wire.known_listener(connection.closed_bucket).counts == counts


def test_each_of_ten_retransmissions_has_its_duplicate(wire: Wire) -> None:
    """A network that doubles every packet makes no attempt out of a patient client."""
    pairs = [moment + late for moment in range(0, 2031, 203) for late in (0, 3)]
    counted = syns_at(wire, wire.connection(), *pairs[1:])
    assert counted == {"attempts": 1, "syn_retransmits": 10, "syn_duplicates": 11}


@pytest.mark.parametrize("gap_ms", [32_000, 64_000, 68_500])
def test_a_patient_copy_is_one_until_the_ticks_wrap(wire: Wire, gap_ms: int) -> None:
    """Up to 68.5 s, which is longer than any stack waits between two SYNs."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection)
        wire.wait(gap_ms)
        wire.syn(connection)
        wire.synack(connection)
        wire.wait(gap_ms)
        wire.ack(connection)
    assert moved() == {"attempts": 1, "syn_retransmits": 1, "answered": 1, "completed": 1}


def test_a_copy_long_after_the_wrap_is_no_second_attempt(wire: Wire) -> None:
    """69 to 137 s later a copy is taken for one of this minute; it stays the same attempt."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection)
        wire.wait(100_000)
        wire.syn(connection)
    assert moved() == {"attempts": 1, "syn_retransmits": 1}


@pytest.mark.parametrize("before_ns", [1, 0])
def test_a_slice_begins_with_its_first_nanosecond(wire: Wire, before_ns: int) -> None:
    """An attempt in a slice's last nanosecond is that slice's, also where all else comes in the next one."""
    wire.handshake(wire.connection())
    wire.wait(10_000)
    align(wire, SOURCE_SLICE_NS, -before_ns)
    start_ns = wire.now_ns + before_ns
    connection = wire.connection()
    wire.syn(connection)
    wire.at(start_ns)
    wire.synack(connection)
    wire.ack(connection)
    expected_ns = start_ns - (SLICE_NS if before_ns else 0)
    assert wire.known_listener(connection.listener).cohorts == (Cohort(expected_ns, 1, 1),)
    expected_ns = start_ns - (SOURCE_SLICE_NS if before_ns else 0)
    assert wire.known_source(connection.client).cohorts == (Cohort(expected_ns, 1, 1),)


@pytest.mark.parametrize("late_ns", [-1, 0])
def test_a_listeners_ring_is_256_slices(wire: Wire, late_ns: int) -> None:
    """To the end of the 255th slice after its own a completion is booked to it; then it spoils no other."""
    wire.handshake(wire.connection())
    wire.wait(10_000)
    align(wire, SLICE_NS)
    start_ns = wire.now_ns
    connection = wire.connection()
    wire.syn(connection)
    wire.synack(connection)
    wire.at(start_ns + layout.LISTENER_COHORTS * SLICE_NS + late_ns)
    wire.syn(wire.connection())
    wire.ack(connection)
    present = Cohort(wire.now_ns // SLICE_NS * SLICE_NS, 1, 0)
    reading = wire.known_listener(connection.listener)
    assert reading.cohorts == ((present,) if late_ns == 0 else (Cohort(start_ns, 1, 1), present))
    assert reading.counts == HandshakeCounts(3, answered=2, completed=2)


@pytest.mark.parametrize("late_ns", [-1, 0])
def test_a_first_answer_moves_its_attempt_within_256_slices(wire: Wire, late_ns: int) -> None:
    """To the end of the ring the attempt is in the closed bucket's slice; then it is in no slice at all."""
    align(wire, SLICE_NS)
    start_ns = wire.now_ns
    connection = wire.connection()
    wire.syn(connection)
    wire.at(start_ns + layout.LISTENER_COHORTS * SLICE_NS + late_ns)
    wire.syn(wire.connection(server_port=81))
    wire.synack(connection)
    bucket, listener = wire.known_listener(connection.closed_bucket), wire.known_listener(connection.listener)
    present = Cohort(wire.now_ns // SLICE_NS * SLICE_NS, 1, 0)
    assert bucket.cohorts == ((present,) if late_ns == 0 else (Cohort(start_ns, 1, 1), present))
    assert listener.cohorts == (() if late_ns == 0 else (Cohort(start_ns, 1, 0),))
    assert bucket.counts == HandshakeCounts(2, answered=1)
    assert listener.counts == HandshakeCounts(1, answered=1)


@pytest.mark.parametrize("late_ns", [-1, 0])
def test_a_sources_ring_is_64_slices(wire: Wire, late_ns: int) -> None:
    """As at the listener, in slices four times as long."""
    align(wire, SOURCE_SLICE_NS)
    start_ns = wire.now_ns
    connection = wire.connection()
    wire.syn(connection)
    wire.synack(connection)
    wire.at(start_ns + layout.SOURCE_COHORTS * SOURCE_SLICE_NS + late_ns)
    wire.syn(wire.connection(client=connection.client))
    wire.ack(connection)
    present = Cohort(wire.now_ns // SOURCE_SLICE_NS * SOURCE_SLICE_NS, 1, 0)
    reading = wire.known_source(connection.client)
    assert reading.cohorts == ((present,) if late_ns == 0 else (Cohort(start_ns, 1, 1), present))
    assert reading.counts == HandshakeCounts(2, answered=1, completed=1)


def test_completions_of_one_moment_go_to_the_slices_of_their_attempts(wire: Wire) -> None:
    """One to eleven attempts in eleven slices, all completed in one: each slice has its own number again."""
    wire.handshake(wire.connection())
    wire.wait(10_000)
    align(wire, SLICE_NS)
    start_ns = wire.now_ns
    client = wire.client()
    waiting: list[Connection] = []
    for number in range(1, 12):
        waiting += [wire.connection(client=client) for _ in range(number)]
        for connection in waiting[-number:]:
            wire.syn(connection)
            wire.synack(connection)
        wire.at(wire.now_ns + SLICE_NS)
    for connection in reversed(waiting):
        wire.ack(connection)
    expected = tuple(Cohort(start_ns + (number - 1) * SLICE_NS, number, number) for number in range(1, 12))
    assert wire.known_listener(waiting[0].listener).cohorts == expected
    slices: dict[int, int] = {}
    for cohort in expected:
        begin_ns = cohort.start_ns // SOURCE_SLICE_NS * SOURCE_SLICE_NS
        slices[begin_ns] = slices.get(begin_ns, 0) + cohort.attempts
    assert wire.known_source(client).cohorts == tuple(Cohort(ns, n, n) for ns, n in sorted(slices.items()))


@pytest.mark.parametrize("power", range(16))
def test_a_bin_of_handshake_times_begins_at_its_power_of_two(xdp_wire: Wire, power: int) -> None:
    """2^n ticks are in bin n + 1, a nanosecond less in bin n; the last bin takes all that is longer."""
    wire = xdp_wire
    for short_ns in (0, 1):
        align(wire, TICK_NS)
        connection = wire.connection()
        wire.syn(connection)
        wire.synack(connection)
        wire.at(wire.now_ns + (TICK_NS << power) - short_ns)
        wire.ack(connection)
    expected = [0] * layout.HANDSHAKE_TIME_BINS
    expected[min(power + 1, 15)] += 1
    expected[min(power, 15)] += 1
    assert list(wire.known_listener(connection.listener).handshake_ms_histogram) == expected


def test_the_handshakes_time_counts_from_the_first_answer(wire: Wire) -> None:
    """A SYN-ACK sent again does not make the handshake faster than it was."""
    connection = wire.connection()
    wire.syn(connection)
    wire.synack(connection)
    wire.wait(1000)
    wire.synack(connection)
    wire.wait(50)
    wire.ack(connection)
    histogram = wire.known_listener(connection.listener).handshake_ms_histogram
    assert histogram.index(1) == int(1050 * NS_PER_MS / TICK_NS).bit_length()

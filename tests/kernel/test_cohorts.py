"""Completions are booked to the time slice of their own attempt, whatever the clock shows."""

from __future__ import annotations

import pytest

from synguard.model import Cohort, HandshakeCounts
from synguard.probe import layout
from tests.kernel.wire import NS_PER_MS, Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

SLICE_NS = 1 << layout.LISTENER_COHORT_SHIFT
SOURCE_SLICE_NS = 1 << layout.SOURCE_COHORT_SHIFT
RING_MS = (layout.LISTENER_COHORTS << layout.LISTENER_COHORT_SHIFT) / NS_PER_MS


def known_port(wire: Wire) -> Connection:
    """Let the server's port answer once, 10 s ago: its attempts are then booked to it at once."""
    wire.handshake(wire.connection())
    wire.wait(10_000)
    return wire.connection()


def slice_start(now_ns: int, slice_ns: int = SLICE_NS) -> int:
    """Return when the slice of a moment began."""
    return now_ns // slice_ns * slice_ns


def test_a_completion_lands_in_its_attempts_slice(wire: Wire) -> None:
    """A handshake that takes 200 ms completes in the slice in which it began, listener's and source's."""
    connection = known_port(wire)
    began_ns = wire.now_ns
    wire.syn(connection)
    wire.synack(connection)
    wire.wait(200)
    wire.ack(connection)
    reading = wire.known_listener(connection.listener)
    assert reading.cohorts == (Cohort(slice_start(began_ns), 1, 1),)
    source = wire.known_source(connection.client)
    assert source.cohorts == (Cohort(slice_start(began_ns, SOURCE_SLICE_NS), 1, 1),)


def test_slices_tell_the_finished_from_the_unfinished(wire: Wire) -> None:
    """23 attempts that complete and 7 later ones that do not stay apart."""
    good = [known_port(wire), *(wire.connection() for _ in range(22))]
    first_ns = wire.now_ns
    for connection in good:
        wire.syn(connection)
        wire.synack(connection)
    wire.wait(100)
    second_ns = wire.now_ns
    for _ in range(7):
        wire.syn(wire.connection())
    for connection in good:
        wire.ack(connection)
    assert wire.known_listener(good[0].listener).cohorts == (
        Cohort(slice_start(first_ns), 23, 23),
        Cohort(slice_start(second_ns), 7, 0),
    )


def test_a_completion_later_than_the_ring_is_in_the_totals_only(wire: Wire) -> None:
    """A handshake slower than 4.3 s is counted, but finds no slice any more and spoils no other."""
    connection = known_port(wire)
    wire.syn(connection)
    wire.synack(connection)
    wire.wait(RING_MS)
    wire.syn(wire.connection(client=connection.client))
    with wire.counted() as moved:
        wire.ack(connection)
    assert moved() == {"completed": 1}
    reading = wire.known_listener(connection.listener)
    assert reading.counts.completed == 2
    assert reading.cohorts == (Cohort(slice_start(wire.now_ns), 1, 0),)
    assert wire.known_source(connection.client).cohorts[-1].completed == 0


def test_slices_leave_the_ring(wire: Wire) -> None:
    """What is older than the ring is not shown."""
    connection = known_port(wire)
    wire.syn(connection)
    wire.wait(RING_MS - 20)
    assert len(wire.known_listener(connection.listener).cohorts) == 1
    wire.wait(40)
    assert wire.known_listener(connection.listener).cohorts == ()


#: Uptimes at which a narrower count of slices would begin again: 13 days, 2.28 years.
@pytest.mark.parametrize("wrap_ns", [1 << 24 + 26, 1 << 32 + 24])
@pytest.mark.parametrize("later_ms", [-50, 50, 1000])
def test_years_of_uptime_change_nothing(xdp_wire: Wire, wrap_ns: int, later_ms: int) -> None:
    """Slices are booked and read alike before, across and after any counter's end."""
    xdp_wire.at(wrap_ns + later_ms * NS_PER_MS - 10_000 * NS_PER_MS)
    connection = known_port(xdp_wire)
    began_ns = xdp_wire.now_ns
    xdp_wire.syn(connection)
    xdp_wire.synack(connection)
    xdp_wire.wait(100)
    xdp_wire.ack(connection)
    reading = xdp_wire.known_listener(connection.listener)
    assert reading.cohorts == (Cohort(slice_start(began_ns), 1, 1),)
    source = xdp_wire.known_source(connection.client)
    assert source.cohorts == (Cohort(slice_start(began_ns, SOURCE_SLICE_NS), 1, 1),)


def test_a_first_answer_moves_its_attempt_out_of_the_closed_bucket(wire: Wire) -> None:
    """A port is not known to listen before it answers; its first attempt is moved then."""
    connection, stays = wire.connection(), wire.connection(server_port=81)
    began_ns = wire.now_ns
    wire.syn(connection)
    wire.syn(stays)
    assert wire.known_listener(connection.closed_bucket).counts.attempts == 2
    wire.wait(50)
    wire.synack(connection)
    wire.ack(connection)
    bucket = wire.known_listener(connection.closed_bucket)
    assert bucket.counts == HandshakeCounts(attempts=2, answered=1)
    assert bucket.cohorts == (Cohort(slice_start(began_ns), 2, 1),)
    reading = wire.known_listener(connection.listener)
    assert reading.counts == HandshakeCounts(attempts=1, answered=1, completed=1)
    assert reading.cohorts == (Cohort(slice_start(began_ns), 1, 1),)


def test_handshake_times_fill_their_bins(wire: Wire) -> None:
    """SYN-ACK→ACK times from below a millisecond to 20 s each fall into the bin of their power of two."""
    ticks = 1.048576
    for power in range(15):
        connection = wire.connection()
        wire.syn(connection)
        wire.synack(connection)
        wire.wait(1.5 * ticks * 2**power)
        wire.ack(connection)
    connection = wire.connection()
    wire.handshake(connection)
    histogram = wire.known_listener(connection.listener).handshake_ms_histogram
    assert sum(histogram) == 16
    assert histogram[0] == 1
    assert all(histogram[power] >= 1 for power in range(2, 16))


def test_the_reader_gives_what_moves_now(wire: Wire) -> None:
    """A snapshot has the listeners with attempts in the ring, and the totals."""
    connection = known_port(wire)
    wire.syn(connection)
    snapshot = wire.reader.read(wire.now_ns, 0.0)
    assert [reading.listener for reading in snapshot.listeners] == [connection.listener]
    assert snapshot.totals["attempts"] == wire.reader.totals()["attempts"]
    wire.wait(RING_MS)
    assert wire.reader.read(wire.now_ns, 0.0).listeners == ()

"""Where our answers cannot be seen, what a peer sends later tells of completions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synguard.model import Cohort, HandshakeCounts
from synguard.probe import layout
from synguard.probe.reader import ProbeReader
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

PRIME = 23
RING_MS = (layout.LISTENER_COHORTS << layout.LISTENER_COHORT_SHIFT) / 10**6
COHORT_NS = 1 << layout.LISTENER_COHORT_SHIFT
ATTEMPTED = {"attempts": 1}
COMPLETED = {"attempts": 1, "completed": 1}


@pytest.fixture
def blind_wire(host_wire: Wire) -> Iterator[Wire]:
    """Yield a wire on which only what comes in is seen."""
    host_wire.probe.set_one_way(True)
    yield host_wire
    host_wire.probe.set_one_way(False)


def go_on(wire: Wire, connection: Connection, flags: str = "A", behind: int = 1) -> None:
    """Deliver a segment of the client's, so far behind its ISN; what it acknowledges nobody can check."""
    wire.segment(connection, flags, seq=connection.isn + behind, ack=connection.server_isn + 1)


def test_the_snapshot_says_what_it_is(blind_wire: Wire) -> None:
    """So that nobody takes an inferred completion for a proven one."""
    assert ProbeReader(blind_wire.probe).read(blind_wire.now_ns, 0.0).one_way
    blind_wire.probe.set_one_way(False)
    assert not ProbeReader(blind_wire.probe).read(blind_wire.now_ns, 0.0).one_way


@pytest.mark.parametrize("flags", ["A", "PA", "FA", "FPA"])
@pytest.mark.parametrize("behind", [1, 2, 1461, 65_536])
def test_a_peer_that_goes_on_has_completed(blind_wire: Wire, flags: str, behind: int) -> None:
    """An ACK, data or FIN right behind the ISN, or as much later as a window may hold."""
    connection = blind_wire.connection()
    with blind_wire.counted() as moved:
        blind_wire.syn(connection)
        go_on(blind_wire, connection, flags, behind)
    assert moved() == COMPLETED
    assert blind_wire.known_source(connection.client).counts.completed == 1


@pytest.mark.parametrize("behind", [0, -1, 65_537, 1 << 31])
def test_a_wrong_sequence_completes_nothing(blind_wire: Wire, behind: int) -> None:
    """A flood padded with random ACKs is the same flood; the right segment still completes afterwards."""
    connection = blind_wire.connection()
    with blind_wire.counted() as moved:
        blind_wire.syn(connection)
        go_on(blind_wire, connection, behind=behind)
        assert moved() == ATTEMPTED
        go_on(blind_wire, connection)
    assert moved() == COMPLETED


def test_sequence_numbers_may_wrap(blind_wire: Wire) -> None:
    """An ISN at the end of the number space is like all others."""
    connection = blind_wire.connection(isn=2**32 - 1)
    with blind_wire.counted() as moved:
        blind_wire.syn(connection)
        go_on(blind_wire, connection, behind=1000)
    assert moved() == COMPLETED


def test_a_handshake_completes_once(blind_wire: Wire) -> None:
    """Whatever follows, and a flood of other connections' segments, completes nothing more."""
    connection, other = blind_wire.connection(), blind_wire.connection()
    with blind_wire.counted() as moved:
        blind_wire.syn(connection)
        for behind in range(1, 50, 7):
            go_on(blind_wire, connection, behind=behind)
            go_on(blind_wire, other, behind=behind)
    assert moved() == COMPLETED


@pytest.mark.parametrize("flags", ["R", "RA"])
def test_a_peers_reset_aborts(blind_wire: Wire, flags: str) -> None:
    """Who resets what it began, with the right sequence number, ends it; who guesses does not."""
    connection = blind_wire.connection()
    with blind_wire.counted() as moved:
        blind_wire.syn(connection)
        go_on(blind_wire, connection, flags, behind=2)
        assert moved() == ATTEMPTED
        go_on(blind_wire, connection, flags)
        assert moved() == {"attempts": 1, "aborted": 1}
        go_on(blind_wire, connection)
    assert moved() == {"attempts": 1, "aborted": 1}


def test_the_first_completion_tells_of_a_listener(blind_wire: Wire) -> None:
    """Until then attempts are in the closed bucket; the completed one moves, those of other ports stay."""
    connections = [blind_wire.connection() for _ in range(PRIME)]
    closed = [blind_wire.connection(server_port=444 + number) for number in range(7)]
    for connection in (*connections, *closed):
        blind_wire.syn(connection)
    assert blind_wire.listener(connections[0].listener) is None
    began_ns = blind_wire.now_ns // COHORT_NS * COHORT_NS
    blind_wire.wait(100)
    for connection in connections:
        go_on(blind_wire, connection)
    reading = blind_wire.known_listener(connections[0].listener)
    assert reading.counts == HandshakeCounts(attempts=PRIME, completed=PRIME)
    assert reading.cohorts == (Cohort(began_ns, PRIME, PRIME),)
    (left,) = blind_wire.known_listener(connections[0].closed_bucket).cohorts
    assert left == Cohort(began_ns, PRIME + 7, PRIME)
    assert blind_wire.listener(closed[0].listener) is None
    blind_wire.syn(blind_wire.connection())
    assert blind_wire.known_listener(connections[0].listener).counts.attempts == PRIME + 1


def test_an_answer_that_is_seen_after_all_must_be_acknowledged(blind_wire: Wire) -> None:
    """Then it is known what proves completion, and a peer that merely goes on proves nothing."""
    connection = blind_wire.connection()
    with blind_wire.counted() as moved:
        blind_wire.syn(connection)
        blind_wire.synack(connection)
        blind_wire.ack(connection, seq=connection.isn + 1, ack=connection.server_isn + 2)
        assert moved() == {"attempts": 1, "answered": 1}
        blind_wire.ack(connection)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


def test_a_late_answer_opens_nothing_anew(blind_wire: Wire) -> None:
    """A SYN-ACK behind an inferred completion changes neither counts nor what a later ACK is."""
    connection = blind_wire.connection()
    with blind_wire.counted() as moved:
        blind_wire.syn(connection)
        go_on(blind_wire, connection)
        blind_wire.synack(connection)
        blind_wire.ack(connection)
    assert moved() == {**COMPLETED, "synack_retransmits": 1}


def test_retransmitted_syns_complete_once(blind_wire: Wire) -> None:
    """A client that had to ask twice is one attempt, which completes in the slice of its first SYN."""
    connection = blind_wire.connection()
    with blind_wire.counted() as moved:
        blind_wire.syn(connection)
        blind_wire.wait(1000)
        blind_wire.syn(connection)
        blind_wire.wait(50)
        go_on(blind_wire, connection)
    assert moved() == {"attempts": 1, "syn_retransmits": 1, "completed": 1}
    (reading,) = blind_wire.known_source(connection.client).cohorts
    assert reading[1:] == (1, 1)


def test_with_both_directions_a_peer_that_goes_on_proves_nothing(host_wire: Wire) -> None:
    """As it was before one direction was all there is, and as soon as it is no longer."""
    host_wire.probe.set_one_way(True)
    earlier = host_wire.connection()
    host_wire.syn(earlier)
    host_wire.probe.set_one_way(False)
    later = host_wire.connection()
    with host_wire.counted() as moved:
        host_wire.syn(later)
        for connection in (earlier, later):
            go_on(host_wire, connection)
            go_on(host_wire, connection, "R")
    assert moved() == ATTEMPTED


def test_invented_listeners_leave_room_for_real_ones(blind_wire: Wire) -> None:
    """Whoever sends SYN and ACK to random ports fills the map for as long as the ring, and no longer."""
    for port in range(1024, 1024 + 600):
        connection = blind_wire.connection(server_port=port)
        blind_wire.syn(connection)
        go_on(blind_wire, connection)
    blind_wire.wait(RING_MS)
    blind_wire.syn(blind_wire.connection())
    ProbeReader(blind_wire.probe).read(blind_wire.now_ns, 0.0)
    known = [listener.listener.port for listener in blind_wire.reader.listeners(blind_wire.now_ns)]
    assert sum(port >= 1024 for port in known) == 0


def test_a_reset_that_acknowledges_one_aborts_nothing(blind_wire: Wire) -> None:
    """An ISN of ours that nobody has seen is not 0."""
    connection = blind_wire.connection()
    blind_wire.syn(connection)
    with blind_wire.counted() as moved:
        blind_wire.segment(connection, "RA", seq=connection.isn + 1000, ack=1)
    assert moved() == {}

"""What becomes of a SYN: answered, completed, aborted, refused, or nothing."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from synguard.model import HandshakeCounts
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

#: A prime: counts that come out right by accident seldom hit it.
PRIME = 23


def test_plain_handshakes_are_counted_exactly(wire: Wire) -> None:
    """Each handshake is one attempt, answered and completed, in the totals and at its listener."""
    connections = [wire.connection() for _ in range(PRIME)]
    with wire.counted() as moved:
        for connection in connections:
            wire.handshake(connection)
    assert moved() == {"attempts": PRIME, "answered": PRIME, "completed": PRIME}
    counts = HandshakeCounts(attempts=PRIME, answered=PRIME, completed=PRIME)
    assert wire.known_listener(connections[0].listener).counts == counts


def test_one_client_is_one_source(wire: Wire) -> None:
    """All handshakes of an address are booked to it, whatever its port."""
    client = wire.client()
    for _ in range(PRIME):
        wire.handshake(wire.connection(client=client))
    assert wire.known_source(client).counts == HandshakeCounts(PRIME, answered=PRIME, completed=PRIME)


def test_wrong_acknowledgements_complete_nothing(wire: Wire) -> None:
    """A flood padded with random ACKs is the same flood."""
    client = wire.client()
    connections = [wire.connection(client=client) for _ in range(PRIME)]
    with wire.counted() as moved:
        for connection in connections:
            wire.syn(connection)
            wire.synack(connection)
        for number in range(1000):
            connection = connections[number % PRIME]
            wire.ack(connection, ack=connection.server_isn + 2 + number * 4_000_037)
    assert moved() == {"attempts": PRIME, "answered": PRIME}
    assert wire.known_source(client).counts.completed == 0


@pytest.mark.parametrize("distance", [0, 2, 1000, 65536, 2**31, -1])
def test_an_acknowledgement_beside_the_right_one_is_nothing(wire: Wire, distance: int) -> None:
    """Only server ISN + 1 proves that the SYN-ACK arrived, and the right number still does afterwards."""
    connection = wire.connection()
    wire.syn(connection)
    wire.synack(connection)
    with wire.counted() as moved:
        wire.ack(connection, ack=connection.server_isn + distance)
        assert moved() == {}
        wire.ack(connection)
    assert moved() == {"completed": 1}


def test_an_acknowledgement_before_the_answer_is_nothing(wire: Wire) -> None:
    """Who was not answered cannot have completed."""
    connection = wire.connection()
    wire.syn(connection)
    with wire.counted() as moved:
        wire.ack(connection)
        wire.ack(connection, ack=1)
    assert moved() == {}


def test_sequence_numbers_may_wrap(wire: Wire) -> None:
    """ISNs at the end of the number space are like all others."""
    connection = wire.connection(isn=2**32 - 1, server_isn=2**32 - 1)
    with wire.counted() as moved:
        wire.handshake(connection)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


def test_a_handshake_completes_once(wire: Wire) -> None:
    """Later ACKs and data of an established connection count nothing."""
    connection = wire.connection()
    wire.handshake(connection)
    with wire.counted() as moved:
        wire.ack(connection)
        wire.ack(connection, "PA", b"GET / HTTP/1.1\r\n\r\n")
        wire.ack(connection, "FA")
    assert moved() == {}


@pytest.mark.parametrize("flags", ["A", "PA", "FA", "FPA", "UA", "EA", "CA"])
def test_whatever_carries_the_right_number_completes(wire: Wire, flags: str) -> None:
    """When the final ACK was lost, data or FIN with the right number proves the same."""
    connection = wire.connection()
    wire.syn(connection)
    wire.synack(connection)
    with wire.counted() as moved:
        wire.ack(connection, flags, b"data", seq=connection.isn + 1)
    assert moved() == {"completed": 1}


def test_a_repeated_synack_is_a_retransmission(wire: Wire) -> None:
    """The server's patience is not a second answer."""
    connection = wire.connection()
    wire.syn(connection)
    with wire.counted() as moved:
        for _ in range(3):
            wire.synack(connection)
            wire.wait(1000)
        wire.ack(connection)
    assert moved() == {"answered": 1, "synack_retransmits": 2, "completed": 1}


def test_a_synack_that_answers_nothing_is_not_counted(wire: Wire) -> None:
    """A SYN-ACK whose SYN was never seen, or whose number is wrong, is no answer."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.synack(connection)
        assert moved() == {}
        wire.syn(connection)
        wire.synack(connection, ack=connection.isn)
    assert moved() == {"attempts": 1}


def test_a_tuple_used_again_is_a_new_attempt(wire: Wire) -> None:
    """The same four-tuple with another ISN is another handshake, and each has its own numbers."""
    first = wire.connection(isn=1_000_000)
    second = wire.connection(client=first.client, client_port=first.client_port, isn=9_000_000)
    with wire.counted() as moved:
        wire.handshake(first)
        wire.wait(500)
        wire.handshake(second)
    assert moved() == {"attempts": 2, "answered": 2, "completed": 2}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_neighbouring_sequence_numbers_are_not_confused(wire: Wire, order: Iterable[int]) -> None:
    """Two attempts of one tuple whose ISNs differ by one are answered each for itself."""
    first = wire.connection(isn=5_000)
    second = wire.connection(client=first.client, client_port=first.client_port, isn=5_001)
    pair = (first, second)
    for index in order:
        wire.syn(pair[index])
    with wire.counted() as moved:
        wire.synack(first)
        wire.synack(second)
        wire.ack(first, ack=first.server_isn + 1000)
        assert moved() == {"answered": 2}
        wire.ack(first)
        wire.ack(second)
    assert moved() == {"answered": 2, "completed": 2}


@pytest.mark.parametrize("payload_bytes", [1, 1460, 3000])
def test_fast_open_completes_within_early_data(wire: Wire, payload_bytes: int) -> None:
    """With TCP Fast Open the server may send at once, so the first ACK may cover its data."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection, payload=bytes(payload_bytes))
        wire.synack(connection, ack=connection.isn + 1 + payload_bytes)
        wire.ack(connection, ack=connection.server_isn + 1 + 65_536)
        wire.ack(connection, ack=connection.server_isn)
        assert moved() == {"attempts": 1, "answered": 1}
        wire.ack(connection, ack=connection.server_isn + 1 + 14_600)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


def test_a_payload_that_was_not_accepted_allows_no_early_data(wire: Wire) -> None:
    """A SYN with data whose data the server did not take is an ordinary handshake."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection, payload=b"hello")
        wire.synack(connection)
        wire.ack(connection, ack=connection.server_isn + 2)
        assert moved() == {"attempts": 1, "answered": 1}
        wire.ack(connection)
    assert moved()["completed"] == 1


@pytest.mark.parametrize(
    ("flags", "seq_distance", "ack_distance"), [("R", 1, None), ("RA", 1, 1), ("RA", 1, 99), ("RA", 99, 1)]
)
def test_a_peers_reset_aborts(wire: Wire, flags: str, seq_distance: int, ack_distance: int | None) -> None:
    """A RST whose sequence or acknowledgement number is right ends the handshake, once."""
    connection = wire.connection()
    wire.syn(connection)
    wire.synack(connection)
    ack = 0 if ack_distance is None else connection.server_isn + ack_distance
    with wire.counted() as moved:
        wire.segment(connection, flags, seq=connection.isn + seq_distance, ack=ack)
        wire.segment(connection, flags, seq=connection.isn + seq_distance, ack=ack)
        wire.ack(connection)
    assert moved() == {"aborted": 1}
    assert wire.known_listener(connection.listener).counts.aborted == 1
    assert wire.known_source(connection.client).counts.aborted == 1


def test_a_reset_with_wrong_numbers_is_nothing(wire: Wire) -> None:
    """Nobody can end a handshake blindly; without ACK the acknowledgement field means nothing."""
    connection = wire.connection()
    wire.syn(connection)
    wire.synack(connection)
    with wire.counted() as moved:
        wire.segment(connection, "R", seq=connection.isn)
        wire.segment(connection, "R", seq=connection.isn + 2, ack=connection.server_isn + 1)
        wire.segment(connection, "RA", seq=connection.isn + 2, ack=connection.server_isn + 2)
        assert moved() == {}
        wire.ack(connection)
    assert moved() == {"completed": 1}


def test_a_reset_before_the_answer_or_after_completion_aborts_nothing(wire: Wire) -> None:
    """Only what waits for its last ACK can be aborted."""
    early, late = wire.connection(), wire.connection()
    wire.syn(early)
    wire.handshake(late)
    with wire.counted() as moved:
        wire.segment(early, "R", seq=early.isn + 1)
        wire.segment(late, "R", seq=late.isn + 1)
    assert moved() == {}


@pytest.mark.parametrize("payload_bytes", [0, 5])
def test_our_reset_refuses(wire: Wire, payload_bytes: int) -> None:
    """A RST from the server to a SYN is a closed port, also where the SYN carried data."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.syn(connection, payload=bytes(payload_bytes))
        wire.refuse(connection, ack=connection.isn + 1 + payload_bytes)
        wire.refuse(connection, ack=connection.isn + 1 + payload_bytes)
    assert moved() == {"attempts": 1, "refused": 1}
    assert wire.known_listener(connection.closed_bucket).counts == HandshakeCounts(attempts=1, refused=1)
    assert wire.known_source(connection.client).counts.refused == 1


def test_each_copy_of_a_refused_syn_is_refused(wire: Wire) -> None:
    """A tool that repeats one SYN at a closed port hundreds of times a second is refused as often."""
    connection = wire.connection()
    with wire.counted() as moved:
        for _ in range(100):
            wire.syn(connection)
            wire.refuse(connection)
            wire.wait(2)
    assert moved() == {"attempts": 99, "syn_duplicates": 1, "refused": 99}


def test_a_reset_that_refuses_nothing_is_not_counted(wire: Wire) -> None:
    """Closing an established connection hard, or resetting without ACK, is no refusal."""
    established, waiting = wire.connection(), wire.connection(isn=2**32 - 1)
    wire.handshake(established)
    wire.syn(waiting)
    with wire.counted() as moved:
        wire.refuse(established, "RA", seq=established.server_isn + 1)
        wire.refuse(established, "R", seq=established.server_isn + 1)
        wire.refuse(waiting, "R")
    assert moved() == {}


def test_our_own_connections_count_nothing(host_wire: Wire) -> None:
    """A connection that this machine opens is no attempt, and its ACKs complete nothing."""
    connection = host_wire.connection(server_port=50123, client_port=443)
    with host_wire.counted() as moved:
        host_wire.emit(connection.frame(connection.segment("S", outgoing=True), outgoing=True))
        host_wire.segment(connection, "SA")
        host_wire.emit(connection.frame(connection.segment("A", outgoing=True), outgoing=True))
        host_wire.ack(connection, "PA", b"data")
        host_wire.ack(connection, "FA")
        host_wire.segment(connection, "R")
    assert moved() == {}
    assert host_wire.listener(connection.listener) is None


def test_our_own_refused_connection_counts_nothing(host_wire: Wire) -> None:
    """A peer that refuses our SYN aborts nothing."""
    connection = host_wire.connection()
    with host_wire.counted() as moved:
        host_wire.emit(connection.frame(connection.segment("S", outgoing=True), outgoing=True))
        host_wire.segment(connection, "RA", seq=0, ack=connection.server_isn + 1)
    assert moved() == {}

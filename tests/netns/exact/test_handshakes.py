"""Handshakes as kernels make them, from the first SYN to a four-tuple's second life."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest

from .peer import Peer
from .stage import Stage

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PRIME, FEW = 23, 7
#: SO_LINGER of 0 s: close() sends a RST and forgets the connection.
AT_ONCE = struct.pack("=ii", 1, 0)
#: Sequence numbers inside and outside the window of a half-open connection.
NEAR, FAR = 1_000, 10_000_000


def test_23_handshakes_are_counted_to_the_one(stage: Stage) -> None:
    """Totals, listener and source agree with the server's kernel."""
    _, where = stage.listen()
    for _ in range(PRIME):
        stage.connect(where).close()
    expected = {"attempts": PRIME, "answered": PRIME, "completed": PRIME}
    stage.expect(expected)
    assert stage.at_listener(where) == expected
    assert stage.at_source(stage.client) == expected
    assert stage.kernel("TcpPassiveOpens") == PRIME
    assert stage.kernel("TcpExtSyncookiesRecv") == (PRIME if stage.syncookies == 2 else 0)


def reset_by_client(accepted: socket.socket, caller: socket.socket) -> None:
    """Let the client end the connection by RST, which leaves nothing behind on either side."""
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    caller.close()
    with pytest.raises(ConnectionResetError):
        accepted.recv(1)


def closed_by_server(accepted: socket.socket, caller: socket.socket) -> None:
    """Let the server close first: its kernel remembers the four-tuple in TIME-WAIT."""
    accepted.shutdown(socket.SHUT_WR)
    assert caller.recv(1) == b""
    caller.close()
    assert accepted.recv(1) == b""


@pytest.mark.parametrize("end", [reset_by_client, closed_by_server])
def test_a_four_tuple_used_again_is_a_new_attempt(
    stage: Stage, end: Callable[[socket.socket, socket.socket], None]
) -> None:
    """The same ports with a new sequence number are a handshake of their own, also out of TIME-WAIT."""
    listener, where = stage.listen()
    source_port = 0
    for _ in range(PRIME):
        caller = stage.connect(where, source_port=source_port)
        source_port = caller.getsockname()[1]
        accepted = stage.accept(listener)
        end(accepted, caller)
    expected = {"attempts": PRIME, "answered": PRIME, "completed": PRIME}
    stage.expect(expected)
    assert stage.at_listener(where) == stage.at_source(stage.client) == expected
    assert stage.kernel("TcpPassiveOpens") == PRIME


def test_a_half_open_four_tuple_used_again_is_a_new_attempt(stage: Stage) -> None:
    """A peer that forgot its first SYN resets what answers it, and its second one completes.

    A server that remembers the first meets the second with an ACK, the peer that with a RST and then the same
    SYN again. One that answers by cookies remembers nothing, and just answers.
    """
    _, where = stage.listen()
    peer = Peer(stage)
    forgotten, call = peer.call(where), peer.call(where)
    forgotten.open_halfway()
    call.port, call.isn = forgotten.port, forgotten.isn + FAR
    call.syn()
    if stage.syncookies < 2:
        assert call.hear().flags == "A"
        forgotten.send("R")
        call.syn()
    call.hear_answer()
    call.send("A")
    remembered = int(stage.syncookies < 2)
    stage.expect(
        {
            "attempts": 2,
            "answered": 2,
            "completed": 1,
            "aborted": remembered,
            "syn_duplicates": remembered,
        }
    )
    assert stage.kernel("TcpPassiveOpens") == 1
    assert stage.kernel("TcpAttemptFails") == remembered


def test_a_half_open_four_tuple_used_again_at_once_is_refused(stage: Stage) -> None:
    """A server that remembers the first SYN resets a second one whose number lies in its window."""
    _, where = stage.listen()
    peer = Peer(stage)
    forgotten, call = peer.call(where), peer.call(where)
    forgotten.open_halfway()
    call.port, call.isn = forgotten.port, forgotten.isn + NEAR
    call.syn()
    answered = stage.syncookies == 2
    assert call.hear().flags == ("SA" if answered else "RA")
    stage.expect({"attempts": 2, "answered": 1 + answered, "refused": 1 - answered})
    assert stage.kernel("TcpAttemptFails") == 1 - answered


def test_a_syn_that_the_network_doubles_is_one_attempt(stage: Stage) -> None:
    """Both copies are answered, and the handshake completes once."""
    _, where = stage.listen()
    call = Peer(stage).call(where)
    call.syn()
    call.hear_answer()
    call.syn()
    call.hear_answer()
    call.send("A")
    call.send("A")
    stage.expect({"attempts": 1, "syn_duplicates": 1, "answered": 1, "synack_retransmits": 1, "completed": 1})
    assert stage.kernel("TcpPassiveOpens") == 1


def test_acks_beside_the_right_number_complete_nothing(stage: Stage) -> None:
    """Only what the kernel itself takes for the last ACK is counted as one, before and after it came.

    A cookie's lowest number tells which of four segment sizes was asked for, so the kernel takes a number
    that is wrong by up to 3 for a cookie as well: nobody sends one who has not been told the right one.
    """
    _, where = stage.listen()
    peer = Peer(stage)
    misses = (-3, 5, 1 << 31) if stage.syncookies == 2 else (0, 2, -3, 5, 1 << 31)
    for number in range(FEW):
        call = peer.call(where)
        call.open_halfway()
        for wrong in misses:
            call.send("A", ack=wrong)
        stage.let_pass()
        assert stage.counted().get("completed", 0) == stage.kernel("TcpPassiveOpens") == number
        call.send("A")
        for wrong in misses:
            call.send("A", ack=wrong)
    expected = {"attempts": FEW, "answered": FEW, "completed": FEW}
    stage.expect(expected)
    assert stage.at_listener(where) == stage.at_source(peer.address) == expected
    assert stage.kernel("TcpPassiveOpens") == FEW

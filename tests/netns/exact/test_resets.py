"""RSTs: the peer's, right and wrong ones, and our own."""

from __future__ import annotations

import socket

import pytest

from .peer import Peer
from .stage import Stage
from .test_handshakes import AT_ONCE

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

ABORTED = {"attempts": 1, "answered": 1, "aborted": 1}
COMPLETED = {"attempts": 1, "answered": 1, "completed": 1}
REFUSED = {"attempts": 1, "refused": 1}


@pytest.mark.parametrize("flags", ["R", "RA"])
def test_a_peers_reset_aborts_its_handshake(stage: Stage, flags: str) -> None:
    """It counts once, and the ACK that would have been right comes too late."""
    _, where = stage.listen()
    peer = Peer(stage)
    call = peer.call(where)
    call.open_halfway()
    call.send(flags)
    call.send(flags)
    stage.expect(ABORTED)
    assert stage.at_listener(where) == stage.at_source(peer.address) == ABORTED
    assert stage.kernel("TcpAttemptFails") == (0 if stage.syncookies == 2 else 1)
    if stage.syncookies < 2:
        call.send("A")
        assert call.hear().flags == "R"
        stage.expect(ABORTED)
        assert stage.kernel("TcpPassiveOpens") == 0


def test_a_kernel_that_did_not_ask_aborts(stage: Stage) -> None:
    """The host in whose name a SYN was sent resets the answer: a half-open scan, or a spoofed address."""
    _, where = stage.listen()
    peer = Peer(stage, stage.topology.client)
    peer.call(where).syn()
    stage.expect(ABORTED)
    assert stage.at_listener(where) == stage.at_source(stage.client) == ABORTED


def test_a_reset_with_wrong_numbers_aborts_nothing(stage: Stage) -> None:
    """Who guesses blindly ends no handshake, for the server's kernel and for the probe."""
    _, where = stage.listen()
    call = Peer(stage).call(where)
    call.open_halfway()
    call.send("R", seq=0)
    call.send("R", seq=1 << 30)
    call.send("RA", seq=1 << 30, ack=2)
    call.send("A")
    stage.expect(COMPLETED)
    assert stage.kernel("TcpPassiveOpens") == 1


def test_a_reset_of_what_is_established_aborts_nothing(stage: Stage) -> None:
    """A connection that a client or a server cuts off had completed."""
    listener, where = stage.listen()
    for by_us in (True, False):
        caller = stage.connect(where)
        ends = [caller, stage.accept(listener)]
        ends[by_us].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        ends[by_us].close()
        with pytest.raises(ConnectionResetError):
            ends[not by_us].recv(1)
    stage.expect(dict.fromkeys(COMPLETED, 2))


def test_a_closed_port_refuses(stage: Stage) -> None:
    """The kernel's RST is a refusal, booked to the address's closed ports and to the source."""
    listener, where = stage.listen()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        stage.connect(where)
    stage.expect(REFUSED)
    assert stage.at_listener((stage.server, 0)) == stage.at_source(stage.client) == REFUSED
    assert stage.at_listener(where) == {}


def test_a_firewall_refuses(stage: Stage) -> None:
    """The RST of a rule is one like any other, also where the gateway sends it for the server."""
    _, where = stage.listen()
    hook = "forward" if stage.topology.gateway else "input"
    stage.firewall(
        stage.topology.guarded,
        f"chain refuse {{ type filter hook {hook} priority 0; tcp dport {where[1]} reject with tcp reset; }}",
    )
    with pytest.raises(ConnectionRefusedError):
        stage.connect(where)
    stage.expect(REFUSED)
    assert stage.at_listener((stage.server, 0)) == stage.at_source(stage.client) == REFUSED


def test_a_port_that_says_nothing_neither_answers_nor_refuses(stage: Stage) -> None:
    """Behind a rule that drops, SYNs stay attempts at closed ports."""
    _, where = stage.listen()
    stage.firewall(
        stage.topology.server,
        f"chain ignore {{ type filter hook input priority 0; tcp dport {where[1]} drop; }}",
    )
    peer = Peer(stage)
    peer.call(where).syn()
    stage.expect({"attempts": 1})
    assert stage.at_listener((stage.server, 0)) == stage.at_source(peer.address) == {"attempts": 1}


def test_a_closed_port_refuses_each_copy_of_a_syn(stage: Stage) -> None:
    """Copies in a row are a duplicate and then attempts, each of which the kernel resets."""
    listener, where = stage.listen()
    listener.close()
    call = Peer(stage).call(where)
    for _ in range(5):
        call.syn()
        assert call.hear().flags == "RA"
    stage.expect({"attempts": 4, "syn_duplicates": 1, "refused": 4})
    assert stage.kernel("TcpOutRsts") == 5

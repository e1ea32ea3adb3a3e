"""Queues that are full: what the wire shows then, and what the kernel makes of it."""

from __future__ import annotations

import pytest

from .peer import Peer
from .stage import Stage

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

#: Either queue of a listener has room for so many; the accept queue for one more.
BACKLOG = 6
#: So many connections wait already when others become as many as the SYN queue holds.
WAITING = 4


def test_an_ack_that_finds_the_accept_queue_full_completes(stage: Stage) -> None:
    """The peer proved itself; that the server has no room for it yet is no flood, and counts once."""
    listener, where = stage.listen(BACKLOG)
    peer = Peer(stage)
    for _ in range(WAITING):
        peer.call(where).open()
    late = [peer.call(where) for _ in range(BACKLOG)]
    for call in late:
        call.open_halfway()
    for call in late:
        call.send("A")
    counts = dict.fromkeys(("attempts", "answered", "completed"), WAITING + BACKLOG)
    stage.expect(counts)
    assert stage.kernel("TcpPassiveOpens") == BACKLOG + 1
    assert stage.kernel("TcpExtListenOverflows") == WAITING - 1
    for _ in range(BACKLOG + 1):
        stage.accept(listener)
    for call in late:
        call.send("PA", payload=b"again")
    stage.expect(counts)
    assert stage.at_listener(where) == stage.at_source(peer.address) == counts
    assert stage.kernel("TcpPassiveOpens") == WAITING + BACKLOG


def test_a_syn_that_finds_the_accept_queue_full_is_not_answered(stage: Stage) -> None:
    """The kernel drops it, so it stays an attempt at that listener."""
    _, where = stage.listen(BACKLOG)
    peer = Peer(stage)
    for _ in range(BACKLOG + 1):
        peer.call(where).open()
    counts = dict.fromkeys(("attempts", "answered", "completed"), BACKLOG + 1)
    stage.expect(counts)
    for _ in range(BACKLOG):
        peer.call(where).syn()
    counts["attempts"] += BACKLOG
    stage.expect(counts)
    assert stage.at_listener(where) == stage.at_source(peer.address) == counts
    assert stage.kernel("TcpPassiveOpens") == BACKLOG + 1
    assert stage.kernel("TcpExtListenOverflows") == BACKLOG


def test_a_full_syn_queue_drops_or_sends_cookies(stage: Stage) -> None:
    """With SYN cookies the late ones are answered and complete as well; without, they are not answered."""
    listener, where = stage.listen(BACKLOG)
    peer = Peer(stage)
    calls = [peer.call(where) for _ in range(3 * BACKLOG)]
    for call in calls:
        call.syn()
    stage.let_pass()
    dropped = stage.kernel("TcpExtTCPReqQFullDrop")
    assert bool(dropped) == (stage.syncookies == 0)
    assert bool(stage.kernel("TcpExtSyncookiesSent")) == (stage.syncookies > 0)
    answered = len(calls) - dropped
    stage.expect({"attempts": len(calls), "answered": answered})
    for call in calls[:answered]:
        call.hear_answer()
        call.send("A")
        stage.accept(listener)
    counts = {"attempts": len(calls), "answered": answered, "completed": answered}
    stage.expect(counts)
    assert stage.at_listener(where) == stage.at_source(peer.address) == counts
    assert stage.kernel("TcpPassiveOpens") == answered

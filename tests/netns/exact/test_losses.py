"""What gets lost on the way and is sent again by real kernels: counted once, and the repetition as such."""

from __future__ import annotations

import select

import pytest

from bench.net.counters import tcp_counters
from bench.net.namespaces import wait_until

from .losses import LAST_ACK, SYNACK, lose_first
from .peer import Peer
from .stage import PATIENCE_S, Stage

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

ONCE = {"attempts": 1, "answered": 1, "completed": 1}


def test_what_is_lost_is_sent_again_a_second_later(stage: Stage) -> None:
    """A SYN, a SYN-ACK or an ACK that nobody received leaves one handshake, which completes once.

    All three at once, for each takes a second. A server that answers by cookies repeats nothing by itself.
    """
    remembers = stage.syncookies < 2
    syn, synack, ack = (stage.listen()[1] for _ in range(3))
    for where in (syn, synack, ack):
        stage.connect(where)
    server, client = stage.topology.server, stage.topology.client
    lose_first(stage, server, "input", f"tcp flags & (syn|ack) == syn tcp dport {syn[1]}", "sport")
    lose_first(stage, client, "input", f"{SYNACK} tcp sport {synack[1]}", "dport")
    lose_first(stage, client, "output", f"{LAST_ACK} tcp dport {ack[1]}", "sport")
    before = tcp_counters(client).get("TcpRetransSegs", 0)
    callers = [stage.begin_to_connect(where) for where in (syn, synack, ack)]
    wait_until(lambda: len(select.select([], callers, [], 0)[1]) == 3, "the connections", PATIENCE_S)
    completed = 5 + remembers
    wait_until(lambda: stage.counted()["completed"] == completed, "the last ACK", PATIENCE_S)
    # The client's second SYN and the server's own timer race for its second SYN-ACK: either may be spared.
    repeated = stage.kernel("TcpRetransSegs") if remembers else 1
    asked_again = tcp_counters(client).get("TcpRetransSegs", 0) - before
    assert asked_again in (1, 2)
    counts = {"attempts": 6, "syn_retransmits": asked_again, "answered": 6, "completed": completed}
    stage.expect({**counts, "synack_retransmits": repeated})
    twice = {"attempts": 2, "answered": 2, "completed": 2}
    assert stage.at_listener(syn) == {**twice, "syn_retransmits": 1}
    again = {"syn_retransmits": 1} if asked_again == 2 else {}
    assert stage.at_listener(synack) == {**twice, **again}
    assert stage.at_listener(ack) == {**twice, "completed": completed - 4}
    assert stage.at_source(stage.client) == counts
    assert stage.kernel("TcpPassiveOpens") == completed


def test_data_behind_a_lost_ack_completes(stage: Stage) -> None:
    """The first segment with data carries the same proof, also back to a server that remembers nothing."""
    listener, where = stage.listen()
    lose_first(stage, stage.topology.client, "output", LAST_ACK, "sport")
    caller = stage.connect(where)
    stage.expect({"attempts": 1, "answered": 1})
    assert stage.kernel("TcpPassiveOpens") == 0
    caller.sendall(b"data")
    assert stage.accept(listener).recv(4) == b"data"
    stage.expect(ONCE)
    assert stage.kernel("TcpPassiveOpens") == 1


def test_the_end_behind_a_lost_ack_completes(stage: Stage) -> None:
    """So does a FIN, where the client has nothing to say."""
    listener, where = stage.listen()
    lose_first(stage, stage.topology.client, "output", LAST_ACK, "sport")
    stage.connect(where).close()
    assert stage.accept(listener).recv(1) == b""
    stage.expect(ONCE)
    assert stage.kernel("TcpPassiveOpens") == 1


def test_an_ack_that_only_the_probe_saw_completes(stage: Stage) -> None:
    """An ACK lost behind the guarded interface proves what it proves; the next one is nothing more."""
    listener, where = stage.listen()
    lose_first(stage, stage.topology.server, "input", LAST_ACK, "sport")
    caller = stage.connect(where)
    stage.expect(ONCE)
    assert stage.kernel("TcpPassiveOpens") == 0
    caller.sendall(b"data")
    assert stage.accept(listener).recv(4) == b"data"
    stage.expect(ONCE)
    assert stage.kernel("TcpPassiveOpens") == 1


def test_a_synack_behind_the_ack_is_no_second_answer(stage: Stage) -> None:
    """A server that missed the ACK answers the same SYN again; the handshake had completed, and stays so."""
    _, where = stage.listen()
    peer = Peer(stage)
    call = peer.call(where)
    call.open_halfway()
    lose_first(stage, stage.topology.server, "input", LAST_ACK, "sport")
    call.send("A")
    call.syn()
    call.hear_answer()
    call.send("A")
    stage.expect({**ONCE, "syn_duplicates": 1, "synack_retransmits": 1})
    assert stage.at_listener(where) == stage.at_source(peer.address) == {**ONCE, "syn_duplicates": 1}
    assert stage.kernel("TcpPassiveOpens") == 1

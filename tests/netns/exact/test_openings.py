"""Connections that this side opens: alone, or at the same moment as the other side."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator

import pytest

from bench.net.line import Line
from bench.net.namespaces import Topology, wait_until
from synguard.probe.probe import Probe

from .peer import Call, Peer
from .stage import PATIENCE_S, Ground, Stage

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PRIME = 23
ONCE = {"attempts": 1, "answered": 1, "completed": 1}
SYN = "tcp flags & (syn|ack) == syn"


def test_own_connections_are_no_attempts(stage: Stage) -> None:
    """What the server opens to others counts nothing, with data both ways and an orderly end."""
    listener, where = stage.listen(endpoint=stage.topology.client)
    for _ in range(PRIME):
        caller = stage.connect(where, endpoint=stage.topology.server)
        accepted = stage.accept(listener)
        for end, other in ((caller, accepted), (accepted, caller)):
            end.sendall(b"data")
            assert other.recv(4) == b"data"
        for end, other in ((caller, accepted), (accepted, caller)):
            end.shutdown(socket.SHUT_WR)
            assert other.recv(1) == b""
    stage.expect({})
    assert (
        stage.at_listener(where)
        == stage.at_listener((stage.server, 0))
        == stage.at_source(stage.client)
        == {}
    )
    assert stage.kernel("TcpActiveOpens") == PRIME


def test_own_connections_that_are_refused_abort_nothing(stage: Stage) -> None:
    """A peer's RST that answers our SYN ends nobody's handshake."""
    listener, where = stage.listen(endpoint=stage.topology.client)
    listener.close()
    for _ in range(PRIME):
        with pytest.raises(ConnectionRefusedError):
            stage.connect(where, endpoint=stage.topology.server)
    stage.expect({})


def call_out(stage: Stage, to: tuple[str, int]) -> tuple[socket.socket, tuple[str, int]]:
    """Let the server begin to connect; return the socket and its address."""
    caller = stage.socket_in(stage.topology.server)
    caller.bind((stage.server, 0))
    caller.setblocking(False)
    caller.connect_ex(to)
    return caller, caller.getsockname()[:2]


def test_two_kernels_that_call_each_other_shake_hands_once(stage: Stage) -> None:
    """The client's SYN meets a server that has just sent its own: it is answered, and completes."""
    listener, at_client = stage.listen(endpoint=stage.topology.client)
    listener.close()
    stage.firewall(
        stage.topology.client,
        f"chain late {{ type filter hook input priority 0; {SYN} tcp dport {at_client[1]} drop; }}",
    )
    caller, at_server = call_out(stage, at_client)
    other = stage.connect(at_server, source_port=at_client[1])
    caller.settimeout(PATIENCE_S)
    caller.sendall(b"data")
    assert other.recv(4) == b"data"
    stage.expect(ONCE)
    assert stage.at_listener(at_server) == stage.at_source(stage.client) == ONCE
    assert (stage.kernel("TcpActiveOpens"), stage.kernel("TcpPassiveOpens")) == (1, 0)


def test_syns_that_cross_shake_hands_once(stage: Stage) -> None:
    """Both sides answer the other's SYN, and the ACK with which the peer meets our answer completes."""
    peer = Peer(stage)
    listener, (_, port) = stage.listen(endpoint=stage.topology.attacker)
    listener.close()
    caller, at_server = call_out(stage, (peer.address, port))
    call = Call(peer, at_server, port=port)
    call.server_isn = call.hear().seq
    call.syn()
    call.hear_answer()
    call.send("SA", seq=0)
    # The server's kernel meets our answer with an ACK, and so would a peer's.
    assert call.hear().flags == "A"
    stage.expect({"attempts": 1, "answered": 1})
    call.send("A")
    stage.expect(ONCE)
    caller.settimeout(PATIENCE_S)
    caller.sendall(b"data")
    assert call.hear().flags == "PA"
    stage.expect(ONCE)
    assert stage.at_listener(at_server) == stage.at_source(peer.address) == ONCE
    assert (stage.kernel("TcpActiveOpens"), stage.kernel("TcpPassiveOpens")) == (1, 0)


@pytest.fixture(scope="module")
def distant(probe: Probe, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Guard a server whose client is so far away that both can call before either hears of it."""
    lines = {"client": Line(rtt_ms=100)}
    with (
        Topology(clients=lines) as topology,
        Ground(probe, topology, tmp_path_factory.mktemp("claims")) as built,
    ):
        yield built


def test_two_kernels_whose_syns_cross_shake_hands_once(distant: Ground, version: int) -> None:
    """Neither side listens: both call, both answer, and both connect."""
    with contextlib.ExitStack() as stack:
        stage = Stage.on(distant, version, 1, stack)
        ours, theirs = (stage.socket_in(host) for host in (stage.topology.server, stage.topology.client))
        for end, address in ((ours, stage.server), (theirs, stage.client)):
            end.bind((address, 0))
            end.setblocking(False)
        at_server, at_client = ours.getsockname()[:2], theirs.getsockname()[:2]
        ours.connect_ex(at_client)
        theirs.connect_ex(at_server)
        ends = [ours, theirs]
        wait_until(lambda: select.select([], ends, [], 0)[1] == ends, "the connection", PATIENCE_S)
        for end in ends:
            end.settimeout(PATIENCE_S)
        for end, other in ((ours, theirs), (theirs, ours)):
            end.sendall(b"data")
            assert other.recv(4) == b"data"
        stage.expect(ONCE)
        assert stage.at_listener(at_server) == stage.at_source(stage.client) == ONCE
        assert (stage.kernel("TcpActiveOpens"), stage.kernel("TcpPassiveOpens")) == (1, 0)

"""TCP Fast Open and deferred accepting: servers that send early, or pretend to have heard nothing."""

from __future__ import annotations

import select
import socket
import subprocess

import pytest

from bench.net.namespaces import run_in, write_sysctls

from .losses import LAST_ACK, lose_first
from .stage import Stage

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

ONCE = {"attempts": 1, "answered": 1, "completed": 1}
#: tcp_fastopen: both sides, by cookie; and never give up on it after a loss.
FAST = {"ipv4/tcp_fastopen": 3, "ipv4/tcp_fastopen_blackhole_timeout_sec": 0}
FAST_OPEN = (socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
DEFER_S = 5
DEFERRED = (socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_S)


@pytest.fixture
def fast(stage: Stage) -> tuple[socket.socket, tuple[str, int]]:
    """Return a listener that opens fast, and whose cookie the client has asked for and got."""
    for endpoint in (stage.topology.server, stage.topology.client):
        write_sysctls(endpoint.namespace, FAST)
    # Whether the client has the cookie of an earlier test or not.
    run_in(
        stage.topology.client, lambda: subprocess.run(["ip", "tcp_metrics", "flush"], check=True, timeout=30)
    )
    listener, where = stage.listen(options=[FAST_OPEN])
    send_fast(stage, where, b"cookie, please")
    assert stage.accept(listener).recv(64) == b"cookie, please"
    stage.expect(ONCE)
    assert stage.kernel("TcpExtTCPFastOpenPassive") == 0
    stage.begin_anew()
    return listener, where


def send_fast(stage: Stage, where: tuple[str, int], data: bytes) -> socket.socket:
    """Send the first data with the SYN, or behind the handshake where the client has no cookie yet."""
    caller = stage.socket_in(stage.topology.client)
    caller.setblocking(True)
    assert caller.sendto(data, socket.MSG_FASTOPEN, where) == len(data)
    return caller


def test_data_in_a_syn_is_a_handshake(stage: Stage, fast: tuple[socket.socket, tuple[str, int]]) -> None:
    """A SYN whose data the server takes at once completes by the ACK, as the kernel counted it before."""
    listener, where = fast
    caller = send_fast(stage, where, b"early")
    accepted = stage.accept(listener)
    assert accepted.recv(5) == b"early"
    stage.expect(ONCE)
    assert stage.at_listener(where) == stage.at_source(stage.client) == ONCE
    # Where every handshake is by SYN cookie, the data of the SYN is not taken.
    assert stage.kernel("TcpExtTCPFastOpenPassive") == int(stage.syncookies < 2)
    assert stage.kernel("TcpPassiveOpens") == 1
    caller.close()


@pytest.mark.parametrize("early_bytes", [1, 5_000])
def test_an_ack_of_early_data_completes(
    stage: Stage, fast: tuple[socket.socket, tuple[str, int]], early_bytes: int
) -> None:
    """A server that answers before the last ACK may get one that covers its answer."""
    listener, where = fast
    lose_first(stage, stage.topology.client, "output", LAST_ACK, "sport")
    caller = send_fast(stage, where, b"early")
    if stage.syncookies < 2:
        stage.expect({"attempts": 1, "answered": 1})
    stage.accept(listener).sendall(bytes(early_bytes))
    assert len(caller.recv(early_bytes, socket.MSG_WAITALL)) == early_bytes
    stage.expect(ONCE)
    assert stage.at_listener(where) == stage.at_source(stage.client) == ONCE
    assert stage.kernel("TcpPassiveOpens") == 1
    assert stage.kernel("TcpExtTCPFastOpenPassive") == int(stage.syncookies < 2)


@pytest.mark.parametrize("syncookies", [0, 1], ids=["cookies0", "cookies1"])
def test_a_fast_open_that_nobody_acknowledges_does_not_complete(
    stage: Stage, fast: tuple[socket.socket, tuple[str, int]]
) -> None:
    """The kernel counts it as opened with the SYN; the wire has no proof that the client is there."""
    listener, where = fast
    stage.firewall(
        stage.topology.client,
        f"chain mute {{ type filter hook output priority 0; {LAST_ACK} tcp dport {where[1]} drop; }}",
    )
    send_fast(stage, where, b"early")
    assert stage.accept(listener).recv(5) == b"early"
    assert stage.kernel("TcpPassiveOpens") == 1
    stage.expect({"attempts": 1, "answered": 1})


def test_a_deferred_accept_completes_with_the_ack(stage: Stage) -> None:
    """A server that waits for data ignores the last ACK; the peer has proved itself all the same."""
    listener, where = stage.listen(options=[DEFERRED])
    caller = stage.connect(where)
    stage.expect(ONCE)
    deferred = stage.syncookies < 2
    assert stage.kernel("TcpPassiveOpens") == 1 - deferred
    assert stage.kernel("TcpExtTCPDeferAcceptDrop") == deferred
    caller.sendall(b"data")
    assert stage.accept(listener).recv(4) == b"data"
    stage.expect(ONCE)
    assert stage.at_listener(where) == stage.at_source(stage.client) == ONCE
    assert stage.kernel("TcpPassiveOpens") == 1


def test_a_deferred_accept_that_is_given_up_has_completed(stage: Stage) -> None:
    """A client that says nothing and closes completed one handshake, and takes no second one for it."""
    listener, where = stage.listen(options=[DEFERRED])
    stage.connect(where).close()
    readable, _, _ = select.select([listener], [], [], 10)
    assert readable
    stage.expect(ONCE)
    assert stage.kernel("TcpPassiveOpens") == 1

"""Good clients between real stacks: what they count is what happened, and they behave as clients do."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Literal

import pytest

from bench.net.counters import tcp_counters
from bench.net.line import Line
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, run_in, wait_until
from bench.peers import clients
from bench.peers.clients import GoodClient
from bench.peers.servers import serve
from bench.scenario.model import ClientSpec, ServerSpec
from synguard.errors import SynguardError

pytestmark = [pytest.mark.root, pytest.mark.netns]

Kind = Literal["accept-loop", "nginx", "none"]
BOTH_FAMILIES = pytest.mark.parametrize("version", [4, 6])
BOTH_SERVERS = pytest.mark.parametrize("kind", ["accept-loop", "nginx"])

PORT = 443
PLAIN = ClientSpec(name="client", per_s=400)
KEEP_ALIVE = ClientSpec(name="client", kind="keep-alive", per_s=400, connections=23)


def address_of(endpoint: Endpoint, version: int) -> str:
    """Return an endpoint's own address of that family."""
    return str(endpoint.ipv6.ip if version == 6 else endpoint.ipv4.ip)


def served(topology: Topology, kind: Kind = "accept-loop") -> AbstractContextManager[tuple[int, ...]]:
    """Serve on both addresses of the server while the block lasts."""
    addresses = [address_of(topology.server, version) for version in (4, 6)]
    return serve(ServerSpec(kind=kind, port=PORT), topology.server, addresses)


def visitor(topology: Topology, spec: ClientSpec, kind: Kind = "accept-loop", version: int = 4) -> GoodClient:
    """Return a good client of the server's."""
    return GoodClient(topology.client, spec, address_of(topology.server, version), PORT, kind)


@BOTH_FAMILIES
@BOTH_SERVERS
def test_plain_connections_are_served_and_counted(topology: Topology, kind: Kind, version: int) -> None:
    """Every attempt is one handshake that the server saw, is served, and has its connect time."""
    began_ns = time.monotonic_ns()
    with served(topology, kind), visitor(topology, PLAIN, kind, version) as client:
        wait_until(lambda: client.succeeded >= 100, "the client")
        connections = client.finish()
    assert len(connections) == client.attempted == client.succeeded
    assert {(one.succeeded, one.failure) for one in connections} == {(True, None)}
    assert tcp_counters(topology.server)["TcpPassiveOpens"] == len(connections)
    assert tcp_counters(topology.client)["TcpActiveOpens"] == len(connections)
    assert all(one.connect_ms and 0 < one.connect_ms <= 1_500 for one in connections)
    assert all(began_ns < one.start_ns < time.monotonic_ns() for one in connections)


@BOTH_SERVERS
def test_connections_are_closed_as_ordinary_clients_do(topology: Topology, kind: Kind) -> None:
    """No RST is sent by either side, and the side that waits after the end is the client."""
    with served(topology, kind), visitor(topology, PLAIN, kind) as client:
        wait_until(lambda: client.succeeded >= 50, "the client")
        client.finish()
        waiting = [tcp_counters(host) for host in (topology.client, topology.server)]
        sockets = [run_in(host, time_waiting) for host in (topology.client, topology.server)]
    assert [counters["TcpOutRsts"] for counters in waiting] == [0, 0]
    assert sockets == [client.attempted, 0]


def time_waiting() -> int:
    """Return how many sockets of this namespace are in TIME_WAIT, as /proc/net/sockstat counts them."""
    with open("/proc/thread-self/net/sockstat", encoding="ascii") as table:
        words = next(line for line in table if line.startswith("TCP:")).split()
    return int(words[words.index("tw") + 1])


@BOTH_FAMILIES
@BOTH_SERVERS
def test_kept_connections_carry_exchange_after_exchange(topology: Topology, kind: Kind, version: int) -> None:
    """Hundreds of exchanges are served in the 23 connections opened at the start, none of which breaks."""
    with served(topology, kind), visitor(topology, KEEP_ALIVE, kind, version) as client:
        wait_until(lambda: client.succeeded >= 200, "the client")
        exchanges = client.finish()
    assert {(one.succeeded, one.connect_ms) for one in exchanges} == {(True, None)}
    assert client.broken == 0
    assert tcp_counters(topology.server)["TcpPassiveOpens"] == 23
    assert tcp_counters(topology.client)["TcpOutRsts"] == 0


@BOTH_SERVERS
def test_exchanges_of_distant_clients_overlap(kind: Kind) -> None:
    """Where an answer takes 100 ms, exchanges in one connection begin all the same, even before it stands."""
    spec = ClientSpec(name="client", kind="keep-alive", per_s=100, connections=2)
    with (
        Topology(clients={"client": Line(rtt_ms=100)}) as topology,
        served(topology, kind),
        visitor(topology, spec, kind) as client,
    ):
        wait_until(lambda: client.succeeded >= 30, "the client")
        exchanges = client.finish()
    assert {one.failure for one in exchanges} == {None}
    assert client.broken == 0
    starts_ns = sorted(one.start_ns for one in exchanges)
    assert starts_ns[20] - starts_ns[0] < 1_000_000_000


def test_kept_connections_that_break_are_counted_and_opened_anew(topology: Topology) -> None:
    """When the server goes away each connection breaks once; when it is back exchanges go on."""
    with ExitStack() as first, visitor(topology, KEEP_ALIVE) as client:
        first.enter_context(served(topology))
        wait_until(lambda: client.succeeded >= 50, "the client")
        gone_ns = time.monotonic_ns()
        first.close()
        wait_until(lambda: client.attempted - client.succeeded >= 50, "the failures")
        before = client.succeeded
        with served(topology):
            wait_until(lambda: client.succeeded >= before + 50, "the client again")
            exchanges = client.finish()
    assert client.broken == len(client.broken_ns) == 23
    assert all(gone_ns < broken_ns < time.monotonic_ns() for broken_ns in client.broken_ns)
    assert {"refused"} <= {one.failure for one in exchanges} <= {None, "refused", "cut"}


@pytest.mark.parametrize("spec", [PLAIN, KEEP_ALIVE], ids=["plain", "keep-alive"])
def test_a_closed_port_refuses_everyone(topology: Topology, spec: ClientSpec) -> None:
    """Without a listener every attempt fails as refused, and the pace goes on."""
    with served(topology, "none"), visitor(topology, spec, "none") as client:
        wait_until(lambda: client.attempted >= 100, "the client")
        connections = client.finish()
    assert {(one.succeeded, one.failure) for one in connections} == {(False, "refused")}
    assert client.succeeded == client.broken == 0


def test_a_full_queue_cuts_clients_off(topology: Topology) -> None:
    """Where nobody accepts, the queue's few connect and hear nothing; the others do not connect in time."""
    where = (address_of(topology.server, 4), PORT)
    with (
        run_in(topology.server, lambda: socket.create_server(where, backlog=3)),
        visitor(topology, PLAIN) as client,
    ):
        wait_until(lambda: client.attempted >= 100, "the client")
        connections = client.finish()
    connected = [one.connect_ms is not None for one in connections]
    # The kernel lets one more wait than it was asked to, and those whose SYN came just before.
    assert 4 <= sum(connected) < 40
    assert [one.failure for one in connections] == [
        "no answer" if established else "not connected" for established in connected
    ]
    assert not any(one.succeeded for one in connections)


@BOTH_FAMILIES
def test_several_addresses_take_turns(topology: Topology, version: int) -> None:
    """A client of five addresses connects from one after another, its own the first."""
    where = (address_of(topology.server, version), PORT)
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    spec = ClientSpec(name="client", per_s=100, addresses=5)
    with run_in(topology.server, lambda: socket.create_server(where, family=family)) as listener:
        listener.settimeout(5.0)
        with visitor(topology, spec, version=version) as client:
            peers = [answer_one(listener) for _ in range(15)]
            client.finish()
    first = topology.client.ipv6.ip if version == 6 else topology.client.ipv4.ip
    assert peers == [str(first + number % 5) for number in range(15)]


def answer_one(listener: socket.socket) -> str:
    """Accept and echo once; return who connected."""
    accepted, (peer, *_) = listener.accept()
    with accepted:
        accepted.settimeout(5.0)
        while heard := accepted.recv(100):
            accepted.send(heard)
    return str(peer)


def test_a_crowd_keeps_its_pace(topology: Topology) -> None:
    """At 2,000 a second no attempt fails, and about as many are begun as were asked for."""
    with served(topology), visitor(topology, ClientSpec(name="crowd", per_s=2_000)) as client:
        wait_until(lambda: client.attempted >= 3_000, "the crowd", 15.0)
        connections = client.finish()
    first_ns = min(one.start_ns for one in connections)
    lasted_s = (max(one.start_ns for one in connections) - first_ns) / 1e9
    # Skipped attempts are those for which the machine had no time.
    assert len(connections) + client.skipped == pytest.approx(2_000 * lasted_s, rel=0.1)
    assert {one.failure for one in connections} <= {None}


def test_a_client_that_dies_is_no_client(topology: Topology) -> None:
    """A child that ends by itself is told of, instead of passing for one that stopped when told."""
    with served(topology), visitor(topology, PLAIN) as client:
        wait_until(lambda: client.attempted > 0, "the client")
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(SynguardError, match="by itself"):
            client.finish()


def test_a_client_that_does_not_end_is_killed(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that gets no CPU any more is waited for only so long, and the error says so."""
    monkeypatch.setattr(clients, "_END_TIMEOUT_S", 0.3)
    with served(topology), visitor(topology, PLAIN) as client:
        wait_until(lambda: client.succeeded > 0, "the client")
        os.kill(client.pid, signal.SIGSTOP)
        with pytest.raises(SynguardError, match=r"the good client did not end within 0\.3 s"):
            client.finish()
        assert not Path(f"/proc/{client.pid}").exists()

"""The gateway before the server: what it passes on, and where answers to nobody go."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import cast

import pytest

from bench.net import links
from bench.net.counters import read_wire, tcp_counters
from bench.net.layout import Role
from bench.net.line import Line
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, run_in
from synguard.errors import UsageError
from tests.bench.frames import datagram_socket, settled

pytestmark = [pytest.mark.root, pytest.mark.netns]

#: Addresses that no host owns.
NOBODY = ("203.0.113.9", "2001:db8::9")


@pytest.fixture
def gateway() -> Iterator[Topology]:
    """Put a gateway before the server, with one client nearby and one afar."""
    with Topology(clients={"near": Line(), "far": Line(20.0)}, role="gateway") as built:
        yield built


@pytest.mark.parametrize("version", [4, 6])
def test_clients_reach_the_server_through_the_gateway(gateway: Topology, version: int) -> None:
    """Handshakes of every client complete through the gateway, whose wire carries their frames."""
    server = gateway.server.ipv4 if version == 4 else gateway.server.ipv6
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    address = (str(server.ip), 8080)
    listener = run_in(gateway.server, lambda: socket.create_server(address, family=family))
    before = read_wire(gateway)
    with listener:
        for client in gateway.clients.values():
            run_in(client, lambda: socket.create_connection(address, 5)).close()
    assert gateway.guarded is gateway.gateway
    assert (read_wire(gateway) - before).received_frames >= 2 * 2


@pytest.mark.parametrize("role", ["host", "gateway"])
def test_answers_to_nobody_go_to_the_attacker(role: Role) -> None:
    """What the server sends to addresses that no host owns arrives at the attacker, all of it."""
    with Topology(role=role) as topology:
        attacker = topology.attacker

        def received() -> int:
            return links.read_link(attacker.namespace, attacker.interface).received_frames

        settled(received)
        before = received(), forwarded(topology.guarded)
        own = str(topology.server.ipv4.ip), str(topology.server.ipv6.ip)
        for address, nobody in zip(own, NOBODY, strict=True):
            with datagram_socket(topology.server, address) as server:
                for _ in range(23):
                    server.sendto(b"x", (nobody, 9))
        settled(received)
        assert received() - before[0] == 2 * 23
        assert forwarded(topology.guarded) - before[1] == (2 * 23 if role == "gateway" else 0)


def forwarded(endpoint: Endpoint) -> int:
    """Return how many packets a host has passed on."""
    counters = tcp_counters(endpoint)
    return counters["IpForwDatagrams"] + counters["Ip6OutForwDatagrams"]


def test_clients_are_known_by_their_names() -> None:
    """Each client has a namespace, a port and networks of its own, in the order in which they were named."""
    topology = Topology(clients={"near": Line(), "far-away": Line(20.0)})
    assert list(topology.clients) == ["near", "far-away"]
    assert topology.client is topology.clients["near"]
    first, second = topology.clients.values()
    assert not first.ipv4.network.overlaps(second.ipv4.network)
    assert not first.ipv6.network.overlaps(second.ipv6.network)
    assert len({endpoint.mac for endpoint in topology.endpoints}) == len(topology.endpoints) == 4


def test_a_topology_that_makes_no_sense_is_refused() -> None:
    """An unknown role, no clients or too many are usage errors."""
    with pytest.raises(UsageError, match="host or gateway"):
        Topology(role=cast(Role, "bridge"))
    for count in (0, 101):
        with pytest.raises(UsageError, match=f"1 to 100 clients, not {count}"):
            Topology(clients={f"c{number}": Line() for number in range(count)})

"""Hosts behind others: a container's forwarded port, homes behind one address, and nothing left of them."""

from __future__ import annotations

import pytest

from bench.defences.commands import run_command
from bench.defences.sysctls import read_sysctls
from bench.detection.actors.behind import forwarded_port, host_behind, one_address
from bench.detection.actors.callers import Callers, Dialled, Dialling
from bench.net.counters import tcp_counters
from bench.net.enter import NAMESPACES
from bench.net.links import Endpoint
from bench.net.namespaces import Topology
from bench.peers.listener import echo

pytestmark = [pytest.mark.root, pytest.mark.netns]

PORT = 8080


def calls(source: Endpoint, target: str) -> Dialled:
    """Return what became of 23 calls from a host's own address."""
    dialling = Dialling(
        namespace=source.namespace, targets=((target, PORT),), per_s=500.0, most=23, patience_s=1.0
    )
    with Callers(dialling) as callers:
        callers.wait_for_all(5.0)
        return callers.finish()


def test_a_forwarded_port_is_the_containers(topology: Topology) -> None:
    """Clients of the host's port are served by the container, and the host's own stack sees none of them."""
    server = topology.server
    with host_behind(server, 1) as container:
        with (
            echo(container, [str(container.ipv4.ip)], 80, 128),
            forwarded_port(server, PORT, container, 80),
        ):
            assert calls(topology.client, str(server.ipv4.ip)).answered == 23
        assert tcp_counters(container)["TcpPassiveOpens"] == 23
        assert calls(topology.client, str(server.ipv4.ip)).refused == 23
    assert tcp_counters(server)["TcpPassiveOpens"] == 0


def test_hosts_behind_one_address_are_told_apart_by_nobody(topology: Topology) -> None:
    """What two hosts call comes from the one address before them, and both are answered."""
    carrier, server = topology.client, topology.server
    with echo(server, [str(server.ipv4.ip)], PORT, 128), host_behind(carrier, 1) as one:
        with host_behind(carrier, 2) as other, one_address(carrier):
            assert [calls(home, str(server.ipv4.ip)).answered for home in (one, other)] == [23, 23]
        assert calls(one, str(server.ipv4.ip)).answered == 0


def test_nothing_is_left_of_a_host_behind_another(topology: Topology) -> None:
    """Namespace, wire, forwarding and rules are as they were, and the number may be had again."""
    front = topology.client
    before = read_sysctls(front.namespace, "ipv4/ip_forward")
    for _ in range(2):
        with host_behind(front, 1) as home, one_address(front):
            assert (NAMESPACES / home.namespace).exists()
            assert read_sysctls(front.namespace, "ipv4/ip_forward") == {"ipv4/ip_forward": "1"}
        assert not (NAMESPACES / home.namespace).exists()
        assert "in1" not in run_command(front.namespace, ["ip", "link"])
        assert run_command(front.namespace, ["nft", "list", "tables"]) == ""
        assert read_sysctls(front.namespace, "ipv4/ip_forward") == before


def test_hosts_behind_others_have_numbers(topology: Topology) -> None:
    """A number that gives no network of its own is refused before anything is made."""
    with pytest.raises(ValueError, match="from 1 to 9"), host_behind(topology.client, 10):
        pass

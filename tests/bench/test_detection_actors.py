"""The actors of cases of detection: callers of every manner, slow applications, hosts that do not hear."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import Any

import pytest

from bench.defences.commands import run_command
from bench.detection.actors.callers import Callers, Dialled, Dialling
from bench.detection.actors.hearing import deaf, local_network, route_over, silent_to
from bench.detection.actors.scanner import scan
from bench.detection.actors.slow import slow_server
from bench.net.counters import tcp_counters
from bench.net.layout import INNER_INTERFACE
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, run_in, wait_until
from bench.peers.clients import source_addresses
from bench.peers.listener import echo
from synguard.errors import SynguardError

pytestmark = [pytest.mark.root, pytest.mark.netns]

PORT = 443
CLOSED = 444
ANYWHERE = "0.0.0.0"  # noqa: S104 - in a namespace


def address(endpoint: Endpoint) -> str:
    """Return an endpoint's own IPv4 address."""
    return str(endpoint.ipv4.ip)


def dialling(topology: Topology, **changes: Any) -> Dialling:
    """Return 23 calls of the server by the client, as fast as may be, with changes."""
    words: dict[str, Any] = {
        "namespace": topology.client.namespace,
        "targets": ((address(topology.server), PORT),),
        "per_s": 1000.0,
        "most": 23,
        "patience_s": 1.0,
    }
    return Dialling(**words | changes)


def finished(topology: Topology, **changes: Any) -> Dialled:
    """Return what became of 23 calls, once all are over."""
    with Callers(dialling(topology, **changes)) as callers:
        callers.wait_for_all(5.0)
        return callers.finish()


def connects(source: Endpoint, target: str, port: int = PORT) -> bool:
    """Tell whether a connection comes about within half a second."""
    try:
        run_in(source, lambda: socket.create_connection((target, port), 0.5)).close()
    except OSError:
        return False
    return True


def sent_again(endpoint: Endpoint) -> int:
    """Return how many SYNs an endpoint's kernel has repeated."""
    return tcp_counters(endpoint)["TcpExtTCPSynRetrans"]


def test_callers_are_answered_and_counted(topology: Topology) -> None:
    """Each of 23 calls from five addresses is a handshake that the server saw, and is answered."""
    sources = tuple(source_addresses(topology.client, 4, 5))
    with echo(topology.server, [address(topology.server)], PORT, 128):
        dialled = finished(topology, sources=sources)
    assert dialled == Dialled(begun=23, connected=23, answered=23, over=True)
    assert tcp_counters(topology.server)["TcpPassiveOpens"] == 23
    assert tcp_counters(topology.client)["TcpOutRsts"] == 0


def test_callers_may_reset_what_they_opened(topology: Topology) -> None:
    """A caller that resets asks nothing, and each of its connections ends by RST."""
    with echo(topology.server, [address(topology.server)], PORT, 128):
        dialled = finished(topology, manner="reset")
    assert dialled == Dialled(begun=23, connected=23, over=True)
    assert tcp_counters(topology.client)["TcpOutRsts"] == 23


def test_callers_tell_refused_from_unfinished(topology: Topology) -> None:
    """Of two targets asked in turn the closed port refuses, and the silent one leaves calls unfinished."""
    server = topology.server
    targets = ((address(server), CLOSED), ("198.18.5.9", PORT))
    with local_network(server, "198.18.5.0/24"), silent_to(server, "198.18.5.9"):
        dialled = finished(topology, targets=targets, most=46)
    assert dialled == Dialled(begun=46, refused=23, unfinished=23, over=True)


def test_patient_callers_send_again(topology: Topology) -> None:
    """A call that gets no answer is kept as long as patience lasts, and its SYN is sent again meanwhile."""
    with echo(topology.server, [address(topology.server)], PORT, 128), ExitStack() as silence:
        silence.enter_context(deaf(topology.client))
        with Callers(dialling(topology, patience_s=10.0)) as callers:
            # Again after a second, and after another.
            wait_until(lambda: sent_again(topology.client) >= 46, "SYNs sent again")
            assert callers.so_far == Dialled(begun=23)
            silence.close()
            assert callers.finish() == Dialled(begun=23, connected=23, answered=23, over=True)


def test_a_crowd_has_only_so_many_calls_at_once(topology: Topology) -> None:
    """Callers begin no more while as many calls as they may go on, however many are due."""
    crowd = dialling(topology, most=None, at_once=23, patience_s=9.0)
    with silent_to(topology.server, address(topology.server)), Callers(crowd) as callers:
        wait_until(lambda: callers.so_far.begun >= 23, "the crowd")
        time.sleep(0.3)
        # A stretch is begun as a whole.
        assert 23 <= callers.so_far.begun < 23 + 32


def test_leaving_lets_callers_go_at_once(topology: Topology) -> None:
    """The end of the block does not wait for calls that nobody answers."""
    with silent_to(topology.server, address(topology.server)):
        began_s = time.monotonic()
        with Callers(dialling(topology, patience_s=60.0)) as callers:
            callers.wait_for_all(5.0)
        assert time.monotonic() - began_s < 10.0


def test_too_few_calls_are_told(topology: Topology) -> None:
    """Waiting for calls that are not begun in time ends with an error that says how many were meant."""
    with Callers(dialling(topology, per_s=1.0)) as callers, pytest.raises(SynguardError, match="23 calls"):
        callers.wait_for_all(0.3)


def test_a_slow_application_serves_one_after_another(topology: Topology) -> None:
    """Of callers that come at once as many are answered in a second as the application serves."""
    server = topology.server
    slow = slow_server(server, address(server), PORT, queue_entries=128, service_s=0.1)
    with slow, Callers(dialling(topology, patience_s=20.0)) as callers:
        wait_until(lambda: callers.so_far.connected == 23, "the callers")
        before, since_s = callers.so_far.answered, time.monotonic()
        wait_until(lambda: callers.so_far.answered >= before + 8, "answers")
        assert time.monotonic() - since_s > 0.6


def test_what_a_host_hears_is_restored(topology: Topology) -> None:
    """A deaf host connects to nobody, and addresses that were silent or another's are so no more."""
    server, client = topology.server, topology.client
    with echo(server, [ANYWHERE], PORT, 128):
        with deaf(client):
            assert not connects(client, address(server))
        with local_network(server, "198.18.5.0/24"):
            assert connects(client, "198.18.5.9")
            with silent_to(server, "198.18.5.0/25"):
                assert [connects(client, f"198.18.5.{host}") for host in (9, 129)] == [False, True]
            assert connects(client, "198.18.5.9")
        assert not connects(client, "198.18.5.9")
        assert connects(client, address(server))


def test_a_network_is_reached_over_a_neighbour() -> None:
    """A gateway with a route passes on what is for a network of the server's, and loses the route again."""
    with Topology(role="gateway") as topology:
        server, gateway = topology.server, topology.gateway
        assert gateway is not None
        with local_network(server, "198.18.5.0/24"), echo(server, [ANYWHERE], PORT, 128):
            with route_over(gateway, "198.18.5.0/24", address(server), INNER_INTERFACE):
                assert connects(topology.client, "198.18.5.9")
            assert "198.18.5.0" not in run_command(gateway.namespace, ["ip", "route"])


def test_a_scan_is_nmaps(topology: Topology) -> None:
    """A scan finds the open port among the closed ones, and each was asked."""
    server = topology.server
    with echo(server, [address(server)], PORT, 128):
        said = scan(topology.attacker, [address(server)], "-sS", "-p", "1-1000")
    assert f"{PORT}/tcp open" in said
    assert "999 closed" in said


def test_a_scan_ends_in_time(topology: Topology) -> None:
    """A scan that takes longer than it may is ended, and that is an error."""
    with silent_to(topology.server, address(topology.server)), pytest.raises(SynguardError, match="nmap"):
        scan(topology.attacker, [address(topology.server)], "-sS", bound_s=0.5)

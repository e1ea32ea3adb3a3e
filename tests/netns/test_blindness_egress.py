"""Answers that leave another way: told within five seconds, and counted by one direction from then on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.defences.guard import Guard
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import Topology, wait_until
from bench.peers.clients import GoodClient
from bench.peers.servers import serve
from bench.scenario.model import ClientSpec, ServerSpec

from .blind import alerts, closed, of_interface, raised, stays_quiet, told
from .conftest import StartDaemon
from .flows import PORT, Flows, SecondWay

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

UNKNOWN = ("answered", "completed", "half_open_ratio")


def one_way(guard: Guard) -> bool:
    """Return whether status says that one direction only is seen."""
    said: bool = guard.status()["one_way"]
    return said


def wait_s(seconds: float) -> None:
    """Let time pass, since what is to be seen is that nothing happens."""
    end_s = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end_s, "the time", seconds + 5.0)


def test_answers_that_leave_another_way_are_told_of_and_not_taken_for_a_flood(
    topology: Topology, start_daemon: StartDaemon
) -> None:
    """Twenty live connections are enough; new clients raise nothing; and it heals when answers show again."""
    way = SecondWay(topology)
    guard = start_daemon()
    address, port = str(topology.server.ipv4.ip), PORT + 1
    spec = ClientSpec(name="good", per_s=100.0)
    with (
        serve(ServerSpec(port=port), topology.server, [address]),
        Flows(topology, 20),
        GoodClient(topology.client, spec, address, port) as clients,
    ):
        wait_until(lambda: clients.succeeded > 100, "a hundred visits", 10.0)
        assert alerts(guard) == []
        began_ns = time.monotonic_ns()
        way.take()
        alert = raised(guard, "egress-hidden", began_ns)
        assert alert["severity"] == "high"
        assert told(alert)["not_seen"].startswith("what leaves")
        assert 'probe.visibility = "ingress"' in told(alert)["to_do"]
        wait_until(lambda: one_way(guard), "making do with one direction")
        status = guard.status()
        assert [status["totals"][name] for name in UNKNOWN[:2]] == [None, None]
        assert {row[name] for row in status["listeners"] for name in UNKNOWN} == {None}
        assert [one["cause"] for one in status["blind"]] == ["egress-hidden"]
        wait_s(9.0)
        assert alerts(guard, "syn-flood") == []
        visits = clients.succeeded
        way.leave()
        ended = closed(guard, alert, 20.0)
        assert ended["closed_because"] == "ended"
        assert not one_way(guard)
        assert guard.status()["totals"]["completed"] > visits
    assert [one["id"] for one in alerts(guard)] == [alert["id"]]
    assert alerts(guard, "syn-flood") == []


def test_a_flood_seen_in_one_direction_is_told_without_a_ratio(
    topology: Topology, flood_generator: FloodGenerator, start_daemon: StartDaemon
) -> None:
    """By design it is no blindness; a flood is still found, and what cannot be known is null."""
    way = SecondWay(topology)
    guard = start_daemon(settings={"probe": {"visibility": "ingress"}})
    assert one_way(guard)
    plan = FloodPlan(
        destination=str(topology.server.ipv4.ip),
        destination_port=PORT,
        sources=("0.0.0.0/0",),
        syn_per_s=5000.0,
        duration_s=3.0,
    )
    with Flows(topology, 25):
        way.take()
        stays_ingress(guard, 6.0)
        flood_generator.start(plan)
        wait_until(lambda: bool(alerts(guard, "syn-flood")), "the flood's alert", 10.0)
        flood_generator.finish(plan)
        (alert,) = alerts(guard, "syn-flood")
        assert [alert[name] for name in UNKNOWN] == [None, None, None]
        assert alert["attempts"] > 1000
    assert alerts(guard) == []


def stays_ingress(guard: Guard, seconds: float) -> None:
    """Hold that what is one way by design is no blindness for so long, nor a flood."""
    wait_s(seconds)
    assert alerts(guard) == []
    assert alerts(guard, "syn-flood") == []
    assert guard.status()["blind"] == []
    assert one_way(guard)


def test_a_gateway_with_another_way_back_is_told_of(tmp_path: Path) -> None:
    """Asymmetric routing is usual there: listeners behind it are guarded by what comes in."""
    with Topology(role="gateway") as topology, Guard(topology.guarded, tmp_path, "dry-run") as guard:
        guard.wait_until_ready()
        way = SecondWay(topology)
        address, port = str(topology.server.ipv4.ip), PORT + 1
        spec = ClientSpec(name="good", per_s=20.0)
        with (
            serve(ServerSpec(port=port), topology.server, [address]),
            Flows(topology, 25),
            GoodClient(topology.client, spec, address, port),
        ):
            wait_s(2.0)
            assert alerts(guard) == []
            began_ns = time.monotonic_ns()
            way.take()
            alert = raised(guard, "egress-hidden", began_ns)
            wait_until(lambda: one_way(guard), "making do with one direction")
            way.leave()
            closed(guard, alert, 20.0)


def test_both_tells_and_does_not_fall_back(topology: Topology, start_daemon: StartDaemon) -> None:
    """Where both directions are meant to be seen, the alert is all that comes of it."""
    way = SecondWay(topology)
    guard = start_daemon(settings={"probe": {"visibility": "both"}})
    with Flows(topology, 25):
        began_ns = time.monotonic_ns()
        way.take()
        alert = raised(guard, "egress-hidden", began_ns)
        assert '"both"' in told(alert)["outcome"]
        assert not one_way(guard)
        assert guard.status()["totals"]["completed"] is not None


def test_connections_both_ways_hide_nothing(topology: Topology, start_daemon: StartDaemon) -> None:
    """Fifty live connections whose answers leave by the guarded interface raise nothing."""
    guard = start_daemon()
    with Flows(topology, 50):
        stays_quiet(guard, 8.0)


def test_a_few_hidden_connections_beside_many_hide_nothing(
    topology: Topology, start_daemon: StartDaemon
) -> None:
    """What little goes another way is no reason to give up what is seen."""
    guard = start_daemon()
    assert of_interface(guard)["attached"]
    with Flows(topology, 10):
        way = SecondWay(topology)
        way.take()
        stays_quiet(guard, 8.0)

"""A probe that is attached and does not see: told within five seconds, whatever stands in its way."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from pyroute2 import IPRoute

from bench.net.namespaces import Topology, start_in, wait_until
from synguard.probe.compiler import LoadedObject

from .blind import alerts, closed, of_interface, raised, told, with_route
from .conftest import OpenListener, ShakeHands, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]


def test_a_filter_that_ends_the_search_before_ours_stalls_the_probe(
    topology: Topology, foreign: LoadedObject, start_daemon: StartDaemon
) -> None:
    """Ours is attached and never asked: the interface's count moves and the probe's stands still."""

    def put_first(route: IPRoute, index: int) -> None:
        route.tc("add", "clsact", index)
        route.tc(
            "add-filter", "bpf", index, ":1", fd=foreign.programs["ends_the_search"], name="theirs",
            parent="ffff:fff2", prio=1, direct_action=True,
        )  # fmt: skip

    def remove(route: IPRoute, index: int) -> None:
        route.tc("del-filter", "bpf", index, ":1", parent="ffff:fff2", prio=1)

    with_route(topology.server, put_first)
    guard = start_daemon(settings={"probe": {"xdp_mode": "tc"}})
    assert of_interface(guard)["ingress"] == "tc-ingress"
    ping = ["ping", "-q", "-i", "0.05", str(topology.server.ipv4.ip)]
    began_ns = time.monotonic_ns()
    with start_in(topology.client, ping, stdout=subprocess.DEVNULL) as pinging:
        try:
            alert = raised(guard, "stalled", began_ns)
            assert told(alert)["interface"] == "net0"
            assert "tc filter show dev net0 ingress" in told(alert)["to_do"]
            assert of_interface(guard)["attached"] is True
            assert of_interface(guard)["blind"] == ["stalled"]
            with_route(topology.server, remove)
            closed(guard, alert)
        finally:
            pinging.terminate()
    assert of_interface(guard)["blind"] == []


def test_traffic_on_every_way_of_attaching_is_no_stall(topology: Topology, start_daemon: StartDaemon) -> None:
    """Native, generic and from tc, the probe's count moves with the interface's."""
    ping = ["ping", "-q", "-i", "0.01", str(topology.server.ipv4.ip)]
    for mode in ("native", "generic", "tc"):
        guard = start_daemon(settings={"probe": {"xdp_mode": mode}})
        with start_in(topology.client, ping, stdout=subprocess.DEVNULL) as pinging:
            end_s = time.monotonic() + 6.0
            wait_until(lambda end_s=end_s: time.monotonic() >= end_s, "the time", 10.0)  # type: ignore[misc]
            pinging.terminate()
        assert alerts(guard) == []
        assert guard.stop() == 0


def test_updates_that_fail_are_told_of_with_the_setting_that_helps(
    topology: Topology,
    start_daemon: StartDaemon,
    open_listener: OpenListener,
    shake_hands_from_client: ShakeHands,
) -> None:
    """More listeners than the table holds: the alert names probe.max_listeners."""
    address = str(topology.server.ipv4.ip)
    guard = start_daemon(settings={"probe": {"max_listeners": 8}})
    for port in range(8080, 8096):
        open_listener(address, port)
    began_ns = time.monotonic_ns()
    for _ in range(3):
        for port in range(8080, 8096):
            shake_hands_from_client(address, port, 1)
    alert = raised(guard, "updates-failing", began_ns)
    assert alert["severity"] == "medium"
    assert "probe.max_listeners" in told(alert)["to_do"]
    closed(guard, alert)
    assert guard.status()["losses"]["listeners_full"] >= 10


def test_a_daemon_that_slept_tells_what_it_missed(start_daemon: StartDaemon) -> None:
    """Stopped for longer than the probe remembers, it says so as soon as it reads again."""
    guard = start_daemon()
    os.kill(guard.pid, signal.SIGSTOP)
    end_s = time.monotonic() + 6.0
    wait_until(lambda: time.monotonic() >= end_s, "the time", 10.0)
    began_ns = time.monotonic_ns()
    os.kill(guard.pid, signal.SIGCONT)
    alert = raised(guard, "reader-behind", began_ns)
    assert alert["measurements"][0]["observed"] >= 5.0
    closed(guard, alert)
    assert guard.status()["losses"]["late_reads"] == 1

"""Hosts that are not blind: nothing comes, nobody is answered, nothing belongs to a connection."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import Topology, run_in, start_in

from .blind import stays_quiet
from .commands import run
from .conftest import StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

#: Answers nobody, and says nothing about it.
FIREWALL = "table inet wall { chain input { type filter hook input priority 0; policy drop; }; }"
SCANS = {
    "syn": ["nmap", "-sS", "-Pn", "-n", "--max-retries", "1", "--min-rate", "2000", "-p", "1-16000"],
    "ack": ["nmap", "-sA", "-Pn", "-n", "--max-retries", "1", "--min-rate", "2000", "-p", "1-16000"],
    "connect": ["nmap", "-sT", "-Pn", "-n", "--max-retries", "1", "--min-rate", "500", "-p", "1-4000"],
}


@pytest.fixture
def firewalled(topology: Topology) -> None:
    """Let the server answer nobody."""

    def load() -> None:
        subprocess.run(["nft", "-f", "-"], input=FIREWALL, text=True, check=True, timeout=30)

    run_in(topology.server, load)


def test_a_quiet_host_is_not_blind(topology: Topology, start_daemon: StartDaemon) -> None:
    """Where nothing passes for a while, nothing is said; a few packets of a neighbour change nothing."""
    guard = start_daemon()
    stays_quiet(guard, 5.0)
    run(topology.client, "ping", "-c", "3", "-i", "0.2", str(topology.server.ipv4.ip))
    stays_quiet(guard, 5.0)


@pytest.mark.parametrize("scan", SCANS.values(), ids=SCANS)
@pytest.mark.usefixtures("firewalled")
def test_a_firewalled_host_under_a_scan_is_not_blind(
    topology: Topology, start_daemon: StartDaemon, scan: Sequence[str]
) -> None:
    """Thousands of segments come in and not one leaves, and none of them is of a connection."""
    guard = start_daemon()
    with start_in(topology.client, [*scan, str(topology.server.ipv4.ip)], stdout=subprocess.DEVNULL) as nmap:
        try:
            stays_quiet(guard, 9.0)
        finally:
            nmap.terminate()
    assert guard.status()["totals"]["packets"] > 1000


@pytest.mark.parametrize("copies", [1, 100], ids=["many tuples", "one tuple again and again"])
@pytest.mark.usefixtures("firewalled")
def test_a_firewalled_host_in_a_storm_of_bogus_acks_is_not_blind(
    topology: Topology, start_daemon: StartDaemon, flood_generator: FloodGenerator, copies: int
) -> None:
    """Random numbers never go on as a connection's do, however many come of one four-tuple."""
    guard = start_daemon()
    plan = FloodPlan(
        destination=str(topology.server.ipv4.ip),
        destination_port=8080,
        sources=("0.0.0.0/0",),
        syn_per_s=20_000 / copies,
        duration_s=8.0,
        acks_per_syn=copies,
    )
    flood_generator.start(plan)
    stays_quiet(guard, 9.0)
    flood_generator.finish(plan)
    assert guard.status()["totals"]["ack_segments"] > 50_000

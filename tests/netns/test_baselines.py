"""What is usual at a listener, under one real daemon after another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import SILENT_IPV4, Topology
from synguard import client
from synguard.detect.baseline import Baseline, Second
from synguard.history.store import HistoryStore

from .conftest import OpenListener, ShakeHands, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080


def kept(database: Path) -> dict[str, dict[str, Any]]:
    """Return the baselines on disk."""
    store = HistoryStore(database, log=lambda *_, **__: None)
    store.start()
    found = store.baselines()
    store.close()
    return found


def write_an_earlier_daemons(database: Path, target: str) -> dict[str, Any]:
    """Let an earlier daemon have watched a listener for an hour; return what it learned."""
    baseline = Baseline()
    for ago_s in range(3600, 0, -1):
        baseline.learn(Second(time.time() - ago_s, 1.0, 20, 1, 0, 0, 10))
    store = HistoryStore(database, log=lambda *_, **__: None)
    store.start()
    state = baseline.to_state()
    store.save_baselines({target: state})
    assert store.close()
    return state


def test_a_restarted_daemon_knows_what_is_usual(
    topology: Topology,
    open_listener: OpenListener,
    shake_hands_from_client: ShakeHands,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
    tmp_path: Path,
) -> None:
    """One daemon goes on with what the last one learned, and the next tells its first alert by it."""
    server = str(topology.server.ipv4.ip)
    target = f"{server}:{PORT}"
    open_listener(server, PORT)
    earlier = write_an_earlier_daemons(tmp_path / "synguard.db", target)
    first = start_daemon("off")
    for _ in range(25):  # what is learned is learned in steps of ten seconds
        shake_hands_from_client(server, PORT, 5)
        time.sleep(1.0)
    assert first.stop() == 0
    learned = kept(first.database)[target]
    assert learned.keys() == earlier.keys()
    assert learned["slow"] != earlier["slow"]
    usual = Baseline.from_state(learned).half_open_per_s(time.time())
    assert usual == pytest.approx(1.0, rel=0.1)

    second = start_daemon("off")
    shake_hands_from_client(server, PORT, 5)
    plan = FloodPlan(
        destination=server,
        destination_port=PORT,
        sources=(str(SILENT_IPV4),),
        syn_per_s=2000.0,
        duration_s=3.0,
    )
    flood_generator.flood(plan)
    second.wait_for(lambda: bool(second.named("alert.raised")), "an alert", 5.0)
    (alert,) = client.request(second.socket, "alerts", filter={})
    baselines = {one["name"]: one["baseline"] for one in alert["measurements"]}
    assert baselines["half_open_per_s"] == pytest.approx(usual, rel=0.1)

"""The figures, runs and responses that a real daemon leaves behind, whatever its end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from typing import Any

import pytest

from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import SILENT_IPV4, Topology, wait_until
from synguard import client
from synguard.history.questions import find_listener_series, find_responses, find_runs, find_totals
from synguard.history.records import time_from_json

from .conftest import OpenListener, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080


def total(steps: Iterable[dict[str, Any]], name: str) -> int:
    """Return the sum of a figure over all steps."""
    return sum(step[name] for step in steps)


def flood(server: str, duration_s: float) -> FloodPlan:
    """Return a flood by one source."""
    return FloodPlan(
        destination=server,
        destination_port=PORT,
        sources=(str(SILENT_IPV4),),
        syn_per_s=2000.0,
        duration_s=duration_s,
    )


def test_a_stopped_daemon_leaves_every_attempt_its_run_and_its_responses(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """The seconds add up to the totals; the run has an end, and so has the block, which tells its hits."""
    server, began_s = str(topology.server.ipv4.ip), time.time()
    open_listener(server, PORT)
    guard = start_daemon("enforce", {"respond": {"drop": "always"}})
    plan = flood(server, 3.0)
    flood_generator.start(plan)
    guard.wait_for(lambda: bool(guard.named("source.blocked")), "the block", 5.0)
    flood_generator.finish(plan)
    totals = guard.status()["totals"]
    assert guard.stop() == 0

    until_s = time.time() + 1
    seconds = find_totals(guard.database, began_s - 1, until_s, 600)
    assert {name: total(seconds, name) for name in ("attempts", "dropped_by_us", "completed")} == {
        name: totals[name] for name in ("attempts", "dropped_by_us", "completed")
    }
    listener = find_listener_series(guard.database, [f"{server}:{PORT}"], began_s - 1, until_s, 600)
    assert total(listener, "attempts") == totals["attempts"]
    assert max(step["peak_attempts_per_s"] for step in listener) >= 1500
    (run,) = find_runs(guard.database, began_s, time.time())
    assert (run["ended_because"], run["mode"], run["interfaces"]) == (
        "stopped", "enforce", [topology.server.interface],
    )  # fmt: skip
    (response,) = find_responses(guard.database, began_s, time.time())
    assert (response["target"], response["ended_because"]) == (str(SILENT_IPV4), "the daemon ended")
    assert response["hits"] == totals["dropped_by_us"] > 1000


def test_a_killed_daemon_loses_a_second_at_most_and_the_next_one_says_so(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """After kill -9 the seconds up to the last are there; its run was interrupted, its response ended."""
    server, began_s = str(topology.server.ipv4.ip), time.time()
    open_listener(server, PORT)
    guard = start_daemon("dry-run", {"respond": {"drop": "always"}})
    flood_generator.start(flood(server, 30.0))
    guard.wait_for(lambda: bool(guard.named("alert.decided")), "the decision", 5.0)
    wait_until(lambda: len(find_totals(guard.database, began_s - 1, time.time(), 600)) > 3, "figures")
    os.kill(guard.pid, signal.SIGKILL)
    killed_s = time.time()
    guard.stop()
    seconds = find_totals(guard.database, began_s - 1, killed_s + 1, 600)
    # The last whole second had to be over, read (50 ms) and written before the end.
    assert time_from_json(seconds[-1]["at"]) >= killed_s - 2.5
    assert total(seconds[-3:], "attempts") > 2000

    after = start_daemon("dry-run")
    flood_generator.stop()
    wait_until(lambda: after.status()["history"]["queued"] == 0, "the disk")
    first, second = client.request(after.socket, "runs", since_s=began_s, until_s=time.time())
    assert (first["ended_because"], second["ended_because"]) == ("interrupted", None)
    assert killed_s - 2.5 <= time_from_json(first["ended_at"]) <= killed_s + 0.1
    (told,) = client.request(after.socket, "responses", since_s=began_s, until_s=time.time(), alert_id=1)
    assert (told["mode"], told["ended_because"]) == ("dry-run", "the daemon ended")

"""What top and status show of a flood that goes on, in a real daemon's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench.defences.guard import Guard, synguard_command
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import SILENT_IPV4, Topology
from synguard import client

from .commands import run
from .conftest import OpenListener, ShakeHands, StartDaemon
from .keeping import Keeping

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080
SYN_PER_S = 1000.0


def top(topology: Topology, guard: Guard, *arguments: str) -> dict[str, Any]:
    """Return one picture, as a person would ask for it."""
    command = synguard_command("top", "--once", "--format", "json", "--socket", str(guard.socket), *arguments)
    look: dict[str, Any] = json.loads(run(topology.server, *command).stdout)
    return look


def test_a_flood_and_what_is_done_about_it_are_in_view(
    topology: Topology,
    open_listener: OpenListener,
    shake_hands_from_client: ShakeHands,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """The listener with its rate, ratio, queue and impact, its source and prefix, the alert, the block."""
    server = str(topology.server.ipv4.ip)
    open_listener(server, PORT)
    guard = start_daemon("enforce", {"respond": {"drop": "always"}})
    shake_hands_from_client(server, PORT, 20)
    plan = FloodPlan(
        destination=server,
        destination_port=PORT,
        sources=(str(SILENT_IPV4),),
        syn_per_s=SYN_PER_S,
        duration_s=12.0,
    )
    flood_generator.start(plan)
    guard.wait_for(lambda: bool(guard.named("source.blocked")), "the block", 10.0)
    look = top(topology, guard)

    (listener,) = (row for row in look["listeners"] if row["listener"] == f"{server}:{PORT}")
    assert listener["attempts_per_s"] == pytest.approx(SYN_PER_S, rel=0.15)
    assert listener["half_open_ratio"] > 0.9
    assert listener["half_open"] > SYN_PER_S / 4
    assert listener["handshake_p50_ms"] <= listener["handshake_p99_ms"]
    assert 0 < listener["syn_queue_fill"] <= 1
    (alert,) = look["alerts"]
    assert listener["alert_id"] == alert["id"]
    assert (alert["kind"], alert["class"], alert["source"]) == (
        "syn-flood",
        "single-source",
        str(SILENT_IPV4),
    )
    assert listener["impact"] == alert["impact"] != "unknown"
    assert look["sources"][0]["source"] == str(SILENT_IPV4)
    assert look["sources"][0]["attempts_per_s"] == pytest.approx(SYN_PER_S, rel=0.15)
    assert look["prefixes"]
    (block,) = look["blocks"]
    assert (block["target"], block["alert_id"]) == (str(SILENT_IPV4), alert["id"])
    assert block["hits"] > 0
    assert look["rates"]["attempts_per_s"] == pytest.approx(SYN_PER_S, rel=0.15)
    assert look["rates"]["dropped_by_us_per_s"] == pytest.approx(SYN_PER_S, rel=0.15)
    flood_generator.finish(plan)


def test_what_is_over_stays_with_its_counts(
    topology: Topology,
    open_listener: OpenListener,
    shake_hands_from_client: ShakeHands,
    start_daemon: StartDaemon,
) -> None:
    """A listener to which nothing comes any more keeps its row; what is not known of it is not invented."""
    server = str(topology.server.ipv4.ip)
    open_listener(server, PORT)
    guard = start_daemon()
    assert top(topology, guard)["listeners"] == []
    shake_hands_from_client(server, PORT, 7)

    def is_over() -> bool:
        rows = client.request(guard.socket, "top")["listeners"]
        return [(row["attempts"], row["half_open"]) for row in rows] == [(7, None)]

    guard.wait_for(is_over, "the end of the ring", 20.0)
    (listener,) = top(topology, guard)["listeners"]
    assert (listener["attempts"], listener["completed"], listener["attempts_per_s"]) == (7, 7, 0.0)
    for unknown in (
        "half_open",
        "half_open_ratio",
        "syn_queue_fill",
        "accept_queue_fill",
        "impact",
        "alert_id",
    ):
        assert listener[unknown] is None


def test_status_tells_of_the_daemon_and_its_blocks(topology: Topology, start_daemon: StartDaemon) -> None:
    """Its settings file, its maps' memory, what becomes of its probe, its disk, and what is in force."""
    guard = start_daemon("enforce", {"history": {"retention_days": 7}})
    command = synguard_command("block", "add", str(SILENT_IPV4), "--socket", str(guard.socket))
    run(topology.server, *command)
    status = guard.status()
    assert status["config_file"] == str(guard.database.with_name("synguard.toml"))
    assert 1 << 20 < status["map_memlock_bytes"] <= 64 << 20
    assert status["pins"]["stays_attached"] is False
    assert status["history"]["database"] == str(guard.database)
    assert status["history"]["database_bytes"] >= guard.database.stat().st_size
    assert status["history"]["retention_days"] == 7
    (block,) = status["responses"]["in_force"]
    assert (block["target"], block["asked_by"]) == (str(SILENT_IPV4), "manual")


def test_status_tells_what_becomes_of_the_probe(keeping: Keeping) -> None:
    """That it stays, where it is pinned, and that the next daemon took it over."""
    first = keeping.start()
    pins = first.status()["pins"]
    assert pins["pinned"] == str(keeping.only_set())
    assert (pins["stays_attached"], pins["taken_over"]) == (True, False)
    assert first.stop() == 0
    told = keeping.start().status()["pins"]
    assert told == {**pins, "taken_over": True}

"""Floods on a real interface: alerted, answered, and nobody else cut off."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from bench.defences.guard import Guard, synguard_command
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.enter import child_environment, command_in
from bench.net.namespaces import SILENT_IPV4, SILENT_IPV6, Topology, run_in, wait_until
from synguard import client
from synguard.endpoint import source_text
from synguard.errors import SynguardError, UsageError
from synguard.history.query import AlertFilter, find_alerts
from synguard.model import AlertState, ClosedBecause

from .conftest import OpenListener, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080
ALWAYS: dict[str, dict[str, Any]] = {"respond": {"drop": "always"}, "detect": {"close_after_s": 1.0}}


def flood(topology: Topology, *sources: str, syn_per_s: float = 5000.0, duration_s: float = 2.0) -> FloodPlan:
    """Return a flood of the server's port from those sources."""
    server = topology.server.ipv6.ip if ":" in sources[0] else topology.server.ipv4.ip
    return FloodPlan(
        destination=str(server),
        destination_port=PORT,
        sources=sources,
        syn_per_s=syn_per_s,
        duration_s=duration_s,
    )


def alerts_of(guard: Guard, **wanted: Any) -> list[dict[str, Any]]:
    """Ask the daemon for alerts."""
    found: list[dict[str, Any]] = client.request(guard.socket, "alerts", filter=wanted)
    return found


def connect(topology: Topology, timeout_s: float = 0.7) -> bool:
    """Try one new connection from the good client's namespace."""

    def attempt() -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((str(topology.server.ipv4.ip), PORT), timeout_s),
        ):
            return True
        return False

    return run_in(topology.client, attempt)


@pytest.mark.parametrize("source", [str(SILENT_IPV4), str(SILENT_IPV6)])
def test_a_single_flooding_source_is_alerted_and_dropped(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
    source: str,
) -> None:
    """With drop = always one flooding source is blocked within a second, and its alert closes after it."""
    plan = flood(topology, source)
    open_listener(plan.destination, PORT)
    guard = start_daemon("enforce", ALWAYS)
    flood_generator.start(plan)
    guard.wait_for(lambda: bool(guard.named("source.blocked")), "a block", 3.0)
    flood_generator.finish(plan)
    guard.wait_for(lambda: bool(guard.named("alert.closed")), "the end", 10.0)
    (alert,) = alerts_of(guard)
    assert (alert["kind"], alert["class"], alert["state"]) == ("syn-flood", "single-source", "closed")
    assert alert["source"] in (source, "2001:2:0:66::/64")
    assert alert["action"]["response"] == "drop"
    assert alert["action"]["mode"] == "enforce"
    assert alert["dropped_by_us"] > 0.5 * alert["attempts"]
    (block,) = client.request(guard.socket, "block_list")
    assert block["hits"] == guard.status()["totals"]["dropped_by_us"]


def test_dry_run_and_proven_touch_nobody(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """Dry-run records what enforce would have done, and drops nothing."""
    plan = flood(topology, str(SILENT_IPV4))
    open_listener(plan.destination, PORT)
    guard = start_daemon("dry-run", ALWAYS)
    flood_generator.flood(plan)
    guard.wait_for(lambda: bool(guard.named("alert.decided")), "a decision", 5.0)
    (alert,) = alerts_of(guard)
    assert (alert["action"]["response"], alert["action"]["mode"]) == ("drop", "dry-run")
    assert client.request(guard.socket, "block_list") == []
    assert guard.status()["totals"]["dropped_by_us"] == 0


def test_the_gateways_address_is_never_blocked(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """A flood in the gateway's name is alerted and left alone, with the reason."""
    plan = flood(topology, "198.18.0.254")
    open_listener(plan.destination, PORT)
    guard = start_daemon("enforce", ALWAYS)
    flood_generator.flood(plan)
    guard.wait_for(lambda: bool(guard.named("alert.decided")), "a decision", 5.0)
    (alert,) = alerts_of(guard)
    assert alert["action"] is None
    assert "gateway" in alert["decision"]
    assert guard.status()["totals"]["dropped_by_us"] == 0


def test_a_block_stops_new_connections_and_no_old_ones(
    topology: Topology, open_listener: OpenListener, start_daemon: StartDaemon
) -> None:
    """An established session from a blocked address goes on; a new one gets through only after the end."""
    server, blocked = str(topology.server.ipv4.ip), str(topology.client.ipv4.ip)
    listener = open_listener(server, PORT)
    guard = start_daemon("enforce")
    session = run_in(topology.client, lambda: socket.create_connection((server, PORT), 5))
    with session, listener.accept()[0] as served:
        client.request(guard.socket, "block_add", target=blocked, ttl_s=600.0, reason="test")
        assert not connect(topology)
        served.sendall(b"still here")
        session.settimeout(5)
        assert session.recv(16) == b"still here"
    assert client.request(guard.socket, "block_remove", target=blocked) == {"removed": 1}
    assert connect(topology)
    assert guard.status()["totals"]["dropped_by_us"] >= 1


def test_a_block_ends_on_time_without_its_daemon(
    topology: Topology, open_listener: OpenListener, start_daemon: StartDaemon
) -> None:
    """The kernel goes on dropping when the daemon is killed, and stops when the block is over."""
    open_listener(str(topology.server.ipv4.ip), PORT)
    guard = start_daemon("enforce")
    client.request(guard.socket, "block_add", target=str(topology.client.ipv4.network), ttl_s=4.0)
    blocked_at_s = time.monotonic()
    os.kill(guard.pid, signal.SIGKILL)
    assert not connect(topology)
    wait_until(lambda: connect(topology), "the block's end", 10.0)
    assert 3.5 < time.monotonic() - blocked_at_s < 6.5


def test_people_cannot_block_what_is_never_touched(topology: Topology, start_daemon: StartDaemon) -> None:
    """Blocking one's own address, a gateway or everything by hand is refused with the reason."""
    guard = start_daemon("enforce", {"respond": {"allow": ["203.0.113.0/24"]}})
    for target, reason in (
        (str(topology.server.ipv4.ip), "own address"),
        ("198.18.0.254", "gateway"),
        ("::ffff:198.18.0.254", "gateway"),
        ("203.0.113.9", "allow list"),
        ("0.0.0.0/0", "never touched"),
    ):
        with pytest.raises(UsageError, match=reason):
            client.request(guard.socket, "block_add", target=target, ttl_s=60.0)
    with pytest.raises(UsageError, match="not an address"):
        client.request(guard.socket, "block_add", target="198.51.100.300", ttl_s=60.0)
    with pytest.raises(UsageError, match="lasts from"):
        client.request(guard.socket, "block_add", target="198.51.100.3", ttl_s=0.0)
    assert client.request(guard.socket, "block_list") == []


def test_blocks_by_hand_outlive_a_killed_daemon(start_daemon: StartDaemon) -> None:
    """A block is in force again under the next daemon, with its reason and its end."""
    guard = start_daemon("enforce")
    client.request(guard.socket, "block_add", target="198.51.100.0/24", ttl_s=600.0, reason="scanner")
    wait_until(lambda: guard.status()["history"]["queued"] == 0, "the disk")
    (before,) = client.request(guard.socket, "block_list")
    os.kill(guard.pid, signal.SIGKILL)
    guard.stop()
    (after,) = client.request(start_daemon("dry-run").socket, "block_list")
    assert {**after, "hits": 0} == {**before, "hits": 0}
    assert (after["target"], after["reason"], after["asked_by"]) == ("198.51.100.0/24", "scanner", "manual")


def test_off_ends_the_daemons_blocks_at_once_and_suspends_peoples(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """Switching responses off lifts everything within a second; on again, people's blocks are in force."""
    plan = flood(topology, str(SILENT_IPV4))
    open_listener(plan.destination, PORT)
    guard = start_daemon("enforce", ALWAYS)
    client.request(guard.socket, "block_add", target="198.51.100.7", ttl_s=60.0)
    flood_generator.start(plan)
    guard.wait_for(lambda: len(guard.named("source.blocked")) == 2, "a block", 3.0)
    changed = client.request(guard.socket, "respond", mode="off")
    assert changed == {"mode": "off", "was": "enforce", "ended": 1, "suspended": 1, "resumed": 0}
    dropped = guard.status()["totals"]["dropped_by_us"]
    (suspended,) = client.request(guard.socket, "block_list")
    assert (suspended["target"], suspended["suspended"]) == ("198.51.100.7", True)
    with pytest.raises(UsageError, match="responses are off"):
        client.request(guard.socket, "block_add", target="198.51.100.8", ttl_s=60.0)
    attempts = guard.status()["totals"]["attempts"]
    wait_until(lambda: guard.status()["totals"]["attempts"] > attempts + 100, "the flood")
    assert guard.status()["totals"]["dropped_by_us"] == dropped
    flood_generator.stop()
    assert client.request(guard.socket, "respond", mode="dry-run")["resumed"] == 1
    assert [block["suspended"] for block in client.request(guard.socket, "block_list")] == [False]


def test_a_spoofed_flood_is_named_and_no_source_blocked(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """Random sources are classed spoofed, within two seconds; their listener is answered, no address."""
    plan = flood(topology, "0.0.0.0/0", syn_per_s=20_000)
    open_listener(plan.destination, PORT)
    guard = start_daemon("enforce", ALWAYS)
    started = flood_generator.start(plan)
    guard.wait_for(lambda: bool(guard.named("alert.raised")), "an alert", 4.0)
    assert guard.named("alert.raised")[0].seen_ns - started.first_ns < 2_000_000_000
    flood_generator.finish(plan)
    guard.wait_for(lambda: bool(guard.named("alert.closed")), "the end", 10.0)
    (alert,) = alerts_of(guard)
    assert (alert["class"], alert["source"]) == ("spoofed", None)
    assert alert["listener"] == alert["action"]["target"] == f"{plan.destination}:{PORT}"
    assert alert["action"]["response"] in ("greylist", "cookie")
    assert guard.named("source.blocked") == []
    assert alert["sources_estimated"] > 5000
    assert client.request(guard.socket, "block_list") == []


def test_an_open_alert_is_on_disk_and_closed_as_interrupted_after_a_kill(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """Kill -9 in the middle of a flood loses no alert; the next daemon closes it as interrupted."""
    plan = flood(topology, str(SILENT_IPV4))
    open_listener(plan.destination, PORT)
    guard = start_daemon("off")
    flood_generator.start(plan)
    guard.wait_for(lambda: bool(guard.named("alert.raised")), "an alert", 4.0)

    def on_disk() -> bool:
        with contextlib.suppress(SynguardError):
            return bool(find_alerts(guard.database, AlertFilter()))
        return False

    wait_until(on_disk, "the alert on disk")
    os.kill(guard.pid, signal.SIGKILL)
    guard.stop()
    flood_generator.stop()
    (open_alert,) = find_alerts(guard.database, AlertFilter())
    assert open_alert.state is AlertState.OPEN
    second = start_daemon("off")
    second.wait_for(lambda: bool(second.named("history.interrupted_closed")), "the mending", 5.0)
    closed = next(alert for alert in find_alerts(guard.database, AlertFilter()) if alert.id == open_alert.id)
    assert (closed.state, closed.closed_because) == (AlertState.CLOSED, ClosedBecause.INTERRUPTED)


def test_a_second_daemon_that_is_refused_leaves_the_firsts_alerts_open(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """Only one daemon writes a database, so only that one settles what the history still calls open."""
    plan = flood(topology, str(SILENT_IPV4))
    open_listener(plan.destination, PORT)
    guard = start_daemon("off", {"detect": {"close_after_s": 600.0}})
    flood_generator.flood(plan)
    guard.wait_for(lambda: bool(guard.named("alert.raised")), "an alert", 4.0)
    wait_until(lambda: guard.status()["history"]["queued"] == 0, "the disk", 10.0)
    second = subprocess.run(
        command_in(
            topology.server.namespace,
            synguard_command(
                "run", "--interface", "lo", "--socket", str(guard.socket), "--database", str(guard.database)
            ),
        ),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=child_environment(),
    )
    assert second.returncode == 1
    assert f"pid {guard.pid}" in second.stderr
    assert [alert.state for alert in find_alerts(guard.database, AlertFilter())] == [AlertState.OPEN]


def test_sigterm_closes_alerts_as_stopped_and_leaves_nothing(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """A stopped daemon says so in its open alerts and exits with 0."""
    plan = flood(topology, str(SILENT_IPV4))
    open_listener(plan.destination, PORT)
    guard = start_daemon("off")
    flood_generator.start(plan)
    guard.wait_for(lambda: bool(guard.named("alert.raised")), "an alert", 4.0)
    assert guard.stop() == 0
    flood_generator.stop()
    (alert,) = find_alerts(guard.database, AlertFilter())
    assert (alert.state, alert.closed_because) == (AlertState.CLOSED, ClosedBecause.STOPPED)
    assert alert.source is not None
    assert source_text(alert.source) == str(SILENT_IPV4)


def test_a_locked_database_delays_the_disk_and_not_the_alert(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
    tmp_path: Path,
) -> None:
    """While another program holds the database, alerts are raised, shown, and written when it lets go."""
    import sqlite3  # noqa: PLC0415

    plan = flood(topology, str(SILENT_IPV4))
    open_listener(plan.destination, PORT)
    guard = start_daemon("off", ALWAYS)
    other = sqlite3.connect(tmp_path / "synguard.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    flood_generator.flood(plan)
    guard.wait_for(lambda: bool(guard.named("alert.raised")), "an alert", 4.0)
    wait_until(lambda: guard.status()["history"]["state"] == "degraded", "the trouble in status", 10.0)
    assert "locked" in guard.status()["history"]["error"]
    assert [alert["class"] for alert in alerts_of(guard)] == ["single-source"]
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: guard.status()["history"]["state"] == "ok", "the recovery", 15.0)
    assert len(find_alerts(guard.database, AlertFilter())) == 1
    assert json.dumps(guard.status())

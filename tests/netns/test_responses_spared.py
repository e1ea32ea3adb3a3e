"""Whom no response touches, though the operator allows every drop: what each kind of alert comes to."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from typing import Any

import pytest

from bench.defences.guard import Guard, synguard_command
from bench.detection.actors.scanner import scan
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.enter import child_environment
from bench.net.namespaces import Topology, run_in
from bench.peers.clients import shake_hands
from synguard import client

from .conftest import OpenListener, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080
ALWAYS: dict[str, dict[str, Any]] = {"respond": {"drop": "always"}}


def flood(topology: Topology, source: str, duration_s: float = 3.0) -> FloodPlan:
    """Return a flood of the server's port."""
    return FloodPlan(
        destination=str(topology.server.ipv4.ip),
        destination_port=PORT,
        sources=(source,),
        syn_per_s=5000.0,
        duration_s=duration_s,
    )


def decided_about(guard: Guard) -> dict[str, Any]:
    """Return the one alert, once it is decided about; no source is dropped for it."""

    def decided() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.request(guard.socket, "alerts", filter={})
        return [alert for alert in found if alert["decision"]]

    guard.wait_for(lambda: bool(decided()), "a decision", 10.0)
    (alert,) = decided()
    assert guard.named("source.blocked") == []
    return alert


def left_alone(guard: Guard) -> dict[str, Any]:
    """Return the one alert, once it is decided that nothing is done about it."""
    alert = decided_about(guard)
    assert alert["action"] is None
    assert guard.status()["totals"]["dropped_by_us"] == 0
    return alert


def explained(guard: Guard, alert: dict[str, Any]) -> str:
    """Return what ``synguard explain`` says of an alert, on one line."""
    argv = synguard_command("explain", str(alert["id"]), "--socket", str(guard.socket))
    done = subprocess.run(
        argv, check=True, capture_output=True, text=True, timeout=30, env=child_environment()
    )
    return " ".join(done.stdout.split())


def test_a_prefix_is_not_cut_off_for_its_flood(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """256 addresses flood together, and are greylisted: others in their prefix get in a second late."""
    plan = flood(topology, "198.51.100.0/24")
    open_listener(plan.destination, PORT)
    guard = start_daemon("enforce", ALWAYS)
    flood_generator.flood(plan)
    alert = decided_about(guard)
    assert (alert["kind"], alert["class"], alert["source"]) == ("syn-flood", "prefix", "198.51.100.0/24")
    assert (alert["action"]["response"], alert["action"]["target"]) == ("greylist", "198.51.100.0/24")
    assert "198.51.100.0/24 would hit everybody in it" in explained(guard, alert)


def test_a_client_in_whose_name_somebody_floods_is_served(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """The flood of a live client's address is called spoofed, names nobody, and its listener is answered."""
    plan = flood(topology, str(topology.client.ipv4.ip), duration_s=4.0)
    open_listener(plan.destination, PORT)
    # What a native program sends back on a veth waits for a program at its other end.
    guard = start_daemon("enforce", {**ALWAYS, "probe": {"xdp_mode": "generic"}})
    shake_hands(topology.client, plan.destination, PORT, 20)
    flood_generator.start(plan)
    until_s = time.monotonic() + 3.0
    while time.monotonic() < until_s:
        shake_hands(topology.client, plan.destination, PORT, 1)
        time.sleep(0.02)  # nobody accepts: the queue has room for so many
    flood_generator.finish(plan)
    alert = decided_about(guard)
    assert (alert["class"], alert["source"], alert["top_sources"]) == ("spoofed", None, [])
    assert alert["action"]["target"] == f"{plan.destination}:{PORT}"
    assert "live_client" in {item["name"] for item in alert["evidence"]}
    assert "somebody completes handshakes" in explained(guard, alert)


@pytest.mark.parametrize(("option", "alert_class"), [("-sS", "closed-ports"), ("-sX", "xmas")])
def test_who_scans_is_told_of_and_left_alone(
    topology: Topology, open_listener: OpenListener, start_daemon: StartDaemon, option: str, alert_class: str
) -> None:
    """Nmap's address is in the alert, and in no block."""
    server = str(topology.server.ipv4.ip)
    open_listener(server, PORT)
    guard = start_daemon("enforce", ALWAYS)
    scan(topology.attacker, [server], option, "--top-ports", "200", "-T4")
    alert = left_alone(guard)
    assert (alert["kind"], alert["class"]) == ("scan", alert_class)
    assert alert["source"] == str(topology.attacker.ipv4.ip)
    assert "a scan does this server no harm" in explained(guard, alert)


def test_clients_of_a_stuck_application_are_not_blamed(
    topology: Topology, undo: contextlib.ExitStack, start_daemon: StartDaemon
) -> None:
    """An application that accepts nobody is told as what it is, with its full queue as the impact."""
    server = str(topology.server.ipv4.ip)
    undo.enter_context(run_in(topology.server, lambda: socket.create_server((server, PORT), backlog=32)))
    guard = start_daemon("enforce", ALWAYS)

    def clients() -> None:
        for _ in range(300):
            made = undo.enter_context(socket.socket())
            made.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                made.connect((server, PORT))
            time.sleep(0.02)

    run_in(topology.client, clients)
    alert = left_alone(guard)
    assert (alert["kind"], alert["class"], alert["source"]) == ("overload", None, None)
    assert (alert["listener"], alert["impact"]) == (f"{server}:{PORT}", "accept-queue-full")
    (raised,) = guard.named("alert.raised")
    assert raised.fields["listener"] == f"{server}:{PORT}"
    assert "made by real clients whom the application does not serve" in explained(guard, alert)

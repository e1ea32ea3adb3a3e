"""Floods whose sources cannot be blamed: their listener is answered, and good clients get through."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

import pytest

from bench.defences.guard import Guard
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import SILENT_IPV4, Topology, run_in, wait_until
from synguard import client

from .conftest import OpenListener, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080
SETTINGS: dict[str, dict[str, Any]] = {
    # What a native program sends back on a veth waits for a program at its other end.
    "probe": {"xdp_mode": "generic"},
    "detect": {"close_after_s": 1.0},
}


def flood(topology: Topology, *sources: str, duration_s: float = 6.0) -> FloodPlan:
    """Return a flood of the server's port."""
    return FloodPlan(
        destination=str(topology.server.ipv4.ip),
        destination_port=PORT,
        sources=sources,
        syn_per_s=10_000.0,
        duration_s=duration_s,
    )


def connect(topology: Topology, timeout_s: float = 3.0) -> float | None:
    """Connect once from the good client's namespace; return how long it took, None if it failed."""

    def attempt() -> float | None:
        began_s = time.monotonic()
        with (
            contextlib.suppress(OSError),
            socket.create_connection((str(topology.server.ipv4.ip), PORT), timeout_s),
        ):
            return time.monotonic() - began_s
        return None

    return run_in(topology.client, attempt)


def blocks(guard: Guard) -> list[dict[str, Any]]:
    """Ask the daemon for its blocks."""
    found: list[dict[str, Any]] = client.request(guard.socket, "block_list")
    return found


def accept_all(listener: socket.socket) -> None:
    """Take every connection and let it go, so that the accept queue has room."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()

    threading.Thread(target=serve, daemon=True).start()


def test_a_spoofed_flood_is_answered_at_its_listener_while_it_lasts(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """Good clients get through, the status tells of cookies, and with the alert all of it is over."""
    plan = flood(topology, "0.0.0.0/0")
    accept_all(open_listener(plan.destination, PORT))
    guard = start_daemon("enforce", SETTINGS)
    wait_until(lambda: connect(topology) is not None, "the first connection")
    flood_generator.start(plan)
    wait_until(lambda: [one["response"] for one in blocks(guard)] == ["cookie"], "cookies", 6.0)

    def for_everybody() -> bool:
        assert connect(topology) is not None
        (told,) = guard.status()["responses"]["cookies"]
        assert told["state"] != "withdrawn", told
        return bool(told["state"] == "on")

    wait_until(for_everybody, "cookies for everybody", 6.0)
    assert all(connect(topology) is not None for _ in range(10))
    assert guard.status()["totals"]["cookies_sent"] > 100
    flood_generator.finish(plan)
    guard.wait_for(lambda: bool(guard.named("alert.closed")), "the end", 15.0)
    wait_until(lambda: blocks(guard) == [], "the end of the cookies")
    wait_until(lambda: guard.status()["responses"]["cookies"] == [], "the status")
    took_s = connect(topology)
    assert took_s is not None
    assert took_s < 0.5


def test_a_single_source_without_proof_is_greylisted_until_its_alert_closes(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """Its SYNs are dropped and counted; nobody else is touched."""
    plan = flood(topology, str(SILENT_IPV4), duration_s=3.0)
    accept_all(open_listener(plan.destination, PORT))
    guard = start_daemon("enforce", SETTINGS)
    flood_generator.start(plan)
    guard.wait_for(lambda: bool(guard.named("source.greylisted")), "the greylist", 4.0)
    took_s = connect(topology)
    assert took_s is not None
    flood_generator.finish(plan)
    guard.wait_for(lambda: bool(guard.named("alert.closed")), "the end", 15.0)
    wait_until(lambda: blocks(guard) == [], "the end of the greylist")
    (alert,) = client.request(guard.socket, "alerts", filter={})
    assert (alert["action"]["response"], alert["action"]["target"]) == ("greylist", str(SILENT_IPV4))
    assert alert["dropped_by_us"] > 0.5 * alert["attempts"]


def test_ten_thousand_blocks_are_one_request(
    topology: Topology, open_listener: OpenListener, start_daemon: StartDaemon
) -> None:
    """All are in force, listed, and gone again; one that must not be blocked refuses them all."""
    accept_all(open_listener(str(topology.server.ipv4.ip), PORT))
    guard = start_daemon("dry-run")
    blocked = str(topology.client.ipv4.ip)
    targets = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(9_999)]
    with pytest.raises(Exception, match="gateway"):
        client.request(guard.socket, "block_add", targets=[*targets, "198.18.0.254"], ttl_s=600.0)
    assert blocks(guard) == []
    answer = client.request(guard.socket, "block_add", targets=[*targets, blocked], ttl_s=600.0)
    assert answer["added"] == 10_000
    assert connect(topology, 0.7) is None
    listed = {block["target"]: block["hits"] for block in blocks(guard)}
    assert len(listed) == 10_000
    assert listed[blocked] > 0
    assert client.request(guard.socket, "block_clear") == {"removed": 10_000}
    assert connect(topology) is not None

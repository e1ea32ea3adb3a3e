"""Blocks by nftables: what is seen there, what it stops, and what becomes of it without the daemon."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.defences.guard import Guard, synguard_command
from bench.net.enter import child_environment, command_in
from bench.net.namespaces import Topology, run_in, wait_until
from synguard import client
from synguard.errors import SynguardError

from .conftest import OpenListener, StartDaemon
from .devices import Workshop

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080
NFTABLES: dict[str, dict[str, Any]] = {"respond": {"backend": "nftables"}}
OTHERS = """
table inet neighbours {
    set friends { type ipv4_addr; elements = { 192.0.2.1 }; }
    chain greeting { type filter hook input priority 0; policy accept; ip saddr @friends counter accept; }
}
"""


def run(topology: Topology, *argv: str, stdin: str = "") -> str:
    """Run a command in the server's namespace; return its output."""
    done = subprocess.run(
        command_in(topology.server.namespace, list(argv)),
        input=stdin,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
        env=child_environment(),
    )
    return done.stdout


def table(topology: Topology) -> str:
    """Return our table as people see it; nothing where there is none."""
    with contextlib.suppress(subprocess.CalledProcessError):
        return run(topology, "nft", "list", "table", "inet", "synguard")
    return ""


def connect(topology: Topology, address: str, timeout_s: float = 0.5) -> socket.socket | None:
    """Connect from the good client's namespace; None if nobody answered."""

    def attempt() -> socket.socket | None:
        with contextlib.suppress(OSError):
            return socket.create_connection((address, PORT), timeout_s)
        return None

    return run_in(topology.client, attempt)


def block(guard: Guard, target: str, ttl_s: float = 60.0) -> None:
    """Block a target by hand."""
    client.request(guard.socket, "block_add", target=target, ttl_s=ttl_s, reason="a test")


def blocks(guard: Guard) -> list[dict[str, Any]]:
    """Return the blocks."""
    found: list[dict[str, Any]] = client.request(guard.socket, "block_list")
    return found


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("wide", [False, True], ids=["address", "prefix"])
def test_new_connections_end_and_old_ones_go_on(
    topology: Topology, open_listener: OpenListener, start_daemon: StartDaemon, version: int, *, wide: bool
) -> None:
    """The rule stops SYNs alone; it names who asked, is counted, and leaves others' tables as they are."""
    server, peer = (
        (topology.server.ipv4, topology.client.ipv4)
        if version == 4
        else (topology.server.ipv6, topology.client.ipv6)
    )
    listener = open_listener(str(server.ip), PORT)
    run(topology, "nft", "-f", "-", stdin=OTHERS)
    before = run(topology, "nft", "list", "table", "inet", "neighbours")
    guard = start_daemon("dry-run", NFTABLES)
    session = connect(topology, str(server.ip))
    assert session is not None
    accepted, _ = listener.accept()
    target = str(peer.network) if wide else str(peer.ip)
    block(guard, target)
    assert 'comment "by hand"' in table(topology)
    with session, accepted:
        assert connect(topology, str(server.ip)) is None
        session.sendall(b"still here")
        accepted.settimeout(3.0)
        assert accepted.recv(100) == b"still here"
    (row,) = blocks(guard)
    assert row["hits"] >= 1
    assert guard.status()["totals"]["dropped_by_us"] == row["hits"]
    client.request(guard.socket, "block_remove", target=target)
    again = connect(topology, str(server.ip))
    assert again is not None
    again.close()
    assert guard.stop() == 0
    assert table(topology) == ""
    assert run(topology, "nft", "list", "table", "inet", "neighbours") == before


def test_a_block_ends_in_its_time_without_the_daemon(
    topology: Topology, open_listener: OpenListener, start_daemon: StartDaemon
) -> None:
    """After kill -9 it goes on for what is left of it, and no longer."""
    address = str(topology.server.ipv4.ip)
    open_listener(address, PORT)
    guard = start_daemon("dry-run", NFTABLES)
    block(guard, str(topology.client.ipv4.ip), ttl_s=4.0)
    os.kill(guard.pid, signal.SIGKILL)
    assert connect(topology, address) is None

    def gets_through() -> bool:
        connection = connect(topology, address)
        if connection is not None:
            connection.close()
        return connection is not None

    wait_until(gets_through, "the end of the block", 10.0)
    assert "elements" not in table(topology)
    removed = run(topology, *synguard_command("detach"))
    assert "table inet synguard" in removed
    assert table(topology) == ""


def test_what_is_flushed_by_hand_comes_back(
    topology: Topology, open_listener: OpenListener, start_daemon: StartDaemon
) -> None:
    """The daemon notices that its rules are gone, and puts them back."""
    address = str(topology.server.ipv4.ip)
    open_listener(address, PORT)
    guard = start_daemon("dry-run", NFTABLES)
    block(guard, str(topology.client.ipv4.ip))
    run(topology, "nft", "flush", "ruleset")
    guard.wait_for(lambda: bool(guard.named("block.restored")), "the blocks to come back", 25.0)
    assert connect(topology, address) is None


def test_new_terms_move_the_end(topology: Topology, start_daemon: StartDaemon) -> None:
    """Later or sooner: on every kernel, also where adding an element again does not."""
    guard = start_daemon("dry-run", NFTABLES)

    def left_s(ttl_s: float) -> float:
        block(guard, "198.51.100.7", ttl_s)
        listed = json.loads(run(topology, "nft", "-j", "list", "set", "inet", "synguard", "v4_32"))
        (found,) = [entry["set"] for entry in listed["nftables"] if "set" in entry]
        (element,) = found["elem"]
        return float(element["elem"]["expires"])

    assert 95 <= left_s(100.0) <= 101
    assert 895 <= left_s(900.0) <= 901
    assert 45 <= left_s(50.0) <= 51


def test_what_comes_by_a_bridge_on_top_is_dropped(topology: Topology, tmp_path: Path) -> None:
    """Behind a guarded port packets go on as the bridge's, and the rule knows them by either."""
    with Workshop(topology) as workshop, contextlib.ExitStack() as stack:
        way = workshop.bridge("br0", guard_port=True)
        stack.enter_context(run_in(topology.server, lambda: socket.create_server((way.addresses[0], PORT))))
        port = replace(topology.server, interface=way.guarded)
        guard = stack.enter_context(Guard(port, tmp_path, "dry-run", NFTABLES))
        guard.wait_until_ready()
        answered = connect(topology, way.addresses[0], 3.0)
        assert answered is not None
        answered.close()
        block(guard, f"{way.addresses[0].rpartition('.')[0]}.2")
        assert connect(topology, way.addresses[0]) is None


def test_what_a_killed_daemon_left_ends_with_the_next_one(
    topology: Topology, open_listener: OpenListener, start_daemon: StartDaemon
) -> None:
    """Started to drop by XDP, it takes the table away: nobody else could end those blocks by hand."""
    address = str(topology.server.ipv4.ip)
    open_listener(address, PORT)
    guard = start_daemon("dry-run", NFTABLES)
    block(guard, str(topology.client.ipv4.ip), ttl_s=600.0)
    os.kill(guard.pid, signal.SIGKILL)
    guard.__exit__(None, None, None)
    assert str(topology.client.ipv4.ip) in table(topology)
    after = start_daemon("dry-run")
    assert table(topology) == ""
    client.request(after.socket, "block_remove", target=str(topology.client.ipv4.ip))
    answered = connect(topology, address, 3.0)
    assert answered is not None
    answered.close()


def test_somebody_elses_table_of_that_name_is_left_alone(
    topology: Topology, start_daemon: StartDaemon
) -> None:
    """The daemon says what is in the way and what to do, and changes nothing."""
    run(topology, "nft", "-f", "-", stdin="table inet synguard {\n  chain theirs {\n  }\n}\n")
    before = table(topology)
    with pytest.raises(SynguardError, match="that is not synguard's: rename it"):
        start_daemon("dry-run", NFTABLES)
    assert table(topology) == before

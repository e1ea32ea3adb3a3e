"""A settings file that changes while a daemon guards: taken up whole, or not at all."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from bench.defences.guard import Guard
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import SILENT_IPV4, Topology, wait_until
from synguard import client
from synguard.errors import SynguardError

from .conftest import OpenListener, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080
DEAF = {"min_attempts": 100_000}


class Reloading:
    """A daemon, its settings file, and what it says of it."""

    def __init__(self, guard: Guard, folder: Path) -> None:
        self.guard = guard
        self.file = folder / "synguard.toml"
        self.first = self.file.read_text(encoding="utf-8")

    def reload(self, says: str, more: str = "", *, change: tuple[str, str] = ("", "")) -> None:
        """Write the first file with a change, ask the daemon to read it, and wait until it ``says`` so."""
        self.file.write_text(f"{self.first.replace(*change)}\n{more}\n", encoding="utf-8")
        self.ask(says)

    def ask(self, says: str) -> None:
        """Ask the daemon to reload, and wait until it ``says`` so."""
        before = len(self.guard.named(says))
        os.kill(self.guard.pid, signal.SIGHUP)
        self.guard.wait_for(lambda: len(self.guard.named(says)) > before, says, 10.0)


def test_a_lowered_threshold_finds_the_flood_that_goes_on(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
    tmp_path: Path,
) -> None:
    """What was below the threshold is raised after a reload; totals go on, and the daemon is the same."""
    server = str(topology.server.ipv4.ip)
    open_listener(server, PORT)
    guard = start_daemon("dry-run", {"detect": DEAF})
    reloading = Reloading(guard, tmp_path)
    source = str(SILENT_IPV4)
    flood_generator.start(
        FloodPlan(
            destination=server, destination_port=PORT, sources=(source,), syn_per_s=2000.0, duration_s=30.0
        )
    )
    wait_until(lambda: guard.status()["totals"]["attempts"] > 6000, "three seconds of the flood", 20.0)
    assert not guard.named("alert.raised")
    reloading.reload("config.reloaded", change=("min_attempts = 100000", ""))
    guard.wait_for(lambda: bool(guard.named("alert.raised")), "the alert", 5.0)
    flood_generator.stop()
    (told,) = guard.named("config.reloaded")
    assert told.fields["changed"] == {"detect.min_attempts": [100_000, 40]}
    status = guard.status()
    assert (status["pid"], status["totals"]["attempts"] > 6000) == (guard.pid, True)


def test_a_wrong_file_changes_nothing_and_is_said(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Not even what is right in it; log and status name line and setting, until a good one comes."""
    guard = start_daemon()
    reloading = Reloading(guard, tmp_path)
    reloading.reload("config.refused", '[respond]\nallow = ["203.0.113.0/24"]\nblock_ttl_s = "long"')
    refused = guard.status()["config"]["refused"]
    assert f"{reloading.file}: line " in refused
    assert "respond.block_ttl_s" in refused
    client.request(guard.socket, "block_add", target="203.0.113.7", ttl_s=60.0)
    client.request(guard.socket, "block_remove", target="203.0.113.7")
    reloading.reload("config.reloaded", '[respond]\nallow = ["203.0.113.0/24"]')
    wait_until(lambda: guard.status()["config"]["refused"] is None, "the good file")
    with pytest.raises(SynguardError, match="allow"):
        client.request(guard.socket, "block_add", target="203.0.113.7", ttl_s=60.0)


def test_what_needs_a_restart_is_named_and_kept(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """The rest of the file is in force all the same, and what was undone waits no more."""
    guard = start_daemon()
    reloading = Reloading(guard, tmp_path)
    loud = ('format = "json"', 'format = "json"\nlevel = "error"')
    reloading.reload("config.reloaded", "[probe]\nmax_sources = 4096")
    wait_until(lambda: guard.status()["config"]["needs_restart"] == ["probe.max_sources"], "the file")
    reloading.file.write_text(reloading.first.replace(*loud), encoding="utf-8")
    os.kill(guard.pid, signal.SIGHUP)
    wait_until(lambda: guard.status()["config"]["needs_restart"] == [], "the reload")
    client.request(guard.socket, "block_add", target="203.0.113.7", ttl_s=60.0)
    reloading.reload("config.reloaded")
    client.request(guard.socket, "block_add", target="203.0.113.8", ttl_s=60.0)
    guard.wait_for(lambda: bool(guard.named("source.blocked")), "a line of level info", 5.0)
    assert [event.fields["target"] for event in guard.named("source.blocked")] == ["203.0.113.8"]


def test_a_pipe_in_the_files_place_stops_nothing(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """It is refused at once, and the daemon goes on reading the probe."""
    guard = start_daemon()
    reloading = Reloading(guard, tmp_path)
    reloading.file.unlink()
    os.mkfifo(reloading.file)
    reloading.ask("config.refused")
    assert "no file that can be read again" in guard.status()["config"]["refused"]
    reloading.file.unlink()
    reloading.ask("config.refused")
    wait_until(lambda: "No such file" in guard.status()["config"]["refused"], "the other reason")
    assert guard.stop() == 0


def test_many_requests_at_once(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """However often it is asked, it reads what the file says last, and ends as it should."""
    guard = start_daemon()
    reloading = Reloading(guard, tmp_path)
    for _ in range(50):
        os.kill(guard.pid, signal.SIGHUP)
    reloading.reload("config.reloaded", "[detect]\nmin_attempts = 41")
    wait_until(
        lambda: any(
            event.fields["changed"] == {"detect.min_attempts": [40, 41]}
            for event in guard.named("config.reloaded")
        ),
        "the last word",
    )
    os.kill(guard.pid, signal.SIGHUP)
    assert guard.stop() == 0


def test_a_request_while_it_starts_is_heeded_later(topology: Topology, tmp_path: Path) -> None:
    """It neither ends the daemon nor is forgotten."""
    with Guard(topology.server, tmp_path, "dry-run") as guard:
        guard.wait_for(lambda: bool(guard.named("probe.attached")), "the attachment", 30.0)
        os.kill(guard.pid, signal.SIGHUP)
        guard.wait_for(lambda: bool(guard.named("config.reloaded")), "the reload", 10.0)
        assert guard.stop() == 0

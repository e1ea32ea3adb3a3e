"""Under the memory that its units allow: the compiler, the maps, and a daemon in a flood."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.defences.guard import synguard_command
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.enter import child_environment, command_in
from bench.net.namespaces import Topology, wait_until
from synguard import client
from synguard.errors import SynguardError
from tests.pinning import bpf_filesystem

from .conftest import OpenListener
from .memory import LimitedMemory, limited_memory

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel, pytest.mark.timeout(180)]

PORT = 8080
ROOT = Path(__file__).parents[2]
#: The share of its limit that either may take at most here: machines with more CPUs have larger maps.
SHARE = 0.3
LARGEST = """
[probe]
pin_directory = "{pins}"
max_sources = 65536
max_prefixes = 65536
max_listeners = 4096
[respond]
max_blocks = 65536
"""


def limit_of(unit: str) -> int:
    """Return the memory that a unit allows, in bytes."""
    text = (ROOT / "systemd" / f"{unit}.service").read_text(encoding="utf-8")
    found = re.search(r"^MemoryMax=(\d+)G$", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) << 30


@pytest.fixture
def groups() -> Iterator[tuple[LimitedMemory, LimitedMemory]]:
    """Return a group with the limit of each unit: the probe's and the daemon's."""
    with limited_memory("probe") as probe, limited_memory("daemon") as daemon:
        probe.limit(limit_of("synguard-probe"))
        daemon.limit(limit_of("synguard"))
        yield probe, daemon


class Service:
    """Both units' commands, each in its group."""

    def __init__(self, topology: Topology, folder: Path, pins: Path) -> None:
        self._topology = topology
        self._pins = pins
        self.socket = folder / "control.sock"
        self._folder = folder

    def command(self, group: LimitedMemory, command: str, *arguments: str, settings: str) -> list[str]:
        """Return the command line of ``synguard COMMAND`` in a group, with a settings file of its own."""
        config = self._folder / f"{command}.toml"
        config.write_text(settings.format(pins=self._pins), encoding="utf-8")
        interface = self._topology.server.interface
        ours = synguard_command(command, *arguments, "--interface", interface, "--config", str(config))
        return command_in(self._topology.server.namespace, group.inside(*ours))

    def attach(self, group: LimitedMemory) -> None:
        """Attach as the probe's unit does."""
        command = self.command(group, "attach", settings='[probe]\npin_directory = "{pins}"\n')
        subprocess.run(command, check=True, capture_output=True, env=child_environment())

    def run(self, group: LimitedMemory) -> subprocess.Popen[bytes]:
        """Start the daemon with other sizes than those attached, the largest: it compiles, too."""
        where = ("--database", str(self._folder / "synguard.db"), "--socket", str(self.socket))
        options = ("--keep-attached", "--respond", "enforce", *where)
        command = self.command(group, "run", *options, settings=LARGEST)
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=child_environment())

    def attempts(self) -> int:
        """Return how many attempts the daemon has counted; -1 while it does not answer."""
        try:
            return int(client.request(self.socket, "status")["totals"]["attempts"])
        except SynguardError:
            return -1


def test_what_the_units_allow_is_enough(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    groups: tuple[LimitedMemory, LimitedMemory],
    tmp_path: Path,
) -> None:
    """A cold start, a probe of the largest sizes put in its place and a spoofed flood stay well below it."""
    server = str(topology.server.ipv4.ip)
    open_listener(server, PORT)
    probe, daemon = groups
    with bpf_filesystem(tmp_path / "bpf") as mounted, ExitStack() as undo:
        service = Service(topology, tmp_path, mounted / "synguard")
        service.attach(probe)
        running = service.run(daemon)
        undo.callback(running.wait)
        undo.callback(os.kill, running.pid, signal.SIGTERM)
        wait_until(lambda: service.attempts() >= 0, "the daemon", 60.0)
        flood_generator.start(
            FloodPlan(
                destination=server,
                destination_port=PORT,
                sources=("198.18.0.0/15",),
                syn_per_s=100_000.0,
                duration_s=5.0,
            )
        )
        wait_until(lambda: service.attempts() > 200_000, "the flood", 30.0)
        flood_generator.stop()
        assert running.poll() is None
    assert 64 << 20 < probe.peak_bytes() < SHARE * limit_of("synguard-probe")
    assert 64 << 20 < daemon.peak_bytes() < SHARE * limit_of("synguard")

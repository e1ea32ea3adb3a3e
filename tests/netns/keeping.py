"""Daemons that leave their probe attached, and what the interface and the probe count meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.defences.guard import Guard, Setting, synguard_command
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, run_in, wait_until
from synguard.probe.sight_layout import decode_interfaces
from synguard.probe.syscall import BpfMap
from tests.pinning import pinned_map, pinned_sets

from .commands import run


class Frames(NamedTuple):
    """Frames that came in and went out."""

    received: int
    sent: int


def passed(topology: Topology) -> Frames:
    """Return what the kernel says has passed the server's interface."""
    name = topology.server.interface

    def read() -> Frames:
        for line in Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines():
            interface, _, numbers = line.partition(":")
            if interface.strip() == name:
                # receive: bytes packets errs drop fifo frame compressed multicast, transmit: bytes packets
                words = numbers.split()
                return Frames(int(words[1]), int(words[9]))
        raise LookupError(name)

    return run_in(topology.server, read)


def counted(*interfaces: BpfMap) -> Frames:
    """Return what probes have counted, by their maps ``interfaces``."""
    readings = [
        pair for one in interfaces for pair in decode_interfaces(one.lookup(bytes(4)) or b"").values()
    ]
    return Frames(sum(received for received, _ in readings), sum(sent for _, sent in readings))


class Keeping:
    """Starts daemons one after another, or beside each other, all of which pin in one directory.

    Args:
        topology: whose server they guard.
        folder: for their configuration, history and socket.
        directory: where they pin.
        endpoint: what they guard if it is not the server, or the server's other interface.

    """

    def __init__(
        self, topology: Topology, folder: Path, directory: Path, endpoint: Endpoint | None = None
    ) -> None:
        self.topology = topology
        self.directory = directory
        self._endpoint = endpoint or topology.server
        self.folder = folder
        self._stack = ExitStack()

    def start(
        self,
        respond: str = "dry-run",
        settings: Mapping[str, Mapping[str, Setting]] | None = None,
        *,
        keep: bool = True,
    ) -> Guard:
        """Start a daemon and return it once it guards."""
        wanted = {name: dict(section) for name, section in (settings or {}).items()}
        probe = {"keep_attached": keep, "pin_directory": str(self.directory), **wanted.get("probe", {})}
        guard = self._stack.enter_context(
            Guard(self._endpoint, self.folder, respond, {**wanted, "probe": probe})
        )
        guard.wait_until_ready()
        return guard

    def detach(self, *arguments: str) -> str:
        """Run ``synguard detach`` in the server's namespace and return what it says."""
        return run(self.topology.server, *synguard_command("detach", *arguments)).stdout

    def only_set(self) -> Path:
        """Return the one set of pins that there is."""
        (found,) = pinned_sets(self.directory)
        return found

    def age_program(self) -> Path:
        """Let the set of pins tell of other code; return what it was called before."""
        pins = self.only_set()
        pins.rename(pins.with_name(f"{pins.name.partition('-program-')[0]}-program-0"))
        return pins

    def settings(self) -> bytes | None:
        """Return what the pinned map of settings holds, the hashes' secret among the rest."""
        with self.opened("settings") as opened:
            return opened.lookup(bytes(4))

    @contextmanager
    def opened(self, name: str) -> Iterator[BpfMap]:
        """Open a pinned map, to read it even when it is pinned no more."""
        with pinned_map(self.only_set() / f"map-{name}") as opened:
            yield opened

    def frames(self, *interfaces: BpfMap) -> tuple[Frames, Frames]:
        """Return what probes have counted and what has passed, both of one moment in which nothing passed."""
        self.wait_until_quiet()
        earlier = passed(self.topology)
        while (both := (counted(*interfaces), passed(self.topology)))[1] != earlier:
            earlier = both[1]
        return both

    def wait_until_quiet(self) -> None:
        """Wait until nothing passes any more: frames on their way are counted a little later."""
        before = [passed(self.topology)]

        def quiet() -> bool:
            before.append(passed(self.topology))
            return len(before) > 40 and len(set(before[-40:])) == 1

        wait_until(quiet, "silence", 20.0)

    def close(self) -> None:
        """Stop what still runs."""
        self._stack.close()

"""What the namespace tests share: thin wrappers around the bench's own tools."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import pytest

from bench.defences.guard import Guard, Setting
from bench.flood.driver import FloodGenerator
from bench.net.namespaces import Topology, run_in
from bench.peers.clients import shake_hands
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from tests.netns.keeping import Keeping
from tests.pinning import bpf_filesystem

#: Programs that are not synguard's; ``ends_the_search`` lets no later filter look at a packet.
FOREIGN = """
#include <uapi/linux/bpf.h>
int somebody_elses(struct xdp_md *frame) { return XDP_PASS; }
int their_filter(struct __sk_buff *skb) { return -1; }
int ends_the_search(struct __sk_buff *skb) { return 0; }
"""

OpenListener = Callable[[str, int], socket.socket]
ShakeHands = Callable[[str, int, int], None]


class StartDaemon(Protocol):
    """Starts a daemon in the server's namespace, and returns once it guards ``net0``."""

    def __call__(
        self, respond: str = "dry-run", settings: Mapping[str, Mapping[str, Setting]] | None = None
    ) -> Guard:
        """Return the running daemon; it is stopped when the test ends, or by its ``stop()``."""


@pytest.fixture
def topology() -> Iterator[Topology]:
    """Server, client and attacker, each in a namespace; see ``bench.net.namespaces``."""
    with Topology() as built:
        yield built


@pytest.fixture
def flood_generator(topology: Topology) -> Iterator[FloodGenerator]:
    """Compile the in-kernel SYN generator, which sends from the attacker to the server."""
    with FloodGenerator.between(topology) as generator:
        generator.wait_until_ready()
        yield generator


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedObject]:
    """Load programs that are not synguard's."""
    source = tmp_path_factory.mktemp("foreign") / "foreign.c"
    source.write_text(FOREIGN)
    programs = {
        "somebody_elses": ProgramType.XDP,
        "their_filter": ProgramType.SCHED_CLS,
        "ends_the_search": ProgramType.SCHED_CLS,
    }
    loaded = load_object(source, programs)
    yield loaded
    loaded.close()


@pytest.fixture
def undo() -> Iterator[contextlib.ExitStack]:
    """Whatever a test or a fixture opens, closed in reverse order."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def open_listener(topology: Topology, undo: contextlib.ExitStack) -> OpenListener:
    """Return a function that listens on an address and port in the server's namespace.

    Nobody accepts, but the kernel completes handshakes, as many as the queue of 1,024 holds.
    """

    def listen(address: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
        listener = run_in(topology.server, lambda: socket.create_server((address, port), family=family))
        listener.listen(1024)
        return undo.enter_context(listener)

    return listen


@pytest.fixture
def shake_hands_from_client(topology: Topology) -> ShakeHands:
    """Return a function that makes so many real handshakes from the client's namespace."""
    return lambda address, port, count: shake_hands(topology.client, address, port, count)


@pytest.fixture
def start_daemon(topology: Topology, undo: contextlib.ExitStack, tmp_path: Path) -> StartDaemon:
    """Return a function that starts a daemon which guards the server's interface."""

    def start(respond: str = "dry-run", settings: Mapping[str, Mapping[str, Setting]] | None = None) -> Guard:
        guard = undo.enter_context(Guard(topology.server, tmp_path, respond, settings))
        guard.wait_until_ready()
        return guard

    return start


@pytest.fixture
def keeping(topology: Topology, tmp_path: Path) -> Iterator[Keeping]:
    """Return what starts daemons that pin in a BPF file system of this test's own."""
    with bpf_filesystem(tmp_path / "bpf") as mounted:
        made = Keeping(topology, tmp_path, mounted / "synguard")
        yield made
        made.close()

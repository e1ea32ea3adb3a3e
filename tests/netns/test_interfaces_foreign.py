"""Interfaces with somebody else's XDP program, and what segmentation offloads make of connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.net.links import attach_xdp
from bench.net.namespaces import Topology, run_in, wait_until
from synguard.errors import SynguardError
from synguard.probe.compiler import LoadedObject, ProgramType, load_object

from .devices import (
    COUNTED,
    HANDSHAKES,
    PORT,
    Daemon,
    Way,
    Workshop,
    assert_exact,
    count_handshakes,
    everything,
    listen,
    shown,
    totals_after,
)

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

THEIRS = "xdp_dispatcher"
#: Under the name that libxdp gives to the program that calls others'.
SOURCE = f"#include <uapi/linux/bpf.h>\nint {THEIRS}(struct xdp_md *frame) {{ return XDP_PASS; }}\n"
BULK_BYTES = 1 << 19


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Load a program that is not synguard's."""
    source = tmp_path_factory.mktemp("foreign") / "foreign.c"
    source.write_text(SOURCE)
    loaded: LoadedObject = load_object(source, {THEIRS: ProgramType.XDP})
    yield loaded.programs[THEIRS]
    loaded.close()


@pytest.fixture
def workshop(topology: Topology) -> Iterator[Workshop]:
    """Build ways to the server."""
    with Workshop(topology) as built:
        yield built


def their_program(topology: Topology, interface: str) -> str:
    """Return what ip(8) shows of the program on the server's interface."""
    (line,) = [line for line in shown(topology.server, interface).splitlines() if "prog/xdp" in line]
    return line


def test_beside_somebody_elses_program_handshakes_are_counted_and_it_stays(
    topology: Topology, workshop: Workshop, foreign: int, tmp_path: Path
) -> None:
    """In either mode theirs stays on the interface; status names it, and says what that costs."""
    ways = [workshop.veth("native0"), workshop.veth("generic0")]
    for way in ways:
        attach_xdp(topology.server.namespace, way.guarded, foreign, native=way.guarded == "native0")
    before = everything(topology.server)
    with Daemon(topology.server, [way.guarded for way in ways], tmp_path) as daemon:
        daemon.wait_until_ready()
        for way in ways:
            described = daemon.interface(way.guarded)
            assert described["ingress"] == "tc-ingress"
            assert f"somebody else's XDP program ({THEIRS}" in str(described["note"])
            assert "blocks are not enforced here" in str(described["note"])
            assert_exact(count_handshakes(daemon, way))
        assert daemon.stop() == 0
    assert everything(topology.server) == before
    assert THEIRS in before


def test_a_mode_that_somebody_else_occupies_is_refused(
    topology: Topology, workshop: Workshop, foreign: int, tmp_path: Path
) -> None:
    """Whoever asks for one mode gets that or a refusal that names the occupant and the way out."""
    workshop.veth("veth0")
    attach_xdp(topology.server.namespace, "veth0", foreign)
    before = everything(topology.server)
    with (
        pytest.raises(SynguardError, match=rf'{THEIRS}, id \d+\).*stays; .*probe.xdp_mode = "auto"'),
        Daemon(topology.server, ["veth0"], tmp_path, {"probe": {"xdp_mode": "native"}}) as daemon,
    ):
        daemon.wait_until_ready()
    assert everything(topology.server) == before


def exchange(way: Way, address: str) -> None:
    """Make 23 connections, each of which carries half a megabyte either way."""
    with contextlib.ExitStack() as stack:
        listener = listen(way.server, address, stack)
        server = threading.Thread(target=_serve, args=[listener])
        server.start()
        try:
            run_in(way.client, lambda: _call(address))
        finally:
            server.join()


def _serve(listener: socket.socket) -> None:
    listener.settimeout(5.0)
    for _ in range(HANDSHAKES):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5.0)
            _receive(connection)
            connection.sendall(bytes(BULK_BYTES))


def _call(address: str) -> None:
    for _ in range(HANDSHAKES):
        with socket.create_connection((address, PORT), 5.0) as connection:
            connection.sendall(bytes(BULK_BYTES))
            _receive(connection)


def _receive(connection: socket.socket) -> None:
    left = BULK_BYTES
    while left:
        left -= len(connection.recv(left)) or left


def test_merged_and_giant_segments_are_no_handshakes(
    topology: Topology, workshop: Workshop, foreign: int, tmp_path: Path
) -> None:
    """Native, generic with jumbo frames, tc: bulk data with TSO and GRO on leaves the counts exact."""
    ways = [workshop.veth("native0"), workshop.veth("generic0", mtu=9000), workshop.veth("tc0")]
    for way in ways:
        workshop.offload(way.guarded)
    attach_xdp(topology.server.namespace, "tc0", foreign)
    with Daemon(topology.server, [way.guarded for way in ways], tmp_path) as daemon:
        daemon.wait_until_ready()
        assert [row["ingress"] for row in daemon.status()["interfaces"]] == [
            "xdp-native",
            "xdp-generic",
            "tc-ingress",
        ]
        for way in ways:
            before = daemon.totals()
            for address in way.addresses:
                exchange(way, address)
            after = totals_after(daemon, before["completed"] + 2 * HANDSHAKES)
            assert {name: after[name] - before[name] for name in COUNTED} == dict.fromkeys(
                COUNTED, 2 * HANDSHAKES
            )
            assert after["unparsed"] == 0
            if way.guarded != "native0":  # where segments arrive one by one
                segments = 2 * HANDSHAKES * BULK_BYTES / 9000
                assert after["packets"] - before["packets"] < segments


def displace(topology: Topology, interface: str, program: int) -> None:
    """Put a program onto an interface whatever is there."""
    attach_xdp(topology.server.namespace, interface, -1, native=True)
    attach_xdp(topology.server.namespace, interface, program, native=True)


def test_after_somebody_displaced_us_we_observe(
    topology: Topology, workshop: Workshop, foreign: int, tmp_path: Path
) -> None:
    """Theirs is not displaced in turn, and handshakes go on being counted."""
    way = workshop.veth("veth0")
    with Daemon(topology.server, ["veth0"], tmp_path) as daemon:
        daemon.wait_until_ready()
        displace(topology, "veth0", foreign)
        wait_until(lambda: daemon.interface("veth0")["ingress"] == "tc-ingress", "falling back", 10.0)
        assert_exact(count_handshakes(daemon, way))
        theirs = their_program(topology, "veth0")
        assert daemon.stop() == 0
    assert their_program(topology, "veth0") == theirs

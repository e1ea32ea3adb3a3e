"""The delay line: distance and loss as asked for, and nothing of it outlives its parent."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.net import links
from bench.net.enter import child_environment
from bench.net.line import Line
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, namespaces_of, wait_until
from synguard.errors import SynguardError, UsageError
from tests.bench.frames import datagram_socket, settled

pytestmark = [pytest.mark.root, pytest.mark.netns]

FRAMES = 20_000
#: Beyond net.core.rmem_max; Python does not name it.
_SO_RCVBUFFORCE = 33
#: Builds a topology with a line, says who shuttles, and waits to be killed.
_BUILD_AND_WAIT = """
import sys
from bench.net.line import Line
from bench.net.namespaces import Topology
with Topology(clients={"far": Line(20.0, 0.05)}) as topology:
    print(topology.lines["far"].pid, flush=True)
    sys.stdin.read()
"""


def address_of(endpoint: Endpoint, version: int) -> str:
    """Return an endpoint's address of that IP version."""
    return str(endpoint.ipv4.ip if version == 4 else endpoint.ipv6.ip)


def serving(topology: Topology, version: int) -> socket.socket:
    """Return a UDP socket on the server's address."""
    return datagram_socket(topology.server, address_of(topology.server, version), 7)


def ping_ms(client: socket.socket, server: socket.socket) -> float:
    """Return how long a datagram takes to the server and back."""
    began_s = time.perf_counter()
    client.sendto(b"there", server.getsockname()[:2])
    message, sender = server.recvfrom(100)
    server.sendto(message, sender)
    client.recv(100)
    return (time.perf_counter() - began_s) * 1000


@pytest.mark.parametrize("version", [4, 6])
def test_a_round_trip_takes_as_long_as_asked(version: int) -> None:
    """Each line delays its own client's round trips, never too little, and hardly too much."""
    clients = {"near": Line(), "middle": Line(20.0), "far": Line(200.0)}
    with Topology(clients=clients) as topology, serving(topology, version) as server:
        assert set(topology.lines) == {"middle", "far"}
        for name, endpoint in topology.clients.items():
            with datagram_socket(endpoint, address_of(endpoint, version)) as client:
                quickest_ms = min(ping_ms(client, server) for _ in range(5))
            assert clients[name].rtt_ms <= quickest_ms < clients[name].rtt_ms + 10
        for line in topology.lines.values():
            assert 0 < line.read().latest_ms < 1000


@pytest.mark.parametrize("loss", [0.05, 0.3])
def test_frames_are_lost_as_asked(loss: float) -> None:
    """The share of frames lost is within the binomial bounds, each is counted, and the rest stay in order."""
    with Topology(clients={"lossy": Line(1.0, loss)}) as topology:
        line = topology.lines["lossy"]
        with (
            serving(topology, 4) as server,
            datagram_socket(topology.client, str(topology.client.ipv4.ip)) as client,
        ):
            server.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 26)
            before = line.read()
            send_numbers(client, server.getsockname())
            settled(line.read)
            got = list(all_numbers(server))
            after = line.read()
    lost = after.up.lost_frames - before.up.lost_frames
    carried = after.up.carried_frames - before.up.carried_frames
    expected = FRAMES * loss
    assert abs(lost - expected) < 5 * math.sqrt(expected * (1 - loss))
    # The client's kernel sends a few frames of its own, to routers and groups.
    assert FRAMES <= carried + lost + after.overrun_frames < FRAMES + 20
    assert carried - 20 < len(got) <= carried
    assert got == sorted(got)


def send_numbers(client: socket.socket, address: tuple[str, int]) -> None:
    """Send ``FRAMES`` numbered datagrams, at most 100 in a millisecond."""
    for number in range(FRAMES):
        client.sendto(number.to_bytes(4, "big"), address)
        if number % 100 == 99:
            time.sleep(0.001)


def all_numbers(server: socket.socket) -> Iterator[int]:
    """Yield the numbers that have arrived."""
    server.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            yield int.from_bytes(server.recv(100), "big")


def test_a_client_binds_any_address_of_its_own(topology: Topology) -> None:
    """A client owns all addresses of its networks, so that one stands in for many."""
    for version, network in ((4, topology.client.ipv4.network), (6, topology.client.ipv6.network)):
        with serving(topology, version) as server:
            for number in (1, 77, 250):
                with datagram_socket(topology.client, str(network.network_address + number)) as client:
                    ping_ms(client, server)


@pytest.mark.parametrize("line", [Line(-1.0), Line(501.0), Line(0.0, -0.1), Line(0.0, 0.31)])
def test_a_line_out_of_bounds_is_refused(line: Line) -> None:
    """A distance or loss that a line does not have is a usage error."""
    with pytest.raises(UsageError, match="a line has"):
        Topology(clients={"far": line})


def test_a_line_that_was_killed_says_so() -> None:
    """Reading a line whose process has ended is an error, and everything is still removed."""
    with Topology(clients={"far": Line(20.0)}) as topology:
        os.kill(topology.lines["far"].pid, signal.SIGKILL)
        with pytest.raises(SynguardError, match="ended"):
            topology.lines["far"].read()
    assert namespaces_of(os.getpid()) == []


def test_a_line_ends_with_its_parent() -> None:
    """When a run is killed its line ends, its devices with it, and the next run removes the namespaces."""
    with subprocess.Popen(
        [sys.executable, "-c", _BUILD_AND_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(),
        text=True,
    ) as builder:
        assert builder.stdout is not None
        shuttle = int(builder.stdout.readline())
        switch = next(name for name in namespaces_of(builder.pid) if name.endswith("-switch"))
        assert links.read_link(switch, "port-client").up
        builder.kill()
    wait_until(lambda: not Path(f"/proc/{shuttle}").exists(), "the line's end")
    with Topology():
        assert namespaces_of(builder.pid) == []

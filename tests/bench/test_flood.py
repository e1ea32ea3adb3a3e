"""The generator: exactly what was asked for, in shape, number and pace, and only where it may."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan, Shape
from bench.net.enter import child_environment
from bench.net.links import create_namespace, read_link, remove_namespace
from bench.net.namespaces import SILENT_IPV4, SILENT_IPV6, Topology, remove_stale, run_in, wait_until
from synguard.errors import UsageError

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

_ETH_P_ALL = 3
_PACKET_HOST = 0
_SO_RCVBUFFORCE = 33
_LINUX_OPTIONS = ["MSS", "SAckOK", "Timestamp", "NOP", "WScale"]

#: Floods its own server for a minute, says who sends, and waits to be killed.
_FLOOD_AND_WAIT = """
import sys
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import Topology
plan = FloodPlan(destination="198.18.0.1", destination_port=80, sources=("198.18.66.13",),
                 syn_per_s=100.0, duration_s=60.0)
with Topology() as topology, FloodGenerator.between(topology) as generator:
    generator.start(plan)
    print(generator.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    """One set of hosts for all floods: none of them leaves anything there."""
    with Topology() as built:
        yield built


@pytest.fixture(scope="module")
def generator(topology: Topology) -> Iterator[FloodGenerator]:
    """Compile the in-kernel SYN generator, which sends from the attacker to the server."""
    with FloodGenerator.between(topology) as generator:
        generator.wait_until_ready()
        yield generator


def plan_for(*sources: str, **changes: Any) -> FloodPlan:
    """Return a plan of 23 frames within a second from these sources to the server, with changes."""
    fields: dict[str, Any] = {
        "destination": "2001:2:0:1::1" if ":" in sources[0] else "198.18.0.1",
        "destination_port": 4321,
        "sources": sources,
        "frames": 23,
        "syn_per_s": 1000.0,
        "duration_s": 1.0,
    }
    return FloodPlan(**fields | changes)


class Capture:
    """The frames that arrive at the server."""

    def __init__(self, wire: socket.socket) -> None:
        """Read from a packet socket that is open already."""
        self._wire = wire

    def frames(self, count: int) -> list[bytes]:
        """Return the TCP segments that came, once there are ``count``."""
        came: list[bytes] = []

        def take() -> bool:
            with suppress(BlockingIOError):
                while True:
                    frame, (_, _, kind, _, _) = self._wire.recvfrom(2048)
                    # What the kernel sends, and neighbour discovery, is not the generator's.
                    if kind == _PACKET_HOST and is_tcp(frame):
                        came.append(frame)
            return len(came) >= count

        wait_until(take, f"{count} frames")
        return came

    def decoded(self, count: int) -> list[Packet]:
        """Return the TCP segments that came, once there are ``count``, as scapy reads them."""
        return [Ether(frame) for frame in self.frames(count)]


def is_tcp(frame: bytes) -> bool:
    """Tell whether a frame is IPv4 or IPv6 with TCP right behind it."""
    return (frame[12:14], frame[23]) == (b"\x08\x00", 6) or (frame[12:14], frame[20]) == (b"\x86\xdd", 6)


@contextmanager
def capture_at_server(topology: Topology) -> Iterator[Capture]:
    """Capture on the server's interface while the block lasts."""
    wire = run_in(
        topology.server, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    )
    with wire:
        wire.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
        wire.bind((topology.server.interface, _ETH_P_ALL))
        wire.setblocking(False)
        yield Capture(wire)


def rebuilt(frame: Packet) -> bytes:
    """Return the frame's bytes with every checksum and length computed anew by scapy."""
    copy = frame.copy()
    if IP in copy:
        del copy[IP].chksum, copy[IP].len
    else:
        del copy[IPv6].plen
    del copy[TCP].chksum
    return bytes(copy)


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("source", [str(SILENT_IPV4), str(SILENT_IPV6)])
def test_every_frame_is_a_valid_syn(
    topology: Topology, generator: FloodGenerator, source: str, shape: Shape
) -> None:
    """23 frames asked for are 23 sent and 23 received, each a SYN of its shape with right checksums."""
    with capture_at_server(topology) as capture:
        report = generator.flood(plan_for(source, shape=shape))
        frames = capture.decoded(23)
    assert report.frames == len(frames) == 23
    assert {frame[IP if IP in frame else IPv6].src for frame in frames} == {source}
    assert {str(frame[TCP].flags) for frame in frames} == {"S"}
    assert {frame[TCP].dport for frame in frames} == {4321}
    options = _LINUX_OPTIONS if shape is Shape.LINUX else []
    assert all([name for name, _ in frame[TCP].options] == options for frame in frames)
    assert all(rebuilt(frame) == bytes(frame) for frame in frames)
    assert len({(frame[TCP].sport, frame[TCP].seq) for frame in frames}) == 23


@pytest.mark.parametrize(
    ("sources", "within"),
    [
        (("0.0.0.0/0",), "0.0.0.0/0"),
        (("2000::/3",), "2000::/3"),
        (("192.0.2.0/24",), "192.0.2.0/24"),
        (("2001:db8:7::/64",), "2001:db8:7::/64"),
    ],
)
def test_random_sources_stay_within_their_prefix(
    topology: Topology, generator: FloodGenerator, sources: tuple[str, ...], within: str
) -> None:
    """Frames from a prefix have many sources, all of that prefix and none that a kernel would ignore."""
    with capture_at_server(topology) as capture:
        generator.flood(plan_for(*sources, frames=499))
        frames = capture.decoded(499)
    seen = [ip_address(frame[IP if IP in frame else IPv6].src) for frame in frames]
    assert len(seen) == 499
    assert len(set(seen)) > 150
    assert all(address in ip_network(within) for address in seen)
    assert not any(address.is_multicast or address.is_loopback or address.is_reserved for address in seen)


def test_listed_sources_take_turns(topology: Topology, generator: FloodGenerator) -> None:
    """A list of addresses is used whole, and nothing beside it."""
    listed = {f"192.0.2.{number}" for number in range(1, 6)}
    with capture_at_server(topology) as capture:
        generator.flood(plan_for(*listed, frames=211))
        frames = capture.decoded(211)
    assert {frame[IP].src for frame in frames} == listed


def test_recycled_frames_are_written_anew(topology: Topology, generator: FloodGenerator) -> None:
    """Thousands of frames in the same memory, which the server answers in place, all arrive intact."""
    before = read_link(topology.server.namespace, topology.server.interface)
    with capture_at_server(topology) as capture:
        report = generator.flood(plan_for("0.0.0.0/0", frames=5003, syn_per_s=20000.0))
        frames = capture.frames(5003)
    after = read_link(topology.server.namespace, topology.server.interface)
    assert report.frames == len(frames) == after.received_frames - before.received_frames == 5003
    assert all(rebuilt(Ether(frame)) == frame for frame in frames[::17])


@pytest.mark.parametrize("syn_per_s", [100.0, 1000.0, 20000.0])
def test_the_rate_is_held(generator: FloodGenerator, syn_per_s: float) -> None:
    """A rate asked for is reached within 5 %, over all and by the first and last frame's times."""
    plan = plan_for(str(SILENT_IPV4), frames=None, syn_per_s=syn_per_s, duration_s=2.0)
    began_ns = time.monotonic_ns()
    report = generator.flood(plan)
    assert report.frames == 2 * syn_per_s
    assert report.syn_per_s == pytest.approx(syn_per_s, rel=0.05)
    assert began_ns < report.first_ns < began_ns + 1e9
    assert report.first_s == pytest.approx(
        time.time() - (time.monotonic_ns() - report.first_ns) / 1e9, abs=0.1
    )


def test_a_flood_can_be_stopped(generator: FloodGenerator) -> None:
    """A flood that is told to stop ends at once, and the next one starts from nothing."""
    generator.start(plan_for(str(SILENT_IPV4), frames=None, syn_per_s=100.0, duration_s=60.0))
    assert 1 <= generator.stop().frames < 100
    assert generator.flood(plan_for(str(SILENT_IPV4))).frames == 23


def test_a_flood_ends_with_whoever_started_it() -> None:
    """When the process that asked for a flood is killed, the sending process ends too."""
    with subprocess.Popen(
        [sys.executable, "-c", _FLOOD_AND_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(),
        text=True,
    ) as starter:
        assert starter.stdout is not None
        sender = int(starter.stdout.readline())
        starter.kill()
    wait_until(lambda: not Path(f"/proc/{sender}").exists(), "the sender's end")
    remove_stale()


@pytest.mark.parametrize(
    "changes",
    [
        {"syn_per_s": 0.0},
        {"duration_s": 0.0},
        {"duration_s": 1e6},
        {"syn_per_s": 1e9},
        {"sources": ()},
        {"sources": ("2001:db8::1",)},
        {"sources": ("192.0.2.1", "198.51.100.0/24")},
    ],
)
def test_a_flood_without_bounds_or_sense_is_refused(
    generator: FloodGenerator, changes: dict[str, Any]
) -> None:
    """A plan without a bound, without sources or with mixed ones is a usage error."""
    with pytest.raises(UsageError):
        generator.start(plan_for("192.0.2.1", **changes))


def test_a_namespace_of_somebody_elses_is_refused(topology: Topology) -> None:
    """The generator sends from no namespace that the bench did not make, and names it."""
    name = f"foreign-{os.getpid()}"
    create_namespace(name)
    try:
        assert_refused(topology, name, "lo", f"'{name}' is not a namespace that the bench made")
    finally:
        remove_namespace(name)


def test_an_interface_of_somebody_elses_is_refused(topology: Topology) -> None:
    """The generator sends from no interface that the bench did not mark as its own."""
    assert_refused(topology, topology.switch, "switch0", "is not an interface that the bench made")


def test_a_namespace_that_is_not_there_is_refused(topology: Topology) -> None:
    """A namespace's name of the right form is not enough: there has to be one."""
    message = "'sg-1-0-attacker' is not a namespace that the bench made"
    assert_refused(topology, "sg-1-0-attacker", "net0", message)


def assert_refused(topology: Topology, namespace: str, interface: str, message: str) -> None:
    """Assert that no generator starts there, and that the error says why."""
    macs = (topology.server.mac, topology.attacker.mac)
    with (
        FloodGenerator(namespace, interface, macs) as generator,
        pytest.raises(UsageError, match=message),
    ):
        generator.wait_until_ready()

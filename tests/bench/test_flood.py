"""The generator: exactly what was asked for, in shape, number and pace, and only where it may."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from bench.flood.driver import FloodGenerator
from bench.flood.plan import Shape
from bench.net.counters import read_wire
from bench.net.enter import child_environment
from bench.net.links import create_namespace, read_link, remove_namespace
from bench.net.namespaces import SILENT_IPV4, SILENT_IPV6, Topology, remove_stale, wait_until
from synguard.errors import UsageError
from tests.bench.flooding import capture_at_server, ip_of, plan_for, rebuilt

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

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
    """One set of hosts for all floods, of which none leaves anything there; the receiver has its own CPU."""
    with Topology(receiver_cpu=min(os.sched_getaffinity(0))) as built:
        yield built


@pytest.fixture(scope="module")
def generator(topology: Topology) -> Iterator[FloodGenerator]:
    """Compile the in-kernel SYN generator, which floods the server in the attacker's name."""
    with FloodGenerator.between(topology) as generator:
        generator.wait_until_ready()
        yield generator


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
    assert {ip_of(frame).src for frame in frames} == {source}
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
    seen = [ip_address(ip_of(frame).src) for frame in frames]
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


@pytest.mark.parametrize("syn_per_s", [1.5, 100.0, 20000.0])
def test_the_rate_is_held(generator: FloodGenerator, syn_per_s: float) -> None:
    """A rate asked for is reached within 5 %, over all and by the first and last frame's times."""
    plan = plan_for(str(SILENT_IPV4), frames=None, syn_per_s=syn_per_s, duration_s=2.0)
    began_ns = time.monotonic_ns()
    report = generator.flood(plan)
    assert report.frames == 2 * syn_per_s
    assert report.held(plan)
    assert report.syn_per_s == pytest.approx(syn_per_s, rel=0.05)
    assert began_ns < report.first_ns < began_ns + 1e9


@pytest.mark.parametrize("syn_per_s", [100_000.0, 600_000.0])
def test_a_fast_flood_is_exact(topology: Topology, generator: FloodGenerator, syn_per_s: float) -> None:
    """Asleep or awake between its bursts, it sends no frame too many, and the wire agrees to the frame."""
    before = read_wire(topology)
    plan = plan_for(str(SILENT_IPV4), frames=60_011, syn_per_s=syn_per_s, acks_per_syn=1)
    report = generator.flood(plan)
    after = read_wire(topology) - before
    assert (report.frames, report.syns, report.acks) == (60_011, 30_006, 30_005)
    assert after.offered_frames + after.refused_frames == 60_011
    # It may be held up here, but never hurries.
    assert 0.1 * syn_per_s < report.syn_per_s < 1.3 * syn_per_s
    assert report.busy is not None
    assert 0 < report.busy < 1


def test_a_pulse_pauses(topology: Topology, generator: FloodGenerator) -> None:
    """A pulsing flood sends at its rate while it is on, and nothing while it is off."""
    plan = plan_for(
        str(SILENT_IPV4), frames=None, syn_per_s=500.0, duration_s=1.0, pattern="pulse", on_s=0.2, off_s=0.3
    )
    with capture_at_server(topology) as capture:
        report = generator.flood(plan)
        capture.frames(200)
    times_s = [time_s - capture.times_s[0] for time_s in capture.times_s]
    assert (report.syns, len(times_s)) == (200, 200)
    assert sum(time_s < 0.3 for time_s in times_s) == 100
    assert 0.499 < times_s[100] < 0.6


def test_a_ramp_rises(topology: Topology, generator: FloodGenerator) -> None:
    """A ramp's second half has three times the SYNs of its first, and all have half the rate's."""
    plan = plan_for(str(SILENT_IPV4), frames=None, syn_per_s=1000.0, duration_s=1.0, pattern="ramp")
    with capture_at_server(topology) as capture:
        report = generator.flood(plan)
        capture.frames(505)
    early = sum(time_s < capture.times_s[0] + 0.5 for time_s in capture.times_s)
    assert (report.syns, len(capture.times_s)) == (505, 505)
    assert early == pytest.approx(0.25 * 505, rel=0.2)


def test_a_pulse_without_a_rate_pauses_too(generator: FloodGenerator) -> None:
    """As fast as it can for a tenth of a second, then nothing, is what it takes a tenth of the time for."""
    plan = plan_for(
        str(SILENT_IPV4), frames=None, syn_per_s=None, duration_s=0.5, pattern="pulse", on_s=0.1, off_s=1.0
    )
    report = generator.flood(plan)
    assert report.syns > 10_000
    assert report.span_s < 0.3


def test_two_generators_send_at_once(topology: Topology, generator: FloodGenerator) -> None:
    """A second generator on the same hosts neither waits for the first nor counts its frames."""
    plan = plan_for(str(SILENT_IPV4), frames=None, syn_per_s=200.0, duration_s=1.0)
    with FloodGenerator.between(topology) as other:
        other.wait_until_ready()
        generator.start(plan)
        during = other.flood(plan_for(str(SILENT_IPV6)))
        report = generator.finish(plan)
    assert (during.frames, report.frames) == (23, 200)
    assert report.first_ns < during.first_ns < report.last_ns


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
        {"syn_per_s": None, "pattern": "ramp"},
        {"pattern": "pulse", "on_s": 0.0},
        {"copies": 0},
        {"copies": 1001},
        {"acks_per_syn": 101},
        {"vlans": (1, 2, 3)},
        {"vlans": (4095,)},
        {"destination_port": 0},
        {"frames": 0},
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

"""The generator's frames: shapes, copies, ACKs and tags, byte for byte, and what real stacks make of them."""

from __future__ import annotations

import itertools
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet

from bench.defences.guard import Guard
from bench.flood.driver import FloodGenerator
from bench.flood.plan import Shape
from bench.net.counters import read_wire
from bench.net.namespaces import SILENT_IPV4, SILENT_IPV6, Topology, run_in, start_in, wait_until
from tests.bench.flooding import capture_at_server, ip_of, plan_for, rebuilt

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

_BOTH = pytest.mark.parametrize("source", [str(SILENT_IPV4), str(SILENT_IPV6)])


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    """One set of hosts for all floods."""
    with Topology() as built:
        yield built


@pytest.fixture(scope="module")
def generator(topology: Topology) -> Iterator[FloodGenerator]:
    """Compile the in-kernel SYN generator, which floods the server in the attacker's name."""
    with FloodGenerator.between(topology) as generator:
        generator.wait_until_ready()
        yield generator


def shape_of(frame: Packet) -> tuple[object, ...]:
    """Return what all SYNs of one sender have in common."""
    ip, tcp = frame[IP], frame[TCP]
    return (
        frame.src,
        frame.dst,
        (ip.ttl, str(ip.flags), ip.tos, len(ip)),
        (str(tcp.flags), tcp.window, tcp.options, tcp.urgptr, tcp.reserved, tcp.dport),
        bool(tcp.ack),
        # Both are drawn by rand(3), which gives 31 bits.
        max(tcp.seq, tcp.ack) < 1 << 31,
    )


def ip_bytes(frame: Packet) -> int:
    """Return how long its IP packet says to be."""
    ip = ip_of(frame)
    return int(ip.len if IP in frame else ip.plen + 40)


def steps(frames: list[Packet]) -> set[int]:
    """Return by how much the source port grows from one frame to the next."""
    ports = [frame[TCP].sport for frame in frames]
    return {(after - before) % 65536 for before, after in itertools.pairwise(ports)}


def test_the_hping3_shape_is_what_hping3_sends(topology: Topology, generator: FloodGenerator) -> None:
    """In all that a receiver can tell, the shape hping3 equals 23 frames of the tool's own."""
    source, port = str(SILENT_IPV4), "4321"
    argv = ["hping3", "-q", "-S", "-c", "23", "-i", "u2000", "-a", source, "-p", port, "198.18.0.1"]
    with capture_at_server(topology) as capture:
        with start_in(topology.attacker, argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            theirs = capture.decoded(23)
        generator.flood(plan_for(source, shape=Shape.HPING3))
        ours = capture.decoded(23)
    assert {repr(shape_of(frame)) for frame in ours} == {repr(shape_of(frame)) for frame in theirs}
    assert steps(ours) == steps(theirs) == {1}
    for frames in (ours, theirs):
        assert len({frame[IP].id for frame in frames}) > 20
        assert 1024 <= frames[0][TCP].sport < 3024


@_BOTH
@pytest.mark.parametrize("shape", list(Shape))
def test_a_real_server_answers_every_syn(
    topology: Topology, generator: FloodGenerator, source: str, shape: Shape
) -> None:
    """A listening server's kernel answers each of 23 SYNs of every shape and family with a SYN-ACK."""
    plan = plan_for(source, shape=shape)
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    listener = run_in(
        topology.server, lambda: socket.create_server((plan.destination, 4321), family=family, backlog=128)
    )
    with (
        listener,
        capture_at_server(topology) as coming,
        capture_at_server(topology, socket.PACKET_OUTGOING) as leaving,
    ):
        generator.flood(plan)
        asked = {(frame[TCP].sport, frame[TCP].seq) for frame in coming.decoded(23)}
        answers = [frame for frame in leaving.decoded(23) if str(frame[TCP].flags) == "SA"]
    assert {(frame[TCP].dport, (frame[TCP].ack - 1) % (1 << 32)) for frame in answers} == asked
    assert len(asked) == 23


@_BOTH
def test_copies_are_alike_to_the_last_byte(
    topology: Topology, generator: FloodGenerator, source: str
) -> None:
    """A SYN with copies is the same frame so many times in a row, and the next one is another."""
    prefix = "2001:db8::/64" if ":" in source else "192.0.2.0/24"
    with capture_at_server(topology) as capture:
        report = generator.flood(plan_for(prefix, copies=5, frames=23))
        frames = capture.frames(23)
    groups = [len(list(group)) for _, group in itertools.groupby(frames)]
    assert groups == [5, 5, 5, 5, 3]
    assert (report.frames, report.syns, report.distinct_syns, report.acks) == (23, 23, 5, 0)


@_BOTH
@pytest.mark.parametrize("shape", list(Shape))
def test_acks_follow_their_syn(
    topology: Topology, generator: FloodGenerator, source: str, shape: Shape
) -> None:
    """Behind each SYN's copies come its ACKs: same addresses and ports, other numbers, right checksums."""
    prefix = "2001:db8::/64" if ":" in source else "192.0.2.0/24"
    plan = plan_for(prefix, shape=shape, copies=2, acks_per_syn=3, frames=25, random_ports=True)
    with capture_at_server(topology) as capture:
        report = generator.flood(plan)
        frames = capture.decoded(25)
    assert (report.frames, report.syns, report.distinct_syns, report.acks) == (25, 10, 5, 15)
    assert all(rebuilt(frame) == bytes(frame) for frame in frames)
    assert "".join(str(frame[TCP].flags) for frame in frames) == "SSAAA" * 5
    for first in range(0, 25, 5):
        group = frames[first : first + 5]
        assert len({(ip_of(frame).src, frame[TCP].sport, frame[TCP].dport) for frame in group}) == 1
        assert len({(frame[TCP].seq, frame[TCP].ack) for frame in group}) == 4
    assert len({frame[TCP].dport for frame in frames}) == 5
    # A Linux ACK has timestamps alone, and the frame is as much shorter: nothing trails its IP packet.
    assert all(len(frame) == 14 + len(ip_of(frame)) for frame in frames)
    assert all(len(ip_of(frame)) == ip_bytes(frame) for frame in frames)
    lengths = {str(frame[TCP].flags): frame[TCP].dataofs * 4 for frame in frames}
    assert lengths == ({"S": 40, "A": 32} if shape is Shape.LINUX else {"S": 20, "A": 20})


@_BOTH
@pytest.mark.parametrize("vlans", [(7,), (4094, 1)])
def test_tags_are_written(
    topology: Topology, generator: FloodGenerator, source: str, vlans: tuple[int, ...]
) -> None:
    """Tagged frames carry their VLANs, outermost first, 802.1ad around 802.1Q, and are valid within."""
    with capture_at_server(topology) as capture:
        generator.flood(plan_for(source, vlans=vlans, acks_per_syn=1))
        frames = capture.decoded(23)
    layers = [Dot1Q] if len(vlans) == 1 else [Dot1AD, Dot1Q]
    for frame in frames:
        assert tuple(frame[layer].vlan for layer in layers) == vlans
        assert [type(layer) for layer in (frame, *layers_under(frame))][1 : 1 + len(vlans)] == layers
    assert all(rebuilt(frame) == bytes(frame) for frame in frames)


@_BOTH
@pytest.mark.parametrize("shape", list(Shape))
def test_data_is_in_the_syn_alone(
    topology: Topology, generator: FloodGenerator, source: str, shape: Shape
) -> None:
    """A SYN with data carries that many zeros and right checksums; the ACK behind it carries none."""
    with capture_at_server(topology) as capture:
        generator.flood(plan_for(source, shape=shape, payload_bytes=64, acks_per_syn=1, frames=24))
        frames = capture.decoded(24)
    assert all(rebuilt(frame) == bytes(frame) for frame in frames)
    data = {str(frame[TCP].flags): bytes(frame[TCP].payload) for frame in frames}
    assert data == {"S": bytes(64), "A": b""}
    assert all(len(frame) == 14 + ip_bytes(frame) for frame in frames)


@pytest.mark.parametrize("prefix", ["192.0.2.0/28", "2001:db8::/124"])
def test_each_source_keeps_its_distance(topology: Topology, generator: FloodGenerator, prefix: str) -> None:
    """The hops left are those of the source, whatever else differs, and several sources have several."""
    with capture_at_server(topology) as capture:
        generator.flood(plan_for(prefix, ttls=(40, 55), frames=199))
        frames = [ip_of(frame) for frame in capture.decoded(199)]
    distances = {(ip.src, ip.ttl if ip.version == 4 else ip.hlim) for ip in frames}
    assert len(distances) == len({ip.src for ip in frames}) == 16
    assert len({hops for _, hops in distances}) > 4
    assert all(40 <= hops <= 55 for _, hops in distances)


def layers_under(frame: Packet) -> Iterator[Packet]:
    """Yield the layers within a frame, from the outside in."""
    while frame.payload:
        frame = frame.payload
        yield frame


def test_the_probe_counts_tagged_frames_of_every_shape(
    topology: Topology, generator: FloodGenerator, tmp_path: Path
) -> None:
    """A daemon counts every SYN as an attempt, whatever its tags, shape and family, and no ACK nor copy."""
    sources, tags = (str(SILENT_IPV4), str(SILENT_IPV6)), ((), (7,), (7, 8))
    with Guard(topology.server, tmp_path, "off") as guard:
        guard.wait_until_ready()
        expected = 0
        for source, shape, vlans in itertools.product(sources, Shape, tags):
            plan = plan_for(source, shape=shape, vlans=vlans, acks_per_syn=1, copies=2, frames=69)
            expected += generator.flood(plan).distinct_syns
        wait_until(lambda: guard.status()["totals"]["attempts"] >= expected, "the last attempt")
        totals = guard.status()["totals"]
    assert (totals["attempts"], totals["syn_duplicates"]) == (18 * 23, 18 * 23)
    assert (totals["completed"], totals["unparsed"]) == (0, 0)


def test_random_ports_are_all_ports(topology: Topology, generator: FloodGenerator) -> None:
    """With random ports each SYN asks for another one, low and high, never for 0."""
    with capture_at_server(topology) as capture:
        generator.flood(plan_for(str(SILENT_IPV4), random_ports=True, frames=499))
        ports = Counter(frame[TCP].dport for frame in capture.decoded(499))
    assert len(ports) > 450
    assert min(ports) > 0
    assert min(ports) < 2000
    assert max(ports) > 63000


def test_the_wire_agrees_with_the_generator(topology: Topology, generator: FloodGenerator) -> None:
    """At full speed every frame is found in the guarded's ring or among those that it refused."""
    before = read_wire(topology)
    plan = plan_for("0.0.0.0/0", syn_per_s=None, frames=None, duration_s=0.2)
    report = generator.flood(plan)
    after = read_wire(topology) - before
    assert after.offered_frames + after.refused_frames == report.frames == report.syns
    assert report.frames > 10_000
    assert report.busy is not None
    assert report.busy > 0.5


def test_a_frame_is_the_attackers(topology: Topology, generator: FloodGenerator) -> None:
    """Frames go from the attacker's MAC address to the server's, and two floods are not alike."""
    with capture_at_server(topology) as capture:
        generator.flood(plan_for(str(SILENT_IPV6)))
        generator.flood(plan_for(str(SILENT_IPV6)))
        frames = capture.frames(46)
    assert {(Ether(frame).src, Ether(frame).dst) for frame in frames} == {
        (topology.attacker.mac, topology.server.mac)
    }
    assert len({Ether(frame)[IPv6].fl for frame in frames}) > 40
    assert len(set(frames)) == 46

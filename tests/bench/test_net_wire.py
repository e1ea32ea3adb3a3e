"""The guarded's wire: every frame is counted, by name, and taken off by a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.flood.resolve import address_of
from bench.measure.usage import process_cpu_ns
from bench.net import links
from bench.net.counters import WireReading, read_wire, tcp_counters
from bench.net.far_end import far_end, load_far_end
from bench.net.layout import Role
from bench.net.namespaces import SILENT_IPV4, SILENT_IPV6, Topology
from bench.peers.clients import shake_hands
from bench.peers.servers import serve
from bench.scenario.model import Family, ServerSpec
from synguard.errors import SynguardError, UsageError
from synguard.probe.compiler import LoadedObject
from tests.bench.frames import datagram_socket, load_programs, send_frames, settled

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 443
#: More than the ring of 256 holds, and than its NAPI takes off meanwhile.
MANY = 50_000


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedObject]:
    """Programs that send frames."""
    loaded = load_programs(tmp_path_factory.mktemp("frames"))
    yield loaded
    loaded.close()


def sent(programs: LoadedObject, topology: Topology, count: int) -> WireReading:
    """Return what became of frames sent out of the guarded's port."""
    before = read_wire(topology)
    send_frames(programs, topology, count)
    settled(lambda: read_wire(topology))
    return read_wire(topology) - before


def attach_native(topology: Topology, program: int) -> None:
    """Attach a program to the guarded's interface as the daemon would."""
    guarded = topology.guarded
    links.attach_xdp(guarded.namespace, guarded.interface, program, native=True)


@pytest.mark.parametrize("role", ["host", "gateway"])
def test_frames_arrive_and_are_counted(programs: LoadedObject, role: Role) -> None:
    """Frames that XDP sends out of the guarded's port are put in its ring and taken off it, each once."""
    with Topology(role=role) as topology:
        assert sent(programs, topology, 23) == WireReading(23, 0, 23, 0)


@pytest.mark.parametrize("role", ["host", "gateway"])
def test_frames_refused_by_a_full_ring_are_counted(programs: LoadedObject, role: Role) -> None:
    """Of more frames than the receiver can take, each is either in the ring, and taken off it, or refused."""
    cpus = os.sched_getaffinity(0)
    with Topology(role=role, receiver_cpu=min(cpus)) as topology:
        # A receiver that runs only while the sender leaves it their CPU cannot keep up on any machine.
        for thread in topology.receiver_threads:
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
        os.sched_setaffinity(0, {min(cpus)})
        try:
            reading = sent(programs, topology, MANY)
        finally:
            os.sched_setaffinity(0, cpus)
    assert reading.offered_frames + reading.refused_frames == MANY
    assert reading.received_frames == reading.offered_frames > 0
    assert reading.refused_frames > 0
    assert reading.other_dropped_frames == 0


def test_a_clients_frames_wait_in_the_same_ring(programs: LoadedObject) -> None:
    """What a client sends meanwhile goes through the guarded's NAPI too, or is among the dropped."""
    with Topology(receiver_cpu=min(os.sched_getaffinity(0))) as topology:
        server = str(topology.server.ipv4.ip)
        with (
            datagram_socket(topology.server, server, 9) as _,
            datagram_socket(topology.client, str(topology.client.ipv4.ip)) as client,
        ):
            before = read_wire(topology)
            flood = threading.Thread(target=send_frames, args=(programs, topology, 20 * MANY))
            flood.start()
            for _ in range(2300):
                client.sendto(b"x", (server, 9))
            flood.join()
            settled(lambda: read_wire(topology))
            reading = read_wire(topology) - before
    assert reading.offered_frames + reading.refused_frames == 20 * MANY
    assert reading.received_frames - reading.offered_frames + reading.other_dropped_frames == 2300
    assert reading.received_frames > reading.offered_frames


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("role", ["host", "gateway"])
def test_what_xdp_sends_back_arrives(programs: LoadedObject, role: Role, threaded: bool) -> None:
    """Each frame that a program on the guarded's interface answers by XDP_TX gets back to its sender."""
    cpu = min(os.sched_getaffinity(0)) if threaded else None
    with Topology(role=role, receiver_cpu=cpu) as topology, closing(load_far_end(topology)) as loaded:
        attach_native(topology, programs.programs["reflect"])
        with (
            far_end(topology, loaded),
            datagram_socket(topology.client, str(topology.client.ipv4.ip)) as client,
        ):
            for number in range(23):
                client.sendto(bytes([number]), (str(topology.guarded.ipv4.ip), 9))
                assert client.recvfrom(16) == (bytes([number]), (str(topology.guarded.ipv4.ip), 9))
        assert not links.read_link(topology.switch, topology.guarded.port).xdp_attached


@pytest.mark.parametrize("family", [4, 6])
def test_only_answers_to_nobody_vanish_at_the_far_end(family: Family) -> None:
    """A client and the attacker's own address are answered; SYN-ACKs to other addresses go no further."""
    with Topology() as topology, closing(load_far_end(topology)) as loaded:
        attacker, spec = topology.attacker, ServerSpec(port=PORT)
        server = address_of(topology.server, family)
        plan = FloodPlan(
            destination=server,
            destination_port=PORT,
            sources=(str(SILENT_IPV4 if family == 4 else SILENT_IPV6),),
            syn_per_s=1000.0,
            frames=23,
            duration_s=1.0,
        )
        with (
            far_end(topology, loaded),
            serve(spec, topology.server, [server]),
            FloodGenerator.between(topology) as generator,
        ):
            shake_hands(topology.client, server, PORT, 3)
            shake_hands(attacker, server, PORT, 3)
            before = links.read_link(attacker.namespace, attacker.interface).received_frames
            assert generator.flood(plan).syns == 23
            settled(lambda: read_wire(topology))
            after = links.read_link(attacker.namespace, attacker.interface).received_frames
    assert after - before < 10


def test_the_receiver_runs_where_it_was_told(programs: LoadedObject) -> None:
    """With a receiver's CPU the guarded's NAPI is a kernel thread there, also after an XDP program came."""
    cpu = min(os.sched_getaffinity(0))
    with Topology(receiver_cpu=cpu) as topology, Topology(receiver_cpu=cpu) as other:
        (thread,) = topology.receiver_threads
        assert topology.receiver_threads != other.receiver_threads
        attach_native(topology, programs.programs["nothing"])
        assert Path(f"/proc/{thread}/comm").read_text().startswith("napi/net0-")
        assert os.sched_getaffinity(thread) == {cpu}
        before_ns = process_cpu_ns(thread)
        sent(programs, topology, 2300)
        assert process_cpu_ns(thread) > before_ns


def test_without_a_cpu_there_is_no_receiving_thread(topology: Topology) -> None:
    """The guarded's NAPI runs wherever its frames come from unless it is given a CPU."""
    assert topology.receiver_threads == ()


def test_a_cpu_that_is_not_there_is_refused() -> None:
    """A receiver's CPU that this process may not use is a usage error, and leaves nothing behind."""
    with pytest.raises(UsageError, match="no CPU 4096"), Topology(receiver_cpu=4096):
        pass


def test_programs_are_seen_and_not_replaced(topology: Topology, programs: LoadedObject) -> None:
    """A generic program is seen on its interface, keeps its place, and can be taken off."""
    server = topology.server
    assert not links.read_link(server.namespace, server.interface).xdp_attached
    links.attach_xdp(server.namespace, server.interface, programs.programs["send"])
    assert links.read_link(server.namespace, server.interface).xdp_attached
    with pytest.raises(SynguardError, match="busy"):
        links.attach_xdp(server.namespace, server.interface, programs.programs["nothing"])
    links.attach_xdp(server.namespace, server.interface, -1)
    assert not links.read_link(server.namespace, server.interface).xdp_attached


def test_tcp_counters_are_of_one_host(topology: Topology) -> None:
    """A host's own counters rise with what it does, and nobody else's."""
    server = str(topology.server.ipv6.ip)
    before = tcp_counters(topology.client), tcp_counters(topology.attacker)
    with datagram_socket(topology.client, str(topology.client.ipv6.ip)) as client:
        for _ in range(23):
            client.sendto(b"x", (server, 9))
    after = tcp_counters(topology.client), tcp_counters(topology.attacker)
    assert after[0]["Udp6OutDatagrams"] - before[0]["Udp6OutDatagrams"] == 23
    assert after[1]["Udp6OutDatagrams"] == before[1]["Udp6OutDatagrams"]
    assert after[0].keys() >= {"TcpActiveOpens", "TcpExtTCPSynRetrans", "TcpExtListenOverflows"}

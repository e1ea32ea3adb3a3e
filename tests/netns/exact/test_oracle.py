"""The kernel's own count as the oracle: ten thousand handshakes among a million ACKs that prove nothing."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.counters import read_wire
from bench.net.line import Line
from bench.net.namespaces import Topology, wait_until
from synguard.probe.probe import Probe

from .frames import ACK, SYN, Segments
from .stage import PATIENCE_S, Ground, Stage

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

#: Both queues hold everything: a full one would be another story, told elsewhere.
ROOM = 65_535
ROOMY = {"core/somaxconn": ROOM, "ipv4/tcp_max_syn_backlog": ROOM}

#: ACKs that the generator sends behind each of its SYNs, with random numbers, on the same four-tuple.
ACKS_PER_SYN = 100
ACK_PER_S = 150_000
SEQUENCES = 1 << 32
#: So many that no four-tuple is drawn twice, for its second SYN would not be answered.
FLOOD_SOURCES = {4: "100.64.0.0/10", 6: "2001:db8:66::/64"}
#: ACKs on each four-tuple that a client has just connected by.
ACKS_PER_CONNECTION = 10
#: One of so many connections is accompanied by a half-open one; where its ACKs miss the right number.
CONNECTIONS_PER_HALF_OPEN = 10
MISSES = (-1, 1, 4, -4, 1 << 16, -(1 << 16), 1 << 31)
#: A cookie's number may be wrong by up to 3, which tell of a segment size.
COOKIE_SLACK = 3


@pytest.fixture(scope="module")
def ground(probe: Probe, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Guard a server with long queues and two clients: one whose kernel connects, one who is scripted."""
    clients = {"client": Line(), "scripted": Line()}
    with (
        Topology(ROOMY, clients=clients) as topology,
        Ground(probe, topology, tmp_path_factory.mktemp("claims")) as built,
    ):
        yield built


@pytest.fixture(scope="module")
def generator(ground: Ground) -> Iterator[FloodGenerator]:
    """Compile the in-kernel generator."""
    with FloodGenerator.between(ground.topology) as made:
        made.wait_until_ready()
        yield made


@dataclass
class Padding:
    """Sends ACKs that prove nothing on four-tuples that are in use, and counts them."""

    stage: Stage
    where: tuple[str, int]

    def __post_init__(self) -> None:
        topology = self.stage.topology
        self.numbers = random.Random(23)  # noqa: S311 - a draw that repeats
        self.acks = self.half_open = 0
        self._ports = itertools.count(1024)
        self._before: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self.scripted = topology.clients["scripted"]
        self._segments = {
            host.role: Segments((host.mac, topology.guarded.mac), self.stage.address_of(host), self.where)
            for host in (topology.client, self.scripted)
        }
        self._wires = {
            host.role: self.stage.ground.wire_of(host) for host in (topology.client, self.scripted)
        }
        # The scripted client's kernel, which never asked, is not to know of any answer.
        self.stage.firewall(
            self.scripted,
            f"chain mute {{ type filter hook input priority 0; tcp sport {self.where[1]} drop; }}",
        )

    def at_sources(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return what is booked to the client and to the scripted one, since this began."""
        booked = [
            self.stage.at_source(self.stage.address_of(host))
            for host in (self.stage.topology.client, self.scripted)
        ]
        client, scripted = (
            {name: value - before.get(name, 0) for name, value in now.items() if value > before.get(name, 0)}
            for now, before in zip(booked, self._before, strict=True)
        )
        return client, scripted

    def begin_anew(self) -> None:
        """Count from zero."""
        self._before = self.at_sources()
        self.acks = self.half_open = 0

    def pad_connection(self, port: int) -> None:
        """Send ACKs with random numbers on a four-tuple of the client's."""
        for _ in range(ACKS_PER_CONNECTION):
            self._ack("client", port, self.numbers.getrandbits(32), self.numbers.getrandbits(32))

    def pad_half_open(self) -> None:
        """Ask for a connection of its own, and miss the answer's number closely, in the right window."""
        role, port = self.scripted.role, next(self._ports)
        isn = self.numbers.getrandbits(32)
        right = self._ask(role, port, isn) + 1
        for miss in MISSES:
            if self.stage.syncookies < 2 or abs(miss) > COOKIE_SLACK:
                self._ack(role, port, (isn + 1) % SEQUENCES, (right + miss) % SEQUENCES)
        self.half_open += 1

    def _ack(self, role: str, port: int, seq: int, ack: int) -> None:
        self._wires[role].send(self._segments[role].frame(port, ACK, seq, ack))
        self.acks += 1

    def _ask(self, role: str, port: int, isn: int) -> int:
        """Send a SYN until it is answered; a busy machine may lose one. Return the SYN-ACK's number."""
        for _ in range(round(PATIENCE_S)):
            self._wires[role].send(self._segments[role].frame(port, SYN, isn, 0))
            with contextlib.suppress(TimeoutError):
                return self._answer(role, port)
        raise TimeoutError(f"no answer to port {port}")

    def _answer(self, role: str, port: int) -> int:
        tcp = 34 if self.stage.version == 4 else 54
        ports = self.where[1].to_bytes(2, "big") + port.to_bytes(2, "big")
        self._wires[role].settimeout(1.0)
        while True:
            frame = self._wires[role].recv(128)
            if frame[tcp : tcp + 4] == ports and frame[tcp + 13] == SYN | ACK:
                return int.from_bytes(frame[tcp + 4 : tcp + 8], "big")


def shake_hands(stage: Stage, listener: socket.socket, padding: Padding, count: int) -> None:
    """Connect so often from the client, and send wrong ACKs all the while."""
    for number in range(count):
        caller = stage.connect(padding.where)
        padding.pad_connection(caller.getsockname()[1])
        if number % CONNECTIONS_PER_HALF_OPEN == 0:
            padding.pad_half_open()
        stage.accept(listener).close()
        caller.close()


def make_known(stage: Stage, listener: socket.socket, padding: Padding) -> None:
    """Have the probe know both clients before strangers come in thousands; then count anew."""

    def known() -> bool:
        shake_hands(stage, listener, padding, 1)
        return all(padding.at_sources())

    wait_until(known, "the clients' entries")
    stage.begin_anew(forgets=False)
    padding.begin_anew()


def flood_of(where: tuple[str, int], version: int, acks: int) -> FloodPlan:
    """Return so many ACKs with random numbers, and the SYNs that they pretend to complete."""
    return FloodPlan(
        destination=where[0],
        destination_port=where[1],
        sources=(FLOOD_SOURCES[version],),
        syn_per_s=ACK_PER_S / ACKS_PER_SYN,
        duration_s=60.0,
        frames=acks + acks // ACKS_PER_SYN,
        acks_per_syn=ACKS_PER_SYN,
    )


@pytest.mark.parametrize(
    ("syncookies", "handshakes", "flood_acks"),
    [(1, 10_000, 1_000_000), (0, 1_000, 100_000), (2, 1_000, 10_000)],
    ids=["cookies1", "cookies0", "cookies2"],
)
def test_ten_thousand_handshakes_among_a_million_wrong_acks(
    ground: Ground, generator: FloodGenerator, version: int, syncookies: int, handshakes: int, flood_acks: int
) -> None:
    """The probe counts as many completed as the server's kernel: those of the client, and no other.

    Few of them where any ACK may be a cookie: the kernel takes two in a thousand million for one.
    """
    with contextlib.ExitStack() as stack:
        stage = Stage.on(ground, version, syncookies, stack)
        listener, where = stage.listen(ROOM)
        plan = flood_of(where, version, flood_acks)
        padding = Padding(stage, where)
        make_known(stage, listener, padding)
        before = read_wire(ground.topology)
        generator.start(plan)
        stack.callback(generator.stop)
        shake_hands(stage, listener, padding, handshakes)
        report = generator.finish(plan)
        wire = read_wire(ground.topology) - before
        assert wire.offered_frames - report.syns + padding.acks >= flood_acks
        check_counts(stage, padding, handshakes, report.syns)
        assert stage.kernel("TcpInSegs") >= flood_acks
        assert stage.kernel("TcpInCsumErrors") == stage.kernel("TcpExtTCPReqQFullDrop") == 0


def check_counts(stage: Stage, padding: Padding, handshakes: int, flood_syns: int) -> None:
    """See that the handshakes, and they alone, have completed, and that nothing was overwritten."""
    stage.let_pass()
    counted = stage.counted()
    assert counted["completed"] == handshakes == stage.kernel("TcpPassiveOpens")
    asked = handshakes + padding.half_open
    assert asked + flood_syns * 0.9 <= counted["attempts"] == counted["answered"] <= asked + flood_syns
    of_client, of_scripted = padding.at_sources()
    assert {of_client[name] for name in ("attempts", "answered", "completed")} == {handshakes}
    assert of_scripted["attempts"] == of_scripted["answered"] == padding.half_open
    assert "completed" not in of_scripted
    assert not {"aborted", "refused", "handshakes_overwritten"} & counted.keys()

"""Whether SYNs go on with the timestamp clock of a handshake that their source completed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_network

import pytest

from synguard.handshake import ClockProof
from synguard.probe.source_rules import SourceAction
from tests.kernel.responding import MINUTE_MS, source_rules, until
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.usefixtures("fresh_greylist")]

NOP = ("NOP", None)
Options = tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """How a host's segments look, and where its clock stands when the test begins, in ticks of 1 ms."""

    layout: str = "linux"
    clock: int = 0xFFFFF000
    scale: int = 7
    mss: int = 1460
    ttl: int = 57
    window: int = 64240
    began_ns: int = 0

    def ticks(self, wire: Wire, rate: float = 1.0) -> int:
        """Return what its clock shows now, at a rate of its own."""
        return (self.clock + round((wire.now_ns - self.began_ns) / 1e6 * rate)) % 2**32

    def syn_options(self, ticks: int) -> Options:
        """Return a SYN's options as Linux, the BSDs or macOS order them."""
        mss, clock, scale = ("MSS", self.mss), ("Timestamp", (ticks, 0)), ("WScale", self.scale)
        layouts: dict[str, Options] = {
            "linux": (mss, ("SAckOK", b""), clock, NOP, scale),
            "linux, no SACK": (mss, NOP, NOP, clock, NOP, scale),
            "bsd": (mss, NOP, scale, ("SAckOK", b""), clock),
            "macos": (mss, NOP, scale, NOP, NOP, clock, ("SAckOK", b""), ("EOL", None)),
            "none": (mss, NOP, NOP, ("SAckOK", b""), NOP, scale),
        }
        return layouts[self.layout]


class Host:
    """Sends segments of a stack's through a wire."""

    def __init__(self, wire: Wire, stack: Stack) -> None:
        self.wire = wire
        self.client = wire.client()
        self.stack = replace(stack, began_ns=wire.now_ns)

    def frame(self, connection: Connection, flags: str, options: Options, stack: Stack) -> bytes:
        """Return a segment with a stack's TTL and window."""
        segment = connection.segment(flags, options=options)
        segment.window = stack.window
        frame = bytearray(connection.frame(segment))
        frame[22 if self.wire.version == 4 else 21] = stack.ttl
        return bytes(frame)

    def syn(self, stack: Stack | None = None, rate: float = 1.0) -> Connection:
        """Send a SYN of a new connection; of another stack's, if that is given."""
        stack = stack or self.stack
        connection = self.wire.connection(client=self.client)
        ticks = stack.ticks(self.wire, rate)
        self.wire.deliver(self.frame(connection, "S", stack.syn_options(ticks), stack))
        return connection

    def complete(self, stack: Stack | None = None) -> None:
        """Complete a handshake."""
        stack = stack or self.stack
        connection = self.syn(stack)
        self.wire.synack(connection)
        self.wire.wait(20)
        clock = ("Timestamp", (stack.ticks(self.wire), 4711))
        options: Options = () if stack.layout == "none" else (NOP, NOP, clock)
        self.wire.deliver(self.frame(connection, "A", options, stack))

    def proof(self) -> ClockProof | None:
        """Return what the daemon is told."""
        length = 32 if self.wire.version == 4 else 64
        return self.wire.reader.clock_proof(ip_network((self.client, length), strict=False), self.wire.now_ns)

    def figures(self) -> tuple[int, int, int]:
        """Return the SYNs that continue the clock, those that miss it, and handshakes by another."""
        proof = self.proof()
        assert proof is not None
        return proof.matched, proof.missed, proof.others


@pytest.fixture(params=["linux", "linux, no SACK", "bsd", "macos"])
def host(xdp_wire: Wire, request: pytest.FixtureRequest) -> Host:
    """Return a host that has completed a handshake, of each kind of stack."""
    made = Host(xdp_wire, Stack(request.param))
    made.complete()
    return made


@pytest.fixture
def linux(xdp_wire: Wire) -> Host:
    """Return a host with Linux's stack that has completed a handshake."""
    made = Host(xdp_wire, Stack())
    made.complete()
    return made


def test_a_flood_that_goes_on_with_the_clock_matches(host: Host) -> None:
    """Whatever its ports, its ISNs and its pace, and though the clock wraps meanwhile."""
    for pause_ms in (0, 1, 20, 300, 5000, 20_000):
        host.wire.wait(pause_ms)
        for _ in range(5):
            host.syn()
    assert host.figures() == (30, 0, 0)
    proof = host.proof()
    assert proof is not None
    assert proof.seconds_old == pytest.approx(25.321)


def test_dropped_syns_tell_as_well(linux: Host) -> None:
    """Under a greylist the flood goes on proving whose it is."""
    wire = linux.wire
    rules = source_rules(wire)
    rules.put({ip_network(linux.client): (SourceAction.GREYLIST, until(wire, MINUTE_MS))})
    for _ in range(10):
        wire.wait(50)
        linux.syn()
    assert linux.figures() == (10, 0, 0)
    assert rules.hits(ip_network(linux.client)) == 10


@pytest.mark.parametrize(
    "changed",
    [
        {"clock": 0},
        {"clock": 0x7FFFF000},
        {"clock": 0xFFFFF000 - 2000},
        {"clock": 0xFFFFF000 + 2000},
        {"ttl": 58},
        {"window": 65535},
        {"mss": 1400},
        {"scale": 8},
        {"layout": "bsd"},
        {"layout": "none"},
    ],
    ids=str,
)
def test_whoever_cannot_know_the_clock_misses_it(linux: Host, changed: dict[str, int | str]) -> None:
    """Another clock, TTL or shape, or none at all: an off-path spoofer has no better than a guess."""
    other = replace(linux.stack, **changed)  # type: ignore[arg-type]
    for _ in range(7):
        linux.wire.wait(100)
        linux.syn(other)
    assert linux.figures() == (0, 7, 0)


@pytest.mark.parametrize(
    ("rate", "matches"), [(1.0, True), (1.05, True), (0.95, True), (1.2, False), (10, False)]
)
def test_a_clock_runs_at_a_thousand_a_second(linux: Host, rate: float, matches: bool) -> None:
    """Within a sixteenth, as far as half a minute shows."""
    linux.wire.wait(30_000)
    linux.syn(rate=rate)
    assert linux.figures() == (int(matches), int(not matches), 0)


@pytest.mark.parametrize(
    "changed", [{"clock": 0x12345678}, {"ttl": 63}, {"scale": 2}, {"layout": "none"}], ids=str
)
def test_a_handshake_by_another_clock_is_told(linux: Host, changed: dict[str, int | str]) -> None:
    """Behind one address there are two hosts: then no flood proves anything of the other."""
    linux.complete(replace(linux.stack, **changed))  # type: ignore[arg-type]
    assert linux.figures() == (0, 1, 1)
    linux.wire.wait(100)
    linux.syn()
    assert linux.figures() == (1, 1, 1)


def test_the_next_handshake_of_the_same_clock_begins_anew(linux: Host) -> None:
    """The proof is about the handshake completed last, and what others did stays told."""
    linux.complete(replace(linux.stack, clock=1))
    linux.syn()
    linux.wire.wait(10_000)
    linux.complete()
    assert linux.figures() == (0, 0, 1)
    proof = linux.proof()
    assert proof is not None
    assert proof.seconds_old == 0


@pytest.mark.parametrize(("later_ms", "figures"), [(59_900, (1, 0, 0)), (60_100, (0, 0, 0))])
def test_a_clock_is_known_for_a_minute(linux: Host, later_ms: int, figures: tuple[int, int, int]) -> None:
    """Later nothing is compared; the daemon is told how old it is."""
    linux.wire.wait(later_ms)
    linux.syn()
    assert linux.figures() == figures
    proof = linux.proof()
    assert proof is not None
    assert proof.seconds_old == pytest.approx(later_ms / 1000)


def test_after_a_minute_another_clock_takes_its_place(linux: Host) -> None:
    """And nothing is held against it of what was before."""
    linux.complete(replace(linux.stack, clock=1))
    linux.wire.wait(61_000)
    linux.stack = replace(linux.stack, clock=0x33333333)
    linux.complete()
    linux.wire.wait(100)
    linux.syn()
    assert linux.figures() == (1, 0, 0)


def test_without_a_completed_handshake_there_is_no_clock(xdp_wire: Wire) -> None:
    """Neither SYNs nor answers prove anything, nor a handshake without timestamps."""
    host = Host(xdp_wire, Stack())
    assert host.proof() is None
    xdp_wire.synack(host.syn())
    assert host.proof() is None
    host.complete(replace(host.stack, layout="none"))
    host.syn()
    assert host.proof() is None


def test_a_wrong_ack_sets_no_clock(xdp_wire: Wire) -> None:
    """An ACK that completes nothing could be anybody's."""
    host = Host(xdp_wire, Stack())
    connection = host.syn()
    xdp_wire.synack(connection)
    forged = replace(connection, server_isn=connection.server_isn + 7)
    clock = ("Timestamp", (1, 1))
    xdp_wire.deliver(host.frame(forged, "A", (NOP, NOP, clock), host.stack))
    assert host.proof() is None


def test_a_syn_in_between_leaves_the_shape_unknown(xdp_wire: Wire) -> None:
    """Whose SYN it was that completes cannot be told then: another handshake is waited for."""
    host = Host(xdp_wire, Stack())
    connection = host.syn()
    host.syn(replace(host.stack, scale=1))
    xdp_wire.synack(connection)
    clock = ("Timestamp", (host.stack.ticks(xdp_wire), 1))
    xdp_wire.deliver(host.frame(connection, "A", (NOP, NOP, clock), host.stack))
    assert host.proof() is None
    host.complete()
    assert host.figures() == (0, 0, 0)

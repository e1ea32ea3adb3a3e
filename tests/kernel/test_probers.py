"""Sources of FIN, NULL and XMAS probes: counted by kind, let in as others are, and told to the daemon."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from synguard.endpoint import Address
from synguard.model import HandshakeCounts, SourceReading
from synguard.probe.programs import XDP_PROGRAM
from synguard.probe.reader import ProbeReader
from synguard.probe.syscall import test_run as run_program
from tests.kernel.clients import Clients
from tests.kernel.cpus import on_two_cpus
from tests.kernel.test_flags import FLAGS_OFFSET
from tests.kernel.test_prefixes import RING_MS, SLICE_MS, known_prefix
from tests.kernel.test_sources import candidates
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

PRIME = 23
#: The flags of each kind, with ECN's bits and without.
KINDS = {"fin": ("F", "FE"), "null": ("", "C"), "xmas": ("FPU", "FPUEC")}
#: What no connection has either, but no known scan sends.
NONSENSE = ("P", "U", "PU", "FP", "FU", "FR", "SF", "SFPU")
#: Of real connections.
ORDINARY = ("A", "FA", "FPA", "FPUA", "R", "RA", "SA")


def probes(reading: SourceReading) -> tuple[int, int, int]:
    """Return a source's FIN, NULL and XMAS probes."""
    return reading.fin_probes, reading.null_probes, reading.xmas_probes


def told_of(wire: Wire, reader: ProbeReader | None = None) -> list[SourceReading]:
    """Return the sources that the daemon is told of now."""
    return list((reader or ProbeReader(wire.probe)).read(wire.now_ns, 0.0).sources)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sources_probes_are_counted_to_the_one(wire: Wire, kind: str) -> None:
    """By kind, to the source and in all; what the source has no more of stays at zero."""
    client = wire.client()
    with wire.counted() as moved:
        for number in range(PRIME):
            wire.segment(wire.connection(client=client), KINDS[kind][number % 2])
    assert moved() == {f"{kind}_probes": PRIME}
    reading = wire.known_source(client)
    assert probes(reading) == tuple(PRIME * (one == kind) for one in KINDS)
    assert reading.counts == HandshakeCounts()
    assert reading.cohorts == ()


def test_only_probes_are_booked_as_probes(wire: Wire) -> None:
    """Nonsense and what real connections send, a FIN with its ACK among it, make no entry."""
    client = wire.client()
    for flags in NONSENSE + ORDINARY:
        wire.segment(wire.connection(client=client), flags)
    assert wire.source(client) is None


@pytest.mark.parametrize("probed_before", [0, 1])
def test_attempts_and_probes_of_one_source_do_not_mix(wire: Wire, probed_before: int) -> None:
    """Probes in between take nothing from handshakes, nor these from probes, whichever came first."""
    client = wire.client()
    for _ in range(probed_before):
        wire.segment(wire.connection(client=client), "")
    for _ in range(7):
        connection = wire.connection(client=client)
        wire.syn(connection)
        wire.segment(connection, "F")
        wire.synack(connection)
        wire.segment(connection, "FPU")
        wire.ack(connection)
        wire.wait(100)
    reading = wire.known_source(client)
    assert reading.counts == HandshakeCounts(attempts=7, answered=7, completed=7)
    assert sum(cohort.completed for cohort in reading.cohorts) == 7
    assert probes(reading) == (7, probed_before, 7)
    assert known_prefix(wire, client).counts.completed == 7


def test_a_prefix_hears_of_no_probe(xdp_wire: Wire) -> None:
    """What is named by its source needs no prefix: it gets no entry."""
    client = xdp_wire.client()
    before = len(list(xdp_wire.probe.maps["prefixes"].items()))
    for _ in range(100):
        xdp_wire.segment(xdp_wire.connection(client=client), "")
    assert len(list(xdp_wire.probe.maps["prefixes"].items())) == before


def test_probes_of_one_64_are_one_sources(ipv6_wire: Wire) -> None:
    """As attempts are."""
    first = IPv6Address("2001:dbb:64::1")
    for host in range(PRIME):
        ipv6_wire.segment(ipv6_wire.connection(client=first + (host << 58)), "F")
    assert probes(ipv6_wire.known_source(first)) == (PRIME, 0, 0)
    assert ipv6_wire.source(IPv6Address("2001:dbb:64:1::1")) is None


@pytest.mark.parametrize("number", [1, 20, 60])
def test_a_probers_targets_are_estimated(xdp_wire: Wire, number: int) -> None:
    """Those that it probes and those that it asks add up."""
    client = xdp_wire.client()
    for port in range(number):
        flags = ("", "F", "S")[port % 3]
        xdp_wire.segment(xdp_wire.connection(client=client, server_port=80 + port), flags)
    assert xdp_wire.known_source(client).targets_estimated == pytest.approx(number, rel=0.35, abs=1)


def test_two_cpus_lose_no_probe(xdp_wire: Wire) -> None:
    """Both probe for one source at the same time: each segment is counted, once."""
    connection = xdp_wire.connection()
    frame = connection.frame(connection.segment(""))

    def scan(_: int) -> None:
        run_program(xdp_wire.probe.programs[XDP_PROGRAM], frame, repeat=100_000)

    on_two_cpus(scan)
    assert probes(xdp_wire.known_source(connection.client)) == (0, 200_000, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prober_is_named_at_every_sixteenth_probe(wire: Wire, kind: str) -> None:
    """However slowly they come, for a scan may take its time."""
    candidates(wire)
    client = wire.client()
    for number in range(1, 49):
        wire.segment(wire.connection(client=client), KINDS[kind][0])
        assert len(candidates(wire)) == (number % 16 == 0)
        wire.wait(5000)


def test_fifteen_probes_of_each_kind_are_nothing(xdp_wire: Wire) -> None:
    """A single kind's sixteenth is what tells of a scan."""
    candidates(xdp_wire)
    client = xdp_wire.client()
    for flags in 15 * ("F", "", "FPU"):
        xdp_wire.segment(xdp_wire.connection(client=client), flags)
    assert candidates(xdp_wire) == []
    xdp_wire.segment(xdp_wire.connection(client=client), "FPU")
    assert len(candidates(xdp_wire)) == 1


def test_a_fast_prober_is_named_once_a_slice(xdp_wire: Wire) -> None:
    """Ten thousand probes at once leave the queue to others; in the next slice it is named again."""
    client = xdp_wire.client()
    clients = Clients(xdp_wire)
    xdp_wire.wait(-(xdp_wire.now_ns / 10**6 % SLICE_MS))
    for _ in range(3):
        candidates(xdp_wire)
        with xdp_wire.counted() as moved:
            for number in range(10_000):
                clients.segment("", client, number)
        assert moved() == {"null_probes": 10_000}
        assert len(candidates(xdp_wire)) == 1
        xdp_wire.wait(SLICE_MS)


def test_a_prober_that_turns_to_flooding_is_named_again(xdp_wire: Wire) -> None:
    """That its probes were told of hides no attempt longer than a slice."""
    client = xdp_wire.client()
    for _ in range(16):
        xdp_wire.segment(xdp_wire.connection(client=client), "")
    assert len(candidates(xdp_wire)) >= 1
    for _ in range(15):
        xdp_wire.syn(xdp_wire.connection(client=client))
    xdp_wire.wait(SLICE_MS)
    xdp_wire.syn(xdp_wire.connection(client=client))
    assert len(candidates(xdp_wire)) == 1


def test_probes_alone_wake_the_reader(xdp_wire: Wire) -> None:
    """A source that only probes is read while it does, by a reader that saw nothing at all before."""
    reader = ProbeReader(xdp_wire.probe)
    reader.read(xdp_wire.now_ns, 0.0)
    xdp_wire.wait(60_000)
    assert told_of(xdp_wire, reader) == []
    assert not reader.active
    client = xdp_wire.client()
    for number in range(16):
        xdp_wire.segment(xdp_wire.connection(client=client, server_port=1 + number), "F")
    (reading,) = told_of(xdp_wire, reader)
    assert reading == xdp_wire.known_source(client)
    xdp_wire.wait(RING_MS - 1)
    xdp_wire.segment(xdp_wire.connection(client=client), "F")
    xdp_wire.wait(RING_MS - 1)
    (reading,) = told_of(xdp_wire, reader)
    assert probes(reading) == (17, 0, 0)
    xdp_wire.wait(2)
    assert told_of(xdp_wire, reader) == []


def watch_both(wire: Wire, reader: ProbeReader, probers: int, flooders: int) -> tuple[int, int]:
    """Let so many sources probe and flood, the later the more; return how many of each are watched."""
    clients = Clients(wire)
    for sources, flags in ((probers, ""), (flooders, "S")):
        for extra in range(sources):
            client = wire.client()
            for number in range(16 + extra):
                clients.segment(flags, client, number)
    readings = told_of(wire, reader)
    probing = sum(map(any, map(probes, readings)))
    return probing, len(readings) - probing


@pytest.mark.parametrize(
    ("probers", "flooders", "watched"),
    [(30, 30, (2, 6)), (1, 30, (1, 7)), (30, 1, (7, 1)), (0, 30, (0, 8)), (30, 0, (8, 0)), (4, 4, (4, 4))],
)
def test_neither_probers_nor_flooders_drive_the_other_out(
    xdp_wire: Wire, probers: int, flooders: int, watched: tuple[int, int]
) -> None:
    """Of eight places probers are sure of two and flooders of six; what one does not need the other has."""
    candidates(xdp_wire)
    reader = ProbeReader(xdp_wire.probe, watched_max=8)
    assert watch_both(xdp_wire, reader, probers, flooders) == watched
    assert reader.losses.sources_unwatched == max(0, probers + flooders - 8)


def test_those_who_probe_most_are_watched(xdp_wire: Wire) -> None:
    """Of probers too many to watch, the ones with most probes stay, now and at the next read."""
    candidates(xdp_wire)
    reader = ProbeReader(xdp_wire.probe, watched_max=8)
    watch_both(xdp_wire, reader, 20, 20)
    for _ in range(2):
        assert sorted(probes(one)[1] for one in told_of(xdp_wire, reader) if any(probes(one))) == [34, 35]


def random_address(version: int, number: int) -> Address:
    """Return one of 2^32 addresses, in IPv6 with a /64 of its own, that look random and never repeat."""
    scattered = number * 0x9E3779B1 % 2**32
    return IPv4Address(scattered) if version == 4 else IPv6Address(0x2001 << 112 | scattered << 64 | 1)


@pytest.mark.usefixtures("one_cpu")
def test_random_probers_drive_no_known_source_out(host_wire: Wire) -> None:
    """Of 100,000 NULL segments with forged sources few get an entry, and 200 known sources keep theirs."""
    clients = Clients(host_wire)
    known = []
    for _ in range(200):
        known.append(host_wire.client())
        clients.syn(known[-1])
        clients.segment("F", known[-1])
        host_wire.wait(10)
    connection = replace(host_wire.connection(), client=known[0])
    frame = bytearray(connection.frame(connection.segment("")))
    at, end = {4: (26, 30), 6: (22, 38)}[host_wire.version]
    frame[FLAGS_OFFSET[host_wire.version]] = 0
    with host_wire.counted() as moved:
        for number in range(100_000):
            if number % 100 == 0:
                host_wire.wait(10)
            frame[at:end] = random_address(host_wire.version, number).packed
            host_wire.deliver(bytes(frame))
    assert moved()["null_probes"] == 100_000
    assert moved()["sources_not_admitted"] > 95_000
    for client in known:
        reading = host_wire.known_source(client)
        assert (reading.counts.attempts, probes(reading)) == (1, (1, 0, 0))

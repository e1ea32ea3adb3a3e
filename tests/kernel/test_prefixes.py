"""Prefixes of sources: who no threshold for a single source sees, their prefix shows."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from synguard.endpoint import Address, Network
from synguard.model import SourceReading
from synguard.probe import address_layout, layout
from synguard.probe.probe import Groups, Probe
from synguard.probe.reader import ProbeReader
from tests.kernel.clients import Clients, own_addresses
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

SLICE_MS = (1 << layout.SOURCE_COHORT_SHIFT) / 10**6
RING_MS = SLICE_MS * layout.SOURCE_COHORTS
#: Of an IPv4 and of an IPv6 prefix, and by how much two sources of it differ at least.
LENGTHS = {4: 24, 6: 48}
SOURCE_STEPS = {4: 1, 6: 1 << 64}


def prefix_of(source: Address) -> Network:
    """Return the prefix that a source is in."""
    return ip_network((source, LENGTHS[source.version]), strict=False)


def sources_of(wire: Wire, number: int, *, prefix: int = 0) -> list[Address]:
    """Return so many sources of one of this test's four prefixes."""
    first = own_addresses(wire) + (prefix << (32 - 24 if wire.version == 4 else 128 - 48))
    return [first + index * SOURCE_STEPS[wire.version] for index in range(1, number + 1)]


def named(wire: Wire, reader: ProbeReader | None = None) -> dict[Network, SourceReading]:
    """Return the prefixes that the daemon is told of now."""
    snapshot = (reader or ProbeReader(wire.probe)).read(wire.now_ns, 0.0)
    return {reading.source: reading for reading in snapshot.prefixes}


def known_prefix(wire: Wire, source: Address) -> SourceReading:
    """Return what the probe knows of a source's prefix, named or not."""
    prefix = prefix_of(source)
    raw = wire.probe.maps["prefixes"].lookup(address_layout.encode_address(prefix.network_address))
    assert raw is not None
    return layout.decode_prefix(raw, prefix, wire.now_ns)


def test_a_hundred_half_open_handshakes_of_97_addresses_are_visible(xdp_wire: Wire) -> None:
    """One SYN each from 97 addresses of a /22, or /64s of four /48s: their prefixes are told of."""
    clients = Clients(xdp_wire)
    expected: dict[Network, int] = {}
    sources = [source for prefix in range(4) for source in sources_of(xdp_wire, 25, prefix=prefix)][:97]
    for number, source in enumerate((*sources, *sources[:3])):
        clients.open(source, number)
        expected[prefix_of(source)] = expected.get(prefix_of(source), 0) + 1
        xdp_wire.wait(5)
    snapshot = ProbeReader(xdp_wire.probe).read(xdp_wire.now_ns, 0.0)
    assert snapshot.sources == ()
    assert len(expected) == 4
    assert {reading.source: reading.counts.attempts for reading in snapshot.prefixes} == expected
    for reading in snapshot.prefixes:
        assert sum(cohort.attempts for cohort in reading.cohorts) == reading.counts.attempts
        assert reading.counts.completed == 0
        assert reading.sources_estimated == pytest.approx(24, abs=10)


def test_a_prefix_is_named_at_the_sixteenth_unfinished(xdp_wire: Wire) -> None:
    """Not at the fifteenth; handshakes that completed before do not count among them."""
    clients = Clients(xdp_wire)
    *sources, last = sources_of(xdp_wire, 36)
    reader = ProbeReader(xdp_wire.probe)
    for source in sources[:20]:
        clients.handshake(source)
    for source in sources[20:]:
        xdp_wire.wait(10)
        clients.open(source)
    assert named(xdp_wire, reader) == {}
    clients.open(last)
    assert list(named(xdp_wire, reader)) == [prefix_of(last)]


def test_a_prefix_whose_sources_complete_is_not_named(xdp_wire: Wire) -> None:
    """A crowd of good clients, each a few times, is of no interest, however long it comes."""
    clients = Clients(xdp_wire)
    sources = sources_of(xdp_wire, 50)
    reader = ProbeReader(xdp_wire.probe)
    for number in range(6):
        for source in sources:
            clients.handshake(source, number)
        xdp_wire.wait(SLICE_MS)
        assert named(xdp_wire, reader) == {}
    reading = known_prefix(xdp_wire, sources[0])
    assert (reading.counts.attempts, reading.counts.completed) == (300, 300)


def test_good_sources_do_not_hide_their_neighbours(xdp_wire: Wire) -> None:
    """However many handshakes complete in a prefix, sixteen others that do not are told of."""
    clients = Clients(xdp_wire)
    sources = sources_of(xdp_wire, 21)
    reader = ProbeReader(xdp_wire.probe)
    for number in range(200):
        for source in sources[:5]:
            clients.handshake(source, number)
        xdp_wire.wait(SLICE_MS / 9)
    xdp_wire.wait(SLICE_MS)
    for source in sources[:5]:
        clients.handshake(source, 200)
    assert named(xdp_wire, reader) == {}
    for source in sources[5:]:
        clients.open(source)
    assert list(named(xdp_wire, reader)) == [prefix_of(sources[0])]


def test_a_prefix_that_was_silent_starts_over(xdp_wire: Wire) -> None:
    """Fifteen handshakes lost now and then do not add up; the sixteenth at once is told of each time."""
    clients = Clients(xdp_wire)
    for number in range(4):
        for source in sources_of(xdp_wire, 15):
            clients.open(source, number)
        assert named(xdp_wire) == {}
        xdp_wire.wait(RING_MS + 1)
    for number in (4, 5):
        *sources, last = sources_of(xdp_wire, 16)
        for source in sources:
            clients.open(source, number)
        assert named(xdp_wire) == {}
        clients.open(last, number)
        assert list(named(xdp_wire)) == [prefix_of(last)]
        xdp_wire.wait(RING_MS + 1)


@pytest.mark.parametrize("number", [1, 5, 24, 64])
def test_a_prefixes_sources_are_estimated(xdp_wire: Wire, number: int) -> None:
    """Roughly how many different sources a prefix had, however often each came."""
    clients = Clients(xdp_wire)
    sources = sources_of(xdp_wire, number)
    for again in range(4):
        for source in sources:
            clients.syn(source, again)
        xdp_wire.wait(30)
    assert known_prefix(xdp_wire, sources[0]).sources_estimated == pytest.approx(number, rel=0.45, abs=1)


def test_neighbouring_prefixes_are_told_apart(xdp_wire: Wire) -> None:
    """The last source of a prefix and the first of the next one are booked each to its own."""
    clients = Clients(xdp_wire)
    first, second = (prefix_of(sources_of(xdp_wire, 1, prefix=prefix)[0]) for prefix in (0, 1))
    assert first.broadcast_address + 1 == second.network_address
    clients.syn(first.broadcast_address)
    clients.syn(second.network_address)
    for prefix in (first, second):
        assert known_prefix(xdp_wire, prefix.network_address).counts.attempts == 1


GROUPS = [Groups(64, 20, 44), Groups(56, 32, 56), Groups(128, 8, 64), Groups(60, 23, 33)]


def forget_all(probe: Probe) -> None:
    """Empty the tables of sources and prefixes, and the queues of who is to be named."""
    for queue in ("candidates", "prefix_candidates"):
        while probe.maps[queue].pop() is not None:
            pass
    for name in ("sources", "prefixes"):
        for key, _ in list(probe.maps[name].items()):
            probe.maps[name].delete(key)


@pytest.fixture(params=GROUPS, ids=str)
def grouped(probe: Probe, xdp_wire: Wire, request: pytest.FixtureRequest) -> Iterator[Probe]:
    """Yield the probe with other groups, on this test's wire; it knows nobody yet, and nobody afterwards."""
    forget_all(probe)
    xdp_wire.probe = Probe(probe.loaded, request.param)
    xdp_wire.at(xdp_wire.now_ns)
    yield xdp_wire.probe
    forget_all(probe)
    probe.set_clock(0)


def test_groups_say_what_is_one_source_and_one_prefix(grouped: Probe, xdp_wire: Wire) -> None:
    """The masks are those of the settings, to the bit: both neighbours beyond it are others."""
    version, groups = xdp_wire.version, grouped.groups
    length = groups.prefix_ipv4 if version == 4 else groups.prefix_ipv6
    inside = ip_network((own_addresses(xdp_wire), length), strict=False)
    source_length = 32 if version == 4 else groups.source_ipv6
    one_source = ip_network((inside.broadcast_address, source_length), strict=False)
    expected = {one_source: 20, ip_network((inside.network_address, source_length)): 20}
    if len(expected) == 1:
        expected[one_source] = 40
    clients = Clients(xdp_wire)
    for number in range(20):
        clients.syn(inside.network_address, number)
        xdp_wire.wait(SLICE_MS)
        clients.syn(one_source[number % 2 - 1], 100 + number)
        xdp_wire.wait(SLICE_MS)
    clients.syn(inside.network_address - 1)
    clients.syn(inside.broadcast_address + 1)
    snapshot = ProbeReader(grouped).read(xdp_wire.now_ns, 0.0)
    assert [(reading.source, reading.counts.attempts) for reading in snapshot.prefixes] == [(inside, 40)]
    assert {reading.source: reading.counts.attempts for reading in snapshot.sources} == expected

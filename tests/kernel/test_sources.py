"""Counts per source: who is one source, how many there are, and who is told to the daemon."""

from __future__ import annotations

import random
from ipaddress import IPv6Address

import pytest

from synguard.probe import address_layout, layout
from synguard.probe.reader import ProbeReader
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

SOURCE_RING_MS = (layout.SOURCE_COHORTS << layout.SOURCE_COHORT_SHIFT) / 10**6


def candidates(wire: Wire) -> list[str]:
    """Return the sources that the daemon was to be told of since the last call."""
    keys = iter(wire.probe.maps["candidates"].pop, None)
    return [str(layout.decode_source_key(key, 32, 64)) for key in keys]


def random_sources(number: int) -> list[int]:
    """Return as many IPv4 addresses at random, by number; the same ones each time."""
    generator = random.Random(number)  # noqa: S311  the same ones each time
    return generator.sample(range(0x0B000000, 0xDF000000), number)


def test_ipv6_addresses_of_one_64_are_one_source(ipv6_wire: Wire) -> None:
    """Whoever has a /64 has 2^64 addresses: they count together, and the next /64 does not."""
    first = IPv6Address("2001:dba:64::1")
    for host in range(23):
        ipv6_wire.handshake(ipv6_wire.connection(client=first + (host << 58)))
    reading = ipv6_wire.known_source(first)
    assert (reading.counts.attempts, reading.counts.completed) == (23, 23)
    assert str(reading.source) == "2001:dba:64::/64"
    assert ipv6_wire.source(IPv6Address("2001:dba:64:1::1")) is None


@pytest.mark.parametrize("number", [1, 10, 100, 1000, 10_000, 100_000])
def test_distinct_sources_are_estimated(ipv4_wire: Wire, number: int) -> None:
    """Within 20 % (and one) of the truth, from one to 100,000."""
    connection = ipv4_wire.connection()
    ipv4_wire.flood(connection, random_sources(number))
    estimated = ipv4_wire.known_listener(connection.closed_bucket).sources_estimated
    assert estimated == pytest.approx(number, rel=0.2, abs=1)


def test_the_estimate_follows_the_present(ipv4_wire: Wire) -> None:
    """Sources of more than two seconds ago are not among the distinct ones."""
    connection = ipv4_wire.connection()
    ipv4_wire.flood(connection, random_sources(1000))
    ipv4_wire.wait(2200)
    ipv4_wire.flood(connection, random_sources(10))
    estimated = ipv4_wire.known_listener(connection.closed_bucket).sources_estimated
    assert estimated == pytest.approx(10, abs=2)


@pytest.mark.parametrize("number", [1, 3, 20, 60])
def test_a_sources_targets_are_estimated(xdp_wire: Wire, number: int) -> None:
    """Ports and addresses alike: roughly how many different ones a source asked."""
    client = xdp_wire.client()
    for index in range(number):
        port, host = (80 + index, 0) if index % 2 else (80, index)
        xdp_wire.syn(xdp_wire.connection(client=client, server_port=port, server=xdp_wire.server + host))
    assert xdp_wire.known_source(client).targets_estimated == pytest.approx(number, rel=0.35, abs=1)


def test_a_source_with_unfinished_attempts_is_named(xdp_wire: Wire) -> None:
    """At the sixteenth unfinished one, and at most once in each slice of its ring."""
    candidates(xdp_wire)
    client = xdp_wire.client()
    expected = str(xdp_wire.connection(client=client).client) + ("/32" if client.version == 4 else "")
    for _ in range(15):
        xdp_wire.syn(xdp_wire.connection(client=client))
    assert candidates(xdp_wire) == []
    for _ in range(64):
        xdp_wire.syn(xdp_wire.connection(client=client))
    (named,) = candidates(xdp_wire)
    assert named.split("/")[0] == expected.split("/")[0].replace("::1", "::")


def test_a_client_that_completes_is_not_named(xdp_wire: Wire) -> None:
    """A busy good client is not of interest."""
    candidates(xdp_wire)
    client = xdp_wire.client()
    for _ in range(100):
        xdp_wire.handshake(xdp_wire.connection(client=client))
    assert candidates(xdp_wire) == []


def test_a_slow_source_is_named_too(xdp_wire: Wire) -> None:
    """Three SYNs a second hold a queue as well."""
    candidates(xdp_wire)
    client = xdp_wire.client()
    for _ in range(16):
        xdp_wire.syn(xdp_wire.connection(client=client))
        xdp_wire.wait(333)
    assert len(candidates(xdp_wire)) == 1


def test_a_source_that_was_silent_starts_over(xdp_wire: Wire) -> None:
    """A few lost handshakes an hour do not add up."""
    candidates(xdp_wire)
    client = xdp_wire.client()
    for _ in range(40):
        xdp_wire.syn(xdp_wire.connection(client=client))
        xdp_wire.wait(SOURCE_RING_MS + 1)
    assert candidates(xdp_wire) == []


def test_cpus_a_microsecond_apart_lose_no_suspicion(xdp_wire: Wire) -> None:
    """A packet stamped just before another CPU's is not taken for one after a long silence."""
    candidates(xdp_wire)
    client = xdp_wire.client()
    for number in range(32):
        xdp_wire.wait(-0.001 if number % 2 else 0.002)
        xdp_wire.syn(xdp_wire.connection(client=client))
    assert len(candidates(xdp_wire)) == 1


def test_a_flood_of_one_time_sources_leaves_a_busy_one_known(ipv4_wire: Wire) -> None:
    """50,000 random sources pass through a table of 8,192, and the busy source's counts stay whole."""
    busy = ipv4_wire.client()
    sources = random_sources(50_000)
    sent = 0
    for start in range(0, len(sources), 500):
        ipv4_wire.syn(ipv4_wire.connection(client=busy))
        sent += 1
        ipv4_wire.flood(ipv4_wire.connection(), sources[start : start + 500])
        ipv4_wire.wait(10)
    assert ipv4_wire.known_source(busy).counts.attempts == sent
    assert ipv4_wire.reader.totals()["sources_not_admitted"] > 40_000


def test_a_new_busy_source_is_let_in_during_a_flood(ipv4_wire: Wire) -> None:
    """A source that comes again and again gets an entry, though thousands of strangers do not."""
    ipv4_wire.flood(ipv4_wire.connection(), random_sources(2000))
    busy = ipv4_wire.client()
    for _ in range(50):
        ipv4_wire.syn(ipv4_wire.connection(client=busy))
    assert ipv4_wire.known_source(busy).counts.attempts >= 45


def test_an_old_handshake_is_not_booked_to_a_new_entry(ipv4_wire: Wire) -> None:
    """A source that the table forgot and met again never completes more than it attempted."""
    client = ipv4_wire.client()
    old = ipv4_wire.connection(client=client)
    ipv4_wire.syn(old)
    ipv4_wire.synack(old)
    assert ipv4_wire.probe.maps["sources"].delete(address_layout.encode_address(client))
    ipv4_wire.wait(100)
    ipv4_wire.syn(ipv4_wire.connection(client=client))
    with ipv4_wire.counted() as moved:
        ipv4_wire.ack(old)
    assert moved() == {"completed": 1}
    assert ipv4_wire.known_source(client).counts.completed == 0


def test_a_heavy_source_is_watched_among_a_swarm_of_light_ones(ipv4_wire: Wire) -> None:
    """Though light sources come first and take every place, the heavy one gets and keeps its own."""
    reader = ProbeReader(ipv4_wire.probe, watched_max=8)
    candidates(ipv4_wire)
    heavy = ipv4_wire.client()
    connection = ipv4_wire.connection(client=heavy)
    for turn in range(5):
        for _ in range(16):
            light = ipv4_wire.client()
            for _ in range(16):
                ipv4_wire.syn(ipv4_wire.connection(client=light))
        if turn >= 1:
            for number in range(200):
                ipv4_wire.segment(connection, "S", seq=connection.isn + (turn * 1000 + number) * 100_000)
        watched = {str(reading.source) for reading in reader.read(ipv4_wire.now_ns, 0.0).sources}
        assert len(watched) <= 8
        ipv4_wire.wait(100)
    assert f"{heavy}/32" in watched
    assert reader.losses.sources_unwatched > 0

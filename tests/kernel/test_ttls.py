"""TTLs and hop limits of a listener's SYNs, and of the ACKs that complete handshakes there."""

from __future__ import annotations

import pytest

from synguard.probe import layout
from tests.kernel.clients import Clients
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

BORDERS = [0, 7, 8, 15, 16, 63, 64, 127, 128, 247, 248, 255]


@pytest.fixture
def clients(host_wire: Wire) -> Clients:
    """Return clients of a port that answers; an earlier one's handshake had a TTL of 1."""
    clients = Clients(host_wire)
    earlier = host_wire.client()
    clients.syn(earlier, ttl=1)
    clients.synack(earlier)
    clients.ack(earlier, ttl=1)
    host_wire.wait(1000)
    return clients


def histograms(wire: Wire, clients: Clients) -> tuple[dict[int, int], dict[int, int]]:
    """Return how many SYNs, and how many completions, are in each bin that has any."""
    reading = wire.known_listener(clients.server.listener)
    both = reading.syn_ttl_histogram, reading.completed_ttl_histogram
    assert [len(histogram) for histogram in both] == [layout.TTL_BINS] * 2
    syns, completed = ({bin_: count for bin_, count in enumerate(one) if count} for one in both)
    return syns, completed


@pytest.mark.parametrize("ttl", BORDERS)
def test_a_ttl_falls_into_its_eighth(host_wire: Wire, clients: Clients, ttl: int) -> None:
    """Bin i holds 8 i to 8 i + 7; a SYN's bin and that of the ACK have nothing to do with each other."""
    before_syns, before_completed = histograms(host_wire, clients)
    # The first SYN came before its port was known to answer.
    assert (before_syns, before_completed) == ({}, {0: 1})
    for number in range(23):
        client = host_wire.client()
        clients.syn(client, number, ttl=ttl)
        clients.synack(client, number)
        if number < 7:
            clients.ack(client, number, ttl=255 - ttl)
    completed = {0: 1}
    completed[(255 - ttl) // 8] = completed.get((255 - ttl) // 8, 0) + 7
    assert histograms(host_wire, clients) == ({ttl // 8: 23}, completed)


def test_only_attempts_and_completions_have_a_ttl(host_wire: Wire, clients: Clients) -> None:
    """Retransmissions, wrong ACKs, data and resets are in no histogram."""
    client = host_wire.client()
    clients.open(client)
    before = histograms(host_wire, clients)
    host_wire.wait(1000)
    clients.syn(client, ttl=200)
    clients.ack(client, ack=1, ttl=200)
    assert histograms(host_wire, clients) == before
    clients.ack(client)
    before = histograms(host_wire, clients)
    clients.ack(client, flags="PA", ttl=200)
    clients.ack(client, flags="FA", ttl=200)
    clients.ack(client, flags="RA", ttl=200)
    assert histograms(host_wire, clients) == before


def test_attempts_at_closed_ports_have_a_ttl_too(host_wire: Wire) -> None:
    """A flood at random ports shows its TTLs in its address's closed bucket."""
    clients = Clients(host_wire)
    for number in range(23):
        clients.syn(host_wire.client(), number, ttl=100 + number)
    histogram = host_wire.known_listener(clients.server.closed_bucket).syn_ttl_histogram
    assert {bin_: count for bin_, count in enumerate(histogram) if count} == {12: 4, 13: 8, 14: 8, 15: 3}

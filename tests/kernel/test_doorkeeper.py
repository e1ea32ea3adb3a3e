"""Who gets an entry among the sources while strangers come in crowds: those for whom it is stated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import pytest

from bench.cost.frames import Segment
from bench.cost.writer import Stream
from synguard.probe import address_layout, layout
from synguard.probe.loss import (
    ADMITTED_FREELY,
    EPOCH_S,
    known_from_syn_per_s,
    syns_before_entry,
)
from tests.kernel.conftest import SECRET
from tests.kernel.flood import Flood, own_flood

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.usefixtures("one_cpu")]

NS_PER_S = 10**9
EPOCH_NS = round(EPOCH_S * NS_PER_S)
SOURCES = 25
#: Each test has other sources, and epochs long after those of the one before.
FIRST_SOURCE = 5 << 20
SPAN_EPOCHS = 20


@dataclass(slots=True)
class Newcomers:
    """Sources that begin to send, all at the same rate, at the beginning of an epoch."""

    flood: Flood
    first_client: int
    #: SYNs that each has sent.
    sent: int = 0

    def send(self) -> None:
        """Deliver a SYN of each, with a port and an ISN of its own."""
        number = self.flood.next_stranger
        self.flood.next_stranger += SOURCES
        first_client = (self.first_client - number) % 2**64
        self.flood.give(Stream(Segment.SYN, 4, number, first_client, fresh_numbers=True), SOURCES)
        self.sent += 1

    def booked(self) -> list[int]:
        """Return how many attempts are booked to each of them that has an entry."""
        entries = self.flood.probe.maps["sources"]
        counts = []
        for client in range(SOURCES):
            address = IPv4Address("10.0.0.0") + self.first_client + client
            raw = entries.lookup(address_layout.encode_address(address))
            if raw is not None:
                reading = layout.decode_source(raw, IPv4Network(address), self.flood.now_ns)
                counts.append(reading.counts.attempts)
        return counts


@pytest.fixture(scope="module")
def flood() -> Iterator[Flood]:
    """Yield floods through a probe of this module's own."""
    with own_flood(SECRET) as through:
        yield through


def begin_an_epoch(flood: Flood) -> None:
    """Let time pass until one begins, long after the last one."""
    begins_ns = (flood.now_ns // EPOCH_NS + SPAN_EPOCHS) * EPOCH_NS
    flood.wait_ns(begins_ns - flood.now_ns)


def newcomers_to(flood: Flood) -> Newcomers:
    """Return sources that nobody has seen."""
    return Newcomers(flood, FIRST_SOURCE + flood.now_ns // EPOCH_NS * SOURCES)


@pytest.fixture
def newcomers(flood: Flood) -> Newcomers:
    """Return sources that nobody has seen, at the beginning of an epoch whose free places are taken."""
    begin_an_epoch(flood)
    flood.strangers(4, ADMITTED_FREELY)
    return newcomers_to(flood)


def send_beside_strangers(newcomers: Newcomers, syn_per_s: float, strangers_per_s: float, syns: int) -> None:
    """Let each newcomer send so many SYNs, and strangers come in between."""
    for _ in range(syns):
        newcomers.flood.wait_ns(round(NS_PER_S / syn_per_s))
        newcomers.flood.strangers(4, round(strangers_per_s / syn_per_s) - SOURCES)
        newcomers.send()


@pytest.mark.parametrize(
    ("syn_per_s", "strangers_per_s"),
    [(200, 10_000), (100, 100_000), (200, 1_000_000), (60, 1_000_000), (150, 3_000_000)],
)
def test_of_a_source_as_many_syns_are_missing_as_is_stated(
    newcomers: Newcomers, syn_per_s: int, strangers_per_s: int
) -> None:
    """No more than that of any; and of most no less, since there is little help by chance."""
    missing_most = syns_before_entry(syn_per_s, strangers_per_s)
    syns = int(syn_per_s * EPOCH_S)
    assert missing_most < syns
    send_beside_strangers(newcomers, syn_per_s, strangers_per_s, syns)
    missing = [newcomers.sent - booked for booked in newcomers.booked()]
    assert len(missing) == SOURCES
    assert max(missing) <= missing_most
    assert sum(missing) >= 0.8 * SOURCES * missing_most


def test_a_source_that_is_too_slow_stays_unknown(newcomers: Newcomers) -> None:
    """At half the rate from which one is surely known, hardly any has an entry when the epoch ends."""
    strangers_per_s = 1_000_000
    syn_per_s = known_from_syn_per_s(strangers_per_s) / 2
    assert syns_before_entry(syn_per_s, strangers_per_s) == float("inf")
    send_beside_strangers(newcomers, syn_per_s, strangers_per_s, int(syn_per_s * EPOCH_S))
    assert len(newcomers.booked()) <= SOURCES // 10


def test_in_quiet_times_nobody_is_a_stranger(flood: Flood) -> None:
    """Few enough sources in an epoch are known from their first SYN on."""
    begin_an_epoch(flood)
    newcomers = newcomers_to(flood)
    newcomers.send()
    assert newcomers.booked() == [1] * SOURCES


def test_strangers_make_few_entries(flood: Flood) -> None:
    """Of a million in a second no more get one than the free ones of four epochs, and a few by chance."""
    begin_an_epoch(flood)
    before = flood.reader.totals()["sources_not_admitted"]
    for _ in range(20):
        flood.strangers(4, 50_000)
        flood.wait_ns(NS_PER_S // 20)
    admitted = 1_000_000 - (flood.reader.totals()["sources_not_admitted"] - before)
    assert 4 * ADMITTED_FREELY <= admitted < 5 * ADMITTED_FREELY + 500

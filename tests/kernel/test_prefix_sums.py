"""A prefix has counted what its sources have: those of a fast source reach it by sixteens."""

from __future__ import annotations

import random
import struct
from collections import Counter

import pytest

from synguard.endpoint import Address
from synguard.model import Cohort
from synguard.probe import address_layout, layout
from tests.kernel.clients import Clients
from tests.kernel.cpus import in_turns
from tests.kernel.test_prefixes import RING_MS, SLICE_MS, known_prefix, prefix_of, sources_of
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

SLICE_NS = 1 << layout.SOURCE_COHORT_SHIFT
COUNT_MASK = (1 << 20) - 1


def begin_slice(wire: Wire) -> None:
    """Let time pass up to the beginning of a slice."""
    wire.at((wire.now_ns // SLICE_NS + 1) * SLICE_NS)


def slices_of_prefix(wire: Wire, source: Address) -> dict[int, tuple[int, int]]:
    """Return attempts and completions of the slices of a source's prefix, as they are in the kernel."""
    key = address_layout.encode_address(prefix_of(source).network_address)
    raw = wire.probe.maps["prefixes"].lookup(key)
    assert raw is not None
    words = struct.unpack_from(f"={layout.SOURCE_COHORTS}Q", raw, layout.SOURCE_COHORT_WORDS)
    return {word >> 40: (word >> 20 & COUNT_MASK, word & COUNT_MASK) for word in words if word}


def test_a_fast_sources_prefix_hears_of_it_by_sixteens(xdp_wire: Wire) -> None:
    """Of a slice's attempts it has the first at once, then each sixteenth; the rest when the next begins."""
    clients = Clients(xdp_wire)
    (source,) = sources_of(xdp_wire, 1)
    begin_slice(xdp_wire)
    began_ns = xdp_wire.now_ns
    for number in range(1000):
        clients.syn(source, number)
        assert known_prefix(xdp_wire, source).counts.attempts == 1 + number // 16 * 16
    xdp_wire.at(began_ns + SLICE_NS - 1)
    clients.syn(source, 1000)
    assert known_prefix(xdp_wire, source).counts.attempts == 993
    xdp_wire.at(began_ns + SLICE_NS)
    clients.syn(source, 1001)
    reading = known_prefix(xdp_wire, source)
    assert reading.counts.attempts == 1002
    assert reading.cohorts == (Cohort(began_ns, 1001, 0), Cohort(began_ns + SLICE_NS, 1, 0))


def test_a_source_that_pauses_tells_its_prefix_all_the_same(xdp_wire: Wire) -> None:
    """Nearly a whole ring later the attempts are booked to the slice in which they were."""
    clients = Clients(xdp_wire)
    (source,) = sources_of(xdp_wire, 1)
    begin_slice(xdp_wire)
    began_ns = xdp_wire.now_ns
    for number in range(23):
        clients.syn(source, number)
    xdp_wire.wait(RING_MS - SLICE_MS)
    clients.syn(source, 23)
    expected = (Cohort(began_ns, 23, 0), Cohort(xdp_wire.now_ns, 1, 0))
    assert known_prefix(xdp_wire, source).cohorts == expected
    assert xdp_wire.known_source(source).cohorts == expected


def test_bursts_further_apart_than_the_ring_are_not_lost(xdp_wire: Wire) -> None:
    """Though a neighbour keeps the prefix's ring moving meanwhile."""
    clients = Clients(xdp_wire)
    bursting, neighbour = sources_of(xdp_wire, 2)
    for burst in range(4):
        begin_slice(xdp_wire)
        for number in range(200):
            clients.syn(bursting, burst * 200 + number)
        for beat in range(70):
            begin_slice(xdp_wire)
            clients.syn(neighbour, burst * 70 + beat)
    clients.syn(bursting, 800)
    assert known_prefix(xdp_wire, bursting).counts.attempts == 4 * 200 + 4 * 70 + 1


def test_a_good_neighbours_completions_are_no_credit(xdp_wire: Wire) -> None:
    """Those that the prefix hears of before their attempts do not hide a flood beside them."""
    clients = Clients(xdp_wire)
    for visitor in sources_of(xdp_wire, 100):
        begin_slice(xdp_wire)
        for number in range(6):
            clients.handshake(visitor, number)
    xdp_wire.reader.read(xdp_wire.now_ns, 0.0)
    stranger = sources_of(xdp_wire, 101)[-1]
    for number in range(64 + 17):
        begin_slice(xdp_wire)
        clients.syn(stranger, number)
    named = xdp_wire.reader.read(xdp_wire.now_ns, 0.0).prefixes
    assert prefix_of(stranger) in [reading.source for reading in named]


def test_completions_are_booked_to_the_slice_of_their_attempt(xdp_wire: Wire) -> None:
    """As at the source; with the next slice none has more of them than attempts."""
    clients = Clients(xdp_wire)
    (source,) = sources_of(xdp_wire, 1)
    begin_slice(xdp_wire)
    began_ns = xdp_wire.now_ns
    for number in range(40):
        clients.open(source, number)
    xdp_wire.wait(3 * SLICE_MS)
    for number in range(23):
        clients.ack(source, number)
    clients.syn(source, 40)
    expected = (Cohort(began_ns, 40, 23), Cohort(xdp_wire.now_ns, 1, 0))
    assert known_prefix(xdp_wire, source).cohorts == expected
    assert xdp_wire.known_source(source).cohorts == expected


@pytest.mark.parametrize("seed", range(3))
def test_sums_are_equal_in_the_end(xdp_wire: Wire, seed: int) -> None:
    """Fast, slow and pausing, completing or not: slice by slice the prefix has what its sources have."""
    draw = random.Random(seed)  # noqa: S311  a test that fails must fail again
    clients = Clients(xdp_wire)
    sources = sources_of(xdp_wire, 12)
    number = 0
    for _ in range(40):
        begin_slice(xdp_wire)
        for source in draw.sample(sources, draw.randrange(1, 8)):
            for _ in range(draw.choice([1, 1, 2, 20])):
                number += 1
                clients.open(source, number)
                if draw.random() < 0.5:
                    clients.ack(source, number)
            xdp_wire.wait(draw.random() * SLICE_MS / 12)
    begin_slice(xdp_wire)
    for source in sources:
        clients.syn(source)
    attempts: Counter[int] = Counter()
    completed: Counter[int] = Counter()
    for source in sources:
        for start_ns, begun, done in xdp_wire.known_source(source).cohorts:
            attempts[start_ns] += begun
            completed[start_ns] += done
    reading = known_prefix(xdp_wire, sources[0])
    assert reading.cohorts == tuple(Cohort(at, attempts[at], completed[at]) for at in sorted(attempts))
    assert reading.counts.attempts == number + len(sources)
    assert sum(cohort.completed for cohort in reading.cohorts) == reading.counts.completed


def test_no_slice_completes_more_than_it_attempted(xdp_wire: Wire) -> None:
    """Of good sources that come in bursts, as soon as each of them has begun its next slice."""
    clients = Clients(xdp_wire)
    sources = sources_of(xdp_wire, 5)
    for turn in range(20):
        begin_slice(xdp_wire)
        for source in sources:
            clients.handshake(source, turn * 100)
        present = xdp_wire.now_ns // SLICE_NS
        past = {
            epoch: pair for epoch, pair in slices_of_prefix(xdp_wire, sources[0]).items() if epoch < present
        }
        assert all(pair == (100, 100) for pair in past.values())
        for source in sources:
            for number in range(1, 20):
                clients.handshake(source, turn * 100 + number)
    assert known_prefix(xdp_wire, sources[0]).counts.completed == 20 * 100


def test_sums_are_equal_over_two_cpus(xdp_wire: Wire) -> None:
    """While one CPU begins a source's handshakes and the other one completes them, nothing is told twice."""
    beginning = Clients(xdp_wire)
    completing = Clients(xdp_wire, beginning.server)
    (source,) = sources_of(xdp_wire, 1)

    def begin(turn: int) -> None:
        for number in range(turn * 8, turn * 8 + 8):
            beginning.open(source, number)

    def complete(turn: int) -> None:
        for number in range(turn * 8 - 8, turn * 8):
            if turn:
                completing.ack(source, number)

    in_turns(xdp_wire, 380, begin, complete)
    xdp_wire.wait(SLICE_MS)
    beginning.syn(source, 60_000)
    prefix, own = known_prefix(xdp_wire, source), xdp_wire.known_source(source)
    assert prefix.cohorts == own.cohorts
    assert prefix.counts.attempts == own.counts.attempts == 380 * 8 + 1
    assert prefix.counts.completed == own.counts.completed == 379 * 8

"""A source's attempts are counted to the last one, though most have left its ring; silence starts it over."""

from __future__ import annotations

import pytest

from synguard.probe.programs import XDP_PROGRAM
from synguard.probe.reader import ProbeReader
from synguard.probe.syscall import test_run as run_program
from tests.kernel.clients import Clients
from tests.kernel.test_prefixes import RING_MS, SLICE_MS, known_prefix
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]


@pytest.mark.parametrize(
    ("syn_per_s", "attempts"), [(0.25, 40), (1, 30), (15, 450), (16, 480), (1000, 10_000), (20_000, 10_000)]
)
def test_no_attempt_is_lost_on_the_way_out_of_the_ring(
    xdp_wire: Wire, syn_per_s: float, attempts: int
) -> None:
    """Slow or fast, over seconds or minutes: what left the ring and what is in it are all there were."""
    clients = Clients(xdp_wire)
    source = xdp_wire.client()
    for sent in range(1, attempts + 1):
        clients.syn(source, sent)
        if sent % (attempts // 10) == 0:
            assert xdp_wire.known_source(source).counts.attempts == sent
        xdp_wire.wait(1000 / syn_per_s)
    reading = xdp_wire.known_source(source)
    in_ring = sum(cohort.attempts for cohort in reading.cohorts)
    assert in_ring == pytest.approx(
        min(attempts, syn_per_s * RING_MS / 1000), abs=syn_per_s * SLICE_MS / 1000 + 1
    )
    xdp_wire.wait(SLICE_MS)
    clients.syn(source)
    assert known_prefix(xdp_wire, source).counts.attempts == attempts + 1


def test_a_full_slice_is_exact(xdp_wire: Wire) -> None:
    """Forty thousand attempts in one slice are forty thousand, before and after they have left the ring."""
    clients = Clients(xdp_wire)
    source = xdp_wire.client()
    for number in range(40_000):
        clients.syn(source, number)
    for _ in range(3):
        assert xdp_wire.known_source(source).counts.attempts == 40_000
        xdp_wire.wait(RING_MS)
    clients.syn(source, 40_000)
    assert xdp_wire.known_source(source).counts.attempts == 40_001


def test_slices_take_each_others_places(xdp_wire: Wire) -> None:
    """Attempts exactly a ring apart share a place; the older one is counted when it is pushed out."""
    clients = Clients(xdp_wire)
    source = xdp_wire.client()
    for turn in range(10):
        for number in range(7):
            clients.syn(source, turn * 7 + number)
        reading = xdp_wire.known_source(source)
        assert reading.counts.attempts == 7 * (turn + 1)
        assert [cohort.attempts for cohort in reading.cohorts] == [7]
        xdp_wire.wait(RING_MS)


def told_of(wire: Wire) -> int:
    """Return how many sources the daemon is told of now."""
    return len(ProbeReader(wire.probe).read(wire.now_ns, 0.0).sources)


@pytest.mark.parametrize("completed", [0, 5])
def test_silence_longer_than_the_ring_starts_naming_over(xdp_wire: Wire, completed: int) -> None:
    """After it fifteen unfinished ones are nothing again, and the sixteenth is told of."""
    clients = Clients(xdp_wire)
    source = xdp_wire.client()
    for turn in range(3):
        for number in range(completed):
            clients.handshake(source, turn * 100 + 50 + number)
        for number in range(15):
            clients.syn(source, turn * 100 + number)
        assert told_of(xdp_wire) == 0
        clients.syn(source, turn * 100 + 15)
        assert told_of(xdp_wire) == 1
        xdp_wire.wait(RING_MS + 1)


def test_a_few_at_a_time_do_not_add_up(xdp_wire: Wire) -> None:
    """Twelve unfinished ones, longer apart than the ring, are told of as little as twelve in all."""
    clients = Clients(xdp_wire)
    source = xdp_wire.client()
    for turn in range(4):
        for number in range(12):
            clients.syn(source, turn * 12 + number)
        assert told_of(xdp_wire) == 0
        xdp_wire.wait(RING_MS + 1)


def test_a_shorter_silence_does_not(xdp_wire: Wire) -> None:
    """Who comes back within the ring goes on where it was: sixteen more are told of, fewer are not."""
    clients = Clients(xdp_wire)
    source = xdp_wire.client()
    for turn in range(4):
        for number in range(8):
            clients.syn(source, turn * 8 + number)
        assert told_of(xdp_wire) == turn % 2
        xdp_wire.wait(RING_MS - 1)


@pytest.mark.parametrize("number", [(1 << 20) - 4097, (1 << 20) - 1, 1 << 20, (1 << 20) + 1000])
def test_a_slice_that_is_full_loses_no_attempt(ipv4_wire: Wire, number: int) -> None:
    """Of more than 15.6 million SYNs a second from one source the sum knows, if not the slice."""
    connection = ipv4_wire.connection()
    frame = connection.frame(connection.segment("S"))
    run_program(ipv4_wire.probe.programs[XDP_PROGRAM], frame, repeat=number + 1)
    reading = ipv4_wire.known_source(connection.client)
    assert reading.counts.attempts == number
    assert [cohort.attempts for cohort in reading.cohorts] == [min(number, (1 << 20) - 4096)]

"""Handshakes that share a bucket, and the filter that tells an ACK whether any of them waits for it."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from synguard.endpoint import Address
from synguard.probe.loss import BUCKET_SLOTS, HANDSHAKE_BUCKETS
from synguard.probe.probe import Probe
from tests.kernel.conftest import SECRET
from tests.kernel.hashing import tuple_hashes
from tests.kernel.series import wipe
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

#: As many as share a bucket by chance, when each of 16 clients has tried every port.
NEIGHBOURS = BUCKET_SLOTS + 1
PORTS = range(1024, 65536)
#: Filters that lie in one cache line.
LINE = 16


@pytest.fixture(scope="module", autouse=True)
def empty_table(probe: Probe) -> None:
    """Begin with nobody's handshakes: those of earlier tests would be in the way, for their times wrap."""
    wipe(probe)


def hashed(wire: Wire) -> tuple[list[Address], np.typing.NDArray[np.uint64]]:
    """Return clients of this test's server, and the hash of each one's every port: a row for each."""
    clients = [wire.client() for _ in range(16)]
    return clients, tuple_hashes(SECRET, clients, wire.server, PORTS, 443)


def connections_at(
    wire: Wire, clients: Sequence[Address], places: Iterable[tuple[int, int]]
) -> list[Connection]:
    """Return a connection of each (client, port) by index."""
    return [wire.connection(client=clients[row], client_port=PORTS[column]) for row, column in places]


def neighbours(wire: Wire) -> list[Connection]:
    """Return as many connections as do not fit into their one bucket, no two with one bit of its filter."""
    clients, hashes = hashed(wire)
    buckets = hashes % np.uint64(HANDSHAKE_BUCKETS)
    for bucket in np.argsort(-np.bincount(buckets.ravel().astype(np.int64)))[:50]:
        by_bit = {
            int(hashes[row, column] >> 32) % 32: (row, column)
            for row, column in np.argwhere(buckets == bucket)
        }
        if len(by_bit) >= NEIGHBOURS:
            return connections_at(wire, clients, list(by_bit.values())[:NEIGHBOURS])
    raise AssertionError("no bucket that chance filled")


def answered(wire: Wire, connections: Iterable[Connection], apart_ms: float = 10) -> None:
    """Let each connection be opened and answered, one after another."""
    for connection in connections:
        wire.syn(connection)
        wire.synack(connection)
        wire.wait(apart_ms)


@pytest.mark.parametrize("seed", range(3))
def test_each_of_seven_in_a_bucket_completes(xdp_wire: Wire, seed: int) -> None:
    """In whichever order the ACKs come; wrong ones in between complete nothing."""
    connections = neighbours(xdp_wire)[:BUCKET_SLOTS]
    with xdp_wire.counted() as moved:
        answered(xdp_wire, connections)
        random.Random(seed).shuffle(connections)  # noqa: S311  a test that fails must fail again
        for done, connection in enumerate(connections, start=1):
            xdp_wire.ack(connection, ack=connection.server_isn + 2)
            xdp_wire.ack(connection)
            xdp_wire.ack(connection)
            assert moved()["completed"] == done
    assert moved() == dict.fromkeys(("attempts", "answered", "completed"), BUCKET_SLOTS)


@pytest.mark.parametrize("newcomers", [1, 3, 6])
def test_who_is_evicted_takes_nobody_along(xdp_wire: Wire, newcomers: int) -> None:
    """Newer attempts take the slots of the oldest answered ones; all the others' ACKs still complete."""
    *connections, newcomer = neighbours(xdp_wire)
    with xdp_wire.counted() as moved:
        answered(xdp_wire, connections)
        for number in range(newcomers):
            xdp_wire.syn(replace(newcomer, isn=newcomer.isn + number * 100_000))
            xdp_wire.wait(10)
        for connection in connections:
            xdp_wire.ack(connection)
    assert moved() == {
        "attempts": BUCKET_SLOTS + newcomers,
        "answered": BUCKET_SLOTS,
        "completed": BUCKET_SLOTS - newcomers,
        "handshakes_overwritten": newcomers,
    }


def test_a_newcomer_that_is_answered_completes_too(xdp_wire: Wire) -> None:
    """The slot that it took over is its own."""
    *connections, newcomer = neighbours(xdp_wire)
    answered(xdp_wire, connections)
    with xdp_wire.counted() as moved:
        xdp_wire.handshake(newcomer)
        xdp_wire.ack(connections[0])
        xdp_wire.ack(connections[1])
    counted = {"attempts": 1, "answered": 1, "completed": 2, "handshakes_overwritten": 1}
    assert moved() == counted


def test_an_abort_leaves_the_others_waiting(xdp_wire: Wire) -> None:
    """So does a completion, one after another down to the last."""
    connections = neighbours(xdp_wire)[:BUCKET_SLOTS]
    answered(xdp_wire, connections)
    with xdp_wire.counted() as moved:
        for connection in connections[:3]:
            xdp_wire.segment(connection, "R", seq=connection.isn + 1)
        for connection in connections:
            xdp_wire.ack(connection)
    assert moved() == {"aborted": 3, "completed": BUCKET_SLOTS - 3}


def sharing_a_bit(wire: Wire) -> list[Connection]:
    """Return two connections of one bucket that share a bit of its filter."""
    clients, hashes = hashed(wire)
    places = defaultdict(list)
    for index, word in enumerate(hashes.ravel()[:400_000].tolist()):
        places[word % HANDSHAKE_BUCKETS, word >> 32 & 31].append((word >> 32 & 0xFFFF, index))
    for found in places.values():
        if len({fingerprint for fingerprint, _ in found}) > 1:
            (_, first), (_, second) = min(found), max(found)
            return connections_at(wire, clients, (divmod(index, len(PORTS)) for index in (first, second)))
    raise AssertionError("no two that share a bit")


def test_who_shares_a_bit_of_the_filter_still_waits(xdp_wire: Wire) -> None:
    """The bit stays until both have completed, whichever is first."""
    for order in itertools.permutations(sharing_a_bit(xdp_wire)):
        with xdp_wire.counted() as moved:
            answered(xdp_wire, (replace(one, isn=one.isn + xdp_wire.now_ns) for one in order))
            for connection in order:
                xdp_wire.ack(connection)
        assert moved()["completed"] == 2
        xdp_wire.wait(10_000)


def test_neighbouring_buckets_have_filters_of_their_own(xdp_wire: Wire) -> None:
    """Sixteen buckets share a line of filters; what completes in one is still pending in the others."""
    clients, hashes = hashed(xdp_wire)
    buckets = hashes % np.uint64(HANDSHAKE_BUCKETS)
    first = int(buckets[0, 0]) // LINE * LINE
    found = {
        int(buckets[row, column]): (row, column)
        for row, column in np.argwhere(buckets // LINE == first // LINE)
    }
    connections = connections_at(xdp_wire, clients, found.values())
    assert len(connections) > LINE // 2
    with xdp_wire.counted() as moved:
        answered(xdp_wire, connections, apart_ms=0)
        for connection in connections:
            xdp_wire.ack(connection)
    assert moved()["completed"] == len(connections)


def test_each_of_seven_slots_is_found_again(xdp_wire: Wire) -> None:
    """Seven tuples with one ISN: a copy is compared with the time of its own slot, and of no other."""
    connections = [replace(one, isn=77) for one in neighbours(xdp_wire)[:BUCKET_SLOTS]]
    with xdp_wire.counted() as moved:
        for connection in connections:
            xdp_wire.syn(connection)
            xdp_wire.wait(20)
        xdp_wire.wait(205 - 20 * BUCKET_SLOTS)
        for connection in connections:
            xdp_wire.syn(connection)
            xdp_wire.wait(20)
        assert moved() == {"attempts": 7, "syn_retransmits": 7}
        for connection in reversed(connections):
            xdp_wire.syn(connection)
        assert moved() == {"attempts": 7, "syn_retransmits": 7, "syn_duplicates": 7}
        for connection in connections:
            xdp_wire.syn(connection)
    assert moved() == {"attempts": 14, "syn_retransmits": 7, "syn_duplicates": 7}


def test_each_of_seven_attempts_of_one_tuple_is_found_again(xdp_wire: Wire) -> None:
    """Their fingerprints are equal, and only their ISNs tell them apart, in whichever slots they are."""
    connection = xdp_wire.connection()
    attempts = [replace(connection, isn=isn, server_isn=isn + 5000) for isn in range(0, 7_000_000, 1_000_000)]
    with xdp_wire.counted() as moved:
        for attempt in attempts:
            xdp_wire.syn(attempt)
        for attempt in reversed(attempts):
            xdp_wire.syn(attempt)
        for attempt in attempts:
            xdp_wire.synack(attempt)
        for attempt in (attempts[3], attempts[0], attempts[6], attempts[5], attempts[1], attempts[4]):
            xdp_wire.ack(attempt)
        xdp_wire.segment(attempts[2], "R", seq=attempts[2].isn + 1)
    assert moved() == {"attempts": 7, "syn_duplicates": 7, "answered": 7, "completed": 6, "aborted": 1}


def test_ack_segments_counts_what_completes_nothing(host_wire: Wire) -> None:
    """Wrong ACKs, data and FIN of whatever is established; not completions, resets, SYNs or what leaves."""
    connection, strange = host_wire.connection(), host_wire.connection()
    before = host_wire.reader.totals()["ack_segments"]
    host_wire.syn(connection)
    host_wire.synack(connection)
    host_wire.ack(connection, ack=1)
    host_wire.ack(connection)
    for flags in ("A", "PA", "FA", "UA"):
        host_wire.ack(connection, flags)
        host_wire.ack(strange, flags)
    for flags in ("R", "RA", "SA", "F", "", "S"):
        host_wire.segment(strange, flags)
    host_wire.emit(connection.frame(connection.segment("A", outgoing=True), outgoing=True))
    assert host_wire.reader.totals()["ack_segments"] - before == 1 + 8

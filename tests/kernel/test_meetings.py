"""Two CPUs at one source, one listener, one handshake bucket: nothing torn, nothing lost, nothing twice."""

from __future__ import annotations

import random
import struct
import threading
from dataclasses import replace

import numpy as np
import pytest

from synguard.model import HandshakeCounts
from synguard.probe.programs import TC_EGRESS_PROGRAM, XDP_PROGRAM
from synguard.probe.syscall import test_run as run_program
from tests.kernel.cpus import TIMEOUT_S, in_turns, on_two_cpus
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

REPEATS = 50_000
TCP_BYTES = 24  # of a SYN as the wire makes it, which is the end of its frame


def repeat(wire: Wire, connection: Connection, flags: str, times: int = REPEATS, **numbers: int) -> None:
    """Give one segment of the peer's to XDP, as fast as the kernel repeats it."""
    frame = connection.frame(connection.segment(flags, **numbers))  # type: ignore[arg-type]
    run_program(wire.probe.programs[XDP_PROGRAM], frame, repeat=times)


def repeat_ours(wire: Wire, connection: Connection, flags: str, times: int = REPEATS, **numbers: int) -> None:
    """Give one segment of ours to the egress program, as fast as the kernel repeats it."""
    segment = connection.segment(flags, outgoing=True, **numbers)  # type: ignore[arg-type]
    run_program(
        wire.probe.programs[TC_EGRESS_PROGRAM], connection.frame(segment, outgoing=True), repeat=times
    )


def neighbours(wire: Wire) -> tuple[Connection, ...]:
    """Return two connections of one client that share a bucket: found by their ISNs, wherever it has them."""
    client = wire.connection()
    draw = random.Random(3000)  # noqa: S311  a test that fails must fail again
    ports = dict(zip(draw.sample(range(2**32), 3000), range(1024, 4024), strict=True))
    frame = bytearray(client.frame(client.segment("S")))
    for isn, port in ports.items():
        struct.pack_into("!H2xI", frame, len(frame) - TCP_BYTES, port, isn)
        wire.deliver(bytes(frame))
    table = b"".join(bytes(value) for _, value in wire.probe.maps["handshakes"].items())
    words = np.frombuffer(table, "<u4").reshape(wire.probe.maps["handshakes"].info.max_entries, -1)
    ours = np.isin(words, np.array(list(ports), "<u4"))
    bucket = int(np.argmax(ours.sum(axis=1)))
    first, second, *_ = (int(isn) for isn in words[bucket][ours[bucket]])
    wire.wait(5000)
    # Other ISNs of the same tuples: in the same bucket, and attempts of their own.
    return tuple(replace(client, client_port=ports[isn], isn=isn ^ 1 << 31) for isn in (first, second))


def test_two_tuples_in_one_bucket_lose_no_count(xdp_wire: Wire) -> None:
    """Each CPU repeats the SYN of another tuple, and both SYNs lie under one lock."""
    wire = xdp_wire
    pair = neighbours(wire)
    before = wire.known_source(pair[0].client).counts.attempts
    with wire.counted() as moved:
        on_two_cpus(lambda index: repeat(wire, pair[index], "S"))
    assert moved() == {"attempts": 2 * REPEATS - 2, "syn_duplicates": 2}
    counts = wire.known_source(pair[0].client).counts
    assert (counts.attempts - before, counts.syn_duplicates) == (2 * REPEATS - 2, 2)


def test_handshakes_complete_beside_a_flood_in_their_bucket(xdp_wire: Wire) -> None:
    """One CPU does whole handshakes, the other repeats a SYN of the same bucket all the while."""
    wire = xdp_wire
    flooder, client = neighbours(wire)
    number = 300

    def job(index: int) -> None:
        if index:
            for turn in range(1, number + 1):
                wire.handshake(replace(client, isn=client.isn + turn * 70_001, server_isn=turn))
        else:
            repeat(wire, flooder, "S", 10 * REPEATS)

    with wire.counted() as moved:
        on_two_cpus(job)
    assert moved() == {
        "attempts": number + 10 * REPEATS - 1,
        "syn_duplicates": 1,
        "answered": number,
        "completed": number,
    }


def test_one_tuples_handshakes_on_both_cpus_all_complete(xdp_wire: Wire) -> None:
    """Same source, listener, bucket and fingerprint, other ISNs: 300 on each CPU, in the books everywhere."""
    wire = xdp_wire
    first = wire.connection()
    number = 300

    def job(index: int) -> None:
        for turn in range(number):
            isn = first.isn + (2 * turn + index) * 70_001
            wire.handshake(replace(first, isn=isn, server_isn=isn + 5))

    with wire.counted() as moved:
        on_two_cpus(job)
    both = 2 * number
    assert moved() == {"attempts": both, "answered": both, "completed": both}
    assert wire.booked(first) == (HandshakeCounts(both, answered=both, completed=both),) * 2
    for reading in (wire.known_source(first.client), wire.known_listener(first.listener)):
        assert [(cohort.attempts, cohort.completed) for cohort in reading.cohorts] == [(both, both)]


def test_one_source_at_two_listeners_loses_no_count(xdp_wire: Wire) -> None:
    """Each CPU floods another port from one address: the source has both, each listener its own."""
    wire = xdp_wire
    client = wire.client()
    pair = [wire.connection(client=client, server_port=port) for port in (80, 443)]
    for one in pair:
        wire.handshake(wire.connection(server_port=one.server_port))
    with wire.counted() as moved:
        on_two_cpus(lambda index: repeat(wire, pair[index], "S"))
    assert moved() == {"attempts": 2 * REPEATS - 2, "syn_duplicates": 2}
    source = wire.known_source(client)
    assert source.counts == HandshakeCounts(2 * REPEATS - 2, syn_duplicates=2)
    assert [cohort.attempts for cohort in source.cohorts] == [2 * REPEATS - 2]
    assert source.targets_estimated == 2
    for one in pair:
        counts = wire.known_listener(one.listener).counts
        assert (counts.attempts, counts.syn_duplicates) == (REPEATS, 1)


def test_a_handshakes_steps_follow_each_other_across_cpus(xdp_wire: Wire) -> None:
    """One CPU takes the SYNs, the other answers and acknowledges each as soon as it is there."""
    wire = xdp_wire
    client = wire.client()
    connections = [wire.connection(client=client) for _ in range(500)]
    arrived = threading.Semaphore(0)

    def job(index: int) -> None:
        for connection in connections:
            if index:
                assert arrived.acquire(timeout=TIMEOUT_S)
                wire.synack(connection)
                wire.ack(connection)
            else:
                wire.syn(connection)
                arrived.release()

    with wire.counted() as moved:
        on_two_cpus(job)
    assert moved() == {"attempts": 500, "answered": 500, "completed": 500}
    assert wire.booked(connections[0]) == (HandshakeCounts(500, answered=500, completed=500),) * 2
    (cohort,) = wire.known_listener(connections[0].listener).cohorts
    assert (cohort.attempts, cohort.completed) == (500, 500)


def test_copies_meet_the_answers_to_them(xdp_wire: Wire) -> None:
    """SYN copies on one CPU, SYN-ACKs and then ACKs of the same handshake on the other: it completes once."""
    wire = xdp_wire
    wire.handshake(wire.connection())
    connection = wire.connection()
    wire.syn(connection)

    def job(index: int) -> None:
        if index:
            repeat_ours(wire, connection, "SA")
            repeat(wire, connection, "A", seq=connection.isn + 1)
        else:
            repeat(wire, connection, "S", 2 * REPEATS)

    with wire.counted() as moved:
        on_two_cpus(job)
    assert moved() == {
        "attempts": 2 * REPEATS - 1,
        "syn_duplicates": 1,
        "answered": 1,
        "synack_retransmits": REPEATS - 1,
        "completed": 1,
    }
    expected = HandshakeCounts(2 * REPEATS, syn_duplicates=1, answered=1, completed=1)
    assert wire.known_source(connection.client).counts == expected


def test_copies_meet_their_refusals(xdp_wire: Wire) -> None:
    """SYN copies on one CPU, our RSTs on the other: all books have as many refusals, none more than asked."""
    wire = xdp_wire
    connection = wire.connection()
    wire.syn(connection)
    rounds, times = 20, REPEATS // 5
    with wire.counted() as moved:
        in_turns(
            wire,
            rounds,
            lambda _: repeat(wire, connection, "S", times),
            lambda _: repeat_ours(wire, connection, "RA", times),
        )
    counted = moved()
    refused = counted.pop("refused")
    assert counted == {"attempts": rounds * times - 1, "syn_duplicates": 1}
    assert rounds // 2 < refused <= rounds * times
    expected = HandshakeCounts(rounds * times, syn_duplicates=1, refused=refused)
    assert wire.known_source(connection.client).counts == expected
    assert wire.known_listener(connection.closed_bucket).counts == expected

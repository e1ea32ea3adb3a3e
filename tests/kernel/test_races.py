"""Two segments of one handshake on two CPUs at the same moment: one of them has its way, and once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from synguard.model import HandshakeCounts
from synguard.probe.probe import Probe
from tests.kernel.cpus import in_turns
from tests.kernel.series import Series, Steps, wipe
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

MEETINGS = 199


#: Handshakes of one client, a port each: as many fit beside each other in the table without loss.
NUMBER = 40_000
#: With an ISN each, too: two of one ISN in a bucket are one if 16 bits of their fingerprints are, and once in
#: twenty times there are such two among so many.
ONE_PORT_EACH = Steps(client_port=1, isn=65_537)


@pytest.fixture(scope="module")
def series(probe: Probe) -> Iterator[Series]:
    """Yield what plays segments by the ten thousand."""
    with Series.of(probe) as ready:
        yield ready


def known_first(wire: Wire) -> Connection:
    """Return the first of a known client's connections to a known port, in an empty table of handshakes."""
    wipe(wire.probe)
    before = wire.connection(client_port=1)
    wire.handshake(before)
    wire.wait(10_000)
    return replace(before, client_port=1024)


def books(wire: Wire, connection: Connection) -> tuple[HandshakeCounts, list[tuple[int, int]]]:
    """Return the counts and the slices that source and listener agree on."""
    source, listener = wire.known_source(connection.client), wire.known_listener(connection.listener)
    slices = [[(cohort.attempts, cohort.completed) for cohort in of.cohorts] for of in (source, listener)]
    assert source.counts == listener.counts
    assert slices[0] == slices[1]
    return source.counts, slices[0]


def test_segments_that_both_cpus_have_at_once_count_once(xdp_wire: Wire, series: Series) -> None:
    """40,000 handshakes, each of whose segments comes by both CPUs at the same time: none counts twice."""
    wire = xdp_wire
    first = known_first(wire)
    with wire.counted() as moved:
        for flags in ("S", "SA", "A"):
            series.play(first, ONE_PORT_EACH, NUMBER, flags, both_cpus=True)
    assert moved() == {
        "attempts": NUMBER,
        "syn_duplicates": NUMBER,
        "answered": NUMBER,
        "synack_retransmits": NUMBER,
        "completed": NUMBER,
    }
    counts = HandshakeCounts(NUMBER + 1, syn_duplicates=NUMBER, answered=NUMBER + 1, completed=NUMBER + 1)
    assert books(wire, first) == (counts, [(NUMBER, NUMBER)])


@pytest.mark.parametrize("flags", ["R", "RA"])
def test_resets_that_both_cpus_have_at_once_count_once(xdp_wire: Wire, series: Series, flags: str) -> None:
    """40,000 handshakes that the peer aborts, or that we refuse, by both CPUs at the same time."""
    wire = xdp_wire
    first = known_first(wire)
    series.play(first, ONE_PORT_EACH, NUMBER, "S")
    if flags == "R":
        series.play(first, ONE_PORT_EACH, NUMBER, "SA")
    with wire.counted() as moved:
        series.play(first, ONE_PORT_EACH, NUMBER, flags, both_cpus=True)
    counts = HandshakeCounts(NUMBER + 1, answered=1, completed=1)
    counts = replace(
        counts, **({"refused": NUMBER} if flags == "RA" else {"answered": NUMBER + 1, "aborted": NUMBER})
    )
    assert moved() == {"refused" if flags == "RA" else "aborted": NUMBER}
    assert books(wire, first) == (counts, [(NUMBER, 0)])


def test_slices_that_change_under_way_lose_no_attempt(xdp_wire: Wire, series: Series) -> None:
    """Both CPUs have each SYN at once while the clock goes on, slice after slice: each time all add up."""
    wire = xdp_wire
    first = known_first(wire)
    for turn in range(12):
        wire.wait(6000)
        anew = replace(first, isn=first.isn + turn)
        flood = threading.Thread(
            target=lambda anew=anew: series.play(anew, ONE_PORT_EACH, NUMBER, both_cpus=True)
        )
        with wire.counted() as moved:
            flood.start()
            for _ in range(60):
                wire.wait(67)
                flood.join(0.0002)
            flood.join()
        counted = moved()
        assert sum(counted.values()) == 2 * NUMBER
        for reading in (wire.known_source(first.client), wire.known_listener(first.listener)):
            assert sum(cohort.attempts for cohort in reading.cohorts) == counted["attempts"]


def test_an_ack_and_a_reset_at_once_end_a_handshake_once(xdp_wire: Wire) -> None:
    """Whichever comes first: completed and aborted add up to the handshakes."""
    wire = xdp_wire
    connections = [wire.connection() for _ in range(MEETINGS)]
    for connection in connections:
        wire.wait(10)
        wire.syn(connection)
        wire.synack(connection)
    with wire.counted() as moved:
        in_turns(
            wire,
            MEETINGS,
            lambda number: wire.ack(connections[number]),
            lambda number: wire.segment(connections[number], "R"),
        )
    assert sum(moved().values()) == MEETINGS
    assert set(moved()) <= {"completed", "aborted"}


def test_an_answer_and_a_refusal_at_once_are_one_of_both(xdp_wire: Wire) -> None:
    """Whichever comes first, the other finds nothing to do."""
    wire = xdp_wire
    connections = [wire.connection() for _ in range(MEETINGS)]
    with wire.counted() as moved:
        for connection in connections:
            wire.wait(10)
            wire.syn(connection)
        in_turns(
            wire,
            MEETINGS,
            lambda number: wire.synack(connections[number]),
            lambda number: wire.refuse(connections[number]),
        )
    counted = moved()
    assert counted.pop("attempts") == sum(counted.values()) == MEETINGS
    assert set(counted) <= {"answered", "refused"}


def test_what_is_new_to_both_cpus_at_once_is_made_once(xdp_wire: Wire) -> None:
    """Neither CPU's first SYN of an address, or at an address, is lost while the other makes the entry."""
    wire, rounds = xdp_wire, 61
    pairs = []
    for number in range(rounds):
        first = wire.connection(server=wire.server + number)
        pairs.append([first, replace(first, isn=first.isn + 70_001)])
    steps = [lambda number, side=side: wire.syn(pairs[number][side]) for side in (0, 1)]
    with wire.counted() as moved:
        in_turns(wire, rounds, *steps)
    assert moved() == {"attempts": 2 * rounds}
    readings = {reading.listener: reading for reading in wire.reader.listeners(wire.now_ns)}
    for first, _ in pairs:
        assert wire.known_source(first.client).counts == HandshakeCounts(attempts=2)
        assert readings[first.closed_bucket].counts == HandshakeCounts(attempts=2)

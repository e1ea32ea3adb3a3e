"""Two segments of one handshake on two CPUs at the same moment: one of them has its way, and once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.model import HandshakeCounts
from tests.kernel.cpus import in_turns
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

MEETINGS = 199


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("A", "A"), {"completed": MEETINGS}),
        (("R", "R"), {"aborted": MEETINGS}),
        (("PA", "FA"), {"completed": MEETINGS}),
    ],
)
def test_what_ends_a_handshake_twice_at_once_ends_it_once(
    xdp_wire: Wire, flags: tuple[str, str], expected: dict[str, int]
) -> None:
    """The same ACK, or the same RST, on both CPUs at once."""
    wire = xdp_wire
    connections = [wire.connection() for _ in range(MEETINGS)]
    for connection in connections:
        wire.wait(10)
        wire.syn(connection)
        wire.synack(connection)
    steps = [lambda number, flag=flag: wire.ack(connections[number], flag) for flag in flags]
    with wire.counted() as moved:
        in_turns(wire, MEETINGS, *steps)
    assert moved() == expected


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

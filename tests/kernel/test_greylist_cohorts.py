"""The age of a greylisted attempt begins when its SYN is admitted, and it is one attempt all the while."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from synguard.model import Cohort
from synguard.probe import layout
from tests.kernel.responding import KINDS, MakeGreylisting, known_prefix
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.usefixtures("fresh_greylist")]

NUMBER = 23


@pytest.fixture(params=KINDS)
def greylist(request: pytest.FixtureRequest) -> MakeGreylisting:
    """Return what greylists the source, the prefix or the listener of a connection."""
    return KINDS[request.param]


def from_one_source(wire: Wire, number: int) -> list[Connection]:
    """Return so many connections of a client to a listener that is known."""
    elsewhere = wire.client() + (1 << {4: 10, 6: 100}[wire.version])
    wire.handshake(wire.connection(client=elsewhere))
    wire.wait(100)
    client = wire.client()
    return [wire.connection(client=client) for _ in range(number)]


def figures(cohorts: Iterable[Cohort]) -> list[tuple[int, int]]:
    """Return attempts and completions of the cohorts, oldest first."""
    return [(cohort.attempts, cohort.completed) for cohort in cohorts]


def everywhere(wire: Wire, connection: Connection) -> list[list[tuple[int, int]]]:
    """Return the cohorts of the listener, without the one that made it known, of source and of prefix."""
    return [
        figures(wire.known_listener(connection.listener).cohorts)[1:],
        figures(wire.known_source(connection.client).cohorts),
        figures(known_prefix(wire, connection.client).cohorts),
    ]


def attempts_everywhere(wire: Wire, connection: Connection) -> list[int]:
    """Return the attempts that the same three have counted."""
    return [
        wire.known_listener(connection.listener).counts.attempts - 1,
        wire.known_source(connection.client).counts.attempts,
        known_prefix(wire, connection.client).counts.attempts,
    ]


def test_the_age_begins_with_the_admission(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """What was dropped is no longer open in its slice, and is new in the present one, until it completes."""
    wire = xdp_wire
    (connection,) = from_one_source(wire, 1)
    greylist(wire, connection)
    wire.syn(connection)
    assert everywhere(wire, connection) == [[(1, 0)]] * 3
    wire.wait(1000)
    wire.syn(connection)
    assert everywhere(wire, connection) == [[(1, 1), (1, 0)]] * 3
    wire.wait(500)
    wire.synack(connection)
    wire.ack(connection)
    assert everywhere(wire, connection) == [[(1, 1), (1, 1)]] * 3
    assert attempts_everywhere(wire, connection) == [1, 1, 1]


def test_many_attempts_are_as_many_all_the_while(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """Source, prefix and listener count each once, before its admission, after it, and a ring later."""
    wire = xdp_wire
    connections = from_one_source(wire, NUMBER)
    greylist(wire, connections[0])
    for connection in connections:
        wire.syn(connection)
    wire.wait(1000)
    for connection in connections[:-3]:
        wire.syn(connection)
    counts = wire.known_source(connections[0].client).counts
    assert (counts.attempts, counts.dropped_by_us, counts.syn_retransmits) == (NUMBER, NUMBER, NUMBER - 3)
    assert attempts_everywhere(wire, connections[0])[0] == NUMBER
    listener, source, _ = everywhere(wire, connections[0])
    assert listener == source == [(NUMBER, NUMBER - 3), (NUMBER - 3, 0)]
    for connection in connections[:-3]:
        wire.synack(connection)
        wire.ack(connection)
    # The prefix hears of a source's attempts at the latest when one of them completes.
    assert everywhere(wire, connections[0]) == [[(NUMBER, NUMBER - 3), (NUMBER - 3, NUMBER - 3)]] * 3
    wire.wait(layout.LISTENER_COHORTS << layout.LISTENER_COHORT_SHIFT >> 20)
    wire.syn(wire.connection(client=connections[0].client))
    assert attempts_everywhere(wire, connections[0]) == [NUMBER + 1] * 3


def test_only_those_that_never_come_again_stay_open(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """The flood's SYNs, once each: the alert's ratio is theirs, and not that of the good among them."""
    wire = xdp_wire
    flood = from_one_source(wire, NUMBER)
    greylist(wire, flood[0])
    for connection in flood:
        wire.syn(connection)
    wire.wait(4000)
    listener, source, _ = everywhere(wire, flood[0])
    assert listener == source == [(NUMBER, 0)]


def test_ports_that_never_answered_are_booked_at_the_address(
    xdp_wire: Wire, greylist: MakeGreylisting
) -> None:
    """The closed bucket's attempt is moved as a listener's is, and leaves it when the port answers."""
    wire = xdp_wire
    connection = wire.connection()
    greylist(wire, connection)
    wire.syn(connection)
    wire.wait(1000)
    wire.syn(connection)
    bucket = wire.known_listener(connection.closed_bucket)
    assert figures(bucket.cohorts) == [(1, 1), (1, 0)]
    assert bucket.counts.attempts == 1
    wire.synack(connection)
    wire.ack(connection)
    assert figures(wire.known_listener(connection.closed_bucket).cohorts) == [(1, 1), (1, 1)]
    listener = wire.known_listener(connection.listener)
    assert figures(listener.cohorts) == [(1, 1)]
    assert (listener.counts.attempts, listener.counts.completed) == (1, 1)


def test_an_entry_made_meanwhile_knows_nothing_of_it(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """A source whose entry was pushed out in between is booked as one that is new."""
    wire = xdp_wire
    (connection,) = from_one_source(wire, 1)
    greylist(wire, connection)
    wire.syn(connection)
    for name in ("sources", "prefixes"):
        for key, _ in list(wire.probe.maps[name].items()):
            wire.probe.maps[name].delete(key)
    wire.wait(1000)
    wire.syn(connection)
    wire.synack(connection)
    wire.ack(connection)
    assert everywhere(wire, connection)[1:] == [[(1, 1)]] * 2
    assert attempts_everywhere(wire, connection) == [1, 1, 1]

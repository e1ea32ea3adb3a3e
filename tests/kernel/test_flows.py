"""Established flows that the probe notes while it is asked: which ones are alive, and which egress shows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

FLOWS = 20
#: A flow goes on by no more than this many bytes between two of its segments.
WINDOW = 1 << 20


@pytest.fixture
def watched(wire: Wire) -> Iterator[Wire]:
    """Yield a wire whose flows are noted."""
    wire.probe.watch_flows(True)
    yield wire
    wire.probe.watch_flows(False)


def goes_on(wire: Wire, connection: Connection, sent: int = 22, received: int = 500, times: int = 2) -> None:
    """Deliver segments of an established connection, each further on in both numbers."""
    for step in range(times):
        seq, ack = connection.isn + 1 + step * sent, connection.server_isn + 1 + step * received
        wire.segment(connection, "A", seq=seq % 2**32, ack=ack % 2**32)


def apart(version: int) -> Iterator[Connection]:
    """Yield connections of which no two share both cells under the secret of the tests: it would cost one."""
    server = ip_address("10.255.255.1" if version == 4 else "2001:db8:fffe::1")
    client = ip_address("203.0.113.0" if version == 4 else "2001:db8:fffd::")
    for number in range(1, FLOWS + 1):
        yield Connection(client + number, 40_000 + number, server)


def test_flows_that_go_on_are_live_and_those_that_egress_shows_are_counted(watched: Wire) -> None:
    """A single request and its answer are enough; a flow that two segments of egress show counts once."""
    connections = list(apart(watched.version))
    for connection in connections:
        goes_on(watched, connection)
    assert watched.reader.flows() == (FLOWS, 0)
    for connection in connections[:7]:
        for _ in range(2):
            watched.emit(connection.frame(connection.segment("A", outgoing=True), outgoing=True))
    assert watched.reader.flows() == (FLOWS, 7)


@pytest.mark.parametrize(
    ("sent", "received"),
    [(0, 0), (0, 500), (22, 0), (-22, 500), (22, -500), (WINDOW + 1, 500), (22, WINDOW + 1), (2**31, 2**31)],
)
def test_numbers_that_do_not_both_go_on_are_no_live_flow(watched: Wire, sent: int, received: int) -> None:
    """One-way data, retransmissions and leaps are not what a connection that is answered looks like."""
    goes_on(watched, watched.connection(), sent, received, times=5)
    assert watched.reader.flows() == (0, 0)


@pytest.mark.parametrize(("sent", "received"), [(1, 1), (WINDOW, WINDOW)])
def test_any_step_within_a_window_goes_on(watched: Wire, sent: int, received: int) -> None:
    """From one byte each way to the largest step, also where the numbers wrap."""
    goes_on(watched, watched.connection(isn=2**32 - 2, server_isn=2**32 - 2), sent, received)
    assert watched.reader.flows() == (1, 0)


def test_a_long_download_and_then_a_request_is_live(watched: Wire) -> None:
    """However far one number went on alone, the flow is followed."""
    connection = watched.connection()
    for step in range(1, 6):
        watched.segment(connection, "A", ack=connection.server_isn + step * WINDOW // 2)
    assert watched.reader.flows() == (0, 0)
    goes_on_from = connection.server_isn + 5 * WINDOW // 2
    watched.segment(connection, "A", seq=connection.isn + 100, ack=goes_on_from + 100)
    assert watched.reader.flows() == (1, 0)


def test_random_numbers_are_no_live_flows(watched: Wire) -> None:
    """A hundred ACKs of bogus numbers on each of fifty four-tuples are fifty dead flows."""
    dice = random.Random(watched.number)  # noqa: S311  a test that fails must fail again
    for _ in range(50):
        connection = watched.connection()
        for _ in range(100):
            watched.segment(connection, "A", seq=dice.getrandbits(32), ack=dice.getrandbits(32))
    assert watched.reader.flows() == (0, 0)


def test_dead_flows_keep_no_live_one_out(watched: Wire) -> None:
    """Two thousand segments that belong to nothing take no place from connections that go on."""
    for _ in range(2000):
        watched.segment(watched.connection(), "A")
    for connection in [watched.connection() for _ in range(200)]:
        goes_on(watched, connection)
    live, _ = watched.reader.flows()
    assert live >= 190


def test_asking_anew_begins_anew_and_nothing_is_noted_unasked(watched: Wire) -> None:
    """What was noted is forgotten when asked again, and what passes meanwhile is not noted."""
    goes_on(watched, watched.connection())
    watched.probe.watch_flows(False)
    goes_on(watched, watched.connection())
    assert watched.reader.flows() == (1, 0)
    watched.probe.watch_flows(True)
    assert watched.reader.flows() == (0, 0)

"""The kernel's own clocks, as in production: a SYN is content with the last timer tick, the rest is not."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.kernel.wire import NS_PER_MS, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

#: By so much a timer tick may lie in the past: at HZ=100, the slowest that there is.
TICK_MS = 10
TRIES = 20


@pytest.fixture
def live_wire(host_wire: Wire) -> Wire:
    """Return a wire whose clock runs."""
    host_wire.probe.set_clock(0)
    return host_wire


def copies_apart(wire: Wire, pause_ms: int, is_sure: Callable[[float, float], bool]) -> dict[str, int]:
    """Deliver a SYN twice; return what that counted, once the time between is surely as it should be.

    ``is_sure`` is asked with the least and the most milliseconds that may lie between the two stamps.
    """
    for _ in range(TRIES):
        connection = wire.connection()
        with wire.counted() as moved:
            began_ns = time.monotonic_ns()
            wire.syn(connection)
            sent_ns = time.monotonic_ns()
            time.sleep(pause_ms / 1000)
            again_ns = time.monotonic_ns()
            wire.syn(connection)
            ended_ns = time.monotonic_ns()
        least_ms, most_ms = (again_ns - sent_ns) / NS_PER_MS, (ended_ns - began_ns) / NS_PER_MS
        if is_sure(least_ms - TICK_MS, most_ms + TICK_MS):
            return moved()
    pytest.fail(f"this machine never let {pause_ms} ms pass in about that time")


def test_copies_are_told_apart_by_a_running_clock(live_wire: Wire) -> None:
    """Surely within 198 ms a copy is a duplicate, surely after 200 ms a retransmission."""
    counted = copies_apart(live_wire, 120, lambda _, most_ms: most_ms < 198)
    assert counted == {"attempts": 1, "syn_duplicates": 1}
    counted = copies_apart(live_wire, 215, lambda least_ms, _: least_ms > 200)
    assert counted == {"attempts": 1, "syn_retransmits": 1}


def test_the_books_agree_though_their_clocks_differ(live_wire: Wire) -> None:
    """Handshakes over some tens of milliseconds: each completion is in the slice in which its attempt is."""
    wire = live_wire
    wire.handshake(wire.connection())
    client = wire.client()
    connections = [wire.connection(client=client) for _ in range(151)]
    for connection in connections:
        wire.handshake(connection)
    now_ns = time.monotonic_ns()
    (listener,) = (
        reading for reading in wire.reader.listeners(now_ns) if reading.listener == connections[0].listener
    )
    wire.now_ns = now_ns
    for cohorts, number in ((listener.cohorts, 152), (wire.known_source(client).cohorts, 151)):
        assert sum(cohort.attempts for cohort in cohorts) == number
        assert all(cohort.attempts == cohort.completed for cohort in cohorts)
        assert all(cohort.start_ns <= now_ns for cohort in cohorts)


def test_no_handshake_took_longer_than_it_did(live_wire: Wire) -> None:
    """The time from SYN-ACK to ACK is taken from the fine clock at both ends."""
    wire = live_wire
    longest_ms = 0.0
    for _ in range(23):
        connection = wire.connection()
        wire.syn(connection)
        before_ns = time.monotonic_ns()
        wire.synack(connection)
        wire.ack(connection)
        longest_ms = max(longest_ms, (time.monotonic_ns() - before_ns) / NS_PER_MS)
    histogram = wire.known_listener(connection.listener).handshake_ms_histogram
    assert sum(histogram) == 23
    highest_bin = max(index for index, count in enumerate(histogram) if count)
    # A bin begins at its power of two of ticks of 1.05 ms, and two moments in one tick may differ by a tick.
    assert highest_bin <= (int(longest_ms / 1.048576) + 1).bit_length()

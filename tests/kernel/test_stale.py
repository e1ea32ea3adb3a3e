"""A handshake that is over completes nothing any more, however long its slot was left alone."""

from __future__ import annotations

import pytest

from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

SECOND_MS = 1000.0


@pytest.mark.parametrize("later_s", [138, 140, 200, 275, 400, 900, 2000])
def test_an_ack_minutes_late_completes_nothing(xdp_wire: Wire, later_s: int) -> None:
    """Nobody can keep answered handshakes, to complete them in the cohorts of a flood."""
    connection = xdp_wire.connection()
    xdp_wire.syn(connection)
    xdp_wire.synack(connection)
    xdp_wire.wait(later_s * SECOND_MS)
    with xdp_wire.counted() as moved:
        xdp_wire.ack(connection)
        xdp_wire.segment(connection, "R")
    assert moved() == {}


@pytest.mark.parametrize("later_s", [1, 63, 68, 69, 75, 127, 137])
def test_an_ack_as_late_as_a_server_waits_completes_its_own_attempt(xdp_wire: Wire, later_s: int) -> None:
    """Up to the 137 s within which the last SYN-ACK of the slowest set-up is sent and answered."""
    connection = xdp_wire.connection()
    xdp_wire.syn(connection)
    xdp_wire.synack(connection)
    xdp_wire.wait(later_s * SECOND_MS)
    with xdp_wire.counted() as moved:
        xdp_wire.ack(connection)
    assert moved() == {"completed": 1}
    listener = xdp_wire.known_listener(connection.listener)
    assert sum(cohort.completed for cohort in listener.cohorts) == int(later_s * SECOND_MS < 4294)

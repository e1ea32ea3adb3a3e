"""What the probe learns of a listener's own SYN-ACKs, which its cookies must look like."""

from __future__ import annotations

import pytest

from synguard.handshake import Answer
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

NOP = ("NOP", None)
CLOCK = ("Timestamp", (0x01020304, 0x03040203))
Options = tuple[tuple[str, object], ...]
FULL: Options = (("MSS", 1380), ("SAckOK", b""), CLOCK, NOP, ("WScale", 9))


def answer(
    wire: Wire,
    options: Options,
    *,
    window: int = 29200,
    ttl: int = 61,
    came_in_by: int = 0,
    connection: Connection | None = None,
) -> Connection:
    """Let the listener answer a client's SYN; return the connection."""
    connection = connection or wire.connection()
    wire.syn(connection)
    segment = connection.segment("SA", options=options, outgoing=True)
    segment.window = window
    frame = bytearray(connection.frame(segment, outgoing=True))
    frame[22 if wire.version == 4 else 21] = ttl
    wire.emit(bytes(frame), came_in_by=came_in_by)
    return connection


def learnt(wire: Wire) -> Answer:
    """Return what is known of the answers of the wire's listener."""
    found = wire.known_listener(wire.connection().listener).answer
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("options", "mss", "scale", "sack", "timestamps"),
    [
        (FULL, 1380, 9, True, True),
        ((("MSS", 1460), NOP, NOP, ("SAckOK", b""), NOP, ("WScale", 0)), 1460, 0, True, False),
        ((("MSS", 536), NOP, ("WScale", 14)), 536, 14, False, False),
        ((("MSS", 8960), NOP, NOP, CLOCK), 8960, None, False, True),
        ((("MSS", 8960), NOP, NOP, CLOCK, NOP, ("WScale", 3)), 8960, 3, False, True),
        ((("MSS", 1200),), 1200, None, False, False),
        ((("MSS", 1200), NOP, NOP, ("SAckOK", b"")), 1200, None, True, False),
        ((), 0, None, False, False),
    ],
)
def test_a_listeners_answer_is_learnt(
    xdp_wire: Wire, options: Options, mss: int, scale: int | None, sack: bool, timestamps: bool
) -> None:
    """Each option as Linux lays it out, the window before scaling, and the TTL."""
    answer(xdp_wire, options)
    found = learnt(xdp_wire)
    assert (found.mss, found.window_scale, found.sack, found.timestamps) == (mss, scale, sack, timestamps)
    assert (found.window, found.ttl) == (29200, 61)


@pytest.mark.parametrize(
    "numbers", [(0x02040FFF, 0x01030305), (0x01030301, 0x02040102), (0x0101080A, 0x04020000)]
)
def test_a_clock_that_looks_like_options_is_none(xdp_wire: Wire, numbers: tuple[int, int]) -> None:
    """Timestamps take any value, also those that would be an MSS or a window scale."""
    answer(xdp_wire, (("MSS", 1380), NOP, NOP, ("Timestamp", numbers), NOP, ("WScale", 9)))
    found = learnt(xdp_wire)
    assert (found.mss, found.window_scale, found.sack) == (1380, 9, False)


def test_what_a_client_did_not_offer_is_not_forgotten(xdp_wire: Wire) -> None:
    """An answer lacks what its SYN lacked; the listener has it nevertheless."""
    wire = xdp_wire
    answer(wire, FULL)
    wire.wait(2000)
    answer(wire, (("MSS", 1380),))
    found = learnt(wire)
    assert (found.window_scale, found.sack, found.timestamps) == (9, True, True)


def test_what_is_missing_at_first_is_learnt_at_once(xdp_wire: Wire) -> None:
    """A first client without options teaches little, and the next one need not wait."""
    answer(xdp_wire, (("MSS", 1380),))
    answer(xdp_wire, FULL)
    assert learnt(xdp_wire).window_scale == 9


def test_what_changes_is_learnt_within_a_second(xdp_wire: Wire) -> None:
    """A server that was set up otherwise, or restarted."""
    wire = xdp_wire
    answer(wire, FULL, window=100, ttl=64)
    changed: Options = (("MSS", 1240), ("SAckOK", b""), CLOCK, NOP, ("WScale", 4))
    wire.wait(1001)
    answer(wire, changed, window=200, ttl=128)
    found = learnt(wire)
    assert (found.mss, found.window_scale, found.window, found.ttl) == (1240, 4, 200, 128)


def test_what_was_forwarded_is_foreign(xdp_wire: Wire) -> None:
    """It came in by an interface: no socket of this machine has made it."""
    wire = xdp_wire
    for _ in range(3):
        answer(wire, FULL, came_in_by=1)
    found = learnt(wire)
    assert (found.local, found.foreign) == (0, 3)


def test_the_same_answer_again_teaches_nothing(xdp_wire: Wire) -> None:
    """Retransmissions are no answers, nor are SYN-ACKs that nobody asked for."""
    wire = xdp_wire
    connection = answer(wire, FULL)
    wire.wait(1500)
    wire.synack(connection)
    wire.synack(wire.connection())
    found = learnt(wire)
    assert found.local + found.foreign == 1
    assert found.ttl == 61


def test_a_listener_that_never_answered_is_not_described(xdp_wire: Wire) -> None:
    """Nothing is made up of a port that stands in, or whose answers are not seen."""
    wire = xdp_wire
    connection = wire.connection()
    wire.reader.stand_in([connection.listener])
    wire.syn(connection)
    assert wire.known_listener(connection.listener).answer is None

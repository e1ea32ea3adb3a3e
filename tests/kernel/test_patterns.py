"""Attempts that no real clients' choice of numbers explains: a repeated ISN or port, or Mirai's ISN."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.usefixtures("one_cpu")]

PRIME = 23
MIRAI_PORTS = (23, 2323)


def strangers(wire: Wire, number: int, **alike: object) -> Iterator[Connection]:
    """Yield connections of as many clients, to one listener, which are alike in what is said."""
    for _ in range(number):
        yield wire.connection(**alike)


def patterned(wire: Wire, connection: Connection) -> int:
    """Return how many patterned attempts are booked to the connection's server, open or not."""
    readings = (wire.listener(connection.listener), wire.listener(connection.closed_bucket))
    return sum(reading.patterned_attempts for reading in readings if reading is not None)


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
@pytest.mark.parametrize(
    ("alike", "expected"),
    [
        ({}, 0),
        ({"isn": 0xDEADBEEF}, PRIME - 1),
        ({"client_port": 4321}, PRIME - 1),
        ({"isn": 0xDEADBEEF, "client_port": 4321}, PRIME - 1),
        ({"server_port": 80}, 0),
    ],
    ids=["nothing", "isn", "port", "both", "server-port"],
)
def test_who_repeats_the_isn_or_the_port_is_counted(
    host_wire: Wire, alike: dict[str, object], expected: int, is_open: bool
) -> None:
    """From the second one on, each attempt once; random ones are not."""
    if is_open:
        host_wire.handshake(
            host_wire.connection(**{"server_port": 443} | alike | {"client_port": 7, "isn": 7})
        )
    for connection in strangers(host_wire, PRIME, **alike):
        host_wire.syn(connection)
    assert patterned(host_wire, host_wire.connection(**alike)) == expected


def test_the_one_before_is_that_of_the_same_listener(xdp_wire: Wire) -> None:
    """What others are asked in between changes nothing, and what it is asked itself does."""
    ours, other = ({"server_port": port, "isn": 0xDEADBEEF} for port in (443, 80))
    for alike in (ours, other):
        xdp_wire.handshake(xdp_wire.connection(**alike))
    before = [patterned(xdp_wire, xdp_wire.connection(**alike)) for alike in (ours, other)]
    for _ in range(PRIME):
        xdp_wire.syn(xdp_wire.connection(**ours))
        xdp_wire.syn(xdp_wire.connection(server_port=80))
    after = [patterned(xdp_wire, xdp_wire.connection(**alike)) for alike in (ours, other)]
    assert [now - then for now, then in zip(after, before, strict=True)] == [PRIME - 1, 0]
    for _ in range(PRIME):
        xdp_wire.syn(xdp_wire.connection())
        xdp_wire.syn(xdp_wire.connection(**ours))
    assert patterned(xdp_wire, xdp_wire.connection(**ours)) == after[0]


@pytest.mark.parametrize("server_port", MIRAI_PORTS)
def test_an_isn_that_is_the_destination_is_mirais(host_wire: Wire, server_port: int) -> None:
    """In network order, whichever port is asked, the first one too; in host order it is none."""
    for host, order, counted in ((0, "big", 1), (77, "little", 0)):
        server = host_wire.server + host
        isn = int.from_bytes(server.packed[-4:], order)  # type: ignore[arg-type]
        connection = host_wire.connection(server=server, server_port=server_port, isn=isn)
        host_wire.syn(connection)
        assert patterned(host_wire, connection) == counted


def test_only_attempts_are_compared(xdp_wire: Wire) -> None:
    """A client's own retransmission, or a copy of its SYN, is no attempt and repeats nothing."""
    connection = xdp_wire.connection()
    xdp_wire.syn(connection)
    xdp_wire.syn(connection)
    xdp_wire.wait(1000)
    xdp_wire.syn(connection)
    assert patterned(xdp_wire, connection) == 0
    xdp_wire.syn(xdp_wire.connection())
    xdp_wire.wait(1000)
    xdp_wire.syn(connection)
    xdp_wire.syn(replace(xdp_wire.connection(), isn=connection.isn))
    assert patterned(xdp_wire, connection) == 0


def test_copies_of_one_syn_are_a_pattern(xdp_wire: Wire) -> None:
    """One SYN sent 500 times at once: its second copy and all further ones repeat the first."""
    connection = xdp_wire.connection()
    for _ in range(500):
        xdp_wire.syn(connection)
    reading = xdp_wire.known_listener(connection.closed_bucket)
    assert (reading.counts.attempts, reading.patterned_attempts) == (499, 498)


def test_a_flood_of_one_port_among_clients_shows_its_share(xdp_wire: Wire) -> None:
    """Where a client comes after every third SYN of a flood, two of these three are a pattern."""
    for number in range(4 * PRIME):
        alike = {} if number % 4 == 3 else {"client_port": 4321}
        xdp_wire.syn(xdp_wire.connection(**alike))
    assert patterned(xdp_wire, xdp_wire.connection()) == 2 * PRIME

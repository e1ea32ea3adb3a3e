"""Attempts from sources that nobody can have: which these are, at listeners and at closed buckets."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from synguard.probe.programs import XDP_PROGRAM
from tests.kernel.clients import Clients
from tests.kernel.test_blocks import block
from tests.kernel.wire import Connection, MakeWire, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

#: The first and the last address of each range that is meant.
BOGONS = [
    *("0.0.0.1", "0.255.255.255"),  # this network
    *("127.0.0.0", "127.255.255.255"),  # loopback, from elsewhere
    *("224.0.0.0", "239.255.255.255"),  # multicast
    *("240.0.0.0", "255.255.255.255"),  # reserved
    *("::", "::1"),
    *("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),  # given to nobody
    *("6000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    *("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),  # multicast
]
#: Just outside those; and what networks, laboratories and tunnels do use.
SOURCES = [
    *("1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255"),
    *("10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.0.1"),
    *("192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
    *("::2", "0:0:0:1::", "0:0:0:1::1", "64:ff9b::c000:201", "200::1", "1fff::1"),
    *("2000::", "2001:db8::1", "2002:c000:201::1", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    *("5f00::", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::1", "febf::1"),
]


def bogons(wire: Wire, connection: Connection) -> int:
    """Return how many attempts from bogons are booked to the connection's server, open or not."""
    readings = (wire.listener(connection.listener), wire.listener(connection.closed_bucket))
    return sum(reading.bogon_attempts for reading in readings if reading is not None)


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
@pytest.mark.parametrize("source", BOGONS + SOURCES)
def test_each_range_of_bogons_ends_where_it_should(
    make_wire: MakeWire, ingress_program: str, source: str, is_open: bool
) -> None:
    """Of a range's first and last address all attempts are counted, of their neighbours outside none."""
    client = ip_address(source)
    wire = make_wire(ingress_program, client.version)
    if is_open:
        wire.handshake(wire.connection())
    for _ in range(23):
        wire.syn(wire.connection(client=client))
    assert bogons(wire, wire.connection()) == 23 * (source in BOGONS)


@pytest.mark.parametrize(
    ("source", "server", "is_bogon"),
    [
        ("127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "127.255.255.255", False),
        ("127.0.0.1", "126.255.255.255", True),
        ("127.0.0.1", "128.0.0.0", True),
        ("0.0.0.1", "127.0.0.1", True),
        ("::1", "::1", False),
        ("::1", "::2", True),
        ("::1", "1::1", True),
        ("::", "::1", True),
    ],
)
def test_a_machine_may_speak_to_itself(make_wire: MakeWire, source: str, server: str, is_bogon: bool) -> None:
    """Loopback addresses are bogons only where the destination is none."""
    client, destination = ip_address(source), ip_address(server)
    wire = make_wire(XDP_PROGRAM, client.version)
    connection = wire.connection(client=client, server=destination)
    wire.syn(connection)
    assert bogons(wire, connection) == is_bogon


def test_the_first_byte_decides(xdp_wire: Wire) -> None:
    """All 256 of them, with the same bytes behind."""
    expected = {0, 127, *range(224, 256)}
    if xdp_wire.version == 6:
        expected = {*range(0x40, 0xFC), 0xFF} - {0x5F}
    found = set()
    counted = 0
    for first in range(256):
        source = bytes([first]) + b"\x13" * (3 if xdp_wire.version == 4 else 15)
        connection = xdp_wire.connection(client=ip_address(source))
        xdp_wire.syn(connection)
        now_counted = bogons(xdp_wire, connection)
        if now_counted > counted:
            found.add(first)
        counted = now_counted
    assert found == expected
    assert counted == len(expected)


@pytest.mark.parametrize(("version", "share"), [(4, 34 / 256), (6, 188 / 256)])
def test_of_random_sources_a_known_share_are_bogons(make_wire: MakeWire, version: int, share: float) -> None:
    """Tools that draw all bits at random show themselves: 13 % in IPv4, 73 % in IPv6."""
    wire = make_wire(XDP_PROGRAM, version)
    clients = Clients(wire)
    generator = random.Random(version)  # noqa: S311  the same ones each time
    bits, kind = (32, IPv4Address) if version == 4 else (128, IPv6Address)
    for _ in range(10_000):
        clients.syn(kind(generator.getrandbits(bits)))
    assert bogons(wire, clients.server) == pytest.approx(10_000 * share, rel=0.1)


def test_only_attempts_from_bogons_count(ipv4_wire: Wire) -> None:
    """Not their retransmissions and copies; but those that we drop."""
    connection = ipv4_wire.connection(client=IPv4Address("240.0.0.1"))
    ipv4_wire.syn(connection)
    ipv4_wire.syn(connection)
    ipv4_wire.wait(1000)
    ipv4_wire.syn(connection)
    assert bogons(ipv4_wire, connection) == 1
    block(ipv4_wire, "240.0.0.1")
    assert ipv4_wire.syn(connection) == "drop"
    assert bogons(ipv4_wire, connection) == 2

"""Blocked prefixes lose their SYNs and nothing else, until the kernel's own clock says stop."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_network

import pytest

from synguard.block import Block
from synguard.model import HandshakeCounts
from synguard.probe import response_layout
from synguard.probe.listener_rules import ListenerRules
from synguard.probe.programs import TC_INGRESS_PROGRAM
from synguard.probe.source_rules import SourceAction, SourceRules
from synguard.respond.blocks import Blocks
from synguard.respond.probe_kernel import ProbeKernel
from tests.kernel.wire import MakeWire, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

TTL_MS = 60_000


def block(wire: Wire, *targets: str) -> list[bytes]:
    """Block prefixes for 60 s as the responder does; return their keys."""
    networks = [ip_network(target) for target in targets]
    keys = [response_layout.encode_block_key(network) for network in networks]
    until_ns = wire.now_ns + TTL_MS * 10**6
    SourceRules(wire.probe).put(dict.fromkeys(networks, (SourceAction.DROP, until_ns)))
    return keys


def hits(wire: Wire, key: bytes) -> int:
    """Return how many SYNs a block has caught."""
    raw = wire.probe.maps["blocks"].lookup(key)
    assert raw is not None
    return int(response_layout.BLOCK.unpack(raw)[1])


def test_a_blocked_source_loses_its_syns_and_keeps_its_connections(xdp_wire: Wire) -> None:
    """SYNs are dropped; ACKs, data, FIN and RST of what was established before pass."""
    wire = xdp_wire
    connection = wire.connection()
    wire.handshake(connection)
    (key,) = block(wire, str(connection.client))
    assert [wire.syn(wire.connection(client=connection.client)) for _ in range(23)] == ["drop"] * 23
    assert wire.syn(wire.connection(client=connection.client), "SEC") == "drop"
    for flags in ("A", "PA", "FA", "R", "RA", "SA", "F", ""):
        assert wire.ack(connection, flags, b"data") == "pass"
    assert wire.syn(wire.connection()) == "pass"
    assert hits(wire, key) == 24


def test_a_dropped_syn_is_an_attempt(xdp_wire: Wire) -> None:
    """At the source, at the listener and in the totals, so that an alert lasts while the flood does."""
    wire = xdp_wire
    connection = wire.connection()
    wire.handshake(wire.connection())
    block(wire, str(connection.client))
    with wire.counted() as moved:
        for _ in range(23):
            wire.syn(connection)
    assert moved() == {"attempts": 23, "dropped_by_us": 23}
    assert wire.known_source(connection.client).counts == HandshakeCounts(23, dropped_by_us=23)
    listener = wire.known_listener(connection.listener)
    assert listener.counts == HandshakeCounts(24, answered=1, completed=1, dropped_by_us=23)
    assert sum(cohort.attempts for cohort in listener.cohorts) == 24


def test_a_block_ends_by_the_kernels_clock(xdp_wire: Wire) -> None:
    """Nobody need take it away."""
    wire = xdp_wire
    client = wire.client()
    block(wire, str(client))
    wire.wait(TTL_MS - 0.001)
    assert wire.syn(wire.connection(client=client)) == "drop"
    wire.wait(0.001)
    assert wire.syn(wire.connection(client=client)) == "pass"


@pytest.mark.parametrize("length", [32, 31, 25, 24, 16, 9, 8, 1])
def test_ipv4_prefixes_catch_their_addresses(ipv4_wire: Wire, length: int) -> None:
    """The first and the last address are in, the neighbours on both sides are out."""
    network = ip_network(f"172.20.20.20/{length}", strict=False)
    block(ipv4_wire, str(network))
    first, last = network.network_address, network.broadcast_address
    expected = {first: "drop", last: "drop"}
    expected |= {ip_address(int(first) - 1): "pass"} if int(first) else {}
    expected |= {ip_address(int(last) + 1): "pass"} if int(last) + 1 < 2**32 else {}
    assert {a: ipv4_wire.syn(ipv4_wire.connection(client=a)) for a in expected} == expected


@pytest.mark.parametrize("length", [128, 127, 65, 64, 63, 56, 48, 32])
def test_ipv6_prefixes_catch_their_addresses(ipv6_wire: Wire, length: int) -> None:
    """As in IPv4, across the middle of the address."""
    network = ip_network(f"2001:db8:aaaa:bbbb:cccc::1/{length}", strict=False)
    block(ipv6_wire, str(network))
    first, last = network.network_address, network.broadcast_address
    expected = {first: "drop", last: "drop", first - 1: "pass", last + 1: "pass"}
    assert {a: ipv6_wire.syn(ipv6_wire.connection(client=a)) for a in expected} == expected


def test_eight_prefix_lengths_of_both_versions_work_together(ipv4_wire: Wire) -> None:
    """Each catches its own."""
    targets = ("10.99.0.0/16", "192.0.2.0/24", "192.0.3.3", "10.98.0.0/20")
    targets6 = ("2001:db8:1::/48", "2001:db8:2:2::/64", "2001:db8:3::3", "2001:db9::/32")
    keys = block(ipv4_wire, *targets, *targets6)
    for target in targets:
        assert ipv4_wire.syn(ipv4_wire.connection(client=ip_network(target).network_address)) == "drop"
    ipv4_wire.version = 6
    for target in targets6:
        assert ipv4_wire.syn(ipv4_wire.connection(client=ip_network(target).network_address)) == "drop"
    assert [hits(ipv4_wire, key) for key in keys] == [1] * 8


@pytest.mark.parametrize("target", ["::/64", "::/80", "::/0"])
def test_a_block_of_low_ipv6_addresses_spares_ipv4(ipv4_wire: Wire, target: str) -> None:
    """IPv4 addresses are kept as ::ffff:a.b.c.d, and yet are not in an IPv6 prefix around that."""
    block(ipv4_wire, target)
    assert ipv4_wire.syn(ipv4_wire.connection()) == "pass"
    ipv4_wire.version = 6
    assert ipv4_wire.syn(ipv4_wire.connection(client=ip_address("::5"))) == "drop"


def test_a_block_of_all_ipv4_spares_ipv6(ipv6_wire: Wire) -> None:
    """0.0.0.0/0 means IPv4."""
    block(ipv6_wire, "0.0.0.0/0")
    assert ipv6_wire.syn(ipv6_wire.connection()) == "pass"
    ipv6_wire.version = 4
    assert ipv6_wire.syn(ipv6_wire.connection()) == "drop"


def test_the_fallback_without_xdp_only_observes(make_wire: MakeWire, version: int) -> None:
    """Where only tc is to be had, a blocked SYN passes and is an attempt like any other."""
    wire = make_wire(TC_INGRESS_PROGRAM, version)
    connection = wire.connection()
    block(wire, str(connection.client))
    with wire.counted() as moved:
        assert wire.syn(connection) == "pass"
    assert moved() == {"attempts": 1}


def test_new_terms_keep_what_was_dropped_so_far(xdp_wire: Wire) -> None:
    """A flood that outlasts its block is dropped on, and its hits go on counting."""
    wire = xdp_wire
    client = wire.client()
    rules = SourceRules(wire.probe, monotonic_ns=lambda: wire.now_ns)
    kernel = ProbeKernel(rules, ListenerRules(wire.probe))
    blocks = Blocks(kernel, 10, monotonic_ns=lambda: wire.now_ns, wall_s=lambda: wire.now_ns / 1e9)
    for turn in (1, 2):
        now_s = wire.now_ns / 1e9
        renewed = Block(ip_network(client), now_s + 60, "floods", "alert", created_at_s=now_s)
        asyncio.run(blocks.put([renewed]))
        assert [wire.syn(wire.connection(client=client)) for _ in range(23)] == ["drop"] * 23
        assert [held.hits for held in asyncio.run(blocks.held())] == [23 * turn]
        wire.wait(59_000)
    assert [over.hits for over in asyncio.run(blocks.end([ip_network(client)]))] == [46]

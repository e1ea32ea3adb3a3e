"""Rules about sources and listeners: which goes first, whom they spare, and what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from synguard.endpoint import Listener, Network
from synguard.errors import UnsupportedError, UsageError
from synguard.handshake import Answer
from synguard.model import HandshakeCounts
from synguard.probe.listener_rules import EVERYBODY, ListenerAction, ListenerRule, ListenerRules
from synguard.probe.probe import Groups, Probe, Sizes
from synguard.probe.programs import TC_INGRESS_PROGRAM
from synguard.probe.response_layout import encode_tick
from synguard.probe.source_rules import SourceAction, SourceRules
from synguard.probe.spared_networks import SparedNetworks
from tests.kernel.cpus import on_two_cpus
from tests.kernel.responding import (
    KINDS,
    MINUTE_MS,
    MakeGreylisting,
    OfListener,
    listener_rules,
    of_prefix,
    prefix_of,
    source_rules,
    until,
)
from tests.kernel.wire import NS_PER_MS, MakeWire, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.usefixtures("fresh_greylist")]

DROP, GREYLIST, COUNT = SourceAction
DROPPED = {"attempts": 1, "dropped_by_us": 1}
REPEATS = 20_000


@pytest.fixture(params=[name for name in KINDS if name != "source"])
def wide(request: pytest.FixtureRequest) -> MakeGreylisting:
    """Return what greylists the prefix or the listener of a connection."""
    return KINDS[request.param]


def put(wire: Wire, rules: dict[Network, SourceAction], ms: float = MINUTE_MS) -> SourceRules:
    """Let rules about sources begin, each for a while."""
    held = source_rules(wire)
    held.put({target: (action, until(wire, ms)) for target, action in rules.items()})
    return held


@pytest.mark.parametrize("exact", [DROP, GREYLIST])
def test_drop_goes_before_greylist(xdp_wire: Wire, exact: SourceAction) -> None:
    """Whichever of an address and its prefix is dropped, and whichever greylisted: it is dropped."""
    wire = xdp_wire
    connection = wire.connection()
    target, prefix = ip_network(connection.client), prefix_of(connection.client)
    other = GREYLIST if exact is DROP else DROP
    rules = put(wire, {target: exact, prefix: other})
    OfListener(wire, connection)
    with wire.counted() as moved:
        assert wire.syn(connection) == "drop"
        wire.wait(1000)
        assert wire.syn(connection) == "drop"
    assert moved() == dict.fromkeys(DROPPED, 2)
    dropping = target if exact is DROP else prefix
    assert {rules.hits(one) for one in (target, prefix) if one != dropping} == {0}
    assert rules.hits(dropping) == 2


def test_what_is_only_counted_passes(xdp_wire: Wire) -> None:
    """What drops it is behind us: an attempt that is dropped, as if we had done it, and no handshake."""
    wire = xdp_wire
    connection = wire.connection()
    target = ip_network(connection.client)
    rules = put(wire, {target: COUNT})
    OfListener(wire, connection)
    with wire.counted() as moved:
        assert [wire.syn(connection) for _ in range(3)] == ["pass"] * 3
        wire.ack(connection)
    assert moved() == dict.fromkeys(DROPPED, 3)
    assert rules.hits(target) == 3
    assert wire.known_source(connection.client).counts == HandshakeCounts(3, dropped_by_us=3)


@pytest.mark.parametrize("action", [DROP, COUNT])
def test_a_rule_ends_by_the_kernels_clock_to_the_nanosecond(xdp_wire: Wire, action: SourceAction) -> None:
    """Until then every SYN is a hit, and from then on none."""
    wire = xdp_wire
    connection = wire.connection()
    target = ip_network(connection.client)
    rules = put(wire, {target: action}, 1000)
    wire.at(wire.now_ns + 10**9 - 1)
    wire.syn(connection)
    wire.at(wire.now_ns + 1)
    with wire.counted() as moved:
        assert wire.syn(replace(connection, isn=7)) == "pass"
    assert moved() == {"attempts": 1}
    assert rules.hits(target) == 1


def test_a_prefix_that_is_over_hides_no_other_rule(xdp_wire: Wire) -> None:
    """A drop and a greylist that are over leave what is in force about the same address."""
    wire = xdp_wire
    connection = wire.connection()
    target, prefix = ip_network(connection.client), prefix_of(connection.client)
    for action in (DROP, GREYLIST):
        put(wire, {prefix: action}, 1)
        put(wire, {target: GREYLIST})
        wire.wait(2)
        with wire.counted() as moved:
            assert wire.syn(wire.connection(client=connection.client)) == "drop"
        assert moved() == DROPPED | {"greylisted": 1}


@pytest.mark.parametrize("spared", ["address", "prefix", "everybody"])
def test_whoever_is_spared_passes(xdp_wire: Wire, wide: MakeGreylisting, spared: str) -> None:
    """Under a greylist of the prefix or the listener; the neighbour does not, and after it nobody."""
    wire = xdp_wire
    connection = wire.connection()
    wide(wire, connection)
    prefix = prefix_of(connection.client)
    everybody = ip_network("0.0.0.0/0" if wire.version == 4 else "2000::/3")
    network = {"address": ip_network(connection.client), "prefix": prefix, "everybody": everybody}[spared]
    networks = SparedNetworks(wire.probe)
    networks.replace([network, ip_network("192.0.2.0/24"), ip_network("fe80::/10")])
    assert len(networks) == 3
    with wire.counted() as moved:
        assert wire.syn(connection) == "pass"
        wire.synack(connection)
        wire.ack(connection)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}
    if spared == "address":
        assert wire.syn(replace(connection, client=connection.client + 1)) == "drop"
    SparedNetworks(wire.probe).replace([])
    assert wire.syn(wire.connection(client=connection.client)) == "drop"


def test_a_spared_ipv4_address_spares_no_ipv6_one(ipv6_wire: Wire) -> None:
    """All of IPv4 lies within ::ffff:0:0/96, and in no other address of IPv6."""
    wire = ipv6_wire
    connection = wire.connection()
    OfListener(wire, connection)
    SparedNetworks(wire.probe).replace([ip_network("0.0.0.0/0")])
    assert wire.syn(connection) == "drop"


@pytest.mark.parametrize("target", ["::/0", "::/64", "::/80"])
def test_spared_ipv6_addresses_spare_no_ipv4(ipv4_wire: Wire, target: str) -> None:
    """Who spares all of IPv6 has said nothing of IPv4, which is kept as ::ffff:a.b.c.d."""
    wire = ipv4_wire
    connection = wire.connection()
    OfListener(wire, connection)
    networks = SparedNetworks(wire.probe)
    networks.replace([ip_network(target)])
    assert wire.syn(connection) == "drop"
    networks.replace([ip_network(target), ip_network(wire.client())])
    assert wire.syn(wire.connection()) == "drop"
    networks.replace([ip_network(target), prefix_of(connection.client)])
    assert wire.syn(wire.connection(client=connection.client)) == "pass"


def test_a_mapped_address_is_the_ipv4_address_that_it_stands_for(ipv4_wire: Wire) -> None:
    """Whichever way somebody writes it."""
    wire = ipv4_wire
    connection = wire.connection()
    OfListener(wire, connection)
    SparedNetworks(wire.probe).replace([ip_network(f"::ffff:{connection.client}")])
    assert wire.syn(connection) == "pass"


def test_a_drop_is_dropped_though_the_source_is_spared(xdp_wire: Wire) -> None:
    """Whom the policy must not drop it does not: here it is somebody's word."""
    wire = xdp_wire
    connection = wire.connection()
    put(wire, {ip_network(connection.client): DROP})
    SparedNetworks(wire.probe).replace([ip_network(connection.client)])
    assert wire.syn(connection) == "drop"


def nine_lengths() -> list[Network]:
    """Return prefixes of nine lengths, of both IP versions."""
    return [IPv4Network((0x0A000000, length)) for length in range(24, 29)] + [
        IPv6Network((0x20010DB8 << 96, length)) for length in range(48, 52)
    ]


def test_a_ninth_prefix_length_is_refused(ipv4_wire: Wire) -> None:
    """In words, and nothing of it is done; of the eight another target, or new terms, are none."""
    wire = ipv4_wire
    *eight, ninth = nine_lengths()
    rules = put(wire, dict.fromkeys(eight, DROP))
    before = rules.read()
    with pytest.raises(UsageError, match=r"only 8 prefix lengths .* /48 \(IPv6\).* /24 \(IPv4\)"):
        rules.put({ninth: (DROP, 1), eight[0]: (GREYLIST, 1)})
    assert rules.read() == before
    more = IPv4Network((0x0B000000, 24))
    rules.put({more: (GREYLIST, until(wire, 1)), eight[0]: (DROP, until(wire, 1))})
    assert len(rules.read()) == 9
    rules.end([eight[1]])
    rules.put({ninth: (DROP, until(wire, MINUTE_MS))})
    assert wire.probe.block_lengths == tuple(sorted({97 + 23, *range(122, 125), *range(48, 52)}))


def test_new_terms_keep_the_hits(xdp_wire: Wire) -> None:
    """Also when a greylist becomes a drop, and one that lingers begins again."""
    wire = xdp_wire
    client = wire.client()
    target = ip_network(client)
    rules = source_rules(wire)
    for turn, action in enumerate((GREYLIST, DROP, COUNT, GREYLIST), 1):
        rules.put({target: (action, until(wire, MINUTE_MS))})
        wire.syn(wire.connection(client=client))
        assert rules.hits(target) == turn
        (rule,) = rules.read().values()
        assert rule[:3] == (action, until(wire, MINUTE_MS), turn)
    rules.end([target])
    rules.put({target: (GREYLIST, until(wire, 1))})
    assert rules.hits(target) == 4
    assert rules.hits(ip_network("192.0.2.1")) == 0


def test_terms_that_a_rule_has_already_change_nothing(xdp_wire: Wire) -> None:
    """Nothing is written, so that no SYN that comes meanwhile is missing among its hits."""
    wire = xdp_wire
    target = ip_network(wire.client())
    until_ns = until(wire, MINUTE_MS)
    rules = source_rules(wire)
    for ends_ns, kept_ns in ((0, 0), (40, 0), (-40, 0), (60, 60), (20, 60)):
        rules.put({target: (DROP, until_ns + ends_ns * NS_PER_MS)})
        assert rules.read()[target].until_ns == until_ns + kept_ns * NS_PER_MS
    rules.put({target: (COUNT, until_ns)})
    assert rules.read()[target][:2] == (COUNT, until_ns)


def test_whoever_comes_next_holds_what_is_there(xdp_wire: Wire) -> None:
    """Rules that an earlier daemon left are read, looked up, and can be ended."""
    wire = xdp_wire
    connection = wire.connection()
    target, prefix = ip_network(connection.client), prefix_of(connection.client)
    earlier = put(wire, {target: GREYLIST, prefix: COUNT})
    OfListener(wire, connection)
    wire.probe.set_block_lengths(())
    wire.probe.set_responding("sources", False)
    wire.probe.set_responding("listeners", False)
    rules, listeners = source_rules(wire), listener_rules(wire)
    assert rules.read() == earlier.read()
    assert list(listeners.read()) == [connection.listener]
    with wire.counted() as moved:
        wire.syn(connection)
    assert moved() == DROPPED
    rules.end([target, prefix, ip_network("192.0.2.77")])
    listeners.end(connection.listener)
    assert (rules.read(), listeners.read()) == ({}, {})
    assert wire.syn(connection) == "pass"


def test_a_listeners_rule_is_read_as_it_was_put(xdp_wire: Wire) -> None:
    """With its canaries and its answer, of which who sent it is not kept."""
    wire = xdp_wire
    listener = wire.connection().listener
    rules = listener_rules(wire)
    for scale, canaries in ((None, EVERYBODY), (0, 0), (14, 16)):
        answer = Answer(1460, 65535, scale, sack=True, timestamps=False, ttl=255, local=0, foreign=0)
        rule = ListenerRule(ListenerAction.COOKIE, until(wire, 1), canaries, answer)
        rules.put(listener, rule)
        assert rules.read() == {listener: rule._replace(since_tick=encode_tick(wire.now_ns))}


def test_new_terms_do_not_make_a_rule_younger(xdp_wire: Wire) -> None:
    """It began when it began, until it was ended and begins again."""
    wire = xdp_wire
    connection = wire.connection()
    sources, listeners = source_rules(wire), listener_rules(wire)
    target, listener = ip_network(connection.client), connection.listener
    began = []
    for ends in (False, True, False):
        until_ns = until(wire, MINUTE_MS)
        sources.put({target: (GREYLIST, until_ns)})
        listeners.put(listener, ListenerRule(ListenerAction.GREYLIST, until_ns))
        began.append((sources.read()[target].since_tick, listeners.read()[listener].since_tick))
        if ends:
            sources.end([target])
            listeners.end(listener)
        wire.wait(100)
    first, last = encode_tick(wire.now_ns - 300 * NS_PER_MS), encode_tick(wire.now_ns - 100 * NS_PER_MS)
    assert began == [(first, first), (first, first), (last, last)]


@pytest.fixture(scope="module")
def small() -> Iterator[Probe]:
    """Yield a probe of this module's own with room for sixteen blocks."""
    with contextlib.closing(Probe.load(Sizes(max_blocks=16), Groups())) as loaded:
        yield loaded


def test_without_room_none_of_the_new_ones_is_in_force(small: Probe) -> None:
    """It is refused in words, and what was held before goes on as it was."""
    rules = SourceRules(small)
    held: dict[Network, tuple[SourceAction, int]] = {
        IPv4Network((0x0A000000 + index, 32)): (DROP, 1) for index in range(10)
    }
    rules.put(held)
    with pytest.raises(UnsupportedError, match="no room"):
        rules.put({IPv4Network((0x0B000000 + index, 32)): (GREYLIST, 2) for index in range(10)})
    assert {target: rule[:3] for target, rule in rules.read().items()} == dict.fromkeys(held, (DROP, 1, 0))
    rules.put({IPv4Network((0x0C000000, 32)): (DROP, 3)})
    assert len(rules.read()) == 11


def test_without_room_a_listeners_rule_is_refused(small: Probe) -> None:
    """Beyond 512, which the others keep."""
    rules = ListenerRules(small)
    listeners = [Listener(ip_address("10.0.0.1"), port) for port in range(1, 514)]
    rule = ListenerRule(ListenerAction.GREYLIST, 1)
    for listener in listeners[:512]:
        rules.put(listener, rule)
    with pytest.raises(UnsupportedError, match="no room"):
        rules.put(listeners[512], rule)
    assert rules.read().keys() == set(listeners[:512])


def test_without_room_no_more_networks_are_spared(small: Probe) -> None:
    """Beyond 4,096 it is refused in words; so many in any order there is room for."""
    networks = SparedNetworks(small)
    many: list[Network] = [IPv6Network(((0x20010DB8 << 32 | index) << 64, 64)) for index in range(4096)]
    networks.replace(many)
    assert len(networks) == 4096
    with pytest.raises(UnsupportedError, match="no room"):
        networks.replace([*many, ip_network("192.0.2.1")])
    assert len(list(small.maps["spared"].items())) == len(networks) == 4096
    networks.replace([*many[1:], ip_network("192.0.2.1")])
    assert len(list(small.maps["spared"].items())) == len(networks) == 4096
    networks.replace([ip_network("192.0.2.1")])
    assert len(list(small.maps["spared"].items())) == len(networks) == 1
    networks.replace([])


def test_two_cpus_at_one_rule_lose_no_hit(xdp_wire: Wire) -> None:
    """Of SYNs dropped at once on both, the rule, the totals, the source and the listener know all."""
    wire = xdp_wire
    wire.handshake(wire.connection())
    connection = wire.connection()
    target = ip_network(connection.client)
    rules = put(wire, {target: DROP})
    with wire.counted() as moved:
        on_two_cpus(lambda _: wire.repeat(connection.frame(connection.segment("S")), REPEATS))
    assert moved() == dict.fromkeys(DROPPED, 2 * REPEATS)
    assert rules.hits(target) == 2 * REPEATS
    source, listener = wire.booked(connection)
    assert (source.attempts, source.dropped_by_us) == (2 * REPEATS, 2 * REPEATS)
    assert (listener.attempts, listener.dropped_by_us) == (2 * REPEATS + 1, 2 * REPEATS)


def test_canaries_are_taken_once_by_two_cpus(xdp_wire: Wire) -> None:
    """Never more than were granted, whoever takes them: here there is no socket to answer for."""
    wire = xdp_wire
    connection = wire.connection()
    rules = listener_rules(wire)
    rule = ListenerRule(ListenerAction.COOKIE, until(wire, MINUTE_MS), 16)
    rules.put(connection.listener, rule)
    clients = [wire.connection() for _ in range(60)]
    for client in clients:
        wire.syn(client)
    wire.wait(1000)

    def come_again(index: int) -> None:
        for client in clients[30 * index : 30 * index + 30]:
            wire.syn(client)

    on_two_cpus(come_again)
    assert rules.read()[connection.listener].canaries == 0


def test_without_xdp_rules_only_show(make_wire: MakeWire, version: int) -> None:
    """Where only tc is to be had, SYNs under any rule pass as if there were none."""
    wire = make_wire(TC_INGRESS_PROGRAM, version)
    connection = wire.connection()
    of_prefix(wire, connection)
    OfListener(wire, connection)
    with wire.counted() as moved:
        assert wire.syn(connection) == "pass"
    assert moved() == {"attempts": 1}

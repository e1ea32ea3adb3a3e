"""A greylisted SYN gets in when it comes again as a real client's does, and not before."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from synguard.model import HandshakeCounts
from synguard.probe.response_layout import LINGER_NS
from tests.kernel.cpus import on_two_cpus
from tests.kernel.responding import KINDS, MakeGreylisting, OfNetwork, of_prefix, of_source
from tests.kernel.wire import NS_PER_MS, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.usefixtures("fresh_greylist")]

LINGER_MS = LINGER_NS / NS_PER_MS
FIRST = {"attempts": 1, "dropped_by_us": 1, "greylisted": 1}
REPEATS = 20_000


@pytest.fixture(params=KINDS)
def greylist(request: pytest.FixtureRequest) -> MakeGreylisting:
    """Return what greylists the source, the prefix or the listener of a connection."""
    return KINDS[request.param]


def test_a_first_syn_is_dropped_and_counted(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """It is an attempt of its source and its listener, and no ACK can complete it."""
    wire = xdp_wire
    wire.handshake(wire.connection())
    connection = wire.connection()
    greylist(wire, connection)
    with wire.counted() as moved:
        assert wire.syn(connection) == "drop"
        assert wire.ack(connection) == "pass"
    assert moved() == FIRST
    source, listener = wire.booked(connection)
    assert source == HandshakeCounts(1, dropped_by_us=1)
    assert listener == HandshakeCounts(2, answered=1, completed=1, dropped_by_us=1)
    assert wire.known_listener(connection.listener).greylisted == 1


@pytest.mark.parametrize(
    ("later_ms", "verdict"), [(390, "drop"), (410, "pass"), (1000, "pass"), (7900, "pass"), (8100, "drop")]
)
def test_it_passes_from_four_tenths_of_a_second_to_eight(
    xdp_wire: Wire, greylist: MakeGreylisting, later_ms: int, verdict: str
) -> None:
    """The same SYN again is let in as the retransmission that it is; too soon or too late it is not."""
    wire = xdp_wire
    connection = wire.connection()
    greylist(wire, connection)
    wire.syn(connection)
    wire.wait(later_ms)
    with wire.counted() as moved:
        assert wire.syn(connection) == verdict
    admitted = {"syn_retransmits": 1, "greylist_admitted": 1}
    assert moved() == (admitted if verdict == "pass" else FIRST)


def test_a_copy_in_between_must_begin_anew(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """What a tool repeats never gets in; a client that is patient enough does after all."""
    wire = xdp_wire
    connection = wire.connection()
    greylist(wire, connection)
    verdicts = []
    for later_ms in (0, 300, 1000, 1000):
        wire.wait(later_ms)
        verdicts.append(wire.syn(connection))
    assert verdicts == ["drop", "drop", "drop", "pass"]
    repeated = wire.connection()
    greylist(wire, repeated)
    for _ in range(40):
        wire.wait(250)
        assert wire.syn(repeated) == "drop"


def test_a_networks_duplicate_counts_as_one(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """A copy within 0.2 s is no attempt, but a copy: the third retransmission of a client gets in."""
    wire = xdp_wire
    connection = wire.connection()
    greylist(wire, connection)
    wire.syn(connection)
    wire.wait(190)
    with wire.counted() as moved:
        assert wire.syn(connection) == "drop"
    assert moved() == {"syn_duplicates": 1, "dropped_by_us": 1, "greylisted": 1}
    wire.wait(10)
    with wire.counted() as moved:
        assert wire.syn(connection) == "drop"
    assert moved() == FIRST
    wire.wait(1000)
    assert wire.syn(connection) == "drop"
    wire.wait(2000)
    assert wire.syn(connection) == "pass"


@pytest.mark.parametrize(
    ("later_ms", "verdict"), [(390, "drop"), (410, "pass"), (1000, "pass"), (7900, "pass"), (8100, "drop")]
)
def test_who_was_let_pass_before_it_began_need_not_begin_anew(
    xdp_wire: Wire, greylist: MakeGreylisting, later_ms: int, verdict: str
) -> None:
    """A client whose first SYN the flood cost gets in with its first retransmission, not its second."""
    wire = xdp_wire
    connection = wire.connection()
    assert wire.syn(connection) == "pass"
    greylist(wire, connection)
    wire.wait(later_ms)
    with wire.counted() as moved:
        assert wire.syn(connection) == verdict
    held_back = {"dropped_by_us": 1, "greylisted": 1, "attempts": 1}
    assert moved() == ({"syn_retransmits": 1} if verdict == "pass" else held_back)
    wire.wait(1000)
    with wire.counted() as moved:
        wire.handshake(connection)
    assert (moved()["answered"], moved()["completed"]) == (1, 1)


def test_copies_from_before_it_began_do_not_get_in(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """What a tool repeated too soon is held back, and so is what it never sent."""
    wire = xdp_wire
    connection = wire.connection()
    wire.syn(connection)
    wire.wait(100)
    assert wire.syn(connection) == "pass"
    greylist(wire, connection)
    wire.wait(1000)
    assert wire.syn(connection) == "drop"
    assert wire.syn(replace(connection, isn=connection.isn + 1)) == "drop"


@pytest.mark.parametrize("other", ["isn", "client_port", "client"])
def test_another_syn_is_a_first_one(xdp_wire: Wire, greylist: MakeGreylisting, other: str) -> None:
    """Of another ISN, port or address nothing is known, whatever came a second before."""
    wire = xdp_wire
    connection = wire.connection()
    greylist(wire, connection)
    wire.syn(connection)
    wire.wait(1000)
    changed = getattr(connection, other) + 1
    one = replace(connection, **{other: changed})
    if other == "client":
        greylist(wire, one)
    with wire.counted() as moved:
        assert wire.syn(one) == "drop"
    assert moved() == FIRST
    assert wire.syn(connection) == "pass"


def test_who_is_admitted_completes(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """The handshake has its slot from then on, and all that it was is one attempt."""
    wire = xdp_wire
    connection = wire.connection()
    greylist(wire, connection)
    with wire.counted() as moved:
        wire.syn(connection)
        wire.wait(1000)
        wire.handshake(connection)
    admitted = {"syn_retransmits": 1, "greylist_admitted": 1, "answered": 1, "completed": 1}
    assert moved() == FIRST | admitted
    assert wire.known_source(connection.client).counts == HandshakeCounts(
        1, syn_retransmits=1, answered=1, completed=1, dropped_by_us=1
    )


@pytest.mark.parametrize("later_ms", [1000, 3000])
def test_an_admitted_one_comes_again(xdp_wire: Wire, greylist: MakeGreylisting, later_ms: int) -> None:
    """While its SYN-ACK is lost its SYNs pass as retransmissions; it was admitted once."""
    wire = xdp_wire
    connection = wire.connection()
    greylist(wire, connection)
    wire.syn(connection)
    wire.wait(1000)
    wire.syn(connection)
    wire.wait(later_ms)
    with wire.counted() as moved:
        assert wire.syn(connection) == "pass"
        wire.synack(connection)
        wire.ack(connection)
    assert moved() == {"syn_retransmits": 1, "answered": 1, "completed": 1}


@pytest.mark.parametrize("flags", ["A", "PA", "FA", "R", "RA", "SA", "F", ""])
def test_what_is_no_syn_is_not_touched(xdp_wire: Wire, greylist: MakeGreylisting, flags: str) -> None:
    """Established connections live on, and so does all that is not the beginning of one."""
    wire = xdp_wire
    connection = wire.connection()
    greylist(wire, connection)
    with wire.counted() as moved:
        assert wire.ack(connection, flags, b"data") == "pass"
    assert "dropped_by_us" not in moved()


def test_it_ends_by_the_kernels_clock_to_the_nanosecond(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """In the last nanosecond a SYN is dropped, in the next one another passes."""
    wire = xdp_wire
    connection, other = wire.connection(), wire.connection()
    until_ns = max(greylist(wire, one).until_ns for one in (connection, other))
    wire.at(until_ns - 1)
    assert wire.syn(connection) == "drop"
    wire.at(until_ns)
    assert wire.syn(replace(other, isn=1)) == "pass"


def test_when_it_is_over_what_it_dropped_is_still_known(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """A retransmission is the attempt that it was for eight seconds, and a new SYN is just a new one."""
    wire = xdp_wire
    connection, other = wire.connection(), wire.connection()
    greylist(wire, connection, 500)
    wire.syn(connection)
    wire.wait(1000)
    with wire.counted() as moved:
        assert wire.syn(connection) == "pass"
        assert wire.syn(replace(connection, client_port=9)) == "pass"
        assert wire.syn(other) == "pass"
    assert moved() == {"attempts": 2, "syn_retransmits": 1, "greylist_admitted": 1}


@pytest.mark.parametrize(("later_ms", "counted"), [(7900, "greylist_admitted"), (8100, "attempts")])
def test_what_it_dropped_last_is_known_as_long_as_all_else(
    xdp_wire: Wire, greylist: MakeGreylisting, later_ms: float, counted: str
) -> None:
    """A SYN dropped just before the end is known for eight seconds more, and passes in any case."""
    wire = xdp_wire
    connection = wire.connection()
    wire.at(greylist(wire, connection, 500).until_ns - 1)
    assert wire.syn(connection) == "drop"
    wire.wait(later_ms)
    with wire.counted() as moved:
        assert wire.syn(connection) == "pass"
    assert moved()[counted] == 1


@pytest.mark.parametrize("apart_ms", [450, 3000])
def test_who_only_repeats_its_syn_is_counted_as_without_a_greylist(
    xdp_wire: Wire, greylist: MakeGreylisting, apart_ms: int
) -> None:
    """Ten retransmissions are taken for such; from then on each is an attempt, and an unfinished one."""
    wire = xdp_wire
    connection = wire.connection()
    greylist(wire, connection)
    wire.syn(connection)
    with wire.counted() as moved:
        for _ in range(16):
            wire.wait(apart_ms)
            assert wire.syn(connection) == "pass"
    assert moved() == {"attempts": 5, "syn_retransmits": 11, "greylist_admitted": 1}
    source = wire.known_source(connection.client)
    assert source.counts.attempts == 6
    assert all(cohort.completed == 0 for cohort in source.cohorts[-1:])


def test_one_that_is_ended_lingers_until_it_is_tidied(xdp_wire: Wire, greylist: MakeGreylisting) -> None:
    """It drops nothing and is no longer told of, and after its time nothing of it is left."""
    wire = xdp_wire
    connection = wire.connection()
    held = greylist(wire, connection)
    wire.syn(connection)
    held.end()
    assert not held.held()
    wire.wait(1000)
    with wire.counted() as moved:
        assert wire.syn(connection) == "pass"
        assert wire.syn(wire.connection(client=connection.client)) == "pass"
    assert moved() == {"attempts": 1, "syn_retransmits": 1, "greylist_admitted": 1}
    held.tidy()
    maps = [wire.probe.maps[name] for name in ("blocks", "listener_rules")]
    assert sum(len(list(rules.items())) for rules in maps) == 1
    wire.wait(LINGER_MS - 999)
    held.tidy()
    assert sum(len(list(rules.items())) for rules in maps) == 0


def test_one_that_begins_again_while_it_lingers_drops_again(
    xdp_wire: Wire, greylist: MakeGreylisting
) -> None:
    """What an earlier one ended is no longer over, and tidying leaves it alone."""
    wire = xdp_wire
    connection = wire.connection()
    held = greylist(wire, connection)
    held.end()
    again = greylist(wire, connection)
    wire.wait(LINGER_MS + 1)
    again.tidy()
    assert again.held()
    assert wire.syn(connection) == "drop"


def test_hits_are_what_it_dropped(xdp_wire: Wire) -> None:
    """First SYNs and copies are hits of the source's rule; what is let in is none."""
    wire = xdp_wire
    connection = wire.connection()
    held = of_source(wire, connection)
    assert isinstance(held, OfNetwork)
    for later_ms in (0, 100, 1000, 1000):
        wire.wait(later_ms)
        wire.syn(connection)
    assert held.rules.hits(held.network) == 3
    held.end()
    wire.syn(wire.connection(client=connection.client))
    assert held.rules.hits(held.network) == 3


def test_an_ipv6_greylist_of_everybody_is_none_of_ipv4(ipv4_wire: Wire) -> None:
    """IPv4 addresses are kept as ::ffff:a.b.c.d, and yet are not in an IPv6 prefix around that."""
    wire = ipv4_wire
    OfNetwork(wire, ip_network("::/0"), 60_000)
    assert wire.syn(wire.connection()) == "pass"
    wire.version = 6
    assert wire.syn(wire.connection(client=ip_address("2001:db8::77"))) == "drop"


def test_two_cpus_at_one_syn_lose_no_count(xdp_wire: Wire) -> None:
    """Both give the same SYN again and again: each is dropped, and is an attempt or a duplicate."""
    wire = xdp_wire
    connection = wire.connection()
    held = of_prefix(wire, connection)
    assert isinstance(held, OfNetwork)

    def flood(_: int) -> None:
        wire.repeat(connection.frame(connection.segment("S")), REPEATS)

    with wire.counted() as moved:
        on_two_cpus(flood)
    counted = moved()
    assert counted["attempts"] + counted["syn_duplicates"] == 2 * REPEATS
    assert counted["syn_duplicates"] in {1, 2}
    assert counted["dropped_by_us"] == counted["greylisted"] == 2 * REPEATS
    assert held.rules.hits(held.network) == 2 * REPEATS

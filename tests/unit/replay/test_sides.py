"""Which side is ours, which way packets go, and whether a capture shows both."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from synguard.replay import survey as surveying
from synguard.replay.formats import INCOMING, OUTGOING, UNKNOWN, Packet
from synguard.replay.sides import Members, infer
from synguard.replay.survey import Survey, Tally
from synguard.replay.ways import BOTH, NOWHERE, Ways, judge

from .making import ACK, CLIENT, RST, SERVER, SYN, ethernet, tcp

Talk = list[tuple[str, str, int]]


def surveyed(packets: Iterable[tuple[str, str, int]], marks: Iterable[int] = ()) -> Survey:
    """Return the survey of segments, each given by source, destination and flags."""
    survey = Survey()
    marked = iter(marks)
    batch: list[Packet] = []
    for number, (source, destination, flags) in enumerate(packets):
        ports = (443, 40000) if source == SERVER else (40000, 443)
        segment = tcp(source, destination, flags, ports=ports, seq=number, ack=number)
        batch.append((number, 1, next(marked, UNKNOWN), ethernet(segment)))
    for start in range(0, len(batch), 1000):
        survey.take(batch[start : start + 1000])
    return survey


def ours(survey: Survey) -> str:
    """Return what is inferred, as people write it."""
    return str(infer(survey))


def sources(number: int, seed: int = 1) -> list[str]:
    """Return so many addresses from everywhere."""
    draw = random.Random(seed)  # noqa: S311  a test that fails must fail again
    return [str(IPv4Address(draw.randrange(1 << 24, 223 << 24))) for _ in range(number)]


def handshake(client: str, server: str) -> Talk:
    """Return a good handshake."""
    return [(client, server, SYN), (server, client, SYN | ACK), (client, server, ACK)]


def flood(target: str, number: int) -> Talk:
    """Return SYNs from everywhere."""
    return [(source, target, SYN) for source in sources(number)]


FLOODER, SCANNER = "192.0.2.66", "192.0.2.77"
SERVERS = [f"203.0.113.{number}" for number in range(1, 21)]


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (flood(SERVER, 500), SERVER),
        ([(FLOODER, SERVER, SYN)] * 500, SERVER),
        ([packet for one in sources(50) for packet in handshake(one, SERVER)], SERVER),
        (handshake(CLIENT, SERVER) * 20, SERVER),
        (handshake("223.255.1.1", SERVER) * 20, SERVER),
        ([packet for one in sources(50) for packet in handshake(CLIENT, one)], CLIENT),
        (flood(SERVER, 300) + [packet for one in sources(9, 2) for packet in handshake(SERVER, one)], SERVER),
        ([(SCANNER, server, SYN) for server in SERVERS], "203.0.113.0/24"),
        ([(FLOODER, server, SYN) for server in SERVERS[:3] * 100], ", ".join(SERVERS[:3])),
        (
            [packet for server in SERVERS[:6] for one in sources(30) for packet in handshake(one, server)],
            ", ".join(SERVERS[:6]),
        ),
        ([(f"2001:db8:{one:x}::1", "2001:db8::5", SYN) for one in range(99)], "2001:db8::5"),
    ],
    ids=[
        "spoofed flood", "flood from one source", "clients of a server", "one conversation",
        "one with a higher address", "client of many",
        "flooded client", "scan of a network", "flood on three", "six servers", "IPv6 flood",
    ],
)  # fmt: skip
def test_ours_is_the_side_that_is_attacked_or_asked(talk: Talk, expected: str) -> None:
    """A host's own address, whoever answers, or the targets; not whoever floods or scans them."""
    assert ours(surveyed(talk)) == expected


def test_two_addresses_of_one_host_are_both_ours() -> None:
    """A host that is asked by IPv4 and by IPv6 is found whole."""
    talk = [packet for one in sources(40) for packet in handshake(one, SERVER)]
    talk += [packet for one in range(40) for packet in handshake(f"2001:db8:{one:x}::1", "2001:db8::5")]
    assert ours(surveyed(talk)) in {f"{SERVER}, 2001:db8::5", f"2001:db8::5, {SERVER}"}


def test_addresses_of_one_interface_go_together() -> None:
    """What else its link address speaks for is ours, too, however rare it is."""
    own, router = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
    talk = flood(SERVER, 30_000) + handshake(CLIENT, "203.0.113.99") * 20
    survey = Survey()
    for source, destination, flags in talk:
        ends = router + own if source.startswith("203.0.113.") else own + router
        survey.take([(0, 1, UNKNOWN, ends + ethernet(tcp(source, destination, flags))[12:])])
    assert ours(survey) == f"{SERVER}, 203.0.113.99"


def test_the_capture_knows_best() -> None:
    """Where it says what came in and what left, a client of one server is us."""
    talk = handshake(CLIENT, SERVER) * 20
    marks = [OUTGOING, INCOMING, OUTGOING] * 20
    survey = surveyed(talk, marks)
    assert ours(survey) == CLIENT
    assert "the capture says" in str(infer(survey).inferred_because)


def test_what_a_router_passes_on_marks_nobody() -> None:
    """Each packet comes in and leaves there, which says nothing of whose it is."""
    talk = [packet for one in sources(40) for packet in handshake(one, SERVER) for _ in range(2)]
    assert ours(surveyed(talk, [INCOMING, OUTGOING] * len(talk))) == SERVER


def test_nothing_is_made_up() -> None:
    """Packets between many without any handshake tell nothing."""
    survey = surveyed((one, other, ACK) for one, other in zip(sources(200, 3), sources(200, 4), strict=True))
    assert infer(survey).networks == ()


def test_members_are_found_by_any_prefix_length() -> None:
    """Single hosts and prefixes of both families; nobody else."""
    members = Members([ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"), ip_network("192.0.2.1")])
    inside = ["203.0.113.0", "203.0.113.255", "2001:db8:ffff::1", "192.0.2.1"]
    outside = ["203.0.114.0", "2001:db9::", "192.0.2.2", "::ffff:203.0.113.1"]
    assert all(members.holds(ip_address(one).packed) for one in inside)
    assert not any(members.holds(ip_address(one).packed) for one in outside)
    hosts = Members([ip_network("192.0.2.1")])
    assert [hosts.holds(ip_address(one).packed) for one in ("192.0.2.1", "192.0.2.2")] == [True, False]


def ways(talk: Talk, marks: Iterable[int] = ()) -> Ways:
    """Return the ways of a capture whose server is ours."""
    return Ways(Members([ip_network(SERVER)]), surveyed(talk, marks))


def test_addresses_tell_the_way() -> None:
    """To ours it comes in, from ours it leaves, within it does both, and between others it is nobody's."""
    found = ways(handshake(CLIENT, SERVER))
    pairs = [(CLIENT, SERVER), (SERVER, CLIENT), (SERVER, SERVER), (CLIENT, FLOODER)]
    assert [found.of(ethernet(tcp(*pair, SYN)), UNKNOWN) for pair in pairs] == [
        INCOMING,
        OUTGOING,
        BOTH,
        NOWHERE,
    ]


def test_what_tells_no_address_comes_in() -> None:
    """So that the probe counts why it is not parsed; unless the capture says that it left."""
    found = ways(handshake(CLIENT, SERVER))
    assert found.of(ethernet(tcp(CLIENT, SERVER, SYN))[:20], UNKNOWN) == INCOMING
    assert found.of(bytes(14), OUTGOING) == OUTGOING


def test_a_router_s_word_on_the_way_is_believed() -> None:
    """What leaves towards our server left, though it is addressed to us: it came in before."""
    talk = [packet for packet in handshake(CLIENT, SERVER) for _ in range(2)]
    found = ways(talk, [INCOMING, OUTGOING] * 3)
    frame = ethernet(tcp(CLIENT, SERVER, SYN))
    assert [found.of(frame, mark) for mark in (INCOMING, OUTGOING)] == [INCOMING, OUTGOING]


def test_the_other_end_s_word_on_the_way_is_not() -> None:
    """A capture made at the client marks the SYN to our server as leaving; to us it comes in."""
    marks, odd = [OUTGOING, INCOMING, OUTGOING], [INCOMING, OUTGOING, INCOMING]
    for count, marked in ((1, marks), (5, marks * 4 + odd)):
        found = ways(handshake(CLIENT, SERVER) * count, marked)
        assert found.of(ethernet(tcp(CLIENT, SERVER, SYN)), OUTGOING) == INCOMING


def visible(talk: Talk) -> tuple[str, bool]:
    """Return the direction that a capture shows of the server's traffic, and whether answers are missing."""
    found = judge(surveyed(talk), Members([ip_network(SERVER)]))
    return found.direction, found.one_way_because is not None


def live_flows(number: int, *, shown: int) -> Talk:
    """Return segments of connections that go on, of which so many show both directions."""
    clients = sources(number)
    incoming = [(client, SERVER, ACK) for _ in range(3) for client in clients]
    return incoming + [(SERVER, client, ACK) for _ in range(3) for client in clients[:shown]]


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        ([packet for one in sources(30) for packet in handshake(one, SERVER)], ("both", False)),
        (flood(SERVER, 300), ("incoming", True)),
        ([(CLIENT, SERVER, ACK)] * 5, ("incoming", True)),
        ([*flood(SERVER, 300), (SERVER, CLIENT, RST)], ("both", False)),
        ([*flood(SERVER, 300), (SERVER, CLIENT, ACK)], ("both", False)),
        ([*flood(SERVER, 3000), (SERVER, SERVER, SYN)], ("incoming", True)),
        ([(SERVER, CLIENT, SYN | ACK)] * 9, ("outgoing", False)),
        (live_flows(30, shown=1), ("incoming", True)),
        (live_flows(30, shown=8), ("both", False)),
        (live_flows(30, shown=1) + handshake(CLIENT, SERVER), ("both", False)),
        ([], ("none", False)),
    ],
    ids=[
        "handshakes", "flood alone", "a connection's half", "firewalled but resetting",
        "firewalled but alive", "flood that forges our address", "answers alone", "hidden flows",
        "shown flows", "hidden flows, answers shown", "nothing",
    ],
)  # fmt: skip
def test_one_direction_is_recognised(talk: Talk, expected: tuple[str, bool]) -> None:
    """Nothing of ours leaves, or live connections show one half; a host that merely is silent shows both."""
    assert visible(talk) == expected


def test_tallies_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a million sources those that come often are kept."""
    monkeypatch.setattr(surveying, "TALLY_MAX", 100)
    tally = Tally()
    for number in range(10_000):
        tally[number.to_bytes(4, "big")] += 1
        tally[b"often"] += 1
        tally.bound()
    assert len(tally) <= 101
    assert tally[b"often"] == 10_000


def test_the_sample_covers_the_whole_capture() -> None:
    """It is thinned as the capture goes on, and holds packets of its beginning and its end alike."""
    survey = surveyed(flood(SERVER, 40_000))
    assert surveying.SAMPLE_MAX // 2 <= len(survey.samples[4].packets) <= surveying.SAMPLE_MAX
    places = {source: place for place, source in enumerate(sources(40_000))}
    taken = [places[str(ip_address(one.source))] for one in survey.samples[4].packets]
    distances = {after - before for before, after in itertools.pairwise(taken)}
    assert (taken[0], distances) == (0, {8})
    assert taken[-1] > 39_900

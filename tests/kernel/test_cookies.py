"""SYNs are answered with cookies of the kernel's own, and only an ACK that brings one back completes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from synguard.handshake import Answer
from synguard.probe.listener_rules import EVERYBODY, ListenerAction, ListenerRule
from synguard.probe.spared_networks import SparedNetworks
from tests.kernel.conftest import SECRET
from tests.kernel.listening import connect_as, server_of, set_sysctl
from tests.kernel.responding import MINUTE_MS, listener_rules, until
from tests.kernel.wire import Connection, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.usefixtures("fresh_greylist")]

ANSWER = Answer(
    mss=1380, window=29200, window_scale=9, sack=True, timestamps=False, ttl=61, local=1, foreign=0
)
CLOCKED = replace(ANSWER, timestamps=True)
LINUX = (("MSS", 1460), ("SAckOK", b""), ("Timestamp", (77_000, 0)), ("NOP", None), ("WScale", 7))
SENT = {"attempts": 1, "answered": 1, "cookies_sent": 1}


def is_booked(connection: Connection) -> bool:
    """Tell whether a cookie's handshake is among the eighth that is booked to its source and prefix."""
    port = int.from_bytes(connection.client_port.to_bytes(2, "big"), sys.byteorder)
    mixed = (connection.isn << 16 ^ port ^ SECRET[0]) * (SECRET[1] | 1)
    return mixed >> 40 & 7 == 0


def cookies(
    wire: Wire, answer: Answer = ANSWER, canaries: int = EVERYBODY, ms: float = MINUTE_MS
) -> Connection:
    """Answer the wire's listener's SYNs with cookies for a while; return a new client's connection.

    It is one of those that are booked to their source, too.
    """
    connection = next(one for one in iter(wire.connection, None) if is_booked(one))
    rule = ListenerRule(ListenerAction.COOKIE, until(wire, ms), canaries, answer)
    listener_rules(wire).put(connection.listener, rule)
    return connection


@pytest.fixture
def served(xdp_wire: Wire) -> Iterator[Wire]:
    """Yield a wire at whose server a real socket listens, for each IP version."""
    with server_of(xdp_wire):
        yield xdp_wire


def syn(connection: Connection, options: object = LINUX) -> bytes:
    """Return the client's SYN with a Linux client's options, or others."""
    return connection.frame(connection.segment("S", options=options))  # type: ignore[arg-type]


def answered(wire: Wire, frame: bytes) -> Packet:
    """Deliver a SYN that must be answered; return the answer, whose checksums must be right."""
    assert wire.deliver(frame) == "tx"
    answer = Ether(wire.left)
    network = answer[IP if wire.version == 4 else IPv6]
    again = network.copy()
    del again[TCP].chksum
    if wire.version == 4:
        del again.chksum
    assert bytes(again.__class__(bytes(again))) == bytes(network)
    return answer


def given_cookie(wire: Wire, connection: Connection) -> Connection:
    """Let a client have its cookie: return the connection as it knows it then."""
    return replace(connection, server_isn=int(answered(wire, syn(connection))[TCP].seq))


def test_the_answer_is_one_of_the_listeners_own(served: Wire) -> None:
    """Addresses, ports and numbers as of a SYN-ACK, MSS, window and TTL as of that listener."""
    connection = cookies(served)
    with served.counted() as moved:
        answer = answered(served, syn(connection))
    assert moved() == SENT
    assert (answer.src, answer.dst) == ("02:00:00:00:00:02", "02:00:00:00:00:01")
    network, tcp = answer[IP if served.version == 4 else IPv6], answer[TCP]
    assert (network.src, network.dst) == (str(connection.server), str(connection.client))
    assert (tcp.sport, tcp.dport, tcp.flags) == (443, connection.client_port, "SA")
    assert tcp.ack == (connection.isn + 1) % 2**32
    assert (tcp.window, tcp.options, tcp.urgptr) == (29200, [("MSS", 1380)], 0)
    assert (network.ttl if served.version == 4 else network.hlim) == 61
    assert len(served.left) == 14 + (20 if served.version == 4 else 40) + 24
    assert served.known_source(connection.client).counts.answered == 1
    listener = served.known_listener(connection.listener)
    assert (listener.counts.attempts, listener.counts.answered, listener.cookies_sent) == (1, 1, 1)


@pytest.mark.parametrize("options", [(), (("MSS", 536),), LINUX, (*LINUX, *[("NOP", None)] * 20)])
@pytest.mark.parametrize("payload", [b"", b"early data" * 20, bytes(6)])
def test_syns_of_every_length_are_answered(served: Wire, options: object, payload: bytes) -> None:
    """Without options, with all there is room for, with data or padding behind: the answer is the same."""
    connection = cookies(served)
    segment = connection.segment("S", options=options)  # type: ignore[arg-type]
    answer = answered(served, connection.frame(segment, payload))
    assert answer[TCP].options == [("MSS", 1380)]
    assert Raw not in answer
    assert len(answer) == 14 + (20 if served.version == 4 else 40) + 24


@pytest.mark.parametrize("to_all", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])
def test_what_was_sent_to_all_is_not_answered(served: Wire, to_all: str) -> None:
    """No host takes TCP from a broadcast or multicast frame, nor does the probe for it."""
    frame = syn(cookies(served))
    assert served.deliver(bytes.fromhex(to_all.replace(":", "")) + frame[6:]) == "pass"
    assert served.left == bytes.fromhex(to_all.replace(":", "")) + frame[6:]


@pytest.mark.parametrize("tags", [b"\x81\x00\x00\x07", b"\x88\xa8\x00\x09\x81\x00\x20\x07"])
def test_vlan_tags_are_kept(served: Wire, tags: bytes) -> None:
    """The answer goes into the VLAN from which it was asked for."""
    frame = syn(cookies(served))
    answer = answered(served, frame[:12] + tags + frame[12:])
    assert bytes(answer)[12 : 12 + len(tags)] == tags


def test_with_timestamps_all_options_are_answered(served: Wire) -> None:
    """The clock's lowest bits say what the client offered, as net/ipv4/syncookies.c has them."""
    connection = cookies(served, CLOCKED)
    tcp = answered(served, syn(connection))[TCP]
    assert [name for name, _ in tcp.options] == ["MSS", "SAckOK", "Timestamp", "NOP", "WScale"]
    options = dict(tcp.options)
    assert (options["MSS"], options["WScale"]) == (1380, 9)
    clock, echoed = options["Timestamp"]
    assert echoed == 77_000
    assert clock % 64 == 7 + (1 << 4)
    # Of the kernel's monotonic clock in ms, but for the lowest bits; a test may be slow.
    behind_ms = (time.monotonic_ns() // 10**6 - clock) % 2**32
    assert 0 <= behind_ms < 60_000


@pytest.mark.parametrize(
    ("answer", "options", "expected", "low_bits"),
    [
        (CLOCKED, (LINUX[0], LINUX[3], LINUX[3], LINUX[2], *[LINUX[3]] * 4), ["MSS", "Timestamp"], 15),
        (replace(CLOCKED, window_scale=None), LINUX, ["MSS", "SAckOK", "Timestamp"], 31),
        (replace(CLOCKED, sack=False), LINUX, ["MSS", "Timestamp", "WScale"], 7),
        (CLOCKED, (*LINUX[:4], ("WScale", 15)), ["MSS", "SAckOK", "Timestamp", "WScale"], 30),
        (CLOCKED, (*LINUX[:2], *LINUX[3:], *[("NOP", None)] * 4), ["MSS"], None),
    ],
)
def test_only_what_both_have_is_answered(
    served: Wire, answer: Answer, options: object, expected: list[str], low_bits: int | None
) -> None:
    """What the client did not offer, or the listener does not have, is in neither options nor clock."""
    connection = cookies(served, answer)
    found = [one for one in answered(served, syn(connection, options))[TCP].options if one[0] != "NOP"]
    assert [name for name, _ in found if name != "EOL"] == expected
    if low_bits is not None:
        assert dict(found)["Timestamp"][0] % 64 == low_bits


def test_the_ack_that_brings_the_cookie_completes_once(served: Wire) -> None:
    """Sent again, or followed by data, it is the same handshake."""
    connection = given_cookie(served, cookies(served))
    served.wait(30)
    with served.counted() as moved:
        for payload in (b"", b"", b"GET / HTTP/1.0\r\n\r\n"):
            assert served.ack(connection, payload=payload) == "pass"
    assert moved() == {"completed": 1, "cookies_valid": 1}
    source, listener = served.booked(connection)
    assert (source.completed, listener.completed) == (1, 1)
    reading = served.known_listener(connection.listener)
    assert (reading.cookies_valid, reading.cookies_connected) == (1, 0)
    assert [(one.attempts, one.completed) for one in reading.cohorts] == [(1, 1)]
    assert [(one.attempts, one.completed) for one in served.known_source(connection.client).cohorts] == [
        (1, 1)
    ]


def test_of_many_handshakes_an_eighth_is_booked_to_the_source(served: Wire) -> None:
    """Attempt and completion are chosen alike, so that a source of good clients looks like one."""
    first = cookies(served)
    for port in range(2000, 2400):
        again = given_cookie(served, replace(first, client_port=port, isn=served.connection().isn))
        served.ack(again)
    source, listener = served.booked(first)
    assert (listener.attempts, listener.completed) == (400, 400)
    assert 20 <= source.attempts == source.answered == source.completed <= 90


@pytest.mark.parametrize("off_by", [1000, -1000, 2**31, 1 << 24])
def test_a_wrong_number_completes_nothing(served: Wire, off_by: int) -> None:
    """A flood of random ACKs, or of ACKs beside what a cookie was, leaves no trace but its packets."""
    # Of neighbouring numbers up to four are cookies, too: they differ in the MSS that they stand for.
    connection = given_cookie(served, cookies(served))
    with served.counted() as moved:
        served.ack(connection, ack=connection.server_isn + 1 + off_by)
        served.ack(connection, seq=connection.isn + 1 + off_by)
        served.ack(served.connection(server_isn=connection.server_isn))
    assert moved() == {}


def test_a_flow_with_a_connection_is_counted_once(served: Wire) -> None:
    """Once the kernel has made the connection of which the cookie was, the next segment tells."""
    connection = given_cookie(served, cookies(served))
    served.ack(connection)
    with connect_as(served, connection):
        with served.counted() as moved:
            for _ in range(3):
                served.ack(connection, payload=b"data")
        assert moved() == {"cookies_connected": 1}
    assert served.known_listener(connection.listener).cookies_connected == 1


def test_a_connection_without_a_cookie_of_ours_is_none_of_them(served: Wire) -> None:
    """Who was connected before, or is let in by the kernel, says nothing of whether cookies work."""
    connection = cookies(served)
    with connect_as(served, connection):
        with served.counted() as moved:
            served.ack(connection, payload=b"data")
        assert moved() == {}


def test_without_a_listening_socket_the_syn_passes(served: Wire) -> None:
    """The kernel refuses it, as it must: nothing that is closed is opened."""
    connection = replace(cookies(served), server_port=444)
    rule = ListenerRule(ListenerAction.COOKIE, until(served, MINUTE_MS), EVERYBODY, ANSWER)
    listener_rules(served).put(connection.listener, rule)
    with served.counted() as moved:
        assert served.deliver(syn(connection)) == "pass"
    assert moved() == {"attempts": 1}


@pytest.mark.parametrize("syncookies", [0, 1])
def test_where_the_kernel_gives_no_cookie_the_syn_passes(served: Wire, syncookies: int) -> None:
    """With tcp_syncookies=0 never, with 1 as long as its SYN queue is not full: then it answers itself."""
    set_sysctl("tcp_syncookies", syncookies)
    connection = cookies(served)
    with served.counted() as moved:
        assert served.deliver(syn(connection)) == "pass"
        served.synack(connection)
        served.ack(connection)
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


def with_signature(connection: Connection) -> bytes:
    """Return a SYN with a TCP MD5 signature, which Linux puts first behind two NOPs."""
    frame = bytearray(syn(connection, (("NOP", None), ("NOP", None), (19, bytes(16)))))
    assert bytes([19, 18]) in frame
    return bytes(frame)


def with_ip_options(connection: Connection) -> bytes:
    """Return a SYN behind an IP header that has options, or extension headers."""
    raw = syn(connection)
    if connection.server.version == 4:
        length = (len(raw) - 14 + 4).to_bytes(2, "big")
        return raw[:14] + b"\x46" + raw[15:16] + length + raw[18:34] + b"\x01\x01\x01\x00" + raw[34:]
    length = (len(raw) - 54 + 8).to_bytes(2, "big")
    return raw[:18] + length + b"\x3c" + raw[21:54] + b"\x06\x00\x01\x04" + bytes(4) + raw[54:]


@pytest.mark.parametrize("make", [with_signature, with_ip_options])
def test_what_the_kernel_answers_better_passes_as_it_came(served: Wire, make: object) -> None:
    """Signed SYNs, and those behind IP options or extension headers."""
    connection = cookies(served)
    with served.counted() as moved:
        assert served.deliver(make(connection)) == "pass"  # type: ignore[operator]
    assert moved() == {"attempts": 1}


def test_canaries_are_answered_until_there_are_none_left(served: Wire) -> None:
    """All are greylisted, and of those who come again so many get a cookie; the others the kernel answers."""
    cookies(served, canaries=3)
    clients = [served.connection() for _ in range(5)]
    assert {served.deliver(syn(one)) for one in clients} == {"drop"}
    served.wait(1000)
    with served.counted() as moved:
        assert [served.deliver(syn(one)) for one in clients] == ["tx"] * 3 + ["pass"] * 2
    assert moved() == {"answered": 3, "cookies_sent": 3, "syn_retransmits": 5, "greylist_admitted": 5}
    (rule,) = listener_rules(served).read().values()
    assert (rule.action, rule.canaries, rule.answer) == (ListenerAction.COOKIE, 0, replace(ANSWER, local=0))
    cohorts = served.known_listener(clients[0].listener).cohorts
    assert sum(one.attempts for one in cohorts[-1:]) == 5


def test_whoever_is_spared_is_answered_by_the_kernel(served: Wire) -> None:
    """And neither greylisted nor sent a cookie of ours."""
    connection = cookies(served)
    SparedNetworks(served.probe).replace([ip_network(connection.client)])
    with served.counted() as moved:
        assert served.deliver(syn(connection)) == "pass"
    assert moved() == {"attempts": 1}
    assert served.deliver(syn(served.connection())) == "tx"


def test_it_ends_by_the_kernels_clock(served: Wire) -> None:
    """To the nanosecond; a cookie that was sent before is still known when it comes back."""
    connection = cookies(served, ms=1000)
    served.at(served.now_ns + 10**9 - 1)
    connection = given_cookie(served, connection)
    served.at(served.now_ns + 1)
    assert served.deliver(syn(served.connection())) == "pass"
    with served.counted() as moved:
        served.ack(connection)
    assert moved() == {"completed": 1, "cookies_valid": 1}

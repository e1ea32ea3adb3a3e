"""Handshakes whose headers are longer than usual, or shorter: options of IP, of IPv6 and of TCP."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from bench.net.namespaces import write_sysctls

from .peer import Peer
from .stage import Stage

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PRIME = 23
ONCE = {"attempts": 1, "answered": 1, "completed": 1}
ALL = dict.fromkeys(ONCE, PRIME)

#: linux/tcp.h; the socket module does not know them.
TCP_MD5SIG = 14
IPPROTO_MPTCP = 262
IP_OPTIONS = 4

#: IPv4 options of 40 bytes: record route, with room for nine addresses; and nothing but padding.
RECORD_ROUTE = bytes([7, 39, 4]) + bytes(36) + b"\0"
PADDING = b"\1" * 39 + b"\0"
#: IPv6 extension headers: 8 bytes of padding, and 128 with an experimental option that may be skipped.
SHORT_EXTENSION = bytes([0, 0, 1, 4]) + bytes(4)
LONG_EXTENSION = bytes([0, 15]) + bytes([0x1E, 124]) + bytes(124)

PLAIN_TCP = {"ipv4/tcp_timestamps": 0, "ipv4/tcp_sack": 0, "ipv4/tcp_window_scaling": 0}


def shake_hands(stage: Stage, *options: tuple[int, int, bytes], protocol: int = 0) -> tuple[str, int]:
    """Connect 23 times with these options set on the client's sockets; return to where."""
    _, where = stage.listen(protocol=protocol)
    for _ in range(PRIME):
        caller = stage.socket_in(stage.topology.client, protocol)
        for option in options:
            caller.setsockopt(*option)
        caller.connect(where)
        caller.close()
    return where


def expect_all(stage: Stage, where: tuple[str, int]) -> None:
    """See that every handshake was counted, by everyone."""
    stage.expect(ALL)
    assert stage.at_listener(where) == stage.at_source(stage.client) == ALL
    assert stage.kernel("TcpPassiveOpens") == PRIME


@pytest.mark.parametrize("version", [4], ids=["IPv4"])
@pytest.mark.parametrize("options", [RECORD_ROUTE, PADDING], ids=["record-route", "padding"])
def test_handshakes_with_ipv4_options_are_counted(stage: Stage, options: bytes) -> None:
    """The TCP header begins behind the longest IPv4 header there is, in the answer as well."""
    expect_all(stage, shake_hands(stage, (socket.IPPROTO_IP, IP_OPTIONS, options)))


@pytest.mark.parametrize("version", [6], ids=["IPv6"])
@pytest.mark.parametrize(
    "options",
    [
        [(socket.IPV6_DSTOPTS, SHORT_EXTENSION)],
        [(socket.IPV6_DSTOPTS, LONG_EXTENSION)],
        [(socket.IPV6_HOPOPTS, SHORT_EXTENSION), (socket.IPV6_DSTOPTS, SHORT_EXTENSION)],
    ],
    ids=["destination", "long", "hop-by-hop"],
)
def test_handshakes_with_ipv6_extension_headers_are_counted(
    stage: Stage, options: list[tuple[int, bytes]]
) -> None:
    """A client's extension headers, set on its socket, go with its SYN and its ACK."""
    expect_all(stage, shake_hands(stage, *((socket.IPPROTO_IPV6, *option) for option in options)))


def md5_key(address: str) -> tuple[int, int, bytes]:
    """Return the option that has segments to and from an address signed (RFC 2385)."""
    packed = ip_address(address).packed
    if len(packed) == 4:
        peer = struct.pack("=HH4s", socket.AF_INET, 0, packed)
    else:
        peer = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, packed, 0)
    signature = struct.pack("=128sBBHi80s", peer, 0, 0, 6, 0, b"secret")
    return socket.IPPROTO_TCP, TCP_MD5SIG, signature


@pytest.mark.parametrize("syncookies", [0, 1], ids=["cookies0", "cookies1"])
def test_signed_handshakes_are_counted(stage: Stage) -> None:
    """A signature beside the usual options makes a SYN's header as long as it can be."""
    _, where = stage.listen(options=[md5_key(stage.client)])
    for _ in range(PRIME):
        caller = stage.socket_in(stage.topology.client)
        caller.setsockopt(*md5_key(stage.server))
        caller.connect(where)
        caller.close()
    expect_all(stage, where)


def test_multipath_handshakes_are_counted(stage: Stage) -> None:
    """Multipath TCP's options change nothing of a handshake."""
    expect_all(stage, shake_hands(stage, protocol=IPPROTO_MPTCP))


@pytest.fixture
def plain_tcp(stage: Stage) -> Iterator[None]:
    """Have the client ask for nothing but a segment size."""
    client = stage.topology.client.namespace
    write_sysctls(client, PLAIN_TCP)
    yield
    write_sysctls(client, dict.fromkeys(PLAIN_TCP, 1))


@pytest.mark.usefixtures("plain_tcp")
def test_handshakes_with_few_options_are_counted(stage: Stage) -> None:
    """A SYN with a segment size alone, and an ACK without any option."""
    expect_all(stage, shake_hands(stage))


@pytest.mark.parametrize(
    "options",
    [
        [],
        [("NOP", None)] * 40,
        [("EOL", None)] * 40,
        [(254, bytes(38))],
        [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)],
    ],
    ids=["none", "no-operation", "end", "experimental", "usual"],
)
def test_any_options_will_do(stage: Stage, options: list[tuple[str, object]]) -> None:
    """From a bare header to one of 60 bytes, of which the server's kernel makes what it will."""
    _, where = stage.listen()
    peer = Peer(stage)
    call = peer.call(where)
    call.open_halfway(options)
    call.send("A", options=options[:10])
    stage.expect(ONCE)
    assert stage.at_listener(where) == stage.at_source(peer.address) == ONCE
    assert stage.kernel("TcpPassiveOpens") == 1

"""The frames that the ladder starts from: whole headers, in which the writer changes the client's fields."""

from __future__ import annotations

import struct
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from bench.scenario.model import Family
from synguard.endpoint import Address

SERVER_PORT = 443
_SERVERS: dict[int, Address] = {4: IPv4Address("198.18.0.1"), 6: IPv6Address("2001:2:0:1::1")}
_CLIENTS: dict[int, Address] = {4: IPv4Address("10.0.0.0"), 6: IPv6Address("2001:db8::1")}
_MACS = bytes.fromhex("020000000002020000000001")
_ETHER_TYPES = {4: 0x0800, 6: 0x86DD}
_TCP, _UDP = 6, 17
_SYN, _ACK = 0x02, 0x10
_WINDOW = 64240
_CLIENT_PORT = 40000
#: MSS, SACK permitted, timestamps, window scale, as Linux sends them.
_SYN_OPTIONS = bytes.fromhex("020405b40402080a000000010000000001030307")
#: Timestamps.
_ACK_OPTIONS = bytes.fromhex("0101080a0000000100000001")


class Segment(IntEnum):
    """What the writer makes of a frame; the numbers are those of ``ladder.c``, where it knows them."""

    SYN = 0
    SYN_ACK = 1
    ACK = 2
    #: An acknowledgement number that proves nothing.
    WRONG_ACK = 3
    #: Not TCP; always the same frame.
    UDP = 4
    #: A scanner's segment without any flag.
    NULL = 5


_FLAGS = {
    Segment.SYN: _SYN,
    Segment.SYN_ACK: _SYN | _ACK,
    Segment.ACK: _ACK,
    Segment.WRONG_ACK: _ACK,
    Segment.NULL: 0,
}


def _network_header(family: Family, protocol: int, payload_bytes: int, source: Address, to: Address) -> bytes:
    if family == 4:
        fixed = struct.pack("!BBHHHBBH", 0x45, 0, 20 + payload_bytes, 1, 0x4000, 64, protocol, 0)
    else:
        fixed = struct.pack("!IHBB", 6 << 28, payload_bytes, protocol, 64)
    return fixed + source.packed + to.packed


def _tcp_header(segment: Segment) -> bytes:
    outgoing = segment is Segment.SYN_ACK
    ports = (SERVER_PORT, _CLIENT_PORT) if outgoing else (_CLIENT_PORT, SERVER_PORT)
    options = _SYN_OPTIONS if _FLAGS[segment] & _SYN else _ACK_OPTIONS
    words = 5 + len(options) // 4
    fields = (*ports, 0, 0, words << 4, _FLAGS[segment], _WINDOW, 0, 0)
    return struct.pack("!HHIIBBHHH", *fields) + options


def build_frame(family: Family, segment: Segment) -> bytes:
    """Return the frame of one client; a SYN-ACK is the server's, all else is the client's.

    Checksums are zero: no program of the ladder reads them.
    """
    server, client = _SERVERS[family], _CLIENTS[family]
    if segment is Segment.UDP:
        protocol, payload = _UDP, struct.pack("!HHHH", _CLIENT_PORT, SERVER_PORT, 8 + 32, 0) + bytes(32)
    else:
        protocol, payload = _TCP, _tcp_header(segment)
    source, to = (server, client) if segment is Segment.SYN_ACK else (client, server)
    ethernet = _MACS + _ETHER_TYPES[family].to_bytes(2, "big")
    return ethernet + _network_header(family, protocol, len(payload), source, to) + payload

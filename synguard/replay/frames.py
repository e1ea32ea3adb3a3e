"""Turns what a capture holds into what the probe reads: Ethernet frames, cut to where headers can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from synguard.replay.formats import INCOMING, OUTGOING, UNKNOWN

#: Of a longer frame the rest is payload: the probe reads nothing behind its first 256 bytes.
FRAME_BYTES_MAX = 2048

_NO_ADDRESSES = bytes(12)
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_TAGS = frozenset({b"\x81\x00", b"\x88\xa8"})
#: A frame that ends before it says what it carries: an announced tag that is not there.
_TOO_SHORT = _NO_ADDRESSES + b"\x81\x00"
_UNKNOWN_PROTOCOL = _NO_ADDRESSES + b"\xff\xff"
_ETHERNET_BYTES = 14
#: AF_INET, and AF_INET6 as Linux, BSDs and macOS number it.
_FAMILIES = {2: _IPV4, 10: _IPV6, 24: _IPV6, 28: _IPV6, 30: _IPV6}
#: Packet types of cooked captures: to us, broadcast, multicast; 3, to others, tells no direction; 4 is ours.
_COOKED_DIRECTIONS = {0: INCOMING, 1: INCOMING, 2: INCOMING, 4: OUTGOING}

#: A frame, and the direction that its link header told.
Framed = tuple[bytes, int]


def _ethernet(data: bytes) -> Framed:
    if len(data) < _ETHERNET_BYTES:
        return _TOO_SHORT, UNKNOWN
    return data[:FRAME_BYTES_MAX], UNKNOWN


def _of_ip(data: bytes) -> Framed:
    """Frame a packet that begins with its IP header."""
    if not data:
        return _TOO_SHORT, UNKNOWN
    header = {4: _NO_ADDRESSES + _IPV4, 6: _NO_ADDRESSES + _IPV6}.get(data[0] >> 4, _UNKNOWN_PROTOCOL)
    return header + data[: FRAME_BYTES_MAX - _ETHERNET_BYTES], UNKNOWN


def _loopback(data: bytes) -> Framed:
    """Frame a packet behind its address family, in the byte order of whoever captured it."""
    if len(data) < 4:
        return _TOO_SHORT, UNKNOWN
    family = min(int.from_bytes(data[:4], "big"), int.from_bytes(data[:4], "little"))
    protocol = _FAMILIES.get(family, b"\xff\xff")
    return _NO_ADDRESSES + protocol + data[4 : FRAME_BYTES_MAX - 10], UNKNOWN


def _cooked(data: bytes) -> Framed:
    """Frame what Linux captured on any device: type 2, device 2, address 10, protocol 2 bytes."""
    if len(data) < 16:
        return _TOO_SHORT, UNKNOWN
    direction = _COOKED_DIRECTIONS.get(int.from_bytes(data[:2], "big"), UNKNOWN)
    return _NO_ADDRESSES + data[14:FRAME_BYTES_MAX], direction


def _cooked_v2(data: bytes) -> Framed:
    """Frame its second version: protocol 2, reserved 2, interface 4, device 2, type 1, address 9 bytes."""
    if len(data) < 20:
        return _TOO_SHORT, UNKNOWN
    direction = _COOKED_DIRECTIONS.get(data[10], UNKNOWN)
    return _NO_ADDRESSES + data[:2] + data[20:FRAME_BYTES_MAX], direction


#: By ``LINKTYPE_*``; 12 and 14 are what some systems write for raw IP.
FRAMERS: Mapping[int, Callable[[bytes], Framed]] = {
    0: _loopback,
    1: _ethernet,
    12: _of_ip,
    14: _of_ip,
    101: _of_ip,
    108: _loopback,
    113: _cooked,
    228: _of_ip,
    229: _of_ip,
    276: _cooked_v2,
}
NAMES: Mapping[int, str] = {
    0: "BSD null",
    1: "Ethernet",
    12: "raw IP",
    14: "raw IP",
    101: "raw IP",
    108: "BSD loopback",
    113: "Linux cooked v1",
    228: "raw IPv4",
    229: "raw IPv6",
    276: "Linux cooked v2",
}


def link_name(link_type: int) -> str:
    """Return what people call a link type."""
    return NAMES.get(link_type, f"link type {link_type}")


def ip_header(frame: bytes) -> tuple[int, int] | None:
    """Return the IP version (4 or 6) of a frame and where its header begins; None for anything else."""
    at = 12
    # As many tags as the probe steps over.
    while frame[at : at + 2] in _TAGS and at < 20:
        at += 4
    protocol = frame[at : at + 2]
    if protocol == _IPV4 and len(frame) >= at + 22:
        return 4, at + 2
    if protocol == _IPV6 and len(frame) >= at + 42:
        return 6, at + 2
    return None


def addresses(frame: bytes) -> tuple[bytes, bytes] | None:
    """Return a frame's packed IP source and destination; None where there are none."""
    if frame[12:14] == _IPV4 and len(frame) >= 34:
        return frame[26:30], frame[30:34]
    found = ip_header(frame)
    if found is None:
        return None
    version, at = found
    if version == 4:
        return frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    return frame[at + 8 : at + 24], frame[at + 24 : at + 40]

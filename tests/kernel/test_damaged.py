"""Headers that lie about their length, frames that end too early, IPv4 options and fragments."""

from __future__ import annotations

import random

import pytest
from scapy.packet import Raw

from tests.kernel.wire import Connection, MakeWire, Wire, ethernet

pytestmark = [pytest.mark.root, pytest.mark.kernel]

#: Where the IP header begins behind Ethernet, and where TCP begins behind that.
IP_OFFSET = 14
TCP_OFFSET = {4: 34, 6: 54}
VLAN_BYTES = 4


@pytest.fixture
def wire4(make_wire: MakeWire, ingress_program: str) -> Wire:
    """Return an IPv4 wire through each ingress program."""
    return make_wire(ingress_program, 4)


@pytest.fixture
def wire6(make_wire: MakeWire, ingress_program: str) -> Wire:
    """Return an IPv6 wire through each ingress program."""
    return make_wire(ingress_program, 6)


def syn(wire: Wire) -> bytearray:
    """Return a new client's SYN as bytes that a test may damage."""
    connection = wire.connection()
    return bytearray(connection.frame(connection.segment("S")))


def counted_as(wire: Wire, frame: bytes) -> dict[str, int]:
    """Deliver a frame, which must pass; return what it counted."""
    with wire.counted() as moved:
        assert wire.deliver(frame) == "pass"
    return moved()


def tagged(frame: bytes) -> bytes:
    """Return the frame behind a VLAN tag; a test run of tc refuses an untagged one that ends within IP."""
    return frame[:12] + b"\x81\x00\x00\x07" + frame[12:]


def with_options(connection: Connection, flags: str, options: bytes, *, outgoing: bool = False) -> bytes:
    """Return a segment behind an IPv4 header with options."""
    raw = bytearray(connection.frame(connection.segment(flags, outgoing=outgoing), outgoing=outgoing))
    raw[14] = 0x45 + len(options) // 4
    raw[16:18] = (len(raw) - IP_OFFSET + len(options)).to_bytes(2, "big")
    raw[34:34] = options
    return bytes(raw)


@pytest.mark.parametrize("options_bytes", range(0, 44, 4))
def test_handshakes_behind_ipv4_options_are_counted(wire4: Wire, options_bytes: int) -> None:
    """Headers of every length up to 60 bytes both ways, whatever the options look like."""
    draw = random.Random(options_bytes)  # noqa: S311  a test that fails must fail again
    connection = wire4.connection()
    with wire4.counted() as moved:
        for flags, outgoing, send in (
            ("S", False, wire4.deliver),
            ("SA", True, wire4.emit),
            ("A", False, wire4.deliver),
        ):
            send(with_options(connection, flags, draw.randbytes(options_bytes), outgoing=outgoing))
    assert moved() == {"attempts": 1, "answered": 1, "completed": 1}


def tcp_within(length: int) -> str:
    """Return what a SYN with a header of 24 bytes is in a datagram that has so many for it."""
    return "truncated_tcp" if length < 20 else "bad_tcp_header" if length < 24 else "attempts"


@pytest.mark.parametrize("length", [0, 1, 19, 20, 28, 39, 40, 43, 44, 1500, 65_535])
def test_an_ipv4_length_bounds_the_tcp_header(wire4: Wire, length: int) -> None:
    """Shorter than its own header is bad; with under 20 bytes for TCP it is truncated, under 24 bad."""
    raw = syn(wire4)
    raw[16:18] = length.to_bytes(2, "big")
    expected = "bad_ip_header" if length < 20 else tcp_within(length - 20)
    assert counted_as(wire4, bytes(raw)) == {expected: 1}


@pytest.mark.parametrize("length", [*range(1, 26), 1500, 65_535])
def test_an_ipv6_payload_length_bounds_the_tcp_header(wire6: Wire, length: int) -> None:
    """Below eight bytes nothing fits, below 20 no TCP header, below 24 not this one."""
    raw = syn(wire6)
    raw[18:20] = length.to_bytes(2, "big")
    expected = "bad_ip_header" if length < 8 else tcp_within(length)
    assert counted_as(wire6, bytes(raw)) == {expected: 1}


def test_every_first_byte_of_an_ipv4_header(wire4: Wire) -> None:
    """Of 256 values those of version 4 with five words are read; more words than the datagram has are bad."""
    for value in range(256):
        wire4.wait(10)
        raw = syn(wire4)
        raw[IP_OFFSET] = value
        words, datagram_bytes = value & 0xF, len(raw) - IP_OFFSET
        if value >> 4 != 4 or words < 5 or words * 4 > datagram_bytes:
            expected = "bad_ip_header"
        elif words * 4 + 20 > datagram_bytes:
            expected = "truncated_tcp"
        elif words == 5:
            expected = "attempts"
        else:
            continue  # TCP is read four bytes too late, as whatever those bytes say.
        assert counted_as(wire4, bytes(raw)) == {expected: 1}, hex(value)


def test_every_first_byte_of_an_ipv6_header(wire6: Wire) -> None:
    """Version 6 is read, whatever the traffic class begins with; no other is."""
    for value in range(256):
        wire6.wait(10)
        raw = syn(wire6)
        raw[IP_OFFSET] = value
        assert counted_as(wire6, bytes(raw)) == {"attempts" if value >> 4 == 6 else "bad_ip_header": 1}


@pytest.mark.parametrize("words", range(16))
def test_every_length_of_a_tcp_header(wire: Wire, words: int) -> None:
    """Five words are the least, and six all that the datagram has: Linux discards what claims more."""
    raw = syn(wire)
    raw[TCP_OFFSET[wire.version] + 12] = words << 4
    assert counted_as(wire, bytes(raw)) == {"attempts" if words in (5, 6) else "bad_tcp_header": 1}


@pytest.mark.parametrize("ethertype", [0x0000, 0x002E, 0x05DC, 0x0806, 0x8847, 0x8864, 0x9100, 0x86DC])
def test_what_is_not_ip_is_not_read(wire: Wire, ethertype: int) -> None:
    """Lengths of IEEE 802.3, ARP, MPLS, PPPoE, an old QinQ: no IP, whatever follows."""
    raw = syn(wire)
    raw[12:14] = ethertype.to_bytes(2, "big")
    assert counted_as(wire, bytes(raw)) == {"not_ip": 1}


def test_the_other_versions_header_is_bad(wire: Wire) -> None:
    """An IPv4 packet that calls itself IPv6 on the link, and the other way round."""
    raw = syn(wire)
    raw[12:14] = b"\x86\xdd" if wire.version == 4 else b"\x08\x00"
    assert counted_as(wire, bytes(raw)) == {"bad_ip_header": 1}


@pytest.mark.parametrize("flags", ["S", "A", "R", ""])
def test_a_segment_cut_off_anywhere_counts_one_reason(wire: Wire, flags: str) -> None:
    """From the bare link header to the last byte of TCP's: a reason each, and nothing of a handshake."""
    connection = wire.connection()
    whole = tagged(connection.frame(connection.segment(flags, options=())))
    tcp_at = TCP_OFFSET[wire.version] + VLAN_BYTES
    for length in range(IP_OFFSET + VLAN_BYTES, len(whole)):
        expected = "truncated_ip" if length < tcp_at else "truncated_tcp"
        assert counted_as(wire, whole[:length]) == {expected: 1}, length


@pytest.mark.parametrize("flags", ["SA", "RA"])
def test_what_we_send_cut_off_anywhere_answers_nothing(host_wire: Wire, flags: str) -> None:
    """Neither half a SYN-ACK nor half a RST moves anything; the whole one does."""
    wire = host_wire
    connection = wire.connection()
    wire.syn(connection)
    segment = connection.segment(flags, seq=connection.server_isn, options=(), outgoing=True)
    whole = tagged(connection.frame(segment, outgoing=True))
    with wire.counted() as moved:
        for length in range(IP_OFFSET + VLAN_BYTES, len(whole)):
            wire.emit(whole[:length])
        assert moved() == {}
        wire.emit(whole)
    assert moved() == {"answered" if flags == "SA" else "refused": 1}


@pytest.mark.parametrize("flags", ["DF", "MF", "evil", "DF+evil", "MF+evil"])
def test_ipv4_flags_hide_no_syn(wire4: Wire, flags: str) -> None:
    """A first fragment, DF and the reserved bit: the header is there."""
    connection = wire4.connection()
    ip = connection.network()
    ip.flags = flags
    assert counted_as(wire4, bytes(ethernet(4) / ip / connection.segment("S"))) == {"attempts": 1}


@pytest.mark.parametrize("offset", [*(1 << bit for bit in range(13)), 185, 8191])
@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize(("protocol", "outcome"), [(6, "fragment"), (17, "not_tcp"), (1, "not_tcp")])
def test_later_ipv4_fragments_are_no_segments(
    wire4: Wire, offset: int, more: bool, protocol: int, outcome: str
) -> None:
    """Wherever they belong, in the middle and at the end; those of other protocols are nothing of TCP's."""
    connection = wire4.connection()
    ip = connection.network()
    ip.frag, ip.flags, ip.proto = offset, "MF" if more else 0, protocol
    frame = bytes(ethernet(4) / ip / Raw(bytes(connection.segment("S"))))
    assert counted_as(wire4, frame) == {outcome: 1}


def test_a_syn_in_tiny_fragments_is_counted_by_reason_only(wire4: Wire) -> None:
    """RFC 1858: eight bytes of TCP first, the flags in the second; no reader of headers can see that SYN."""
    connection = wire4.connection()
    segment = bytes(connection.segment("S"))
    first, second = connection.network(), connection.network()
    first.flags, first.proto = "MF", 6
    second.frag, second.proto = 1, 6
    with wire4.counted() as moved:
        wire4.deliver(ethernet(4) / first / Raw(segment[:8]))
        wire4.deliver(ethernet(4) / second / Raw(segment[8:]))
    assert moved() == {"truncated_tcp": 1, "fragment": 1}


def test_an_overlapping_fragment_changes_no_flags(wire4: Wire) -> None:
    """RFC 3128: a first fragment with an ACK, a second one that would write SYN over it: no attempt."""
    connection = wire4.connection()
    first, second = connection.network(), connection.network()
    first.flags = "MF"
    second.frag, second.proto = 1, 6
    with wire4.counted() as moved:
        wire4.deliver(ethernet(4) / first / connection.segment("A"))
        wire4.deliver(ethernet(4) / second / Raw(bytes(connection.segment("S"))[8:]))
    assert moved() == {"fragment": 1}

"""Every link type becomes the Ethernet frame that the probe reads."""

from __future__ import annotations

import struct

import pytest

from synguard.replay.formats import INCOMING, OUTGOING, UNKNOWN
from synguard.replay.frames import FRAME_BYTES_MAX, FRAMERS, NAMES, addresses, ip_header, link_name

from .making import ACK, CLIENT, SERVER, SYN, ethernet, tcp

IPV4 = tcp(CLIENT, SERVER, SYN)
IPV6 = tcp("2001:db8::7", "2001:db8:5::5", SYN)
ETHERTYPE = {IPV4: 0x0800, IPV6: 0x86DD}
V1_TYPES = [(0, INCOMING), (1, INCOMING), (2, INCOMING), (3, UNKNOWN), (4, OUTGOING), (7, UNKNOWN)]


def framed(link_type: int, data: bytes) -> tuple[bytes, int]:
    """Return the frame of the data, and the direction that its link header told."""
    return FRAMERS[link_type](data)


@pytest.mark.parametrize("packet", [IPV4, IPV6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("link_type", [12, 14, 101, 228, 229])
def test_raw_ip_gets_a_header(link_type: int, packet: bytes) -> None:
    """The version nibble names the protocol, whatever the link type said of it."""
    frame, direction = framed(link_type, packet)
    assert frame == bytes(12) + struct.pack("!H", ETHERTYPE[packet]) + packet
    assert direction == UNKNOWN


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("family", "packet"), [(2, IPV4), (10, IPV6), (24, IPV6), (28, IPV6), (30, IPV6)])
@pytest.mark.parametrize("link_type", [0, 108])
def test_bsd_loopback_names_an_address_family(link_type: int, family: int, packet: bytes, order: str) -> None:
    """Each system has its own number for IPv6, and its own byte order."""
    frame, _ = framed(link_type, struct.pack(f"{order}I", family) + packet)
    assert frame == bytes(12) + struct.pack("!H", ETHERTYPE[packet]) + packet


@pytest.mark.parametrize("packet", [IPV4, IPV6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(("packet_type", "direction"), V1_TYPES)
def test_cooked_captures_tell_directions(packet_type: int, direction: int, packet: bytes) -> None:
    """Both versions name the protocol and whether a packet came in or left."""
    first = struct.pack("!HHH8sH", packet_type, 1, 6, bytes(8), ETHERTYPE[packet]) + packet
    second = struct.pack("!HHIHBB8s", ETHERTYPE[packet], 0, 3, 1, packet_type, 6, bytes(8)) + packet
    expected = (bytes(12) + struct.pack("!H", ETHERTYPE[packet]) + packet, direction)
    assert framed(113, first) == expected
    assert framed(276, second) == expected


def test_cooked_captures_keep_tags() -> None:
    """A VLAN tag behind the cooked header is one behind the Ethernet header."""
    tagged = struct.pack("!HHH8sHHH", 0, 1, 6, bytes(8), 0x8100, 100, 0x0800) + IPV4
    frame, _ = framed(113, tagged)
    assert frame[12:] == struct.pack("!HHH", 0x8100, 100, 0x0800) + IPV4


def test_ethernet_is_left_as_it_is() -> None:
    """Tags stay, and only what is longer than headers can be is cut."""
    for tags in ([], [0x8100], [0x88A8, 0x8100]):
        frame = ethernet(IPV4, tags)
        assert framed(1, frame)[0] == frame
    assert len(framed(1, ethernet(tcp(CLIENT, SERVER, ACK, payload=bytes(60_000))))[0]) == FRAME_BYTES_MAX


@pytest.mark.parametrize("link_type", sorted(FRAMERS))
def test_a_frame_is_never_too_short_for_the_kernel_or_too_long(link_type: int) -> None:
    """Whatever the capture holds, 14 to 2,048 bytes go to the probe."""
    for size in (*range(25), 5000):
        assert 14 <= len(framed(link_type, bytes(size))[0]) <= FRAME_BYTES_MAX


@pytest.mark.parametrize("link_type", sorted(FRAMERS))
def test_what_ends_in_its_link_header_is_called_that(link_type: int) -> None:
    """It becomes a frame whose announced tag is missing, which the probe counts as cut in the link header."""
    assert framed(link_type, b"")[0] == bytes(12) + b"\x81\x00"


@pytest.mark.parametrize("tags", [[], [0x8100], [0x88A8, 0x8100]], ids=len)
@pytest.mark.parametrize("packet", [IPV4, IPV6], ids=["IPv4", "IPv6"])
def test_addresses_are_found_behind_tags(packet: bytes, tags: list[int]) -> None:
    """Source and destination come packed; a frame cut before their end has none."""
    frame = ethernet(packet, tags)
    header_bytes, at = (20, 12) if packet == IPV4 else (40, 8)
    size = header_bytes // 5 if packet == IPV4 else 16
    start = 14 + 4 * len(tags)
    assert ip_header(frame) == (4 if packet == IPV4 else 6, start)
    assert addresses(frame) == (packet[at : at + size], packet[at + size : at + 2 * size])
    assert addresses(frame[: start + header_bytes]) is not None
    assert addresses(frame[: start + header_bytes - 1]) is None


def test_a_third_tag_hides_the_addresses() -> None:
    """As many tags as the probe steps over, and no more."""
    assert ip_header(ethernet(IPV4, [0x8100] * 3)) is None


def test_link_types_have_names() -> None:
    """Those that can be replayed, and by their numbers those that cannot."""
    assert NAMES.keys() == FRAMERS.keys()
    assert (link_name(276), link_name(127)) == ("Linux cooked v2", "link type 127")

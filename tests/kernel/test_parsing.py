"""What frames the parser reads down to TCP, and what it says of the others: they pass, and have a reason."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    IPerror6,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from synguard.probe import layout
from tests.kernel.wire import Wire, ethernet

pytestmark = [pytest.mark.root, pytest.mark.kernel]

VLAN = Dot1Q(vlan=7)
SERVICE_VLAN = Dot1AD(vlan=9)


def syn_layers(wire: Wire) -> tuple[Packet, Packet]:
    """Return the IP and the TCP header of a new client's SYN."""
    connection = wire.connection()
    return connection.network(), connection.segment("S")


def tagged(wire: Wire, *tags: Packet) -> Packet:
    """Return a SYN behind VLAN tags."""
    frame: Packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for layer in (*tags, *syn_layers(wire)):
        frame /= layer
    return frame


@pytest.mark.parametrize("tags", [(VLAN,), (SERVICE_VLAN,), (SERVICE_VLAN, VLAN), (VLAN, VLAN)])
def test_handshakes_behind_vlan_tags_are_counted(wire: Wire, tags: tuple[Packet, ...]) -> None:
    """802.1Q and QinQ in both directions: 23 of each."""
    with wire.counted() as moved:
        for _ in range(23):
            connection = wire.connection()
            frame: Packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
            for tag in tags:
                frame /= tag
            wire.deliver(frame / connection.network() / connection.segment("S"))
            answer = connection.network(outgoing=True) / connection.segment("SA", outgoing=True)
            wire.emit(frame / answer)
            wire.deliver(frame / connection.network() / connection.segment("A"))
    assert moved() == {"attempts": 23, "answered": 23, "completed": 23}


def test_a_third_vlan_tag_is_too_deep(wire: Wire) -> None:
    """Beyond two tags the frame passes, unread."""
    with wire.counted() as moved:
        assert wire.deliver(tagged(wire, SERVICE_VLAN, VLAN, VLAN)) == "pass"
    assert moved() == {"vlan_depth": 1}


@pytest.mark.parametrize("options_bytes", range(4, 44, 4))
def test_tcp_options_of_every_length_are_read(wire: Wire, options_bytes: int) -> None:
    """Up to 60 bytes of TCP header, the handshake is counted, and is not taken for bare."""
    connection = wire.connection()
    options = [("NOP", None)] * options_bytes
    with wire.counted() as moved:
        wire.deliver(connection.frame(connection.segment("S", options=options)))
    assert moved() == {"attempts": 1}
    assert wire.known_listener(connection.closed_bucket).bare_attempts == 0


def test_a_syn_without_options_is_bare(wire: Wire) -> None:
    """No client's stack sends a SYN without any option."""
    connection = wire.connection()
    wire.deliver(connection.frame(connection.segment("S", options=())))
    assert wire.known_listener(connection.closed_bucket).bare_attempts == 1


@pytest.mark.parametrize("options_bytes", [4, 20, 40])
def test_ipv4_options_are_stepped_over(ipv4_wire: Wire, options_bytes: int) -> None:
    """Up to 60 bytes of IPv4 header."""
    ip, tcp = syn_layers(ipv4_wire)
    raw = bytearray(bytes(ethernet(4) / ip / tcp))
    raw[14] = 0x45 + options_bytes // 4
    total = int.from_bytes(raw[16:18], "big") + options_bytes
    raw[16:18] = total.to_bytes(2, "big")
    raw[34:34] = b"\x01" * options_bytes
    with ipv4_wire.counted() as moved:
        ipv4_wire.deliver(bytes(raw))
    assert moved() == {"attempts": 1}


@pytest.mark.parametrize(("offset", "value"), [(14, 0x44), (14, 0x65), (17, 19)])
def test_a_bad_ipv4_header_is_not_read(ipv4_wire: Wire, offset: int, value: int) -> None:
    """A header too short, of another version, or longer than its datagram."""
    ip, tcp = syn_layers(ipv4_wire)
    raw = bytearray(bytes(ethernet(4) / ip / tcp))
    raw[offset] = value
    with ipv4_wire.counted() as moved:
        assert ipv4_wire.deliver(bytes(raw)) == "pass"
    assert moved() == {"bad_ip_header": 1}


@pytest.mark.parametrize(("offset", "value"), [(14, 0x45), (19, 7)])
def test_a_bad_ipv6_header_is_not_read(ipv6_wire: Wire, offset: int, value: int) -> None:
    """A header of another version, or with less payload than any extension or segment has."""
    ip, tcp = syn_layers(ipv6_wire)
    raw = bytearray(bytes(ethernet(6) / ip / tcp))
    raw[offset] = value
    with ipv6_wire.counted() as moved:
        assert ipv6_wire.deliver(bytes(raw)) == "pass"
    assert moved() == {"bad_ip_header": 1}


def test_a_tcp_header_shorter_than_itself_is_not_read(wire: Wire) -> None:
    """A data offset below five words is nonsense."""
    ip, tcp = syn_layers(wire)
    tcp.dataofs = 4
    with wire.counted() as moved:
        assert wire.deliver(ethernet(wire.version) / ip / tcp) == "pass"
    assert moved() == {"bad_tcp_header": 1}


def extensions() -> dict[str, Packet]:
    """Return an IPv6 extension header of each kind that may stand before TCP."""
    return {
        "hop-by-hop": IPv6ExtHdrHopByHop(),
        "routing": IPv6ExtHdrRouting(),
        "destination": IPv6ExtHdrDestOpt(),
        "destination, 264 bytes": IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(255)), PadN(optdata=b"123")]),
        "atomic fragment": IPv6ExtHdrFragment(),
        "authentication": AH(nh=6, payloadlen=4, spi=1, seq=1, icv=bytes(12)),
    }


@pytest.mark.parametrize("name", extensions())
def test_ipv6_extension_headers_are_stepped_over(ipv6_wire: Wire, name: str) -> None:
    """Each kind, whatever its length."""
    ip, tcp = syn_layers(ipv6_wire)
    with ipv6_wire.counted() as moved:
        ipv6_wire.deliver(ethernet(6) / ip / extensions()[name] / tcp)
    assert moved() == {"attempts": 1}


@pytest.mark.parametrize(("number", "outcome"), [(7, "attempts"), (8, "attempts"), (9, "extension_depth")])
def test_extension_headers_are_read_up_to_the_cap(wire: Wire, number: int, outcome: str) -> None:
    """Eight in a row; who sends more is passed on, unread."""
    if wire.version == 4:
        wire.version = 6
    ip, tcp = syn_layers(wire)
    frame = ethernet(6) / ip
    for _ in range(number):
        frame /= IPv6ExtHdrDestOpt()
    with wire.counted() as moved:
        assert wire.deliver(frame / tcp) == "pass"
    assert moved() == {outcome: 1}


def test_what_is_not_tcp_is_not_read(wire: Wire) -> None:
    """UDP, ARP and unknown protocols are no TCP and no IP, and nothing is wrong with them."""
    connection = wire.connection()
    link = ethernet(wire.version)
    with wire.counted() as moved:
        wire.deliver(link / connection.network() / UDP(sport=53, dport=53) / Raw(b"x"))
        wire.deliver(Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff") / ARP())
        wire.deliver(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x88B5) / Raw(bytes(64)))
    assert moved() == {"not_tcp": 1, "not_ip": 2}


def test_a_segment_quoted_in_an_icmp_error_is_none(wire: Wire) -> None:
    """What a router quotes of our SYN is not a SYN."""
    connection = wire.connection()
    client, server = str(connection.client), str(connection.server)
    quoted = TCPerror(sport=connection.client_port, dport=443, flags="S")
    if wire.version == 4:
        quote: Packet = ICMP(type=3, code=1) / IPerror(proto=6, src=client, dst=server) / quoted
    else:
        quote = ICMPv6DestUnreach() / IPerror6(nh=6, src=client, dst=server) / quoted
    with wire.counted() as moved:
        wire.deliver(ethernet(wire.version) / connection.network() / quote)
    assert moved() == {"not_tcp": 1}


def test_ipv4_fragments_are_no_segments(ipv4_wire: Wire) -> None:
    """The first fragment has the TCP header; what follows has only bytes that might look like one."""
    ip, tcp = syn_layers(ipv4_wire)
    first, later = ip.copy(), ip.copy()
    first.flags, later.frag, later.proto = "MF", 3, 6
    with ipv4_wire.counted() as moved:
        ipv4_wire.deliver(ethernet(4) / first / tcp)
        assert moved() == {"attempts": 1}
        assert ipv4_wire.deliver(ethernet(4) / later / Raw(bytes(tcp))) == "pass"
    assert moved() == {"attempts": 1, "fragment": 1}


def test_ipv6_fragments_are_no_segments(ipv6_wire: Wire) -> None:
    """As in IPv4, behind the fragment header."""
    ip, tcp = syn_layers(ipv6_wire)
    with ipv6_wire.counted() as moved:
        ipv6_wire.deliver(ethernet(6) / ip / IPv6ExtHdrFragment(m=1, id=5) / tcp)
        assert moved() == {"attempts": 1}
        later = IPv6ExtHdrFragment(offset=3, id=5, nh=6)
        assert ipv6_wire.deliver(ethernet(6) / ip / later / Raw(bytes(tcp))) == "pass"
    assert moved() == {"attempts": 1, "fragment": 1}


def test_a_tiny_first_fragment_is_truncated(ipv4_wire: Wire) -> None:
    """A first fragment that ends inside the TCP header cannot be read, and is counted as such."""
    ip, tcp = syn_layers(ipv4_wire)
    ip.flags, ip.proto = "MF", 6
    with ipv4_wire.counted() as moved:
        assert ipv4_wire.deliver(ethernet(4) / ip / Raw(bytes(tcp)[:8])) == "pass"
    assert moved() == {"truncated_tcp": 1}


def test_padding_is_not_a_tcp_header(wire: Wire) -> None:
    """What lies behind the datagram's end was not sent as TCP, even if it looks so."""
    connection = wire.connection()
    raw = bytearray(connection.frame(connection.segment("S")))
    if wire.version == 4:
        raw[16:18] = (28).to_bytes(2, "big")
    else:
        raw[18:20] = (8).to_bytes(2, "big")
    with wire.counted() as moved:
        assert wire.deliver(bytes(raw)) == "pass"
    assert moved() == {"truncated_tcp": 1}


def test_padding_behind_an_extension_header_is_not_a_tcp_header(ipv6_wire: Wire) -> None:
    """The extension headers are part of what the payload length counts."""
    ip, tcp = syn_layers(ipv6_wire)
    ip.plen = 8 + 19
    with ipv6_wire.counted() as moved:
        assert ipv6_wire.deliver(ethernet(6) / ip / IPv6ExtHdrDestOpt() / tcp) == "pass"
    assert moved() == {"truncated_tcp": 1}


def test_every_prefix_of_a_frame_passes_under_one_reason(wire: Wire) -> None:
    """A frame cut off anywhere is never dropped, and is counted once."""
    middle = [SERVICE_VLAN, VLAN]
    frame = tagged(wire, *middle)
    if wire.version == 6:
        frame = tagged(wire, *middle)
        frame[Dot1Q].remove_payload()
        ip, tcp = syn_layers(wire)
        frame = frame / ip / IPv6ExtHdrHopByHop() / tcp
    raw = bytes(frame)
    complete = len(raw) - 4  # scapy's MSS option may be cut off: the probe reads no options
    reasons = {*layout.UNPARSED_REASONS, "attempts", "syn_duplicates", "not_ip"}
    for length in range(14, len(raw) + 1):
        with wire.counted() as moved:
            assert wire.deliver(raw[:length]) == "pass"
        counted = moved()
        assert sum(counted.values()) == 1, f"{length} bytes"
        assert set(counted) <= reasons, f"{length} bytes"
        assert (set(counted) <= {"attempts", "syn_duplicates"}) == (length >= complete), f"{length} bytes"


def test_mapped_addresses_on_the_wire_are_nobody(ipv6_wire: Wire) -> None:
    """An IPv6 packet from ::ffff:a.b.c.d, which Linux discards, is not booked to the IPv4 address."""
    segment = TCP(sport=40000, dport=443, flags="S")
    with ipv6_wire.counted() as moved:
        for source, destination in (
            ("::ffff:192.0.2.77", str(ipv6_wire.server)),
            ("2001:db8::7", "::ffff:192.0.2.77"),
        ):
            frame = ethernet(6) / IPv6(src=source, dst=destination) / segment
            assert ipv6_wire.deliver(frame) == "pass"
    assert moved() == {"bad_ip_header": 2}


def test_the_same_numbers_in_both_versions_are_two_connections(ipv6_wire: Wire) -> None:
    """An IPv4 connection and an IPv6 one never meet, even with equal ports and numbers."""
    with ipv6_wire.counted() as moved:
        ipv6_wire.deliver(
            ethernet(6) / IPv6(src="::192.0.2.78", dst="::192.0.2.79") / TCP(sport=1, dport=2, seq=3)
        )
        ipv6_wire.deliver(ethernet(4) / IP(src="192.0.2.78", dst="192.0.2.79") / TCP(sport=1, dport=2, seq=3))
    assert moved() == {"attempts": 2}

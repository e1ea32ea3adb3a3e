"""IPv6 extension headers in any order, of any length, up to the cap; fragments among them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import permutations

import pytest
from scapy.packet import Raw

from tests.kernel.wire import Connection, MakeWire, Wire, ethernet

pytestmark = [pytest.mark.root, pytest.mark.kernel]

HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60
TCP, UDP, ESP, ICMPV6, NO_NEXT_HEADER, MOBILITY = 6, 17, 50, 58, 59, 135
KINDS = (HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION)
CAP = 8

#: A header: its kind and how many units of eight bytes (of an authentication header: four) it is longer
#: than it must be.
Header = tuple[int, int]


def encode(header: Header, following: int) -> bytes:
    """Return an extension header that names what follows; a fragment header is an atomic one."""
    kind, longer = header
    if kind == FRAGMENT:
        return bytes([following, 0, 0, 0]) + (0x1234).to_bytes(4, "big")
    if kind == AUTHENTICATION:
        # RFC 4302: in units of four bytes, less two; IPv6 wants a multiple of eight bytes.
        return bytes([following, 4 + 2 * longer, 0, 0]) + bytes(20 + 8 * longer)
    return bytes([following, longer, 1, 4]) + bytes(4 + 8 * longer)


def chain(headers: Sequence[Header], last: int = TCP) -> tuple[int, bytes]:
    """Return what the IPv6 header names as next, and the headers that lead to the last one."""
    kinds = [kind for kind, _ in headers] + [last]
    encoded = [encode(header, following) for header, following in zip(headers, kinds[1:], strict=True)]
    return kinds[0], b"".join(encoded)


def frame(
    connection: Connection, flags: str, headers: Sequence[Header], *, outgoing: bool = False, last: int = TCP
) -> bytes:
    """Return a segment behind extension headers."""
    ip = connection.network(outgoing=outgoing)
    ip.nh, extensions = chain(headers, last)
    segment = bytes(connection.segment(flags, outgoing=outgoing))
    return bytes(ethernet(6) / ip / Raw(extensions + segment))


def handshake_behind(wire: Wire, headers: Sequence[Header]) -> dict[str, int]:
    """Do a handshake whose segments all carry the headers; return what it counted."""
    connection = wire.connection()
    with wire.counted() as moved:
        wire.deliver(frame(connection, "S", headers))
        wire.emit(frame(connection, "SA", headers, outgoing=True))
        wire.deliver(frame(connection, "A", headers))
    return moved()


@pytest.fixture
def wire6(make_wire: MakeWire, ingress_program: str) -> Wire:
    """Return an IPv6 wire through each ingress program."""
    return make_wire(ingress_program, 6)


def test_handshakes_behind_every_order_of_headers_are_counted(wire6: Wire) -> None:
    """All 120 orders of the five kinds that may stand before TCP."""
    for order in permutations(KINDS):
        wire6.wait(10)
        counted = handshake_behind(wire6, [(kind, 0) for kind in order])
        assert counted == {"attempts": 1, "answered": 1, "completed": 1}, order


def test_handshakes_behind_any_headers_up_to_the_cap_are_counted(wire6: Wire) -> None:
    """One to eight headers drawn at random, repeated kinds too, some of them longer than they must be."""
    draw = random.Random(8)  # noqa: S311  a test that fails must fail again
    for _ in range(200):
        wire6.wait(10)
        headers = [(draw.choice(KINDS), draw.choice((0, 0, 1, 3))) for _ in range(draw.randint(1, CAP))]
        counted = handshake_behind(wire6, headers)
        assert counted == {"attempts": 1, "answered": 1, "completed": 1}, headers


def test_one_header_more_than_the_cap_is_too_deep(wire6: Wire) -> None:
    """Whatever the kinds, also where the ninth would have led to UDP: who looks no further cannot know."""
    draw = random.Random(9)  # noqa: S311  a test that fails must fail again
    for last in (TCP, TCP, TCP, UDP):
        headers = [(draw.choice(KINDS), 0) for _ in range(CAP + 1)]
        with wire6.counted() as moved:
            assert wire6.deliver(frame(wire6.connection(), "S", headers, last=last)) == "pass"
        assert moved() == {"extension_depth": 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last", [UDP, ESP, ICMPV6, NO_NEXT_HEADER, MOBILITY])
def test_what_cannot_lead_to_tcp_ends_the_search(wire6: Wire, kind: int, last: int) -> None:
    """Encryption, mobility and nothing at all hide or end the packet: it is no TCP, and nothing is wrong."""
    with wire6.counted() as moved:
        assert wire6.deliver(frame(wire6.connection(), "S", [(kind, 0)], last=last)) == "pass"
    assert moved() == {"not_tcp": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_that_ends_within_its_headers_is_truncated(wire6: Wire, kind: int) -> None:
    """At every length: first the extension header cannot be read, then TCP is cut off, then all is there."""
    connection = wire6.connection()
    whole = frame(connection, "S", [(kind, 0), (DESTINATION, 2)])
    first_bytes = len(encode((kind, 0), 0))
    for length in range(54, len(whole) - 4):
        with wire6.counted() as moved:
            assert wire6.deliver(whole[:length]) == "pass"
        heads = length >= 54 + 8, length >= 54 + first_bytes + 8
        assert moved() == {"truncated_tcp" if all(heads) else "truncated_ip": 1}, length
    with wire6.counted() as moved:
        wire6.deliver(whole)
    assert moved() == {"attempts": 1}


@pytest.mark.parametrize("longer", [30, 255])
def test_a_header_that_claims_more_than_the_frame_has_leads_nowhere(wire6: Wire, longer: int) -> None:
    """A length that points behind the frame's end is no way to read on."""
    raw = bytearray(frame(wire6.connection(), "S", [(DESTINATION, 0)]))
    raw[55] = longer
    with wire6.counted() as moved:
        assert wire6.deliver(bytes(raw)) == "pass"
    assert moved() == {"truncated_tcp": 1}


@pytest.mark.parametrize("offset", [*(1 << bit for bit in range(13)), 185, 8191])
@pytest.mark.parametrize(("following", "outcome"), [(TCP, "fragment"), (UDP, "not_tcp"), (ICMPV6, "not_tcp")])
def test_later_fragments_are_no_segments(wire6: Wire, offset: int, following: int, outcome: str) -> None:
    """Whatever their bytes look like; a fragment of something else is nothing of TCP's."""
    connection = wire6.connection()
    raw = bytearray(frame(connection, "S", [(DESTINATION, 0), (FRAGMENT, 0)], last=following))
    raw[64:66] = (offset << 3 | 1).to_bytes(2, "big")
    with wire6.counted() as moved:
        assert wire6.deliver(bytes(raw)) == "pass"
    assert moved() == {outcome: 1}


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("reserved", [0, 6])
def test_a_first_fragment_has_the_header(wire6: Wire, more: int, reserved: int) -> None:
    """With or without more to come, and whatever the two reserved bits say."""
    raw = bytearray(frame(wire6.connection(), "S", [(FRAGMENT, 0)]))
    raw[56:58] = (reserved | more).to_bytes(2, "big")
    with wire6.counted() as moved:
        wire6.deliver(bytes(raw))
    assert moved() == {"attempts": 1}


def test_a_payload_length_of_zero_bounds_nothing(wire6: Wire) -> None:
    """A jumbogram, or a segment that the kernel merged beyond 64 KiB: its headers are there all the same."""
    raw = bytearray(frame(wire6.connection(), "S", [(HOP_BY_HOP, 0)]))
    raw[18:20] = bytes(2)
    with wire6.counted() as moved:
        wire6.deliver(bytes(raw))
    assert moved() == {"attempts": 1}

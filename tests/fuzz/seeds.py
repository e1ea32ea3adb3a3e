"""Writes the fuzzer's first inputs with scapy: a frame for all that the parser knows, whole and cut."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scapy.layers.inet import IP, TCP, UDP, IPOption
from scapy.layers.inet6 import (
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

#: What is left of a frame that is cut: within the link's header, the network's, and the segment's.
_CUTS_BYTES = (8, 20, 40, 60, 72)


def _link() -> Packet:
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def _segment(**changes: Any) -> Packet:
    fields: dict[str, Any] = {"sport": 40000, "dport": 443, "flags": "S", "seq": 0x01020304}
    return TCP(**fields | changes)


def _ipv4(**changes: Any) -> Packet:
    return IP(src="192.0.2.1", dst="198.51.100.2", **changes)


def _ipv6(**changes: Any) -> Packet:
    return IPv6(src=changes.pop("src", "2001:db8::1"), dst="2001:db8::2", **changes)


_CLOCK = ("Timestamp", (0x01020304, 0x05060708))
#: Where the timestamps lie: as Linux, the BSDs and macOS have them in a SYN, and everybody in an ACK.
_CLOCKED: dict[str, list[tuple[str, Any]]] = {
    "linux": [("MSS", 1460), ("SAckOK", b""), _CLOCK, ("NOP", None), ("WScale", 7)],
    "bsd": [("MSS", 1460), ("NOP", None), ("WScale", 6), ("SAckOK", b""), _CLOCK],
    "macos": [("MSS", 1460), *[("NOP", None), ("WScale", 6)], *[("NOP", None)] * 2, _CLOCK, ("SAckOK", b"")],
    "ack": [("NOP", None), ("NOP", None), _CLOCK],
    "sacking-ack": [("NOP", None), ("NOP", None), _CLOCK, ("NOP", None), ("NOP", None), ("SAck", (1, 2))],
}


def _frames_over_both() -> Iterator[tuple[str, Packet]]:
    for name, network in (("ipv4", _ipv4), ("ipv6", _ipv6)):
        yield f"{name}-bare", _link() / network() / _segment()
        for stack, options in _CLOCKED.items():
            yield f"{name}-{stack}-options", _link() / network() / _segment(options=options)
        yield f"{name}-40-option-bytes", _link() / network() / _segment(options=[("NOP", None)] * 40)
        yield f"{name}-data", _link() / network() / _segment(flags="PA", ack=7) / Raw(b"data")
        yield f"{name}-short-offset", _link() / network() / _segment(dataofs=4)
        yield f"{name}-udp", _link() / network() / UDP(sport=53, dport=53) / Raw(b"x")
        for count, tags in enumerate((Dot1Q(vlan=7), Dot1AD(vlan=9) / Dot1Q(vlan=7)), 1):
            yield f"{name}-{count}-tags", _link() / tags / network() / _segment()
        yield f"{name}-3-tags", _link() / Dot1AD() / Dot1Q() / Dot1Q() / network() / _segment()


def _frames_over_ipv4() -> Iterator[tuple[str, Packet]]:
    yield "ipv4-ip-options", _link() / _ipv4(options=[IPOption(b"\x01")] * 40) / _segment()
    yield "ipv4-first-fragment", _link() / _ipv4(flags="MF") / _segment()
    yield "ipv4-later-fragment", _link() / _ipv4(frag=3, proto=6) / Raw(bytes(_segment()))
    yield "ipv4-too-short", _link() / _ipv4(len=28) / _segment()
    yield "ipv4-shorter-than-its-header", _link() / _ipv4(len=19) / _segment()
    yield "arp", _link() / ARP(psrc="192.0.2.1", pdst="192.0.2.2", hwsrc="02:00:00:00:00:01")


def _frames_over_ipv6() -> Iterator[tuple[str, Packet]]:
    extensions = {
        "hop-by-hop": IPv6ExtHdrHopByHop(),
        "routing": IPv6ExtHdrRouting(),
        "destination": IPv6ExtHdrDestOpt(),
        "long": IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(255)), PadN(optdata=b"123")]),
        "atomic-fragment": IPv6ExtHdrFragment(),
        "first-fragment": IPv6ExtHdrFragment(m=1, id=5),
        "authentication": AH(nh=6, payloadlen=4, spi=1, seq=1, icv=bytes(12)),
    }
    for name, extension in extensions.items():
        yield f"ipv6-{name}", _link() / _ipv6() / extension / _segment()
    later = IPv6ExtHdrFragment(offset=3, id=5, nh=6)
    yield "ipv6-later-fragment", _link() / _ipv6() / later / Raw(bytes(_segment()))
    for count in (8, 9):
        frame = _link() / _ipv6()
        for _ in range(count):
            frame /= IPv6ExtHdrDestOpt()
        yield f"ipv6-{count}-extensions", frame / _segment()
    yield "ipv6-jumbogram", _link() / _ipv6(plen=0) / _segment()
    yield "ipv6-too-short", _link() / _ipv6(plen=27) / IPv6ExtHdrDestOpt() / _segment()
    yield "ipv6-mapped", _link() / _ipv6(src="::ffff:192.0.2.1") / _segment()


def seeds() -> Iterator[tuple[str, bytes]]:
    """Yield every first input with its name."""
    for frames in (_frames_over_both(), _frames_over_ipv4(), _frames_over_ipv6()):
        for name, frame in frames:
            raw = bytes(frame)
            yield name, raw
            yield from ((f"{name}-cut-{cut}", raw[:cut]) for cut in _CUTS_BYTES if cut < len(raw))
    yield "empty", b""
    yield "only-an-ethertype", struct.pack("!12xH", 0x0800)


def write_seeds(folder: Path) -> None:
    """Write one file for each first input."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in seeds():
        (folder / name).write_bytes(raw)

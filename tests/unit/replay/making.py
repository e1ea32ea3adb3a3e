"""Makes captures and packets byte by byte: nothing here knows what scapy or the replay think of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from synguard.replay.capture import Capture
from synguard.replay.formats import Packet

SYN, ACK, RST, FIN = 2, 16, 4, 1
NS_PER_S = 10**9
#: When captures begin, in seconds since the Unix epoch.
BEGIN_S = 1_700_000_000

SERVER, CLIENT = "203.0.113.5", "198.51.100.7"


def tcp(source: str, destination: str, flags: int, *, ports: tuple[int, int] = (40000, 443), seq: int = 1,
        ack: int = 0, payload: bytes = b"") -> bytes:  # fmt: skip
    """Return an IP packet with a TCP segment."""
    segment = struct.pack("!HHIIBBHHH", *ports, seq, ack, 0x50, flags, 1024, 0, 0) + payload
    ends = ip_address(source).packed + ip_address(destination).packed
    if ip_address(source).version == 4:
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, 6, 0) + ends + segment
    return struct.pack("!IHBB", 6 << 28, len(segment), 6, 64) + ends + segment


def ethernet(packet: bytes, tags: Sequence[int] = ()) -> bytes:
    """Return the packet in an Ethernet frame, behind VLAN tags with these ethertypes."""
    tagged = b"".join(struct.pack("!HH", kind, 100) for kind in tags)
    return bytes(range(12)) + tagged + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet


def pcap(records: Iterable[tuple[int, bytes]], *, link_type: int = 1, order: str = "<", nano: bool = False,
         snap: int = 65535) -> bytes:  # fmt: skip
    """Return a pcap file of packets with their times in nanoseconds, cut to ``snap`` bytes."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    file = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snap, link_type)
    for time_ns, data in records:
        fraction = time_ns % NS_PER_S // (1 if nano else 1000)
        kept = data[:snap]
        file += struct.pack(f"{order}IIII", time_ns // NS_PER_S, fraction, len(kept), len(data)) + kept
    return file


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Return a block of a pcapng file."""
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def option(code: int, value: bytes, order: str = "<") -> bytes:
    """Return an option of a block."""
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<") -> bytes:
    """Return a section header of unknown length."""
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type: int = 1, *options: bytes, order: str = "<", snap: int = 0) -> bytes:
    """Return the description of an interface."""
    return block(1, struct.pack(f"{order}HHI", link_type, 0, snap) + b"".join(options), order)


def enhanced(data: bytes, units: int, *options: bytes, number: int = 0, order: str = "<") -> bytes:
    """Return a packet block; the time is in the interface's units."""
    head = struct.pack(f"{order}5I", number, units >> 32, units & 0xFFFFFFFF, len(data), len(data))
    return block(6, head + data + bytes(-len(data) % 4) + b"".join(options), order)


def simple(data: bytes, order: str = "<") -> bytes:
    """Return a packet block without a time."""
    return block(3, struct.pack(f"{order}I", len(data)) + data, order)


def packets_of(capture: Capture) -> list[Packet]:
    """Return all packets of a capture."""
    return [packet for batch in capture.batches() for packet in batch]

"""Floods a listener of the machine that it runs in, over the far end of the guarded veth: ``SOURCE SERVER``.

Run as a script by the machine's own Python, which has no more than the standard library.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from pathlib import Path

PORT = 8080
SYNS = 20_000
PAUSE_S = 0.0001
FAR_MAC = bytes.fromhex("020000000002")


def folded(data: bytes) -> int:
    """Return the Internet checksum: RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn(source: bytes, server: bytes, number: int) -> bytes:
    """Return a SYN's IPv4 datagram."""
    tcp = struct.pack("!HHIIBBHHH", 1024 + number, PORT, number, 0, 5 << 4, 2, 64240, 0, 0)
    check = folded(source + server + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0) + source + server
    return ip[:10] + struct.pack("!H", folded(ip)) + ip[12:] + tcp


def main() -> None:
    """Listen, and send SYNs that nobody stands behind."""
    source, server = map(socket.inet_aton, sys.argv[1:3])
    mac = Path("/sys/class/net/guarded0/address").read_text(encoding="ascii").replace(":", "")
    link = bytes.fromhex(mac) + FAR_MAC + b"\x08\x00"
    with (
        socket.create_server((sys.argv[2], PORT)),
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire,
    ):
        wire.bind(("far0", 0))
        for number in range(SYNS):
            wire.send(link + syn(source, server, number))
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()

"""TCP segments without options as whole frames, made fast enough for hundreds of thousands of them."""

from __future__ import annotations

import struct
from ipaddress import ip_address

_TCP = struct.Struct("!HHIIHHHH")
_HEADER_WORDS = 5 << 12
_WINDOW = 64240
SYN, RST, ACK = 0x02, 0x04, 0x10


class Segments:
    """The segments from one address to one listener.

    Args:
        macs: source and destination.
        source: the sender's address.
        where: the listener's address and port.

    """

    def __init__(self, macs: tuple[str, str], source: str, where: tuple[str, int]) -> None:
        addresses = ip_address(source).packed + ip_address(where[0]).packed
        ethernet = bytes.fromhex((macs[1] + macs[0]).replace(":", ""))
        self._port = where[1]
        if len(addresses) == 8:
            header = bytearray(struct.pack("!BxHxxHBBH8s", 0x45, 40, 0x4000, 64, 6, 0, addresses))
            struct.pack_into("!H", header, 10, _checksum(_sum(header)))
            self._headers = ethernet + b"\x08\x00" + header
        else:
            self._headers = ethernet + b"\x86\xdd" + struct.pack("!IHBB32s", 6 << 28, 20, 6, 64, addresses)
        # RFC 9293, 3.1: the pseudo-header counts too.
        self._fixed_sum = _sum(addresses) + 6 + _TCP.size + self._port + _WINDOW

    def frame(self, port: int, flags: int, seq: int, ack: int) -> bytes:
        """Return the frame of a segment from that port."""
        control = _HEADER_WORDS | flags
        total = self._fixed_sum + port + (seq >> 16) + (seq & 0xFFFF) + (ack >> 16) + (ack & 0xFFFF) + control
        return self._headers + _TCP.pack(port, self._port, seq, ack, control, _WINDOW, _checksum(total), 0)


def _sum(data: bytes | bytearray) -> int:
    return sum(word for (word,) in struct.iter_unpack("!H", data))


def _checksum(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

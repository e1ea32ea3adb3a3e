"""Makes frames as they come and as they should not: whole ones, and such as lie about themselves."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

#: What an XDP program gets in one piece: a page less headroom and the kernel's own record behind the frame.
FRAME_BYTES_MAX = 3000

_TCP, _AUTHENTICATION, _FRAGMENT = 6, 51, 44
_EXTENSIONS = (0, 43, _FRAGMENT, _AUTHENTICATION, 60)
#: ESP, mobility, no next header, ICMPv6, UDP, an experiment: nothing of theirs leads to TCP.
_ENDS = (50, 135, 59, 58, 17, 253)
_TAGS = (0x8100, 0x88A8)
#: ARP, LLDP, the tag type that some sent before 802.1ad, MPLS, a length as of 802.3.
_OTHER_TYPES = (0x0806, 0x88CC, 0x9100, 0x8847, 0x0040)
#: SYN, SYN|ACK, ACK, PSH|ACK, FIN|ACK, RST, RST|ACK, FIN, none, XMAS, SYN|FIN, SYN with ECE and CWR.
_FLAGS = (0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0x01, 0x00, 0x29, 0x03, 0xC2)
_MAPPED = bytes(10) + b"\xff\xff"


class PacketMaker:
    """Makes one frame after another; the same seed makes the same frames."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  a packet that both builds differ on must come again

    def frames(self, count: int) -> Iterator[bytes]:
        """Yield so many frames."""
        for _ in range(count):
            yield self._damaged(self._frame())[:FRAME_BYTES_MAX]

    def _rarely(self, share: float) -> bool:
        return self._random.random() < share

    def _frame(self) -> bytes:
        version = self._random.choices((4, 6, 0), (45, 45, 10))[0]
        if version == 0:
            kind, packet = self._random.choice(_OTHER_TYPES), self._random.randbytes(60)
        elif version == 4:
            kind, packet = 0x0800, self._ipv4()
        else:
            kind, packet = 0x86DD, self._ipv6()
        tags = b""
        for _ in range(self._random.choices((0, 1, 2, 3), (70, 12, 12, 6))[0]):
            tags += struct.pack("!HH", self._random.choice(_TAGS), self._random.getrandbits(16))
        return self._random.randbytes(12) + tags + kind.to_bytes(2, "big") + packet

    def _damaged(self, frame: bytes) -> bytes:
        """Return most frames as they are, some cut, some with a few bits turned, some padded."""
        kind = self._random.choices(("none", "cut", "turned", "padded"), (65, 15, 12, 8))[0]
        if kind == "cut":
            return frame[: self._random.randrange(len(frame))]
        if kind == "padded":
            return frame + self._random.randbytes(self._random.randrange(1, 64))
        if kind == "none":
            return frame
        turned = bytearray(frame)
        for _ in range(self._random.randrange(1, 4)):
            # The first bytes are those with a meaning.
            turned[self._random.randrange(12, min(len(frame), 90))] ^= 1 << self._random.randrange(8)
        return bytes(turned)

    def _ipv4(self) -> bytes:
        protocol = _TCP if self._rarely(0.85) else self._random.choice((1, 17, 41, 47, 51))
        payload = self._tcp() if protocol == _TCP else self._random.randbytes(24)
        words = self._random.choices((5, 6, 10, 15), (80, 8, 6, 6))[0]
        options = self._random.randbytes(4 * (words - 5))
        length = self._declared(4 * words + len(payload), 4 * words)
        # Most are whole; first fragments have a TCP header, later ones do not.
        place = self._random.choices((0x4000, 0x0000, 0x2000, 0x2001, 0x0007), (70, 14, 6, 5, 5))[0]
        if self._rarely(0.03):
            words = self._random.randrange(16)
        version = self._random.randrange(16) if self._rarely(0.02) else 4
        header = struct.pack(
            "!BBHHHBBH",
            version << 4 | words,
            self._random.getrandbits(8),
            length,
            self._random.getrandbits(16),
            place,
            self._random.getrandbits(8),
            protocol,
            0,
        )
        return header + self._random.randbytes(8) + options + payload

    def _declared(self, true: int, header: int) -> int:
        """Return a length as it is mostly: true; else a bit off, as low as the header allows, or anything."""
        kind = self._random.choices(("true", "off", "low", "any"), (88, 5, 5, 2))[0]
        if kind == "off":
            return max(true + self._random.randrange(-24, 24), 0)
        if kind == "low":
            return max(header + self._random.randrange(-2, 26), 0)
        return true if kind == "true" else self._random.getrandbits(16)

    def _ipv6(self) -> bytes:
        first, payload = self._extensions()
        length = self._declared(len(payload), 0)
        if self._rarely(0.03):
            length = 0
        version = self._random.randrange(16) if self._rarely(0.02) else 6
        flow = self._random.getrandbits(28)
        header = struct.pack("!IHBB", version << 28 | flow, length, first, self._random.getrandbits(8))
        return header + self._ipv6_address() + self._ipv6_address() + payload

    def _ipv6_address(self) -> bytes:
        if self._rarely(0.02):
            return _MAPPED + self._random.randbytes(4)
        return bytes.fromhex("20010db8") + self._random.randbytes(12)

    def _extensions(self) -> tuple[int, bytes]:
        """Return a chain of extension headers in any order with what they lead to, and the first's number."""
        count = self._random.choices((0, 1, 2, 4, 7, 8, 9), (50, 15, 10, 8, 5, 6, 6))[0]
        kinds = [self._random.choice(_EXTENSIONS) for _ in range(count)]
        end = _TCP if self._rarely(0.88) else self._random.choice(_ENDS)
        chain = b"".join(map(self._extension, kinds, [*kinds[1:], end]))
        return [*kinds, end][0], chain + (self._tcp() if end == _TCP else self._random.randbytes(24))

    def _extension(self, kind: int, following: int) -> bytes:
        if kind == _FRAGMENT:
            # Reserved bits and "more" do not matter; an offset does.
            offset = self._random.randrange(1, 8192) if self._rarely(0.1) else 0
            place = offset << 3 | self._random.getrandbits(3)
            return struct.pack("!BBHI", following, self._random.getrandbits(8), place, 1)
        length = self._random.choices((0, 1, 2, 31, 255), (55, 20, 19, 5, 1))[0]
        body = length * 4 + 8 if kind == _AUTHENTICATION else length * 8 + 8
        if self._rarely(0.03):
            length = self._random.getrandbits(8)
        return bytes((following, length)) + self._random.randbytes(body - 2)

    def _options(self, words: int) -> bytes:
        """Return options of any kind, often with a clock in the first, the second or the third word."""
        options = bytearray(self._random.randbytes(4 * (words - 5)))
        for place in range(min(len(options) // 4, 3)):
            if self._rarely(0.4):
                options[4 * place : 4 * place + 4] = self._random.choice((b"\1\1\x08\x0a", b"\4\2\x08\x0a"))
        return bytes(options)

    def _tcp(self) -> bytes:
        words = self._random.choices((5, 6, 8, 10, 11, 15), (45, 15, 10, 15, 5, 10))[0]
        options = self._options(words)
        if self._rarely(0.05):
            words = self._random.randrange(16)
        flags = self._random.choice(_FLAGS) if self._rarely(0.9) else self._random.getrandbits(8)
        fixed = struct.pack(
            "!HHIIBBHHH",
            self._random.getrandbits(16),
            self._random.getrandbits(16),
            self._random.getrandbits(32),
            self._random.getrandbits(32),
            words << 4 | self._random.getrandbits(4),
            flags,
            64240,
            0,
            0,
        )
        return fixed + options + self._random.randbytes(self._random.choice((0, 0, 0, 5)))

"""The byte layouts of ``bpf/layout.h`` for what the probe does about SYNs, and what it learns to that end."""

from __future__ import annotations

import struct
from ipaddress import IPv4Network, IPv6Network

from synguard.endpoint import Network
from synguard.handshake import Answer, ClockProof
from synguard.probe.address_layout import MAPPED_PREFIX, encode_address, require

BLOCK_KEY = struct.Struct("=16sI4x")
#: Until when (ns), hits, action, since when (ticks).
BLOCK = struct.Struct("=QQII")
#: MSS, window, window scale, SACK, timestamps, TTL.
ANSWER = struct.Struct("=HHBBBB")
#: Until when (ns), canaries, an answer, action, since when (ticks).
LISTENER_RULE = struct.Struct("=Qq8sII")
SPARED_KEY = struct.Struct("=I16s")
NO_WINDOW_SCALE = 255
#: So long a greylist that is over knows what comes again, as bpf/greylist.h has it.
LINGER_NS = 8 * 10**9
#: A tick is so many bits of ns, and 32 bits of them are kept.
_TICK_SHIFT = 23
#: Offset in a ``struct source`` of when its clock was seen (ns), of SYNs that missed it (32 bits) and that
#: continued it (32), and of handshakes by other clocks.
SOURCE_CLOCK_NS = 128
_CLOCK = struct.Struct("=QIIQ")


def encode_block_key(target: Network) -> bytes:
    """Return the key of a blocked prefix: IPv4 lengths count from the mapped address's 96th bit."""
    offset = 96 if target.version == 4 else 0
    return BLOCK_KEY.pack(encode_address(target.network_address), target.prefixlen + offset)


def decode_block_key(raw: bytes) -> Network:
    """Return the prefix that ``encode_block_key`` was given; ValueError for what is no prefix."""
    require("key of a block", raw, BLOCK_KEY.size)
    address, length = BLOCK_KEY.unpack(raw)
    if length >= 96 and address[:12] == MAPPED_PREFIX:
        return IPv4Network((address[12:], length - 96))
    return IPv6Network((address, length))


def encode_tick(time_ns: int) -> int:
    """Return a moment of the monotonic clock as rules keep it, to 8.4 ms."""
    return time_ns >> _TICK_SHIFT & 0xFFFFFFFF


def encode_spared(network: Network) -> tuple[bytes, bytes]:
    """Return the key under which the trie of spared networks has one, and the value: its IP version."""
    length = network.prefixlen + (96 if network.version == 4 else 0)
    address = encode_address(network.network_address)
    version = 4 if length >= 96 and address[:12] == MAPPED_PREFIX else 6
    return SPARED_KEY.pack(length, address), struct.pack("=Q", version)


def encode_answer(answer: Answer | None) -> bytes:
    """Return what a cookie's SYN-ACK is to look like; nothing of it is known without one."""
    if answer is None:
        return bytes(ANSWER.size)
    scale = NO_WINDOW_SCALE if answer.window_scale is None else answer.window_scale
    return ANSWER.pack(answer.mss, answer.window, scale, answer.sack, answer.timestamps, answer.ttl)


def decode_answer(raw: bytes, local: int = 0, foreign: int = 0) -> Answer:
    """Return what a listener's SYN-ACKs look like."""
    mss, window, scale, sack, timestamps, ttl = ANSWER.unpack(raw)
    window_scale = None if scale == NO_WINDOW_SCALE else scale
    return Answer(mss, window, window_scale, bool(sack), bool(timestamps), ttl, local, foreign)


def decode_clock(raw: bytes, now_ns: int) -> ClockProof | None:
    """Return how a source's SYNs go with the clock of the handshake that it completed; None without one."""
    clock_ns, matched, missed, others = _CLOCK.unpack_from(raw, SOURCE_CLOCK_NS)
    if not clock_ns:
        return None
    return ClockProof(max(now_ns - clock_ns, 0) / 1e9, matched, missed, others)

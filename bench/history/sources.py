"""Where the alerts of a made-up history come from, and which addresses its questions are about."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import ip_network

from synguard.endpoint import Network, source_text
from synguard.history.rows import MAPPED_FIRST, address_range

#: In every alert.
EVERYWHERE = ip_network("198.51.100.200/32")
#: Its sources are in the oldest alerts, and in many of those.
LONG_AGO = ip_network("100.64.0.0/10")
#: Sources that come again and again: each is in one alert of a hundred.
FAMOUS = 500
#: Sources of the oldest alerts, one after the other.
BYGONE = 50_000
#: Single sources of which one is known to be there, by IP version.
SAMPLES = {4: ip_network("203.0.113.77/32"), 6: ip_network("2001:db8:77:1::/64")}

#: A source as ``alert_sources`` keeps it: its text, its first and its last address.
SourceRow = tuple[str, bytes, bytes]

_MAPPED_PREFIX = MAPPED_FIRST[:12]


def source_row(source: Network) -> SourceRow:
    """Return what the database keeps of a source."""
    return source_text(source), *address_range(source)


def pool(size: int) -> Iterator[SourceRow]:
    """Yield sources: the one that is everywhere, the famous, the bygone, and ``size`` of which each is rare.

    Three in ten are IPv6 networks of 64 bits, one in a hundred is a prefix.
    """
    draw = random.Random(6)
    yield source_row(EVERYWHERE)
    for number in range(FAMOUS):
        yield _ipv4(0xC6120000 + number * 7)
    first = int(LONG_AGO.network_address)
    for number in range(BYGONE):
        yield _ipv4(first + number * 83)
    yield from map(source_row, SAMPLES.values())
    for number in range(size - len(SAMPLES)):
        kind = number % 100
        if kind == 0:
            yield _prefix(draw)
        elif kind <= 30:
            yield _ipv6(draw)
        else:
            yield _ipv4(draw.randrange(0x01000000, 0x64000000))


def _ipv4(address: int) -> SourceRow:
    packed = address.to_bytes(4, "big")
    mapped = _MAPPED_PREFIX + packed
    return f"{packed[0]}.{packed[1]}.{packed[2]}.{packed[3]}", mapped, mapped


def _ipv6(draw: random.Random) -> SourceRow:
    parts = [0x2A00 + draw.randrange(64), *(draw.randrange(1, 0x10000) for _ in range(3))]
    first = b"".join(part.to_bytes(2, "big") for part in parts)
    return ":".join(f"{part:x}" for part in parts) + "::/64", first + bytes(8), first + b"\xff" * 8


def _prefix(draw: random.Random) -> SourceRow:
    if draw.random() < 0.5:
        return source_row(
            ip_network((draw.randrange(0x01000000, 0x64000000), draw.randrange(16, 31)), strict=False)
        )
    return source_row(
        ip_network((draw.randrange(0x2A00, 0x2A40) << 112, draw.randrange(32, 60)), strict=False)
    )

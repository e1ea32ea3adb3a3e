"""What a flood is: whom it claims to come from, what its SYNs look like, how fast and for how long.

The byte layouts mirror those of ``generator.c``; the compiler refuses to build it when they differ.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv6Network, ip_address, ip_network
from typing import Any

import msgspec

from synguard.errors import UsageError
from synguard.model import Address, Network

MAX_SOURCES = 4096
#: Bounds of every flood, whatever is asked for.
MAX_DURATION_S = 120.0
MAX_SYN_PER_S = 5_000_000

#: Any unicast source; IPv4 without 0/8 and 127/8, which no kernel would answer.
ANY_IPV4 = ip_network("0.0.0.0/0")
ANY_IPV6 = IPv6Network("2000::/3")

#: destination, source, source_random (4 words each), source_count, interface, port, family, shape,
#: source_any, destination MAC, source MAC.
PLAN = struct.Struct("=16s16s16sII2sBBB6s6s3x")
_PLAN_COUNT_OFFSET = 48
_PLAN_MAC_OFFSET = 61
#: frames, first_ns, last_ns.
SENT = struct.Struct("=QQQ")

DEFINES: Mapping[str, int] = {
    "PLAN_BYTES": PLAN.size,
    "PLAN_COUNT_OFFSET": _PLAN_COUNT_OFFSET,
    "PLAN_MAC_OFFSET": _PLAN_MAC_OFFSET,
    "SENT_BYTES": SENT.size,
}

_ETHERNET_BYTES = 14
_TCP_BYTES = 20
_OPTION_BYTES = 20


class Shape(StrEnum):
    """What a SYN looks like."""

    #: MSS, SACK permitted, timestamps and window scale, as Linux sends them.
    LINUX = "linux"
    #: No TCP option at all, as raw-socket tools send them.
    BARE = "bare"


class FloodPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One bounded flood of SYNs with random ports and ISNs.

    Exactly one of ``frames`` and ``duration_s`` ends it; ``duration_s`` bounds it even where
    ``frames`` does. Sources are one address, several, a prefix, or any unicast address
    (``0.0.0.0/0`` or ``2000::/3``).
    """

    destination: str
    destination_port: int
    sources: tuple[str, ...]
    syn_per_s: float
    duration_s: float
    frames: int | None = None
    shape: Shape = Shape.LINUX

    def check(self) -> None:
        """Raise UsageError for a plan that makes no sense or knows no bounds."""
        version = ip_address(self.destination).version
        if not 1 <= len(self.sources) <= MAX_SOURCES:
            raise UsageError(f"a flood has 1 to {MAX_SOURCES} sources, not {len(self.sources)}")
        if any(network.version != version for network in self.networks()):
            raise UsageError("a flood's sources and destination are of one IP version")
        if len(self.sources) > 1 and any(network.num_addresses > 1 for network in self.networks()):
            raise UsageError("a flood's sources are a list of addresses, or one prefix")
        if not 0 < self.syn_per_s <= MAX_SYN_PER_S or not 0 < self.duration_s <= MAX_DURATION_S:
            raise UsageError(f"a flood is bounded by {MAX_SYN_PER_S} SYN/s and {MAX_DURATION_S:g} s")

    def networks(self) -> list[Network]:
        """Return the sources as networks."""
        return [ip_network(source) for source in self.sources]

    @property
    def frame_limit(self) -> int:
        """The most frames that will be sent."""
        by_time = round(self.syn_per_s * self.duration_s)
        return by_time if self.frames is None else min(self.frames, by_time)

    @property
    def frame_bytes(self) -> int:
        """The length of one frame."""
        ip_bytes = 20 if ip_address(self.destination).version == 4 else 40
        options = _OPTION_BYTES if self.shape is Shape.LINUX else 0
        return _ETHERNET_BYTES + ip_bytes + _TCP_BYTES + options


class FloodReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a flood did, by the generator's own counters. ``*_ns`` is CLOCK_MONOTONIC."""

    frames: int
    first_ns: int
    last_ns: int
    #: Wall-clock time of the first frame, seconds since the epoch.
    first_s: float

    @property
    def syn_per_s(self) -> float:
        """The rate reached between the first frame and the last; 0 for fewer than two."""
        span_s = (self.last_ns - self.first_ns) / 1e9
        return (self.frames - 1) / span_s if span_s > 0 else 0.0


def _padded(address: Address) -> bytes:
    return address.packed.ljust(16, b"\0")


def encode_sources(plan: FloodPlan) -> list[bytes]:
    """Return the entries of the generator's list, none where one prefix says it all."""
    networks = plan.networks()
    if len(networks) == 1 and networks[0].num_addresses > 1:
        return []
    return [_padded(network.network_address) for network in networks]


def encode_plan(plan: FloodPlan, interface: int, destination_mac: str, source_mac: str) -> bytes:
    """Return the plan as the generator reads it, for frames between two MAC addresses."""
    destination = ip_address(plan.destination)
    network = plan.networks()[0]
    fields: tuple[Any, ...] = (
        _padded(destination),
        _padded(network.network_address),
        _padded(network.hostmask),
        len(encode_sources(plan)),
        interface,
        plan.destination_port.to_bytes(2, "big"),
        destination.version,
        1 if plan.shape is Shape.LINUX else 0,
        network == ANY_IPV4,
        bytes.fromhex(destination_mac.replace(":", "")),
        bytes.fromhex(source_mac.replace(":", "")),
    )
    return PLAN.pack(*fields)

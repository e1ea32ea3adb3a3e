"""What a flood is: whom it claims to come from, what its SYNs look like, how fast and for how long."""

from __future__ import annotations

import math
from enum import StrEnum
from ipaddress import IPv6Network, ip_address, ip_network
from typing import Literal

import msgspec

from synguard.endpoint import Network
from synguard.errors import UsageError

#: Bounds of every flood, whatever is asked for.
MAX_SOURCES = 4096
MAX_DURATION_S = 600.0
MAX_SYN_PER_S = 20_000_000
MAX_COPIES = 1000
MAX_ACKS_PER_SYN = 100
MAX_PAYLOAD_BYTES = 256
#: What Linux and hping3 send, and nobody takes from where the generator stands.
DEFAULT_TTL = 64

#: Any unicast source; IPv4 without 0/8 and 127/8, which no kernel would answer.
ANY_IPV4 = ip_network("0.0.0.0/0")
ANY_IPV6 = IPv6Network("2000::/3")

#: A ramp begins with this share of its rate.
RAMP_FIRST = 0.01

Pattern = Literal["steady", "pulse", "ramp"]


class Shape(StrEnum):
    """What a SYN looks like."""

    #: MSS, SACK permitted, timestamps and window scale, as Linux sends them.
    LINUX = "linux"
    #: No TCP option at all, as raw-socket tools send them.
    BARE = "bare"
    #: As ``hping3 -S`` sends them: no option, no DF, window 512, a number where an ACK would have one,
    #: and source ports that count up.
    HPING3 = "hping3"


class FloodPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One bounded flood of SYNs with random ports and ISNs.

    Exactly one of ``frames`` and ``duration_s`` ends it; ``duration_s`` bounds it even where
    ``frames`` does. Sources are one address, several, a prefix, or any unicast address
    (``0.0.0.0/0`` or ``2000::/3``).
    """

    destination: str
    destination_port: int
    sources: tuple[str, ...]
    #: SYNs on the wire in a second, copies included and ACKs not; None: as fast as the machine can.
    syn_per_s: float | None
    duration_s: float
    frames: int | None = None
    shape: Shape = Shape.LINUX
    #: steady; pulse: on for ``on_s``, off for ``off_s``; ramp: from 1/100 of the rate up to it.
    pattern: Pattern = "steady"
    on_s: float = 1.0
    off_s: float = 1.0
    #: Each SYN is sent so many times, one copy right after the other, all alike.
    copies: int = 1
    #: So many ACKs with random numbers follow the copies, from their source and port.
    acks_per_syn: int = 0
    #: 802.1Q tags, outermost first; the outer of two is 802.1ad.
    vlans: tuple[int, ...] = ()
    #: Each SYN asks for a port of its own, at random, instead of ``destination_port``.
    random_ports: bool = False
    #: The least and the most hops left; each source has one of them, always the same.
    ttls: tuple[int, int] = (DEFAULT_TTL, DEFAULT_TTL)
    #: Data in each SYN, a multiple of 4.
    payload_bytes: int = 0

    def check(self) -> None:
        """Raise UsageError for a plan that makes no sense or knows no bounds."""
        self._check_sources()
        rate = self.syn_per_s
        if rate is not None and not 0 < rate <= MAX_SYN_PER_S:
            raise UsageError(f"a flood is bounded by {MAX_SYN_PER_S} SYN/s")
        if not 0 < self.duration_s <= MAX_DURATION_S:
            raise UsageError(f"a flood is bounded by {MAX_DURATION_S:g} s")
        if rate is None and self.pattern == "ramp":
            raise UsageError("a ramp needs a rate to rise to")
        if self.pattern == "pulse" and not (self.on_s > 0 and self.off_s > 0):
            raise UsageError("a pulse is on for a time and off for a time, both above 0")
        if not 1 <= self.copies <= MAX_COPIES or not 0 <= self.acks_per_syn <= MAX_ACKS_PER_SYN:
            raise UsageError(f"a SYN has 1 to {MAX_COPIES} copies and 0 to {MAX_ACKS_PER_SYN} ACKs")
        if len(self.vlans) > 2 or not all(1 <= vlan <= 4094 for vlan in self.vlans):
            raise UsageError("a frame has at most two VLAN tags, each from 1 to 4094")
        if not 1 <= self.ttls[0] <= self.ttls[1] <= 255:
            raise UsageError("a flood's hops go from 1 to 255, the least first")
        if not 0 <= self.payload_bytes <= MAX_PAYLOAD_BYTES or self.payload_bytes % 4:
            raise UsageError(f"a SYN has 0 to {MAX_PAYLOAD_BYTES} bytes of data, in fours")
        if not 1 <= self.destination_port <= 65535 or (self.frames is not None and self.frames < 1):
            raise UsageError("a flood has a port from 1 to 65535 and at least one frame")

    def _check_sources(self) -> None:
        version = ip_address(self.destination).version
        if not 1 <= len(self.sources) <= MAX_SOURCES:
            raise UsageError(f"a flood has 1 to {MAX_SOURCES} sources, not {len(self.sources)}")
        if any(network.version != version for network in self.networks()):
            raise UsageError("a flood's sources and destination are of one IP version")
        if len(self.sources) > 1 and any(network.num_addresses > 1 for network in self.networks()):
            raise UsageError("a flood's sources are a list of addresses, or one prefix")

    def networks(self) -> list[Network]:
        """Return the sources as networks."""
        return [ip_network(source) for source in self.sources]

    @property
    def version(self) -> int:
        """4 or 6."""
        return ip_address(self.destination).version

    @property
    def syn_limit(self) -> int:
        """How many SYNs the pattern asks for in all; where there is no rate, a bound."""
        if self.syn_per_s is None:
            return round(MAX_SYN_PER_S * self.duration_s)
        # The last SYN is the last one whose time lies within the duration; 23.0000001 are 23.
        return math.ceil(self.due_syns(self.duration_s) - 1e-6)

    @property
    def frame_limit(self) -> int:
        """The most frames that will be sent."""
        groups, rest = divmod(self.syn_limit, self.copies)
        by_time = groups * (self.copies + self.acks_per_syn) + rest
        return by_time if self.frames is None else min(self.frames, by_time)

    @property
    def expected_syns(self) -> int:
        """How many SYNs a flood that keeps its plan has sent; where there is no rate, a bound."""
        groups, rest = divmod(self.frame_limit, self.copies + self.acks_per_syn)
        return groups * self.copies + min(rest, self.copies)

    @property
    def frames_per_syn(self) -> float:
        """Frames sent for each SYN on the wire; 1.0 without ACKs."""
        return 1 + self.acks_per_syn / self.copies

    def due_syns(self, elapsed_s: float) -> float:
        """Return how many SYNs the pattern asks for in the first ``elapsed_s``, as a real number."""
        rate = self.syn_per_s or 0.0
        if self.pattern == "steady":
            return rate * elapsed_s
        if self.pattern == "pulse":
            return rate * self._on_s(elapsed_s)
        return rate * elapsed_s * (RAMP_FIRST + (1 - RAMP_FIRST) * elapsed_s / (2 * self.duration_s))

    def due_s(self, syns: float) -> float:
        """Return after which time ``syns`` SYNs are due: the inverse of ``due_syns``."""
        on_s = syns / (self.syn_per_s or math.inf)
        if self.pattern == "steady":
            return on_s
        if self.pattern == "pulse":
            # A pulse's last moment is the next one's first.
            return on_s + int(on_s / self.on_s + 1e-9) * self.off_s
        rise = (1 - RAMP_FIRST) / self.duration_s
        return (math.sqrt(RAMP_FIRST**2 + 2 * rise * on_s) - RAMP_FIRST) / rise

    def pause_s(self, elapsed_s: float) -> float:
        """Return how long the pattern goes on sending nothing; 0 outside a pulse's pause."""
        into_s = elapsed_s % (self.on_s + self.off_s)
        return self.on_s + self.off_s - into_s if self.pattern == "pulse" and into_s >= self.on_s else 0.0

    def phase_left_s(self, elapsed_s: float) -> float:
        """Return how long a pulse goes on as it is, on or off; infinity for other patterns."""
        if self.pattern != "pulse":
            return math.inf
        into_s = elapsed_s % (self.on_s + self.off_s)
        return self.on_s - into_s if into_s < self.on_s else self.on_s + self.off_s - into_s

    def _on_s(self, elapsed_s: float) -> float:
        pulses, into_s = divmod(elapsed_s, self.on_s + self.off_s)
        return pulses * self.on_s + min(into_s, self.on_s)


class FloodReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a flood did, by the sender's own counters. ``*_ns`` is CLOCK_MONOTONIC."""

    frames: int
    first_ns: int
    last_ns: int
    #: Of the frames: SYNs with all their copies, those among them unlike the ones before, and ACKs.
    syns: int = 0
    distinct_syns: int = 0
    acks: int = 0
    #: Time spent on sending, waiting left out; None where the sender does not say.
    busy_ns: int | None = None

    @property
    def span_s(self) -> float:
        """From the first frame to the last."""
        return (self.last_ns - self.first_ns) / 1e9

    @property
    def syn_per_s(self) -> float:
        """The rate reached between the first SYN and the last; 0 for fewer than two."""
        return (self.syns - 1) / self.span_s if self.span_s > 0 else 0.0

    @property
    def busy(self) -> float | None:
        """The share of its time that the sender spent on sending, 0..1; near 1 it was at its limit."""
        if self.busy_ns is None or self.span_s <= 0:
            return None
        return min(self.busy_ns / 1e9 / self.span_s, 1.0)

    def held(self, plan: FloodPlan, tolerance: float = 0.05) -> bool:
        """Return whether a flood that was not stopped kept to its plan, in number and time of its SYNs.

        A plan without a rate is always kept, one of a single SYN by sending it.
        """
        if plan.syn_per_s is None:
            return True
        expected = plan.expected_syns
        if abs(self.syns - expected) > tolerance * expected:
            return False
        span_s = plan.due_s(expected - 1)
        return span_s == 0 or abs(self.span_s - span_s) <= tolerance * span_s

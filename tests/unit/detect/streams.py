"""Who asks whom in a simulated world: streams of clients, floods and probes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from synguard.endpoint import Listener, Network

WEB = Listener(ip_address("203.0.113.5"), 443)
MAIL = Listener(ip_address("203.0.113.5"), 25)
CLOSED = Listener(ip_address("203.0.113.5"), 0)
FLOODER = ip_network("198.51.100.7/32")
NAT = ip_network("198.51.100.99/32")

#: Prefixes of sources that the probe counts, by IP version.
PREFIX_LENGTH = {4: 24, 6: 48}


@dataclass(frozen=True)
class Stream:
    """Attempts at one listener, at a steady rate for a time."""

    listener: Listener
    per_s: float
    start_ms: int = 0
    stop_ms: int = 1_000_000_000
    #: SYN-ACK→ACK time in milliseconds of those that complete.
    rtt_ms: int = 20
    #: Share (0..1) of the attempts that never complete.
    lost: float = 0.0
    #: Distinct sources; None gives every attempt one of its own.
    sources: int | None = None
    #: A source that the probe watches, if all attempts are of one such.
    watched: Network | None = None
    #: The /24 or /48 of all its sources; that of the watched one where there is one.
    prefix: Network | None = None
    targets: int = 1
    bare: bool = False
    #: Shares (0..1) of the attempts that claim sources no router carries, and that repeat the one before.
    bogon: float = 0.0
    patterned: float = 0.0
    #: Share (0..1) of the attempts whose SYN-ACK is answered with RST.
    aborted: float = 0.0
    #: The TTL of its segments as they arrive; None leaves them out of the histograms.
    ttl: int | None = None
    refused: bool = False
    #: From this millisecond on the server answers nothing, and nothing completes.
    silent_from_ms: int | None = None
    #: Whether unanswered SYNs are sent again after a second, as stacks do.
    retries: bool = False
    #: The rate rises from zero for so long.
    ramp_ms: int = 0
    #: Instead of SYNs: segments of that kind, ``fin``, ``null`` or ``xmas``.
    probes: str | None = None

    @property
    def counted_prefix(self) -> Network | None:
        """Return the prefix that the probe counts it to, if it is one."""
        if self.watched is None:
            return self.prefix
        length = min(PREFIX_LENGTH[self.watched.version], self.watched.prefixlen)
        return self.watched.supernet(new_prefix=length)

    def per_ms(self, now_ms: int) -> float:
        """Return how many attempts it makes in a millisecond."""
        if not self.start_ms <= now_ms < self.stop_ms:
            return 0.0
        risen = min(1.0, (now_ms - self.start_ms) / self.ramp_ms) if self.ramp_ms else 1.0
        return self.per_s * risen / 1000


def crowd(per_s: float = 2000.0, rtt_ms: int = 20, **more: object) -> Stream:
    """Return clients that all complete."""
    return replace(Stream(WEB, per_s, rtt_ms=rtt_ms), **more)  # type: ignore[arg-type]


def flood(per_s: float, start_ms: int = 0, stop_ms: int = 1_000_000_000, **more: object) -> Stream:
    """Return SYNs of as many sources, with options, that nobody ever completes."""
    return replace(Stream(WEB, per_s, start_ms, stop_ms, lost=1.0), **more)  # type: ignore[arg-type]


def single(per_s: float, start_ms: int = 0, stop_ms: int = 1_000_000_000, **more: object) -> Stream:
    """Return SYNs of one watched source that nobody ever completes."""
    return replace(flood(per_s, start_ms, stop_ms, watched=FLOODER), **more)  # type: ignore[arg-type]

"""The settings of the detector, as one frozen record, and those of one listener.

A listener may have thresholds of its own. Of the patterns that mean it, ``ADDR``, ``*:PORT`` and
``ADDR:PORT``, each sets what it names, and the more exact one wins, field by field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from synguard.endpoint import Listener, ListenerPattern, Network, patterns_of

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
#: Listeners whose thresholds are remembered; the probe watches at most as many at a time.
REMEMBERED_LISTENERS = 4096


#: The share (0..1) of all open alerts that may be of one kind that is no flood.
OTHERS_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When something is called an attack. The caller has checked the ranges."""

    #: Half-open handshakes per second at one listener that make a flood; above 0.
    half_open_per_s: float = 50.0
    #: Half-open handshakes per second of one source that make a flood; above 0.
    source_half_open_per_s: float = 50.0
    #: Half-open handshakes per second of one prefix of sources that make a flood; above 0.
    prefix_half_open_per_s: float = 50.0
    #: Share (0..1) of a listener's attempts that must be half-open, beyond statistical doubt.
    half_open_ratio: float = 0.1
    #: Attempts that a window must hold before it is judged; at least 1.
    min_attempts: int = 40
    #: Replaces both rates where most attempts are refused, which costs a server no queue; per second.
    refused_per_s: float = 1000.0
    #: Targets (address, port) that one source asks and never completes to be a half-open scan; at least 2.
    scan_targets: int = 16
    #: Targets of one source that refuse or do not answer, to be a scan of closed ports; at least 2.
    scan_closed_ports: int = 100
    #: FIN, NULL or XMAS segments of one source that make a scan; at least 1.
    scan_probes: int = 16
    #: Half-open handshakes per minute towards one prefix, each address few, that make a reflection.
    reflection_per_min: float = 60.0
    #: Whether a lasting shift against the listener's own baseline makes a flood below the rates above.
    slow_floods: bool = True
    #: The least time that a handshake is given, in milliseconds, however fast the listener's usually are.
    allowance_floor_ms: int = 50
    #: The most time that a handshake is given, in milliseconds; at most 3000, or the probe forgets first.
    allowance_cap_ms: int = 3000
    #: The time given at a listener of which fewer than 100 handshakes were seen, in milliseconds.
    allowance_cold_ms: int = 500
    #: An alert closes after this many seconds in which its flood was not seen.
    close_after_s: float = 10.0
    #: Alerts open at the same time, at most; what would go beyond is counted in ``Detector.losses``.
    max_open_alerts: int = 1024
    #: What the named listeners have instead, by the names of the fields above.
    overrides: Mapping[ListenerPattern, Mapping[str, float]] = field(default_factory=dict, hash=False)
    #: Sources that stand for many others (a CDN, a load balancer): only listeners are judged by them.
    trusted: tuple[Network, ...] = ()

    @property
    def most_of_a_kind(self) -> int:
        """How many open alerts may be scans; and overloads, and reflections. The rest is floods'."""
        return max(1, round(OTHERS_SHARE * self.max_open_alerts))

    _listeners: dict[Listener, Thresholds] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _trusted: tuple[Mapping[int, frozenset[int]], ...] = field(
        default=({}, {}), init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_trusted", (_starts(4, self.trusted), _starts(6, self.trusted)))

    def for_listener(self, listener: Listener) -> Thresholds:
        """Return what holds for one listener: these, or these with what its patterns set."""
        if not self.overrides:
            return self
        found = self._listeners.get(listener)
        if found is None:
            if len(self._listeners) >= REMEMBERED_LISTENERS:
                self._listeners.clear()
            found = self._listeners[listener] = self._overridden(listener)
        return found

    def trusts(self, source: Network) -> bool:
        """Tell whether a source lies wholly inside a network that is trusted to speak for many."""
        starts = self._trusted[source.version == 6]
        if not starts:
            return False
        address = int(source.network_address)
        return any(
            length <= source.prefixlen and address >> (source.max_prefixlen - length) in known
            for length, known in starts.items()
        )

    def _overridden(self, listener: Listener) -> Thresholds:
        values: dict[str, Any] = {}
        for pattern in patterns_of(listener):
            values |= self.overrides.get(pattern, {})
        return replace(self, overrides={}, **values) if values else self


def _starts(version: int, networks: Iterable[Network]) -> dict[int, frozenset[int]]:
    """Return the leading bits of networks by their number: as many look-ups as there are lengths."""
    starts: dict[int, set[int]] = {}
    for network in networks:
        if network.version == version:
            shifted = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            starts.setdefault(network.prefixlen, set()).add(shifted)
    return {length: frozenset(known) for length, known in starts.items()}

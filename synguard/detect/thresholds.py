"""The settings of the detector, as one frozen record."""

from __future__ import annotations

from dataclasses import dataclass

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When something is called a flood. The caller has checked the ranges."""

    #: Half-open handshakes per second at one listener that make a flood; above 0.
    half_open_per_s: float = 50.0
    #: Half-open handshakes per second of one source that make a flood; above 0.
    source_half_open_per_s: float = 50.0
    #: Share (0..1) of a listener's attempts that must be half-open, beyond statistical doubt.
    half_open_ratio: float = 0.1
    #: Attempts that a window must hold before it is judged; at least 1.
    min_attempts: int = 40
    #: Replaces both rates where most attempts are refused, which costs a server no queue; per second.
    refused_per_s: float = 1000.0
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

"""What handshakes show of both ends: how a listener answers, and whether a source goes on with its clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """What a listener's own SYN-ACKs look like, as egress saw the last one."""

    #: In bytes; 0: no option.
    mss: int
    #: In bytes, before scaling.
    window: int
    #: As a shift count; None: no option.
    window_scale: int | None
    sack: bool
    timestamps: bool
    ttl: int
    #: SYN-ACKs sent by a socket of this machine bound to that very address and port; cumulative.
    local: int
    #: SYN-ACKs that were forwarded, or come from a socket of another address or port: NAT; cumulative.
    foreign: int


@dataclass(frozen=True, slots=True)
class ClockProof:
    """Whether a source's flood continues the TCP timestamp clock of a handshake that it completed."""

    #: Since that handshake completed.
    seconds_old: float
    #: SYNs since that continue its clock with equal TTL and shape.
    matched: int
    #: SYNs since that do not.
    missed: int
    #: Handshakes completed since then with another clock, TTL or shape.
    others: int

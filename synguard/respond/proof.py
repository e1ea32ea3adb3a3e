"""What proves that a flood's source is not spoofed: it goes on with the TCP timestamp clock of a client's.

Who has completed a handshake has read our SYN-ACK, so the address is the client's own. TCP timestamps tick
from an offset that the client's kernel draws for each peer (RFC 7323, section 5.4), and whoever forges its
address from elsewhere never sees them. SYNs that continue that clock come from the client itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from synguard.handshake import ClockProof

#: SYNs that must continue the clock: so many guesses at 32 bits do not all hit it by luck.
LEAST_MATCHED = 64
#: Share (0..1) of all SYNs since the handshake that may fail to: another host may forge the address, too.
MOST_MISSED = 0.05
#: Clocks drift, and addresses are given to other machines: a handshake proves nothing for longer, in seconds.
OLDEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a source is proven not to be spoofed, with the figures in words."""

    is_proven: bool
    words: str
    #: More of the same SYNs may yet prove it.
    may_come: bool = False
    #: Somebody else is there, too, so that what was proven before is void.
    is_disproven: bool = False


def judge(proof: ClockProof | None) -> Finding:
    """Return what the probe's figures about a source prove. None: there is nothing to go by."""
    if proof is None:
        return Finding(False, "no handshake that it completed tells its TCP timestamp clock")
    if proof.others:
        words = f"handshakes with another clock or SYN shape were completed there, too: {proof.others}"
        return Finding(False, words, is_disproven=True)
    if not 0.0 <= proof.seconds_old <= OLDEST_S:
        words = (
            f"its last completed handshake is {proof.seconds_old:.0f} s old, and proves for {OLDEST_S:.0f} s"
        )
        return Finding(False, words)
    seen = proof.matched + proof.missed
    if proof.missed > MOST_MISSED * seen:
        words = (
            f"of {seen} SYNs since its last completed handshake {proof.missed} do not continue its TCP "
            f"timestamp clock, more than {MOST_MISSED:.0%}"
        )
        return Finding(False, words, proof.matched < LEAST_MATCHED)
    if proof.matched < LEAST_MATCHED:
        words = f"{proof.matched} SYNs continue the TCP timestamp clock, and it takes {LEAST_MATCHED}"
        return Finding(False, words, may_come=True)
    words = (
        f"{proof.matched} of {seen} SYNs continue the TCP timestamp clock of a handshake that it completed "
        f"{proof.seconds_old:.1f} s ago, which nobody else can"
    )
    return Finding(True, words)

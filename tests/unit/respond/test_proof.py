"""What proves that a flood's source is not spoofed, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.handshake import ClockProof
from synguard.respond.proof import judge

PROOF = ClockProof(seconds_old=4.2, matched=500, missed=3, others=0)


@pytest.mark.parametrize(
    "proof",
    [
        PROOF,
        replace(PROOF, matched=64, missed=0),
        replace(PROOF, matched=95, missed=5),
        replace(PROOF, seconds_old=60.0),
        replace(PROOF, seconds_old=0.0),
    ],
)
def test_enough_syns_that_continue_a_young_clock_are_proof(proof: ClockProof) -> None:
    """Sixty-four SYNs, one in twenty that does not fit, a handshake a minute old: these still prove it."""
    assert judge(proof).is_proven


@pytest.mark.parametrize(
    ("proof", "words", "may_come"),
    [
        (None, "no handshake that it completed", False),
        (
            replace(PROOF, matched=63, missed=0),
            "63 SYNs continue the TCP timestamp clock, and it takes 64",
            True,
        ),
        (
            replace(PROOF, matched=94, missed=5),
            "of 99 SYNs since its last completed handshake 5 do not",
            False,
        ),
        (replace(PROOF, matched=20, missed=5), "more than 5%", True),
        (replace(PROOF, matched=0, missed=0), "0 SYNs continue", True),
        (replace(PROOF, seconds_old=61.0), "is 61 s old, and proves for 60 s", False),
        (replace(PROOF, seconds_old=float("nan")), "is nan s old", False),
        (replace(PROOF, seconds_old=-1.0), "is -1 s old", False),
        (
            replace(PROOF, others=1),
            "handshakes with another clock or SYN shape were completed there, too: 1",
            False,
        ),
    ],
)
def test_what_falls_short_is_no_proof(proof: ClockProof | None, words: str, may_come: bool) -> None:
    """Whatever is missing is said with its figures, and whether more SYNs may bring it."""
    finding = judge(proof)
    assert not finding.is_proven
    assert words in finding.words
    assert finding.may_come is may_come


def test_only_another_clients_handshake_voids_a_proof() -> None:
    """A proof that grew old was one; where somebody else is at the address, too, it was none."""
    assert judge(replace(PROOF, others=1)).is_disproven
    assert not judge(replace(PROOF, seconds_old=600.0)).is_disproven
    assert not judge(None).is_disproven

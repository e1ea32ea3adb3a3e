"""A flood in a live client's name: that client's own if its clock proves it, else nobody's."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.endpoint import Listener
from synguard.handshake import ClockProof
from synguard.model import Alert, AlertClass, AlertKind, AlertState, Evidence, RespondMode, Response, Severity
from synguard.respond.policy import Protected, Rules, Situation, decide, suspect

NOW_S = 1_790_000_000.0
RULES = Rules(RespondMode.ENFORCE, "proven", 600.0, 4096)
PROOF = ClockProof(seconds_old=4.2, matched=500, missed=3, others=0)
CLIENT = "198.51.100.7"
LISTENER = "203.0.113.5:443"
FLOOD = Alert(
    1,
    AlertKind.SYN_FLOOD,
    AlertClass.SPOOFED,
    Severity.HIGH,
    AlertState.OPEN,
    NOW_S - 1.0,
    Listener.parse(LISTENER),
    None,
    evidence=(Evidence("live_client", 60, 0.5), Evidence("live_address", CLIENT, 0.0)),
)


def answers(situation: Situation, alert: Alert = FLOOD) -> list[tuple[str, str]]:
    """Return what is done at whom."""
    return [(one.response, one.target) for one in decide(alert, RULES, situation, NOW_S).responses]


def test_a_live_client_whose_clock_the_flood_continues_is_dropped() -> None:
    """It floods itself: nothing is done at the listener any more."""
    assert suspect(FLOOD) == ip_network(CLIENT)
    decision = decide(FLOOD, RULES, Situation((), proof=PROOF), NOW_S)
    assert [(one.response, one.target) for one in decision.responses] == [("drop", CLIENT)]
    assert "floods itself and is proven" in decision.reason
    assert decision.undo


@pytest.mark.parametrize(
    "proof",
    [
        None,
        replace(PROOF, matched=3),
        replace(PROOF, missed=400),
        replace(PROOF, others=1),
        replace(PROOF, seconds_old=0.4),
    ],
    ids=["no clock", "too few", "others' SYNs", "others' handshakes", "a handshake meanwhile"],
)
def test_without_proof_it_is_nobodys_flood(proof: ClockProof | None) -> None:
    """Whoever lives there goes on: the listener is answered."""
    assert answers(Situation((), proof=proof)) == [("cookie", LISTENER)]


def test_one_that_is_never_touched_is_not_dropped_on_proof_either() -> None:
    """The gateway's own flood is answered at the listener."""
    protected = (Protected(ip_network(CLIENT), "it is a gateway of this machine"),)
    assert answers(Situation(protected, proof=PROOF)) == [("cookie", LISTENER)]


def test_a_drop_lasts_though_its_proof_grows_old() -> None:
    """Nothing completes while it is dropped, so the handshake that proves it ages; others' end it."""
    standing = Response("drop", RespondMode.ENFORCE, CLIENT, "floods", NOW_S + 500)
    aged = Situation((), proof=replace(PROOF, seconds_old=300.0), in_force=(standing,))
    alert = replace(FLOOD, started_at_s=NOW_S - 200.0)
    assert answers(aged, alert) == [("drop", CLIENT)]
    shared = replace(aged, proof=replace(PROOF, seconds_old=300.0, others=1))
    assert answers(shared, alert) == [("cookie", LISTENER)]

"""The policy: who is dropped, greylisted or answered with cookies, who never, and why."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.endpoint import Listener
from synguard.handshake import ClockProof
from synguard.model import (
    Alert,
    AlertClass,
    AlertKind,
    AlertState,
    Evidence,
    RespondMode,
    Response,
    Severity,
    TopSource,
)
from synguard.respond.policy import Protected, Rules, Situation, decide, overlaps, protection, within

ALWAYS = Rules(RespondMode.ENFORCE, "always", 600.0, 4096)
PROVEN = replace(ALWAYS, drop="proven")
NOW_S = 1_790_000_000.0
QUIET = Situation(())
PROOF = ClockProof(seconds_old=4.2, matched=500, missed=3, others=0)
GATEWAY = "it is a gateway of this machine"


def flood(source: str | None = "198.51.100.7", alert_class: AlertClass = AlertClass.SINGLE_SOURCE) -> Alert:
    """Return an open SYN-flood alert."""
    return Alert(
        1,
        AlertKind.SYN_FLOOD,
        alert_class,
        Severity.HIGH,
        AlertState.OPEN,
        NOW_S,
        Listener.parse("203.0.113.5:443"),
        ip_network(source) if source else None,
    )


def alert_of(kind: AlertKind, alert_class: AlertClass | None = None) -> Alert:
    """Return an open alert of another kind that names a source, as a scan's does."""
    return replace(flood(), kind=kind, alert_class=alert_class)


def beside(*networks: str) -> Situation:
    """Return a situation in which these networks are never touched."""
    return Situation(tuple(Protected(ip_network(text), GATEWAY) for text in networks))


def answers(alert: Alert, rules: Rules = PROVEN, situation: Situation = QUIET) -> list[tuple[str, str]]:
    """Return what is done at whom."""
    return [(one.response, one.target) for one in decide(alert, rules, situation, NOW_S).responses]


def test_a_single_source_is_dropped_on_the_operators_word() -> None:
    """With drop = always a flooding address is blocked for the configured time."""
    response = decide(flood(), ALWAYS, QUIET, NOW_S).response
    assert response is not None
    assert (response.response, response.target, response.until_s) == ("drop", "198.51.100.7", NOW_S + 600)
    assert response.mode is RespondMode.ENFORCE


def test_a_single_source_is_dropped_on_proof() -> None:
    """Who floods on with the clock of a handshake of its own is dropped, and the reason has the figures."""
    decision = decide(flood(), PROVEN, replace(QUIET, proof=PROOF), NOW_S)
    assert [one.response for one in decision.responses] == ["drop"]
    assert "500 of 503 SYNs continue the TCP timestamp clock of a handshake" in decision.reason
    assert "4.2 s ago" in decision.reason


def test_a_source_without_proof_is_greylisted() -> None:
    """A flooding address that may be forged lets its real clients in, a second late."""
    decision = decide(flood(), PROVEN, QUIET, NOW_S)
    assert decision.response == Response(
        "greylist", RespondMode.ENFORCE, "198.51.100.7", decision.reason, NOW_S + 600
    )
    assert "nothing proves that 198.51.100.7 is not spoofed" in decision.reason


def test_dry_run_says_what_enforce_would_do() -> None:
    """Dry-run's response differs from enforce's in nothing but the mode."""
    dry = decide(flood(), replace(ALWAYS, mode=RespondMode.DRY_RUN), QUIET, NOW_S).response
    real = decide(flood(), ALWAYS, QUIET, NOW_S).response
    assert dry is not None
    assert real is not None
    assert dry == replace(real, mode=RespondMode.DRY_RUN)


@pytest.mark.parametrize(
    ("alert", "rules", "word"),
    [
        (flood(), replace(ALWAYS, mode=RespondMode.OFF), "off"),
        (flood(), replace(PROVEN, source_response="none"), 'respond.source_response is "none"'),
        (
            flood(None, AlertClass.SPOOFED),
            replace(ALWAYS, listener_response="none"),
            "may be other people's; respond.listener_response",
        ),
        (
            flood(None, AlertClass.DISTRIBUTED),
            replace(ALWAYS, listener_response="none"),
            "each of its many sources makes little of it",
        ),
        (flood(None), ALWAYS, "it names no source"),
        (replace(flood(), state=AlertState.CLOSED), ALWAYS, "the flood is over"),
        (replace(flood(None, AlertClass.SPOOFED), listener=None), ALWAYS, "it names no listener"),
        (alert_of(AlertKind.SCAN, AlertClass.FIN), ALWAYS, "no response for scan alerts: a scan does"),
        (alert_of(AlertKind.SCAN, AlertClass.HALF_OPEN), ALWAYS, "its probes may bear anybody's address"),
        (alert_of(AlertKind.REFLECTION), ALWAYS, "no response for reflection alerts: the addresses"),
        (alert_of(AlertKind.OVERLOAD), ALWAYS, "no response for overload alerts: an overload is made by"),
        (alert_of(AlertKind.BLIND), ALWAYS, "no response for blind alerts: what is not seen"),
    ],
)
def test_nothing_is_done_and_the_reason_is_given(alert: Alert, rules: Rules, word: str) -> None:
    """Where nothing may be done, the decision says why in words."""
    decision = decide(alert, rules, QUIET, NOW_S)
    assert (decision.responses, decision.response, decision.undo) == ((), None, False)
    assert word in decision.reason


@pytest.mark.parametrize("rules", [ALWAYS, PROVEN])
@pytest.mark.parametrize("shared_by", ["198.51.100.7", "198.51.100.0/24"])
def test_a_source_that_completes_handshakes_is_not_dropped(rules: Rules, shared_by: str) -> None:
    """Real clients behind a flooding address are not cut off, proof or none: a drop before is undone."""
    alert = replace(flood(shared_by), top_sources=(TopSource(ip_network("198.51.100.7"), 5000, 3),))
    decision = decide(alert, rules, replace(QUIET, proof=PROOF), NOW_S)
    assert [(one.response, one.target) for one in decision.responses] == [("greylist", shared_by)]
    assert "completed handshakes meanwhile (3)" in decision.reason
    assert decision.undo


def test_an_address_at_which_somebody_lives_is_not_dropped() -> None:
    """A flood in a live client's name is answered at its listener, and what was done before is undone."""
    alert = replace(flood(None, AlertClass.SPOOFED), evidence=(Evidence("live_client", 37, 0.5),))
    decision = decide(alert, ALWAYS, QUIET, NOW_S)
    assert [(one.response, one.target) for one in decision.responses] == [("cookie", "203.0.113.5:443")]
    assert "somebody completes handshakes (37 so far)" in decision.reason
    assert decision.undo
    assert answers(replace(flood(), evidence=alert.evidence), ALWAYS) == [("greylist", "198.51.100.7")]


@pytest.mark.parametrize("kind", AlertKind)
@pytest.mark.parametrize("alert_class", [None, *AlertClass])
@pytest.mark.parametrize("source", [None, "198.51.100.7", "198.51.100.0/24"])
def test_only_floods_are_answered(
    kind: AlertKind, alert_class: AlertClass | None, source: str | None
) -> None:
    """Of all kinds and classes only a flood called after one source is dropped; each has its reason."""
    alert = replace(flood(source), kind=kind, alert_class=alert_class)
    decision = decide(alert, ALWAYS, QUIET, NOW_S)
    done = decision.response.response if decision.response else None
    at_source = {AlertClass.SINGLE_SOURCE: "drop", AlertClass.PREFIX: "greylist"} if source else {}
    at_listener = {AlertClass.SPOOFED: "cookie", AlertClass.DISTRIBUTED: "cookie"}
    expected = {**at_source, **at_listener}.get(alert_class) if alert_class else None
    assert done == (expected if kind is AlertKind.SYN_FLOOD else None)
    assert len(decision.reason) > 20


def test_a_prefix_is_greylisted_and_never_dropped() -> None:
    """Others live in a prefix, so not even the operator's word drops it."""
    alert = flood("198.51.100.0/24", AlertClass.PREFIX)
    decision = decide(alert, ALWAYS, replace(QUIET, proof=PROOF), NOW_S)
    assert [(one.response, one.target) for one in decision.responses] == [("greylist", "198.51.100.0/24")]
    assert "198.51.100.0/24 would hit everybody in it" in decision.reason


@pytest.mark.parametrize("alert_class", [AlertClass.SINGLE_SOURCE, AlertClass.PREFIX])
def test_a_network_that_holds_a_protected_address_is_greylisted_at_most(alert_class: AlertClass) -> None:
    """The kernel spares a gateway within a greylisted network; within a dropped one nothing would."""
    decision = decide(flood("2001:db8::/64", alert_class), ALWAYS, beside("2001:db8::1"), NOW_S)
    assert [(one.response, one.target) for one in decision.responses] == [("greylist", "2001:db8::/64")]
    assert f"spared is 2001:db8::1 ({GATEWAY})" in decision.reason


@pytest.mark.parametrize(
    ("source", "alert_class"),
    [("198.51.100.7", AlertClass.SINGLE_SOURCE), ("198.51.100.0/25", AlertClass.PREFIX)],
)
def test_protected_sources_are_left_alone(source: str, alert_class: AlertClass) -> None:
    """Who is wholly on the never-touch list is not even greylisted."""
    decision = decide(flood(source, alert_class), ALWAYS, beside("198.51.100.0/24"), NOW_S)
    assert (decision.responses, decision.undo) == ((), True)
    assert f"is never touched: {GATEWAY} (198.51.100.0/24)" in decision.reason


def test_the_cap_on_blocks_is_kept() -> None:
    """One block more than allowed is not set."""
    assert decide(flood(), ALWAYS, replace(QUIET, blocks_held=4095), NOW_S).response is not None
    refused = decide(flood(), ALWAYS, replace(QUIET, blocks_held=4096), NOW_S)
    assert (refused.response, refused.retry) == (None, True)
    assert "4096 responses are held, the most allowed" in refused.reason


def test_the_cap_on_actions_is_kept() -> None:
    """What would be one action too many in this minute has to wait."""
    assert decide(flood(), ALWAYS, replace(QUIET, actions_last_min=119), NOW_S).response is not None
    refused = decide(flood(), ALWAYS, replace(QUIET, actions_last_min=120), NOW_S)
    assert (refused.response, refused.retry) == (None, True)
    assert "respond.max_actions_per_min" in refused.reason


@pytest.mark.parametrize("mode", [RespondMode.DRY_RUN, RespondMode.ENFORCE])
def test_where_nothing_can_be_dropped_that_is_the_reason(mode: RespondMode) -> None:
    """A probe that only observes brings about nothing, and dry-run does not claim that it would."""
    cannot = "the probe only observes on eth0"
    decision = decide(flood(), replace(ALWAYS, mode=mode), replace(QUIET, cannot_drop=cannot), NOW_S)
    assert (decision.responses, decision.reason, decision.retry) == ((), cannot, True)


def test_families_do_not_overlap() -> None:
    """An IPv6 network never protects an IPv4 address."""
    everything = Protected(ip_network("::/0"), "it is on the allow list")
    assert not overlaps(ip_network("10.0.0.1"), everything.network)
    assert not within(ip_network("10.0.0.1"), everything.network)
    assert protection(ip_network("10.0.0.1"), (everything,)) is None
    assert protection(ip_network("2001:db8::1"), (everything,)) is not None


@pytest.mark.parametrize("mapped", ["::ffff:198.51.100.7", "::ffff:198.51.100.0/120", "::ffff:0:0/96"])
def test_ipv4_written_as_ipv6_is_the_same_address(mapped: str) -> None:
    """What the probe takes for an IPv4 address is protected as one, whichever side writes it otherwise."""
    plain, other = ip_network("198.51.100.7"), ip_network(mapped)
    assert protection(other, (Protected(plain, GATEWAY),)) is not None
    assert protection(plain, (Protected(other, "it is on the allow list"),)) is not None
    assert within(plain, other)
    assert within(ip_network("::ffff:198.51.100.7"), ip_network("198.51.100.0/24"))

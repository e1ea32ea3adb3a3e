"""The policy over an alert's life: escalation and decay, repeaters, what stands, and what has to wait."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.endpoint import Listener
from synguard.handshake import ClockProof
from synguard.model import Alert, AlertClass, RespondMode, Response, TopSource
from synguard.respond.policy import MOST_OF_ONE_ALERT, Rules, Situation, decide
from tests.unit.respond.test_policy import ALWAYS, NOW_S, PROOF, PROVEN, QUIET, beside, flood

SOURCE = "198.51.100.7"
SHOP, MAIL = Listener.parse("203.0.113.5:443"), Listener.parse("203.0.113.5:25")
CLOSED_PORTS = Listener.parse("203.0.113.5")
#: Their flood may be anybody's.
SPOOFED = replace(flood(None, AlertClass.SPOOFED), listeners=(SHOP, MAIL))


def dropped(left_s: float = 300.0) -> Situation:
    """Return a situation in which the alert's source is dropped on proof already."""
    held = Response("drop", RespondMode.ENFORCE, SOURCE, "it was proven then", NOW_S + left_s)
    return replace(QUIET, in_force=(held,), blocks_held=1)


def many(count: int) -> tuple[Listener, ...]:
    """Return so many listeners."""
    return tuple(replace(SHOP, port=port) for port in range(1, count + 1))


def ttl_s(rules: Rules, repeats: int) -> float:
    """Return how long a source that was blocked so often is blocked now."""
    response = decide(flood(), rules, replace(QUIET, repeats=repeats), NOW_S).response
    assert response is not None
    assert response.until_s is not None
    return response.until_s - NOW_S


def test_a_repeater_is_blocked_for_twice_as_long_each_time() -> None:
    """Ten minutes, twenty, forty, up to the most that the settings allow, and the reason says so."""
    rules = replace(ALWAYS, block_ttl_max_s=3600.0)
    assert [ttl_s(rules, repeats) for repeats in (0, 1, 2, 3, 10_000)] == [600, 1200, 2400, 3600, 3600]
    said = decide(flood(), rules, replace(QUIET, repeats=2), NOW_S).reason
    assert said.endswith("blocks of it lately: 2, so this one is for 2400 s")


def test_a_greylisted_source_is_decided_again_while_a_proof_may_come() -> None:
    """Until enough SYNs are compared it is worth asking again; without any clock it is not."""
    early = replace(QUIET, proof=replace(PROOF, matched=10, missed=0))
    assert [one.response for one in decide(flood(), PROVEN, early, NOW_S).responses] == ["greylist"]
    assert decide(flood(), PROVEN, early, NOW_S).retry
    assert not decide(flood(), PROVEN, QUIET, NOW_S).retry


def test_a_greylisted_source_is_dropped_once_it_is_proven() -> None:
    """Its greylist does not keep the drop away, which takes its place, with an end of its own."""
    held = Response("greylist", RespondMode.ENFORCE, SOURCE, "nothing proved it", NOW_S + 595.0)
    proven = replace(QUIET, proof=PROOF, in_force=(held,), blocks_held=4096)
    (response,) = decide(flood(), PROVEN, proven, NOW_S).responses
    assert (response.response, response.until_s) == ("drop", NOW_S + 600)


@pytest.mark.parametrize("proof", [None, PROOF, replace(PROOF, seconds_old=400.0)])
def test_a_drop_lasts_its_time_though_its_proof_grows_old(proof: ClockProof | None) -> None:
    """Under its own drop a source completes nothing by which it could be proven anew."""
    decision = decide(flood(), PROVEN, replace(dropped(), proof=proof), NOW_S)
    assert decision.responses == dropped().in_force
    assert (decision.reason, decision.undo) == ("it was proven then", False)


def test_a_drop_that_ends_without_proof_decays_to_greylist() -> None:
    """A flood that outlasts its drop is greylisted on; on the operator's word it is dropped anew."""
    ending = replace(dropped(left_s=1.0), repeats=1)
    assert [one.response for one in decide(flood(), PROVEN, ending, NOW_S).responses] == ["greylist"]
    (anew,) = decide(flood(), ALWAYS, ending, NOW_S).responses
    assert (anew.response, anew.until_s) == ("drop", NOW_S + 1200)


def test_a_short_drop_stands_for_half_of_its_time() -> None:
    """A block of one second is not decided anew from its first moment on."""
    rules = replace(ALWAYS, block_ttl_s=1.0)
    assert decide(flood(), rules, dropped(left_s=0.9), NOW_S).responses == dropped(left_s=0.9).in_force
    (anew,) = decide(flood(), rules, dropped(left_s=0.4), NOW_S).responses
    assert anew.until_s == NOW_S + 1


def test_a_drop_ends_when_somebody_else_is_seen_there() -> None:
    """Handshakes with another clock, or any at all during the alert, void what was proven before."""
    others = replace(dropped(), proof=replace(PROOF, others=1))
    shared = replace(flood(), top_sources=(TopSource(ip_network(SOURCE), 5000, 1),))
    for decision in (decide(flood(), PROVEN, others, NOW_S), decide(shared, PROVEN, dropped(), NOW_S)):
        assert ([one.response for one in decision.responses], decision.undo) == (["greylist"], True)


def test_a_drop_ends_when_its_source_comes_onto_the_never_touch_list() -> None:
    """Whoever logs in from there meanwhile is not cut off any more."""
    decision = decide(flood(), ALWAYS, replace(dropped(), protected=beside(SOURCE).protected), NOW_S)
    assert (decision.responses, decision.undo) == ((), True)


@pytest.mark.parametrize(
    "alert", [flood("198.51.100.9"), SPOOFED, flood("198.51.100.0/24", AlertClass.PREFIX)]
)
def test_a_drop_ends_also_when_its_alert_names_somebody_else_by_now(alert: Alert) -> None:
    """Whoever was dropped while the flood bore that name is let in once handshakes are completed there."""
    shared = replace(alert, top_sources=(TopSource(ip_network(SOURCE), 5000, 1),))
    assert not decide(alert, PROVEN, dropped(), NOW_S).undo
    decision = decide(shared, PROVEN, dropped(), NOW_S)
    assert decision.undo
    assert "what was dropped before is not any more" in decision.reason
    assert decision.responses == decide(alert, PROVEN, QUIET, NOW_S).responses
    listed = decide(alert, PROVEN, replace(dropped(), protected=beside(SOURCE).protected), NOW_S)
    assert listed.undo
    assert f"; what was dropped before is not any more: {SOURCE} is never touched" in listed.reason


def test_each_listener_of_a_spoofed_flood_is_answered() -> None:
    """Cookies where they work, with what they cost the clients; greylist where not, with the obstacle."""
    situation = replace(
        QUIET,
        obstacles={MAIL: "its connections are forwarded to 10.0.0.2 (NAT)"},
        losses={SHOP: "without timestamps"},
    )
    decision = decide(SPOOFED, PROVEN, situation, NOW_S)
    shop, mail = decision.responses
    assert (shop.response, shop.target, shop.until_s) == ("cookie", str(SHOP), NOW_S + 600)
    assert shop.reason.endswith("may be other people's; without timestamps")
    assert (mail.response, mail.target) == ("greylist", str(MAIL))
    assert mail.reason.endswith(
        "it cannot be answered with SYN cookies: its connections are forwarded to 10.0.0.2 (NAT)"
    )
    assert decision.reason == f"{shop.reason}; greylist at 1 more"


def test_the_operator_may_want_no_cookies() -> None:
    """With listener_response = greylist nobody is answered from our side, and no obstacle is looked for."""
    decision = decide(SPOOFED, replace(PROVEN, listener_response="greylist"), QUIET, NOW_S)
    assert [one.response for one in decision.responses] == ["greylist", "greylist"]
    assert "cookies" not in decision.reason


def test_nothing_is_answered_on_closed_ports() -> None:
    """Where nobody is served there is nobody to protect; an alert that has other listeners, too, says so."""
    alone = replace(SPOOFED, listener=CLOSED_PORTS, listeners=(CLOSED_PORTS,))
    assert decide(alone, PROVEN, QUIET, NOW_S).responses == ()
    assert "closed ports, where nobody is served" in decide(alone, PROVEN, QUIET, NOW_S).reason
    decision = decide(replace(SPOOFED, listeners=(SHOP, CLOSED_PORTS)), PROVEN, QUIET, NOW_S)
    assert [one.target for one in decision.responses] == [str(SHOP)]
    assert decision.reason.endswith("nothing for 1 of closed ports, where nobody is served")


def test_one_alert_has_so_many_responses_at_most() -> None:
    """Of a flood on very many listeners the hardest hit are answered, and the reason tells of the others."""
    alert = replace(SPOOFED, listeners=many(MOST_OF_ONE_ALERT + 6))
    decision = decide(alert, PROVEN, QUIET, NOW_S)
    assert [one.target for one in decision.responses] == [str(one) for one in many(MOST_OF_ONE_ALERT)]
    assert decision.reason.endswith("nothing at 6 more: an alert has 64 responses at most")
    assert not decision.retry


def test_another_order_of_listeners_adds_none_to_those_answered() -> None:
    """What is in force stays, so that listeners that overtake each other do not add up beyond the most."""
    listeners = many(MOST_OF_ONE_ALERT + 6)
    first = decide(replace(SPOOFED, listeners=listeners), PROVEN, QUIET, NOW_S).responses
    held = replace(QUIET, in_force=first, blocks_held=len(first))
    second = decide(replace(SPOOFED, listeners=listeners[::-1]), PROVEN, held, NOW_S).responses
    assert {one.target for one in second} == {one.target for one in first}


def test_listeners_beyond_the_pace_have_to_wait_and_then_get_theirs() -> None:
    """Ten a minute of 24 listeners: ten, then ten more, then the rest; none is counted twice."""
    rules = replace(PROVEN, max_actions_per_min=10)
    alert = replace(SPOOFED, listeners=many(24))
    in_force: tuple[Response, ...] = ()
    for expected, waits in ((10, True), (20, True), (24, False)):
        decision = decide(alert, rules, replace(QUIET, in_force=in_force, blocks_held=len(in_force)), NOW_S)
        in_force = decision.responses
        assert (len(in_force), decision.retry) == (expected, waits)
    held_back = replace(QUIET, in_force=in_force[:10], blocks_held=10, actions_last_min=10)
    assert "nothing at 14 more: 10 responses in a minute" in decide(alert, rules, held_back, NOW_S).reason


def test_a_table_that_is_nearly_full_takes_what_fits() -> None:
    """Of three listeners two are answered where there is room for two, and the third has to wait."""
    nearly = replace(QUIET, blocks_held=4094)
    decision = decide(replace(SPOOFED, listeners=many(3)), PROVEN, nearly, NOW_S)
    assert [one.target for one in decision.responses] == [str(one) for one in many(2)]
    assert decision.reason.endswith(
        "nothing at 1 more: 4096 responses are held, the most allowed (respond.max_blocks)"
    )
    assert decision.retry


def test_what_stands_is_told_in_the_present_mode() -> None:
    """After the operator left enforce, the same drop is what would be done."""
    (response,) = decide(flood(), replace(PROVEN, mode=RespondMode.DRY_RUN), dropped(), NOW_S).responses
    assert response == replace(dropped().in_force[0], mode=RespondMode.DRY_RUN)


def test_what_is_in_force_takes_no_room() -> None:
    """A full table lets what an alert brought about go on, and takes nothing new."""
    full = replace(dropped(), blocks_held=4096, actions_last_min=120)
    assert decide(flood(), ALWAYS, full, NOW_S).responses == dropped().in_force
    assert decide(flood("198.51.100.8"), ALWAYS, full, NOW_S).responses == ()

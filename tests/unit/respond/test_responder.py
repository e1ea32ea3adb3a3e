"""The responder: what it does about alerts when the kernel, the clock or the interface is against it."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.endpoint import Listener
from synguard.model import AlertClass, RespondMode
from synguard.respond.cookie_watch import Prospect
from synguard.respond.policy import Protected
from tests.unit.respond.scene import (
    LISTENER,
    NOW_S,
    SOURCE,
    Scene,
    flood,
    in_a_live_clients_name,
    manual,
    spoofed,
)

SECOND = Listener.parse("203.0.113.5:80")


@pytest.fixture
def scene() -> Scene:
    """Return a responder that enforces."""
    return Scene()


def test_nothing_is_said_to_be_done_where_nothing_can_be(scene: Scene) -> None:
    """Behind somebody else's XDP program tc only observes: a block there would look like safety."""
    scene.cannot_drop = "net0 can only be observed"
    decision = scene.consider(flood())
    assert (decision.responses, decision.reason) == ((), "net0 can only be observed")
    assert decision.retry
    assert not scene.kernel.rules


def test_trouble_that_may_pass_is_worth_another_try(scene: Scene) -> None:
    """A refusing kernel or an unreadable list leaves the flood unanswered only as long as it lasts."""
    scene.protected = OSError(errno.EMFILE, "too many files")
    decision = scene.consider(flood())
    assert decision.retry
    assert "never-touch list cannot be had" in decision.reason
    scene.protected = []
    scene.kernel.refuses = "no memory"
    decision = scene.consider(flood())
    assert (decision.responses, decision.retry) == ((), True)
    scene.kernel.refuses = None
    decision = scene.consider(flood())
    assert decision.response is not None
    assert not decision.retry
    assert scene.kernel.responses() == {"198.51.100.7/32": "drop"}


def test_a_single_source_that_is_not_proven_is_greylisted() -> None:
    """The rule lasts as long as the response says, and the history does not restore it."""
    scene = Scene(drop="proven")
    decision = scene.consider(flood())
    assert [one.response for one in decision.responses] == ["greylist"]
    assert scene.kernel.responses() == {"198.51.100.7/32": "greylist"}
    assert scene.kernel.rules[SOURCE].until_ns == scene.monotonic_ns + 600 * 10**9
    assert scene.history.blocks == {}
    assert scene.told() == [("greylist", "198.51.100.7", None)]


def test_a_persons_block_stays_a_persons(scene: Scene) -> None:
    """A flood from an address that is blocked by hand does not turn the block into the daemon's own."""
    scene.block("198.51.100.7")
    scene.pass_time(1)
    decision = scene.consider(flood())
    assert decision.response is not None
    assert decision.response.until_s == NOW_S + 60
    assert "by hand already" in decision.response.reason
    asyncio.run(scene.upkeep.set_mode(RespondMode.DRY_RUN))
    assert [block.asked_by for block in scene.blocks.made()] == ["manual"]


def test_a_source_that_turns_out_alive_is_let_in_again(scene: Scene) -> None:
    """The block of a flood in a live client's name ends with the alert's new class; other blocks do not."""
    scene.consider(flood())
    scene.consider(flood(2, ip_network("198.51.100.8")))
    scene.consider(in_a_live_clients_name())
    assert scene.kernel.responses() == {"198.51.100.8/32": "drop", "203.0.113.5:443": "cookie"}
    assert scene.book.repeats.count(SOURCE, NOW_S) == 0


def test_what_a_person_blocked_stays_blocked_though_somebody_lives_there(scene: Scene) -> None:
    """A person's block is not the flood's, and is not undone with it."""
    asyncio.run(scene.blocks.put([manual()]))
    scene.consider(flood())
    scene.consider(in_a_live_clients_name())
    assert scene.blocks.get(SOURCE) is not None


def test_a_block_that_does_not_end_is_tried_again(scene: Scene) -> None:
    """Where the kernel keeps the block of a live client, the decision says so and is made again."""
    scene.consider(flood())
    scene.cookies._prospects[LISTENER] = Prospect(None)
    scene.kernel.refuses = "no memory"
    decision = scene.consider(in_a_live_clients_name())
    assert decision.retry
    assert "does not end: no memory" in decision.reason


def test_listeners_are_greylisted_before_anybody_looks_at_the_firewall(scene: Scene) -> None:
    """A look takes long; until then real clients get in late. Of both only the cookies are told."""
    decision = scene.consider(spoofed(1, LISTENER, SECOND))
    assert scene.at_scouting == [{"203.0.113.5:443": "greylist", "203.0.113.5:80": "greylist"}]
    assert [one.response for one in decision.responses] == ["cookie", "cookie"]
    assert scene.kernel.responses() == {"203.0.113.5:443": "cookie", "203.0.113.5:80": "cookie"}
    assert scene.kernel.rules[LISTENER].canaries == 0
    assert scene.told() == [("cookie", "203.0.113.5:443", None), ("cookie", "203.0.113.5:80", None)]


def test_what_stands_against_cookies_is_said_and_the_listener_greylisted(scene: Scene) -> None:
    """The alert's reason carries it, the history has the greylist, and it is looked at once."""
    scene.prospects[LISTENER] = Prospect("the port is translated to another machine")
    decision = scene.consider(spoofed())
    assert "translated to another machine" in decision.reason
    assert scene.kernel.responses() == {"203.0.113.5:443": "greylist"}
    assert scene.told() == [("greylist", "203.0.113.5:443", None)]
    scene.consider(spoofed())
    assert len(scene.scouted) == 1
    assert len(scene.logged("listener.greylisted")) == 1


def test_a_single_source_is_answered_without_a_look_at_the_firewall() -> None:
    """Nothing that takes long stands between the alert and its greylist."""
    scene = Scene(drop="proven")
    scene.consider(flood())
    assert scene.scouted == []


def test_what_is_decided_again_is_not_done_again(scene: Scene) -> None:
    """A flood that goes on has one entry in the history, and its block no other end."""
    first = scene.consider(flood())
    scene.pass_time(5)
    again = scene.consider(flood())
    assert again.responses == first.responses
    assert len(scene.kernel.puts) == 1
    assert len(scene.told()) == 1
    assert scene.responder.actions == 1


def test_dry_run_tells_of_every_response_and_touches_nothing() -> None:
    """The ledger has what enforce would have done: of each listener, and until the same end."""
    rehearsed, enforced = Scene(RespondMode.DRY_RUN), Scene()
    for scene in (rehearsed, enforced):
        scene.consider(spoofed(1, LISTENER, SECOND))
        scene.consider(flood(2))
        asyncio.run(scene.responder.closed(1))
        asyncio.run(scene.responder.closed(2))
    assert rehearsed.kernel.rules == {}
    assert rehearsed.told("dry-run") == enforced.told("enforce")
    assert rehearsed.told("dry-run") == [
        ("cookie", "203.0.113.5:443", "the alert closed"),
        ("cookie", "203.0.113.5:80", "the alert closed"),
        ("drop", "198.51.100.7", None),
    ]
    for scene in (rehearsed, enforced):
        scene.pass_time(601)
        asyncio.run(scene.upkeep.tidy())
    assert rehearsed.told("dry-run") == enforced.told("enforce")
    assert rehearsed.blocks.made() == []
    assert {one.hits for one in rehearsed.history.taken.values()} == {None}


def test_a_repeater_is_dropped_for_longer_in_either_mode() -> None:
    """Each further drop of a source lasts twice as long; a rehearsal counts its own."""
    for mode in (RespondMode.ENFORCE, RespondMode.DRY_RUN):
        scene = Scene(mode)
        for alert_id, ttl_s in ((1, 600), (2, 1200), (3, 2400)):
            decision = scene.consider(flood(alert_id))
            assert decision.response is not None
            assert decision.response.until_s == scene.wall_s + ttl_s
            scene.pass_time(ttl_s + 1)
            asyncio.run(scene.upkeep.tidy())


def test_what_lasts_as_long_as_its_alert_ends_with_it(scene: Scene) -> None:
    """Greylists and cookies end when the alert closes, a drop in its time."""
    scene.consider(flood(1))
    scene.consider(spoofed(2))
    greylisting = Scene(drop="proven")
    greylisting.consider(flood(1))
    for one in (scene, greylisting):
        for alert_id in (1, 2):
            asyncio.run(one.responder.closed(alert_id))
    assert scene.kernel.responses() == {"198.51.100.7/32": "drop"}
    assert greylisting.kernel.rules == {}


def test_the_stronger_of_two_alerts_wishes_is_done() -> None:
    """A second alert neither weakens nor takes over what the first has set; the reason names it."""
    scene = Scene()
    scene.consider(flood(1))
    scene.responder.rules = replace(scene.responder.rules, drop="proven")
    decision = scene.consider(flood(2))
    assert scene.kernel.responses() == {"198.51.100.7/32": "drop"}
    assert decision.response is not None
    assert (decision.response.response, decision.response.reason) == (
        "drop", "alert 1 has brought it about already",
    )  # fmt: skip


def test_what_a_person_ends_stays_ended_for_that_alert(scene: Scene) -> None:
    """The next decision about the alert does not bring it back; another alert's does."""
    scene.consider(flood(1))
    assert asyncio.run(scene.by_hand.unblock(SOURCE, "by hand (uid 0)"))
    decision = scene.consider(flood(1))
    assert (decision.responses, "ended it by hand" in decision.reason) == ((), True)
    assert scene.kernel.rules == {}
    asyncio.run(scene.responder.closed(1))
    assert scene.consider(flood(2)).responses


def test_of_many_listeners_those_that_can_be_answered_are() -> None:
    """Beyond the cap nothing is done, and it is said and tried again."""
    capped = Scene(max_blocks=1)
    decision = capped.consider(spoofed(1, LISTENER, SECOND))
    assert len(decision.responses) == 1
    assert decision.retry
    assert "max_blocks" in decision.reason


def test_the_never_touch_list_is_in_the_kernel_before_anything_is_done(scene: Scene) -> None:
    """A listener's rule spares who is on it; where the kernel takes no list, nothing is done."""
    protected = ip_network("198.51.100.1")
    scene.protected = [Protected(protected, "it is a gateway of this machine")]
    scene.consider(spoofed())
    assert scene.kernel.spared == {protected}
    other = Scene()
    other.protected = scene.protected
    other.kernel.refuses = "no memory"
    assert "never-touch" in other.consider(spoofed()).reason


def test_who_comes_onto_the_list_is_let_in_again(scene: Scene) -> None:
    """A drop ends as soon as any part of it is to be spared, a prefix's greylist only if all of it is."""
    scene.consider(flood())
    scene.consider(replace(flood(2, ip_network("192.0.2.0/24")), alert_class=AlertClass.PREFIX))
    scene.protected = [
        Protected(SOURCE, "it has an established session on an SSH port"),
        Protected(ip_network("192.0.2.1"), "it is a gateway of this machine"),
    ]
    scene.list_anew()
    asyncio.run(scene.responder.spare_protected())
    assert scene.kernel.responses() == {"192.0.2.0/24": "greylist"}
    scene.protected.append(Protected(ip_network("192.0.2.0/23"), "it is on the allow list"))
    scene.list_anew()
    asyncio.run(scene.responder.spare_protected())
    assert scene.kernel.rules == {}

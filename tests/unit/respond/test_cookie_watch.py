"""Cookies of a listener from the canary on: tried, given to everybody, withdrawn, and looked at again."""

from __future__ import annotations

import asyncio

import pytest

from synguard.model import RespondMode
from synguard.respond.cookie_watch import Prospect
from synguard.respond.cookies import CANARIES_MAX, EVERYBODY
from synguard.respond.kernel import Rule
from tests.unit.respond.scene import LISTENER, Scene, spoofed


@pytest.fixture
def scene() -> Scene:
    """Return a responder that answers a flooded listener with cookies, on trial."""
    scene = Scene()
    scene.see()
    scene.consider(spoofed())
    return scene


def rule(scene: Scene) -> Rule:
    """Return how the listener is answered."""
    return scene.kernel.rules[LISTENER]


def states(scene: Scene) -> list[tuple[str, str | None]]:
    """Return what status says of its cookies."""
    return [(one["state"], one["why"]) for one in scene.cookies.describe()]


def test_cookies_begin_on_trial_and_one_connection_gives_them_to_everybody(scene: Scene) -> None:
    """Until then few are answered; the rest is greylisted."""
    assert rule(scene).canaries == 0
    scene.look()
    assert 0 < rule(scene).canaries <= CANARIES_MAX
    assert states(scene) == [("canary", None)]
    scene.look(cookies_sent=2, cookies_valid=1, cookies_connected=1)
    assert rule(scene).canaries == EVERYBODY
    assert states(scene) == [("on", None)]
    assert len(scene.logged("cookies.for_everybody")) == 1


def test_cookies_that_become_no_connections_are_withdrawn_within_a_second(scene: Scene) -> None:
    """The kernel greylists at once, the alert is decided anew, and says why for five minutes."""
    scene.look()
    scene.look(cookies_sent=2, cookies_valid=1, cookies_connected=1)
    passed_s = 0.0
    while rule(scene).response == "cookie" and passed_s < 5:
        passed_s += 0.25
        scene.look(cookies_sent=90, cookies_valid=20, cookies_connected=1)
    assert passed_s <= 1.0
    assert rule(scene).response == "greylist"
    assert scene.reconsidered == [1]
    assert [state for state, _ in states(scene)] == ["withdrawn"]
    decision = scene.consider(spoofed())
    assert [one.response for one in decision.responses] == ["greylist"]
    assert "none got a connection" in decision.reason
    assert [one[0] for one in scene.told()] == ["cookie", "greylist"]
    assert scene.told()[0][2] == f"cookies were withdrawn: {scene.cookies.describe()[0]['why']}"
    scene.pass_time(301)
    assert scene.consider(spoofed(2)).responses[0].response == "cookie"
    assert states(scene) == []


def test_leases_are_renewed_and_renewing_grants_no_canaries(scene: Scene) -> None:
    """A rule ends within 10 s of its daemon; while that lives it goes on, with what canaries it has left."""
    scene.look()
    granted = rule(scene).canaries
    for _ in range(60):
        scene.kernel.rules[LISTENER] = rule(scene)._replace(canaries=0)
        scene.pass_time(1)
        asyncio.run(scene.blocks.renew())
        assert 0 < rule(scene).until_ns - scene.monotonic_ns <= 10 * 10**9
        assert rule(scene).canaries == 0 < granted


def test_a_firewall_that_changes_withdraws_cookies(scene: Scene) -> None:
    """What is in their way by now ends them at the next look, and lets them begin again when it is gone."""
    scene.look()
    scene.prospects[LISTENER] = Prospect("a rule drops new connections of some clients")
    asyncio.run(scene.upkeep.review())
    assert rule(scene).response == "greylist"
    assert "a rule drops" in scene.consider(spoofed()).reason
    scene.prospects.clear()
    scene.reconsidered.clear()
    asyncio.run(scene.upkeep.review())
    assert scene.reconsidered == [1]
    assert scene.consider(spoofed()).responses[0].response == "cookie"


def test_a_firewall_that_cannot_be_read_is_an_obstacle() -> None:
    """The listener is greylisted, and the reason says what could not be seen."""
    scene = Scene()

    def refuse(_listeners: object) -> dict[object, Prospect]:
        raise OSError(1, "Operation not permitted")

    scene.cookies._scout = refuse  # type: ignore[assignment]
    decision = scene.consider(spoofed())
    assert "Operation not permitted" in decision.reason
    assert rule(scene).response == "greylist"


def test_what_clients_lose_by_cookies_is_in_the_reason() -> None:
    """The alert says it."""
    scene = Scene()
    scene.prospects[LISTENER] = Prospect(None, "clients do without window scaling")
    assert "without window scaling" in scene.consider(spoofed()).reason


def test_cookies_end_with_the_mode(scene: Scene) -> None:
    """Nothing is left of them, neither in the kernel nor in the status."""
    scene.look()
    asyncio.run(scene.upkeep.set_mode(RespondMode.OFF))
    scene.look()
    assert scene.kernel.rules == {}
    assert states(scene) == []

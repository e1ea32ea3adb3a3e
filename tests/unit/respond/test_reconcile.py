"""What the kernel holds against what it is to hold: lost rules come back or are noticed, strange ones end."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest

from synguard.model import RespondMode
from tests.unit.respond.scene import LISTENER, SOURCE, Scene, spoofed


@pytest.fixture
def scene() -> Scene:
    """Return a responder with two blocks by hand and a listener's cookies."""
    scene = Scene()
    scene.block("198.51.100.7", "192.0.2.9")
    scene.consider(spoofed())
    return scene


def look(scene: Scene) -> None:
    """Compare once."""
    asyncio.run(scene.reconciler.look())


def test_what_somebody_flushed_comes_back(scene: Scene) -> None:
    """On the terms it had, said once, and counted."""
    before = dict(scene.kernel.rules)
    del scene.kernel.rules[SOURCE]
    del scene.kernel.rules[LISTENER]
    look(scene)
    look(scene)
    assert scene.kernel.rules == before
    (told,) = scene.logged("block.restored")
    assert (told["blocks"], set(told["targets"])) == (2, {"198.51.100.7", "203.0.113.5:443"})
    assert scene.reconciler.mended.restored == 2


def test_a_rule_that_somebody_changed_is_as_it_was(scene: Scene) -> None:
    """Another response or another end is none of ours."""
    for change in ({"response": "greylist"}, {"until_ns": 10**15}):
        before = scene.kernel.rules[SOURCE]
        scene.kernel.rules[SOURCE] = before._replace(**change)
        look(scene)
        assert scene.kernel.rules[SOURCE] == before


def test_where_it_is_only_noticed_nothing_comes_back() -> None:
    """It is said once, the block is shown as missing, and putting it anew puts it back."""
    scene = Scene()
    scene.start(restores=False)
    scene.block("198.51.100.7")
    del scene.kernel.rules[SOURCE]
    for _ in range(3):
        look(scene)
        asyncio.run(scene.upkeep.tidy())
    assert scene.kernel.rules == {}
    assert [one["targets"] for one in scene.logged("block.missing")] == [["198.51.100.7"]]
    assert scene.blocks.is_missing(SOURCE)
    assert not scene.blocks.is_suspended(SOURCE)
    scene.block("198.51.100.7")
    assert not scene.blocks.is_missing(SOURCE)
    assert SOURCE in scene.kernel.rules


def test_what_is_nobodys_is_ended(scene: Scene) -> None:
    """A rule that no block stands for cuts nobody off any longer than until the next look."""
    strange = ip_network("203.0.113.77")
    scene.kernel.rules[strange] = scene.kernel.rules[SOURCE]
    look(scene)
    assert strange not in scene.kernel.rules
    assert [one["targets"] for one in scene.logged("block.unknown_ended")] == [["203.0.113.77"]]


def test_what_is_over_is_neither_lost_nor_strange(scene: Scene) -> None:
    """Ends are the kernel's own; what is left of strange ones is cleared away without a word."""
    strange = ip_network("203.0.113.77")
    scene.kernel.rules[strange] = scene.kernel.rules[SOURCE]._replace(until_ns=1)
    scene.pass_time(3600)
    del scene.kernel.rules[SOURCE]
    look(scene)
    assert strange not in scene.kernel.rules
    assert SOURCE not in scene.kernel.rules
    assert scene.logged("block.restored") + scene.logged("block.unknown_ended") == []


def test_trouble_is_said_once_and_tried_again(scene: Scene) -> None:
    """A kernel that refuses is asked again at the next look."""
    rule = scene.kernel.rules.pop(SOURCE)
    scene.kernel.refuses = "no memory"
    for _ in range(3):
        look(scene)
    assert len(scene.logged("block.not_mended")) == 1
    scene.kernel.refuses = None
    look(scene)
    assert scene.kernel.rules[SOURCE] == rule


def test_while_off_nothing_is_to_be_there(scene: Scene) -> None:
    """What is suspended is not lost, and what turns up is ended."""
    rule = scene.kernel.rules[SOURCE]
    asyncio.run(scene.upkeep.set_mode(RespondMode.OFF))
    look(scene)
    assert scene.kernel.rules == {}
    scene.kernel.rules[SOURCE] = rule
    look(scene)
    assert scene.kernel.rules == {}

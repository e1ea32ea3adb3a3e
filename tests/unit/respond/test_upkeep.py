"""Responses over time: modes at run time, what an earlier daemon left, and what is over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.block import Block
from synguard.errors import SynguardError
from synguard.model import RespondMode
from tests.unit.respond.scene import LISTENER, NOW_S, SOURCE, Scene, flood, manual, spoofed

OTHER = ip_network("192.0.2.9")
OFF, DRY_RUN, ENFORCE = RespondMode.OFF, RespondMode.DRY_RUN, RespondMode.ENFORCE


def switch(scene: Scene, mode: RespondMode) -> tuple[int, int, int]:
    """Change the mode; return how many responses ended, were suspended and resumed."""
    return asyncio.run(scene.upkeep.set_mode(mode))[1:]


def test_off_takes_everything_out_of_the_kernel_and_keeps_peoples_blocks() -> None:
    """Suspended blocks are listed and told to have ended; they come back while their time lasts."""
    scene = Scene()
    scene.block("192.0.2.9", "192.0.2.10")
    scene.consider(flood(1))
    scene.consider(spoofed(2))
    assert switch(scene, OFF) == (2, 2, 0)
    assert scene.kernel.rules == {}
    assert scene.held() == {"192.0.2.9/32": "drop", "192.0.2.10/32": "drop"}
    assert scene.blocks.is_suspended(OTHER)
    assert ("drop", "192.0.2.9", "mode off") in scene.told()
    assert set(scene.history.blocks) == set(map(ip_network, ("192.0.2.9", "192.0.2.10")))
    assert switch(scene, DRY_RUN) == (0, 0, 2)
    assert scene.kernel.responses() == {"192.0.2.9/32": "drop", "192.0.2.10/32": "drop"}


def test_a_suspended_block_ends_in_its_time_and_does_not_come_back() -> None:
    """Being suspended makes no block longer, and what is left of it is what is enforced."""
    scene = Scene()
    scene.block("192.0.2.9", ttl_s=60)
    scene.block("192.0.2.10", ttl_s=600)
    switch(scene, OFF)
    scene.pass_time(100)
    asyncio.run(scene.upkeep.tidy())
    switch(scene, ENFORCE)
    assert scene.kernel.responses() == {"192.0.2.10/32": "drop"}
    assert scene.kernel.rules[ip_network("192.0.2.10")].until_ns == scene.monotonic_ns + 500 * 10**9


def test_leaving_enforce_ends_the_daemons_own_and_no_others() -> None:
    """Of dry-run the same: what would have been done ends with the mode."""
    scene = Scene()
    scene.block("192.0.2.9")
    scene.consider(flood())
    assert switch(scene, DRY_RUN) == (1, 0, 0)
    assert scene.kernel.responses() == {"192.0.2.9/32": "drop"}
    scene.consider(flood())
    assert switch(scene, ENFORCE) == (1, 0, 0)
    assert scene.told("dry-run") == [("drop", "198.51.100.7", "mode enforce")]


def test_what_does_not_end_with_the_mode_is_said_and_tried_again() -> None:
    """The mode has changed all the same; the next look ends what the kernel kept."""
    scene = Scene()
    scene.consider(flood())
    scene.kernel.refuses = "no memory"
    with pytest.raises(SynguardError, match=r"the mode is off now, but .* tried again"):
        switch(scene, OFF)
    assert scene.responder.rules.mode is OFF
    asyncio.run(scene.upkeep.tidy())
    scene.kernel.refuses = None
    asyncio.run(scene.upkeep.tidy())
    assert scene.kernel.rules == {}
    assert len(scene.logged("block.not_ended")) + len(scene.logged("block.not_kept")) == 1


def test_what_was_decided_by_the_mode_before_does_not_stay() -> None:
    """An answer that lands just after the mode has changed is taken back by the next look."""
    scene = Scene()
    scene.responder.rules = replace(scene.responder.rules, mode=OFF)
    asyncio.run(scene.book.put([Block(SOURCE, NOW_S + 60, "floods", "alert", 1, NOW_S)]))
    asyncio.run(scene.upkeep.tidy())
    assert scene.kernel.rules == {}


def restore(scene: Scene, *blocks: Block) -> None:
    """Let the next daemon take over what the history has."""
    asyncio.run(scene.upkeep.restore(blocks, [(SOURCE, NOW_S - 50), (SOURCE, NOW_S - 900)]))


def test_a_restart_brings_back_drops_and_nothing_else_of_alerts() -> None:
    """People's blocks always, the daemon's own in enforce; no greylists: their alerts are over."""
    own = Block(SOURCE, NOW_S + 60, "floods", "alert", 1, NOW_S)
    greylist = replace(own, target=ip_network("192.0.2.10"), response="greylist")
    for mode, kept in ((ENFORCE, {SOURCE, OTHER}), (DRY_RUN, {OTHER}), (OFF, set())):
        scene = Scene(mode)
        restore(scene, own, greylist, manual(OTHER))
        assert set(scene.kernel.rules) == kept
        assert OTHER in scene.blocks
        assert scene.blocks.is_suspended(OTHER) == (mode is OFF)


def test_a_restart_ends_what_no_history_tells_of() -> None:
    """Rules of a daemon that was killed are known for what they are, or ended."""
    scene = Scene()
    scene.consider(spoofed())
    scene.block("192.0.2.9")
    scene.start()
    restore(scene, manual(OTHER))
    assert scene.kernel.responses() == {"192.0.2.9/32": "drop"}
    assert [one["targets"] for one in scene.logged("block.unknown_ended")] == [["203.0.113.5:443"]]
    assert scene.reconciler.mended.unknown_ended == 1


def test_a_block_that_cannot_be_restored_costs_the_others_nothing() -> None:
    """Of nine prefix lengths eight come back, and the ninth is named."""
    scene = Scene()
    blocks = [manual(ip_network(f"10.0.0.0/{length}")) for length in range(9, 18)]
    restore(scene, *blocks)
    assert len(scene.kernel.rules) == 8
    assert [one["target"] for one in scene.logged("source.not_restored")] == ["10.0.0.0/17"]


def test_earlier_drops_make_a_repeater() -> None:
    """The count goes on over a restart."""
    scene = Scene()
    restore(scene)
    decision = scene.consider(flood())
    assert decision.response is not None
    assert decision.response.until_s == NOW_S + 2400


def test_a_wrong_clock_makes_no_block_longer() -> None:
    """A machine that wakes up in 1970 restores blocks for what they were made for, at most."""
    scene = Scene()
    scene.wall_s = 0.0
    restore(scene, manual(ttl_s=60.0))
    assert scene.kernel.rules[SOURCE].until_ns == scene.monotonic_ns + 60 * 10**9
    scene.wall_s = NOW_S + 50
    restore(scene, manual(ttl_s=60.0))
    assert scene.kernel.rules[SOURCE].until_ns == scene.monotonic_ns + 10 * 10**9


def test_a_block_that_the_kernel_keeps_is_still_listed() -> None:
    """What is dropped can be seen, and ended by a second try; the guard's duties survive it."""
    scene = Scene()
    scene.block("198.51.100.7")
    scene.kernel.refuses = "no memory"
    scene.pass_time(61)
    for _ in range(3):
        asyncio.run(scene.upkeep.tidy())
    assert scene.held() == {"198.51.100.7/32": "drop"}
    assert len(scene.logged("block.not_ended")) == 1
    scene.kernel.refuses = None
    asyncio.run(scene.upkeep.tidy())
    assert scene.held() == {}
    assert scene.history.blocks == {}


def test_the_end_of_the_daemon_is_the_end_of_all_with_what_it_caught() -> None:
    """The history tells of each response that it ended with the daemon."""
    scene = Scene()
    scene.consider(flood(1))
    scene.consider(spoofed(2))
    scene.kernel.rules[SOURCE] = scene.kernel.rules[SOURCE]._replace(hits=23)
    scene.see(greylisted=40, cookies_sent=2)
    asyncio.run(scene.upkeep.take_leave())
    told = {one.target: (one.ended_because, one.hits) for one in scene.history.taken.values()}
    assert told == {
        "198.51.100.7": ("the daemon ended", 23),
        str(LISTENER): ("the daemon ended", 42),
    }

"""Blocks by hand: many at once or none, and what is refused says why."""

from __future__ import annotations

import asyncio
import errno
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synguard.errors import SynguardError, UnsupportedError, UsageError
from synguard.model import RespondMode
from synguard.respond.policy import Protected, protection
from synguard.respond.spared import Lookup
from tests.unit.respond.scene import SOURCE, Scene, flood

GATEWAY = Protected(ip_network("192.0.2.1"), "it is a gateway of this machine")


def test_many_targets_are_blocked_in_one_go() -> None:
    """The kernel is asked once, and each is kept for a restart."""
    scene = Scene(max_blocks=300)
    targets = [f"10.0.{number // 256}.{number % 256}" for number in range(300)]
    assert len(scene.block(*targets, targets[0])) == 300
    assert len(scene.kernel.puts) == 1
    assert len(scene.history.blocks) == 300
    assert len(scene.logged("source.blocked")) == 1


def test_one_refused_target_refuses_all_and_every_refused_one_is_named() -> None:
    """Nothing is half done, and one message says all there is to mend."""
    scene = Scene()
    scene.protected = [GATEWAY]
    with pytest.raises(UsageError) as refused:
        scene.block("198.51.100.1", "192.0.2.0/24", "198.51.100.300", "::ffff:192.0.2.1")
    words = str(refused.value)
    for part in ("192.0.2.0/24 is never touched", "198.51.100.300", "192.0.2.1 is never", "nothing was"):
        assert part in words
    assert scene.kernel.rules == {}
    with pytest.raises(UsageError, match="and 4 more; nothing was blocked"):
        scene.block(*["nonsense"] * 14)


def test_while_responses_are_off_nobody_blocks() -> None:
    """The refusal says what to do."""
    scene = Scene(RespondMode.OFF)
    with pytest.raises(UsageError, match="synguard respond dry-run"):
        scene.block("198.51.100.7")


def test_a_person_is_told_what_stands_in_the_way() -> None:
    """Where nothing can be dropped, the list is unknown, there is no room or no will: nothing is done."""
    scene = Scene(max_blocks=1)
    scene.cannot_drop = "net0 can only be observed"
    with pytest.raises(UnsupportedError, match="observed; nothing was blocked"):
        scene.block("198.51.100.7")
    scene.cannot_drop = None
    scene.protected = OSError(errno.EMFILE, "too many files")
    with pytest.raises(SynguardError, match=r"never-touch list.*; nothing was blocked"):
        scene.block("198.51.100.7")
    scene.protected = []
    with pytest.raises(SynguardError, match=r"max_blocks.*; nothing was blocked"):
        scene.block("198.51.100.7", "198.51.100.8")
    scene.kernel.refuses = "no memory"
    scene.never_touch._in_kernel = frozenset()
    with pytest.raises(SynguardError, match="no memory; nothing was blocked"):
        scene.block("198.51.100.7")
    assert scene.held() == {}


def test_a_person_ends_any_block() -> None:
    """One by one or all, the daemon's as well; what is not there is said so."""
    scene = Scene()
    scene.block("192.0.2.9")
    scene.consider(flood())
    assert asyncio.run(scene.by_hand.unblock(SOURCE, "by hand (uid 0)"))
    assert not asyncio.run(scene.by_hand.unblock(SOURCE, "by hand (uid 0)"))
    assert asyncio.run(scene.by_hand.clear("by hand (uid 0)")) == 1
    assert scene.kernel.rules == {}
    assert scene.history.blocks == {}


def test_a_persons_word_replaces_the_daemons() -> None:
    """A block of an address that the daemon greylists drops it, and stays when the alert closes."""
    scene = Scene(drop="proven")
    scene.consider(flood())
    scene.block("198.51.100.7")
    assert scene.kernel.responses() == {"198.51.100.7/32": "drop"}
    asyncio.run(scene.responder.closed(1))
    assert scene.kernel.responses() == {"198.51.100.7/32": "drop"}


NETWORKS = st.one_of(
    st.builds(
        lambda bits, length: ip_network((bits << 24 | 0x0A000000, length), strict=False),
        st.integers(0, 3), st.integers(0, 32),
    ),
    st.builds(
        lambda bits, length: ip_network(((0x20010DB8 << 96) | bits, length), strict=False),
        st.integers(0, 7), st.integers(0, 128),
    ),
)  # fmt: skip


@given(st.lists(NETWORKS, max_size=6), NETWORKS)
def test_the_quick_lookup_says_what_the_policy_says(protected: list, target: object) -> None:  # type: ignore[type-arg]
    """Whether or not a target overlaps the list, and why, is the same by either way."""
    listed = [Protected(network, "it is on the allow list") for network in protected]
    assert Lookup(listed).why(target) == protection(target, listed)  # type: ignore[arg-type]

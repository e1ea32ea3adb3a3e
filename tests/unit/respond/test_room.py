"""Room for more blocks: in all, and of the prefix lengths that the probe can look up."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from synguard.block import Block
from synguard.endpoint import Listener, Target
from synguard.errors import SynguardError
from synguard.probe import layout
from synguard.respond.room import LEFT_TO_PEOPLE, MOST_LENGTHS, check_room

PREFIXES: list[Target] = [ip_network(f"10.{length}.0.0/{length}") for length in range(17, 24)]


def block(target: Target, asked_by: str = "alert") -> Block:
    """Return a block of a target."""
    return Block(target, 1e9, "floods", asked_by)


def test_alerts_leave_prefix_lengths_to_people() -> None:
    """Floods of neighbourhoods of every size must not keep anybody from blocking one."""
    assert MOST_LENGTHS == layout.BLOCK_LENGTHS_MAX
    held: list[Target] = []
    for prefix in PREFIXES[: MOST_LENGTHS - LEFT_TO_PEOPLE - 2]:
        check_room(held, [block(prefix)], 100)
        held.append(prefix)
    with pytest.raises(SynguardError, match="2 more are left to people"):
        check_room(held, [block(PREFIXES[-1])], 100)
    check_room(held, [block(PREFIXES[-1], "manual")], 100)


@pytest.mark.parametrize("target", ["198.51.100.7/32", "2001:db8:7:7::/64", "10.17.128.0/17"])
def test_single_sources_and_lengths_in_use_have_their_place(target: str) -> None:
    """However many lengths there are, who floods alone can be answered."""
    held = PREFIXES[: MOST_LENGTHS - LEFT_TO_PEOPLE - 2]
    check_room(held, [block(ip_network(target, strict=False)), block(Listener.parse("203.0.113.5:443"))], 100)


def test_there_are_no_more_than_the_most() -> None:
    """What is there already takes no further place."""
    held: list[Target] = [ip_network("198.51.100.7"), ip_network("198.51.100.8")]
    check_room(held, [block(held[0]), block(ip_network("198.51.100.9"))], 3)
    with pytest.raises(SynguardError, match="2 blocks, and 3 are the most"):
        check_room(held, [block(ip_network("198.51.100.9")), block(ip_network("198.51.100.10"))], 3)

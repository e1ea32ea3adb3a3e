"""The responder and its blocks: what they do when the kernel, the clock or the interface is against them."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from synguard.block import Block
from synguard.endpoint import Listener, Network
from synguard.errors import SynguardError, UnsupportedError
from synguard.model import Alert, AlertClass, AlertKind, AlertState, Evidence, RespondMode, Severity
from synguard.probe import layout
from synguard.respond.blocks import Blocks
from synguard.respond.policy import Protected, Rules
from synguard.respond.responder import Responder

NOW_S = 1_790_000_000.0
SOURCE = ip_network("198.51.100.7")


class FakeMap:
    """A hash map; ``refuse`` lets every change fail."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}
        self.refuse = False

    def _check(self) -> None:
        if self.refuse:
            raise OSError(errno.ENOMEM, "no memory")

    def update(self, key: bytes, value: bytes) -> None:
        """Set an entry."""
        self._check()
        self.entries[key] = value

    def delete(self, key: bytes) -> bool:
        """Remove an entry."""
        self._check()
        return self.entries.pop(key, None) is not None

    def lookup(self, key: bytes) -> bytes | None:
        """Return an entry."""
        return self.entries.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every entry."""
        yield from list(self.entries.items())


class Scene:
    """A responder with everything around it made up."""

    def __init__(self) -> None:
        self.map = FakeMap()
        self.wall_s = NOW_S
        self.cannot_drop: str | None = None
        self.protected: list[Protected] | OSError = []
        self.lengths: list[int] = []
        self.probe: Any = SimpleNamespace(
            maps={"blocks": self.map}, block_lengths=(), set_block_lengths=self._set_lengths
        )
        self.start()

    def start(self) -> None:
        """Let a daemon begin with what the kernel has by now."""
        self.blocks = Blocks(self.probe, 16, monotonic_ns=lambda: 0, wall_s=lambda: self.wall_s)
        history: Any = SimpleNamespace(save_block=lambda _block: None, remove_block=lambda _target: None)
        self.responder = Responder(
            self.blocks,
            Rules(RespondMode.ENFORCE, "always", 600.0, 16),
            self._gather,
            lambda: self.cannot_drop,
            history,
            structlog.get_logger(),
        )

    def _set_lengths(self, lengths: list[int]) -> None:
        self.lengths = list(lengths)
        self.probe.block_lengths = tuple(lengths)

    def _gather(self) -> Iterable[Protected]:
        if isinstance(self.protected, OSError):
            raise self.protected
        return self.protected

    def left_s(self, target: Network) -> float:
        """Return how long the kernel goes on dropping."""
        until_ns, _ = layout.BLOCK.unpack(self.map.entries[layout.encode_block_key(target)])
        return float(until_ns / 1e9)


@pytest.fixture
def scene() -> Scene:
    """Return a responder that enforces."""
    return Scene()


def flood() -> Alert:
    """Return an open flood from one source."""
    listener = Listener.parse("203.0.113.5:443")
    return Alert(
        1, AlertKind.SYN_FLOOD, AlertClass.SINGLE_SOURCE, Severity.HIGH, AlertState.OPEN, NOW_S, listener,
        SOURCE,
    )  # fmt: skip


def in_a_live_clients_name() -> Alert:
    """Return that flood once its source was seen to complete handshakes."""
    return replace(
        flood(), alert_class=AlertClass.SPOOFED, source=None, evidence=(Evidence("live_client", 2, 0.5),)
    )


def manual(ttl_s: float = 60.0) -> Block:
    """Return a person's block."""
    return Block(SOURCE, NOW_S + ttl_s, "by hand", "manual", None, NOW_S)


def test_nothing_is_said_to_be_dropped_where_nothing_can_be(scene: Scene) -> None:
    """Behind somebody else's XDP program tc only observes: a block there would look like safety."""
    scene.cannot_drop = "net0 can only be observed"
    with pytest.raises(UnsupportedError, match="observed; nothing was blocked"):
        asyncio.run(scene.responder.block_by_hand(SOURCE, 60.0, "", NOW_S))
    decision = asyncio.run(scene.responder.consider(flood(), NOW_S))
    assert (decision.response, decision.reason) == (None, "net0 can only be observed")
    assert decision.retry
    assert not scene.map.entries


def test_trouble_that_may_pass_is_worth_another_try(scene: Scene) -> None:
    """A refusing kernel or an unreadable list leaves the flood unanswered only as long as it lasts."""
    scene.protected = OSError(errno.EMFILE, "too many files")
    assert asyncio.run(scene.responder.consider(flood(), NOW_S)).retry
    scene.protected = []
    scene.map.refuse = True
    assert asyncio.run(scene.responder.consider(flood(), NOW_S)).retry
    scene.map.refuse = False
    decision = asyncio.run(scene.responder.consider(flood(), NOW_S))
    assert decision.response is not None
    assert not decision.retry


def test_a_persons_block_stays_a_persons(scene: Scene) -> None:
    """A flood from an address that is blocked by hand does not turn the block into the daemon's own."""
    asyncio.run(scene.responder.block_by_hand(SOURCE, 60.0, "", NOW_S))
    decision = asyncio.run(scene.responder.consider(flood(), NOW_S + 1))
    assert decision.response is not None
    assert decision.response.until_s == NOW_S + 60
    scene.responder.set_mode(RespondMode.OFF)
    assert [block.asked_by for block in scene.blocks.held()] == ["manual"]


def test_a_source_that_turns_out_alive_is_let_in_again(scene: Scene) -> None:
    """The block of a flood in a live client's name ends with the alert's new class; other blocks do not."""
    asyncio.run(scene.responder.consider(flood(), NOW_S))
    others = replace(flood(), id=2, source=ip_network("198.51.100.8"))
    asyncio.run(scene.responder.consider(others, NOW_S))
    decision = asyncio.run(scene.responder.consider(in_a_live_clients_name(), NOW_S + 1))
    assert (decision.response, decision.retry) == (None, False)
    assert [block.target for block in scene.blocks.held()] == [others.source]
    assert list(scene.map.entries) == [layout.encode_block_key(ip_network("198.51.100.8"))]


def test_what_a_person_blocked_stays_blocked_though_somebody_lives_there(scene: Scene) -> None:
    """A person's block is not the flood's, and is not undone with it."""
    scene.blocks.add(manual())
    asyncio.run(scene.responder.consider(flood(), NOW_S))
    asyncio.run(scene.responder.consider(in_a_live_clients_name(), NOW_S + 1))
    assert [block.asked_by for block in scene.blocks.held()] == ["manual"]


def test_a_block_that_does_not_end_is_tried_again(scene: Scene) -> None:
    """Where the kernel keeps the block of a live client, the decision says so and is made again."""
    asyncio.run(scene.responder.consider(flood(), NOW_S))
    scene.map.refuse = True
    decision = asyncio.run(scene.responder.consider(in_a_live_clients_name(), NOW_S + 1))
    assert decision.retry
    assert not decision.undo
    assert "does not end" in decision.reason


def test_a_wrong_clock_makes_no_block_longer(scene: Scene) -> None:
    """A machine that wakes up in 1970 restores blocks for what they were made for, at most."""
    scene.wall_s = 0.0
    scene.responder.restore([manual(60.0)])
    assert scene.left_s(SOURCE) == 60.0
    scene.wall_s = NOW_S + 50
    scene.responder.restore([manual(60.0)])
    assert scene.left_s(SOURCE) == 10.0


def test_what_another_daemon_left_in_force_is_never_let_go_meanwhile(scene: Scene) -> None:
    """Its prefix lengths are looked up until its blocks are restored, and no longer."""
    other = Block(ip_network("203.0.113.0/24"), NOW_S + 60, "by hand", "manual", None, NOW_S)
    scene.responder.restore([manual(), other])
    scene.start()
    scene.blocks.add(manual())
    assert scene.lengths == [120, 128]
    scene.responder.restore([manual()])
    assert scene.lengths == [128]
    assert [block.target for block in scene.blocks.held()] == [SOURCE]
    assert list(scene.map.entries) == [layout.encode_block_key(SOURCE)]


def test_more_lengths_than_fit_leave_those_that_are_known(scene: Scene) -> None:
    """Of another daemon's lengths and one's own at most as many as the probe has room for are looked up."""
    lengths = range(24, 24 + layout.BLOCK_LENGTHS_MAX)
    scene.probe.block_lengths = tuple(96 + length for length in lengths)
    scene.start()
    scene.blocks.add(Block(ip_network("203.0.0.0/16"), NOW_S + 60, "by hand", "manual", None, NOW_S))
    assert scene.lengths == [112]


def test_a_block_that_the_kernel_keeps_is_still_listed(scene: Scene) -> None:
    """What is dropped can be seen, and ended by a second try; the guard's duties survive it."""
    scene.blocks.add(manual())
    scene.map.refuse = True
    with pytest.raises(SynguardError, match="no memory"):
        scene.responder.unblock(SOURCE, "test")
    scene.protected = [Protected(SOURCE, "it is on the allow list")]
    asyncio.run(scene.responder.spare_protected())
    scene.wall_s += 61
    scene.responder.tidy()
    assert len(scene.blocks) == 1
    scene.map.refuse = False
    scene.responder.tidy()
    assert len(scene.blocks) == 0

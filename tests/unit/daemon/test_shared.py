"""Answers made once for all who ask, at a bounded price."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from synguard.daemon.shared import Shared, Turns


class Maker:
    """Makes numbers, each ``spins_s`` of CPU dear, in so many turns."""

    def __init__(self, spins_s: float = 0.0, turns: int = 1) -> None:
        self.numbers = itertools.count(1)
        self.spins_s = spins_s
        self.turns = turns

    async def make(self, turns: Turns) -> int:
        """Return the next number."""
        async for _ in turns.of(range(self.turns), at_once=1):
            until_s = time.thread_time() + self.spins_s / self.turns
            while time.thread_time() < until_s:
                pass
        return next(self.numbers)


def play(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function to its end."""
    asyncio.run(work())


def test_all_who_ask_at_once_get_the_same() -> None:
    """A hundred who ask meanwhile cost as much as one, and so do those who ask a little later."""

    async def ask() -> None:
        shared = Shared(Maker(turns=3).make, least_age_s=60.0)
        assert set(await asyncio.gather(*(shared.get() for _ in range(100)))) == {1}
        assert await shared.get() == 1

    play(ask)


def test_what_is_old_is_made_anew() -> None:
    """Without a least age, what cost next to nothing is made for everybody who asks later."""

    async def ask() -> None:
        shared = Shared(Maker().make, times_its_cost=0.0)
        assert [await shared.get() for _ in range(3)] == [1, 2, 3]

    play(ask)


def test_what_is_dear_is_kept_for_longer() -> None:
    """Making takes its share of a CPU at most, whatever it costs."""

    async def ask() -> None:
        shared = Shared(Maker(spins_s=0.05).make, times_its_cost=1000.0)
        assert await shared.get() == await shared.get() == 1
        assert shared._good_until_s - time.monotonic() > 45

    play(ask)


def test_others_have_their_turn_meanwhile_and_are_not_charged() -> None:
    """Whoever reads the probe goes on between the rows, and its time is not the answer's price."""

    async def ask() -> None:
        shared, read = Shared(Maker(spins_s=0.004, turns=40).make, times_its_cost=100.0), 0
        asking = asyncio.ensure_future(shared.get())
        while not asking.done():
            await asyncio.sleep(0)
            until_s = time.thread_time() + 0.005
            while time.thread_time() < until_s:
                pass
            read += 1
        assert read >= 40
        assert shared._good_until_s - time.monotonic() < 10.0

    play(ask)


def test_a_failure_is_told_and_tried_again() -> None:
    """Whoever waits for what cannot be made is told why; the next one may have more luck."""
    luck: Iterator[int | Exception] = iter([ValueError("not now"), 7])

    async def make(turns: Turns) -> int:  # noqa: ARG001
        found = next(luck)
        if isinstance(found, Exception):
            raise found
        return found

    async def ask() -> None:
        shared = Shared(make, least_age_s=60.0)
        with pytest.raises(ValueError, match="not now"):
            await shared.get()
        assert await shared.get() == 7

    play(ask)


def test_whoever_goes_away_takes_nothing_from_the_others() -> None:
    """A peer that hangs up while an answer is being made leaves it to those who wait."""

    async def ask() -> None:
        shared = Shared(Maker(turns=10).make, least_age_s=60.0)
        first, second = (asyncio.ensure_future(shared.get()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == 1

    play(ask)

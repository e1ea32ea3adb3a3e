"""Answers that many may ask for, made for all of them at once and never so often that it costs the guard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Generic, TypeVar

#: So many rows are made in one go; then whoever reads the probe has its turn.
ROWS_A_TURN = 32

_T = TypeVar("_T")


class Turns:
    """Lets the event loop go on now and then, and knows how much time passed with others meanwhile."""

    def __init__(self) -> None:
        self.others_s = 0.0

    async def of(self, rows: Iterable[_T], at_once: int = ROWS_A_TURN) -> AsyncIterator[_T]:
        """Yield rows, and let others have their turn after every so many of them."""
        for number, row in enumerate(rows, 1):
            yield row
            if number % at_once == 0:
                began_s = time.thread_time()
                await asyncio.sleep(0)
                self.others_s += time.thread_time() - began_s


class Shared(Generic[_T]):
    """Makes something when it is asked for; whoever asks soon after that gets the same.

    Args:
        make: makes it on the event loop, in turns.
        least_age_s: it is good for so long, or longer:
        times_its_cost: making it may take one part in so many of a CPU, however many ask.

    """

    def __init__(
        self,
        make: Callable[[Turns], Awaitable[_T]],
        *,
        least_age_s: float = 0.0,
        times_its_cost: float = 50.0,
    ) -> None:
        self._make = make
        self._least_age_s = least_age_s
        self._times_its_cost = times_its_cost
        self._good_until_s = 0.0
        self._making: asyncio.Future[_T] | None = None

    async def get(self) -> _T:
        """Return it, as new as it may be. Raises what making it raises, to all who wait for it."""
        if self._making is None or (self._making.done() and time.monotonic() >= self._good_until_s):
            self._making = asyncio.ensure_future(self._made())
        # Whoever goes away must not take it from the others.
        return await asyncio.shield(self._making)

    async def _made(self) -> _T:
        began_s, cpu_began_s, turns = time.monotonic(), time.thread_time(), Turns()
        self._good_until_s = began_s
        made = await self._make(turns)
        spent_s = time.thread_time() - cpu_began_s - turns.others_s
        self._good_until_s = began_s + max(self._least_age_s, self._times_its_cost * spent_s)
        return made

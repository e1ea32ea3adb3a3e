"""The two kinds of good clients, each of which keeps its pace whatever the server does.

``plain`` makes connection after connection. ``keep-alive`` exchanges again and again in connections
that it keeps, and opens those anew that break.
"""

from __future__ import annotations

import abc
import select
import time
from collections import deque

from bench.peers.calls import UP, Call, Caller
from bench.peers.messages import Outcome, Visit, pack
from bench.peers.pace import STRETCH, Pace

#: A kept-alive connection that broke, or was not to be had, is opened anew so much later, or when it
#: is needed.
_REOPEN_AFTER_NS = 100_000_000


class Diary:
    """What a client attempted, and what came of it."""

    def __init__(self) -> None:
        self.attempted = 0
        self.succeeded = 0
        self.broken = 0
        self._records = bytearray()

    def attempt(self, start_ns: int, connect_ns: int | None, outcome: Outcome) -> None:
        """Write down the end of an attempt."""
        self.attempted += 1
        self.succeeded += outcome == Outcome.SUCCEEDED
        self._records += pack(start_ns, connect_ns, outcome)

    def broke(self, now_ns: int) -> None:
        """Write down that a kept-alive connection broke."""
        self.broken += 1
        self._records += pack(now_ns, None, Outcome.BROKEN)

    def tear_out(self) -> bytes:
        """Return what was written since it was last torn out."""
        records = bytes(self._records)
        self._records.clear()
        return records


class Visitor(Caller):
    """A kind of good client."""

    def __init__(self, visit: Visit, poll: select.epoll, pace: Pace) -> None:
        super().__init__(visit, poll)
        self._pace = pace
        self.diary = Diary()

    @abc.abstractmethod
    def wind_up(self) -> bool:
        """Close what is idle; return whether all is closed."""


class PlainVisitor(Visitor):
    """Connects, exchanges one line, closes."""

    def begin(self, now_ns: int) -> int:
        """Open the connections that are due."""
        for _ in range(self._pace.take(now_ns)):
            if self.call() is None:
                self.diary.attempt(now_ns, None, Outcome.NOT_BEGUN)
        return self._pace.next_ns()

    def wind_up(self) -> bool:
        """Return whether every connection is over; each ends by itself."""
        return self.idle

    def connected(self, call: Call) -> None:
        """Say the line."""
        self.ask(call, time.monotonic_ns())

    def answered(self, call: Call, asked_ns: int) -> None:  # noqa: ARG002 - there was one line only
        """Count the connection as served, and close it."""
        self.diary.attempt(call.since_ns, call.connect_ns, Outcome.SUCCEEDED)
        self.hang_up(call)

    def lost(self, call: Call, outcome: Outcome) -> None:
        """Count the connection as not served."""
        self.diary.attempt(call.since_ns, call.connect_ns, outcome)


class KeepAliveVisitor(Visitor):
    """Keeps connections open, and exchanges in one after another."""

    def __init__(self, visit: Visit, poll: select.epoll, pace: Pace) -> None:
        super().__init__(visit, poll, pace)
        self._slots: list[Call | None] = [None] * visit.connections
        self._next_slot = 0
        #: When to open which connection, the soonest first.
        self._to_open: deque[tuple[int, int]] = deque((0, slot) for slot in range(visit.connections))

    def begin(self, now_ns: int) -> int:
        """Open the connections and begin the exchanges that are due."""
        for _ in range(min(STRETCH, len(self._to_open))):
            if self._to_open[0][0] > now_ns:
                break
            _, slot = self._to_open.popleft()
            self._filled(slot, now_ns)
        for _ in range(self._pace.take(now_ns)):
            self._exchange(now_ns)
        soonest_ns = self._pace.next_ns()
        return min(soonest_ns, self._to_open[0][0]) if self._to_open else soonest_ns

    def _exchange(self, now_ns: int) -> None:
        call = self._filled(self._next_slot, now_ns)
        self._next_slot = (self._next_slot + 1) % len(self._slots)
        if call is None:
            self.diary.attempt(now_ns, None, Outcome.NOT_BEGUN)
        else:
            self.ask(call, now_ns)

    def _filled(self, slot: int, now_ns: int) -> Call | None:
        """Return the connection of that number, opened if there is none."""
        call = self._slots[slot]
        if call is None:
            call = self._slots[slot] = self.call()
            if call is None:
                self._to_open.append((now_ns + _REOPEN_AFTER_NS, slot))
            else:
                call.slot = slot
        return call

    def wind_up(self) -> bool:
        """Close every connection in which nothing is asked."""
        for call in self._slots:
            if call is not None and call.phase == UP and not call.asked_ns:
                self.hang_up(call)
        return self.idle

    def connected(self, call: Call) -> None:
        """Go on: what was asked meanwhile has been said."""

    def answered(self, call: Call, asked_ns: int) -> None:  # noqa: ARG002 - each counts alike
        """Count the exchange as served."""
        self.diary.attempt(asked_ns, None, Outcome.SUCCEEDED)

    def lost(self, call: Call, outcome: Outcome) -> None:
        """Count the connection as broken if it ever stood, and its exchanges as not served."""
        now_ns = time.monotonic_ns()
        if call.connect_ns is not None:
            self.diary.broke(now_ns)
        for asked_ns in call.asked_ns:
            self.diary.attempt(asked_ns, None, outcome)
        self._slots[call.slot] = None
        self._to_open.append((now_ns + _REOPEN_AFTER_NS, call.slot))

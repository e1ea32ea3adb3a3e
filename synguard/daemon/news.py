"""Tells those who follow the alerts what has changed, as soon as it has: a long poll with a sequence number.

Whoever follows asks with the number of the last answer; the answer comes once something that a watcher
must learn at once has happened, figures that merely move have waited long enough, or the patience is over.
The detector's path pays for taking a word in, which is a few lookups however many follow. Each alert's
newest word is kept while somebody follows, a bounded number of them; a follower who is too late for one,
or comes to another daemon than it left, is told to look at the whole again.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import count, takewhile
from typing import Any

import msgspec

from synguard.daemon.announcement import picture
from synguard.daemon.cases import AlertHistory
from synguard.daemon.control import argument
from synguard.daemon.permitting import Peer
from synguard.history.filter import AlertFilter
from synguard.history.matching import matcher
from synguard.history.records import alert_to_json
from synguard.history.store import Log
from synguard.model import Alert

#: How long a question waits for news at most; well within the patience of either side.
MOST_WAIT_S = 3.0
#: Figures that merely move wait so long at most.
FIGURES_AFTER_S = 1.0
#: What comes close together is told together, so that a storm of openings is no storm of answers.
GATHER_S = 0.01
#: Alerts whose newest word is kept for followers.
MOST_KEPT = 1000
#: Alerts in one answer; the rest follows in the next.
MOST_IN_ANSWER = 100
#: Alerts that are encoded before the loop gets a turn, which takes it a millisecond or two.
ENCODED_AT_ONCE = 10
#: Questions that wait at once; beyond, they are answered at once, and asked to come again by and by.
MOST_WAITING = 48
PAUSE_S = 0.25
#: Without any question for so long nobody follows, and nothing is kept.
FOLLOWED_S = 30.0
#: After these events the history holds alerts that nobody has saved.
_RESYNC_EVENTS = frozenset({"history.interrupted_closed"})


@dataclass
class _Word:
    """The newest word on an alert."""

    number: int
    alert: Alert

    @cached_property
    def encoded(self) -> msgspec.Raw:
        """The alert as JSON, made once for all followers and not before somebody wants it."""
        return msgspec.Raw(msgspec.json.encode(alert_to_json(self.alert)))


class Published:
    """A history whose alerts are news to those who follow, too."""

    def __init__(self, history: AlertHistory, news: News) -> None:
        self._history = history
        self._news = news

    def save(self, alert: Alert) -> None:
        """Take an alert in, and tell it on."""
        self._history.save(alert)
        self._news.publish(alert)


class News:
    """Takes in what is saved of alerts, and tells it to those who follow."""

    def __init__(self) -> None:
        #: Two daemons' numbers have nothing to do with each other.
        self._run = f"{os.getpid()}-{time.time_ns()}"
        self._numbers = count(1)
        self._last = 0
        #: Followers who have not heard of this number have missed something.
        self._missed = 0
        #: By id, the oldest word first.
        self._words: dict[int, _Word] = {}
        #: The number of the last word that a watcher must learn at once.
        self._urgent = 0
        self._asked_at_s = -FOLLOWED_S
        self._waiting: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()
        #: The last answer, and to what: most who follow ask for the same.
        self._told: tuple[object, msgspec.Raw] = (None, msgspec.Raw())

    def publish(self, alert: Alert) -> None:
        """Tell an alert to those who follow. On the event loop's thread."""
        number = self._last = next(self._numbers)
        before = self._words.pop(alert.id, None)
        if time.monotonic() - self._asked_at_s > FOLLOWED_S:
            self._words.clear()
            self._missed = number
            return
        urgent = before is None or _gist(before.alert) != _gist(alert)
        self._words[alert.id] = _Word(number, alert)
        if len(self._words) > MOST_KEPT:
            self._missed = self._words.pop(next(iter(self._words))).number
        if urgent:
            self._urgent = number
            self._wake()

    def heeding(self, log: Log) -> Log:
        """Return ``log``, with an ear for the events after which followers must look at the whole again.

        It may be called on any thread.
        """

        def heed(event: str, **keys: object) -> None:
            log(event, **keys)
            # Nobody waits before the first has asked; who comes later sees it in the history.
            if event in _RESYNC_EVENTS and self._loop is not None:
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self.resync)

        return heed

    def resync(self) -> None:
        """Have everybody who follows look at the whole again. On the event loop's thread."""
        self._missed = self._urgent = self._last = next(self._numbers)
        self._wake()

    async def answer(self, arguments: Mapping[str, Any], peer: Peer) -> msgspec.Raw:  # noqa: ARG002
        """Return the news after the number ``after`` of the daemon's ``run`` that ``filter`` lets through.

        The answer is ``{run, next, resync, alerts, others, pause_s}``: with ``next`` one asks again, after
        ``pause_s`` seconds; ``others`` are the ids of changed alerts that the filter does not let through.
        Without ``after`` the answer is the present number, at once.
        """
        self._asked_at_s = time.monotonic()
        self._loop = asyncio.get_running_loop()
        alert_filter = AlertFilter.from_json(argument(arguments, "filter", dict, {}))
        after = argument(arguments, "after", int, -1)
        run = argument(arguments, "run", str, "")
        if after < 0:
            return self._answered(self._last)
        if run != self._run:
            return self._answered(self._last, resync=True)
        pause_s = await self._news_after(after)
        self._asked_at_s = time.monotonic()
        # One after the other, so that what the detector wants of the loop comes in between.
        async with self._turn:
            if after < self._missed:
                return self._answered(self._last, resync=True, pause_s=pause_s)
            return await self._changes(after, alert_filter, pause_s)

    async def _news_after(self, after: int) -> float:
        """Wait for news; return how long whoever asks is to pause, because too many wait."""
        if max(self._urgent, self._missed) > after:
            return 0.0
        if len(self._waiting) >= MOST_WAITING:
            return PAUSE_S
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            for _ in range(round(MOST_WAIT_S / FIGURES_AFTER_S)):
                done, _ = await asyncio.wait([waiting], timeout=FIGURES_AFTER_S)
                if done:
                    await asyncio.sleep(GATHER_S)
                if done or self._last > after:
                    break
        finally:
            self._waiting.discard(waiting)
        return 0.0

    async def _changes(self, after: int, alert_filter: AlertFilter, pause_s: float) -> msgspec.Raw:
        asked = (after, self._last, pause_s, alert_filter)
        if self._told[0] == asked:
            return self._told[1]
        news = [*self._newest_first(after)]
        news.reverse()
        told, rest = news[:MOST_IN_ANSWER], news[MOST_IN_ANSWER:]
        number = told[-1].number if rest else self._last
        matches = matcher(alert_filter)
        alerts, others = [], []
        for word in told:
            if matches(word.alert):
                alerts.append(word.encoded)
                if len(alerts) % ENCODED_AT_ONCE == 0:
                    await asyncio.sleep(0)
            else:
                others.append(word.alert.id)
        self._told = asked, self._answered(number, alerts=alerts, others=others, pause_s=pause_s)
        return self._told[1]

    def _newest_first(self, after: int) -> Iterator[_Word]:
        return takewhile(lambda word: word.number > after, reversed(self._words.values()))

    def _answered(
        self,
        number: int,
        *,
        resync: bool = False,
        alerts: list[msgspec.Raw] | tuple[()] = (),
        others: list[int] | tuple[()] = (),
        pause_s: float = 0.0,
    ) -> msgspec.Raw:
        answer = {
            "run": self._run,
            "next": number,
            "resync": resync,
            "alerts": alerts,
            "others": others,
            "pause_s": pause_s,
        }
        return msgspec.Raw(msgspec.json.encode(answer))

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)


def _gist(alert: Alert) -> tuple[object, ...]:
    """Return what of an alert a watcher must learn at once."""
    response = alert.response
    done = None if response is None else (response.response, response.mode, response.target)
    return alert.kind, alert.state, alert.silenced, done, picture(alert)

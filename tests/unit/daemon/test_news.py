"""The long poll of those who follow: soon, whole, once, bounded, and at no cost to the detection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from synguard.daemon import news as news_module
from synguard.daemon.news import News, Published
from synguard.daemon.permitting import Peer
from synguard.history.records import alert_to_json
from synguard.model import Alert, AlertState, Severity
from tests.unit.daemon.staging import FLOOD

ME = Peer(1, 0, 0)
Answer = dict[str, Any]


async def _ask(news: News, after: Answer | None = None, **restrictions: Any) -> Answer:
    arguments: dict[str, Any] = {"filter": restrictions}
    if after is not None:
        arguments |= {"run": after["run"], "after": after["next"]}
    answer: Answer = json.loads(bytes(await news.answer(arguments, ME)))
    return answer


def _ids(answer: Answer) -> list[int]:
    return [alert["id"] for alert in answer["alerts"]]


Story = Callable[[News], Coroutine[Any, Any, None]]


def _play(story: Story) -> None:
    async def within_time() -> None:
        async with asyncio.timeout(20):
            await story(News())

    asyncio.run(within_time())


def test_an_opening_ends_the_waiting() -> None:
    """A question that waits is answered by what is saved meanwhile: the whole alert, and the next number."""

    async def story(news: News) -> None:
        start = await _ask(news)
        waiting = asyncio.create_task(_ask(news, start))
        await asyncio.sleep(0)
        news.publish(FLOOD)
        answer = await waiting
        assert answer["alerts"] == [alert_to_json(FLOOD)]
        assert (answer["resync"], answer["pause_s"], answer["others"]) == (False, 0, [])
        news.publish(replace(FLOOD, id=2))
        assert _ids(await _ask(news, answer)) == [2]

    _play(story)


def test_nothing_is_repeated_and_nothing_left_out() -> None:
    """Whatever one asks with, the answer is the newest word on each alert changed since, oldest first."""

    async def story(news: News) -> None:
        start = await _ask(news)
        for alert_id in (1, 2, 3):
            news.publish(replace(FLOOD, id=alert_id))
        middle = await _ask(news, start)
        assert _ids(middle) == [1, 2, 3]
        news.publish(replace(FLOOD, id=1, state=AlertState.CLOSED))
        assert _ids(await _ask(news, middle)) == [1]
        late = await _ask(news, start)
        assert _ids(late) == [2, 3, 1]
        assert late["alerts"][-1]["state"] == "closed"

    _play(story)


def test_what_the_filter_does_not_let_through_is_named_by_its_id() -> None:
    """A follower learns that an alert has left its filter, and nothing else of it."""

    async def story(news: News) -> None:
        start = await _ask(news)
        news.publish(FLOOD)
        news.publish(replace(FLOOD, id=2, state=AlertState.CLOSED))
        answer = await _ask(news, start, state="open")
        assert (_ids(answer), answer["others"]) == ([1], [2])

    _play(story)


def test_moving_figures_do_not_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures alone wait until it is time for them; a new severity, which comes later, does not."""
    monkeypatch.setattr(news_module, "FIGURES_AFTER_S", 0.05)

    async def story(news: News) -> None:
        start = await _ask(news)
        news.publish(FLOOD)
        opened = await _ask(news, start)
        waiting = asyncio.create_task(_ask(news, opened))
        await asyncio.sleep(0)
        news.publish(replace(FLOOD, attempts=FLOOD.attempts + 1))
        await asyncio.sleep(0)
        assert not any(future.done() for future in news._waiting)
        moved = await waiting
        assert moved["alerts"][0]["attempts"] == FLOOD.attempts + 1
        waiting = asyncio.create_task(_ask(news, moved))
        await asyncio.sleep(0)
        news.publish(replace(FLOOD, severity=Severity.CRITICAL))
        assert all(future.done() for future in news._waiting)
        assert (await waiting)["alerts"][0]["severity"] == "critical"

    _play(story)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without news the answer is empty after a while, and one goes on from the same number."""
    monkeypatch.setattr(news_module, "FIGURES_AFTER_S", 0.01)
    monkeypatch.setattr(news_module, "MOST_WAIT_S", 0.03)

    async def story(news: News) -> None:
        start = await _ask(news)
        assert await _ask(news, start) == start

    _play(story)


def test_who_is_too_late_looks_at_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """More changes than are kept, and another daemon's number, mean resync; the newest are still there."""
    monkeypatch.setattr(news_module, "MOST_KEPT", 3)

    async def story(news: News) -> None:
        start = await _ask(news)
        for alert_id in range(1, 4):
            news.publish(replace(FLOOD, id=alert_id))
        assert _ids(await _ask(news, start)) == [1, 2, 3]
        news.publish(replace(FLOOD, id=4))
        missed = await _ask(news, start)
        assert (missed["resync"], missed["alerts"]) == (True, [])
        news.publish(replace(FLOOD, id=5))
        assert _ids(await _ask(news, missed)) == [5]
        assert (await _ask(news, {**missed, "run": "another"}))["resync"]

    _play(story)


def test_many_changes_come_in_several_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer is bounded; the next has the rest, at once."""
    monkeypatch.setattr(news_module, "MOST_IN_ANSWER", 2)

    async def story(news: News) -> None:
        first = await _ask(news)
        for alert_id in range(1, 6):
            news.publish(replace(FLOOD, id=alert_id))
        answers = [first := await _ask(news, first) for _ in range(3)]
        assert [_ids(answer) for answer in answers] == [[1, 2], [3, 4], [5]]

    _play(story)


def test_the_detector_has_its_turn_while_many_are_answered() -> None:
    """Between the answers to many followers, and within a long one, whatever waits for the loop is served."""

    async def story(news: News) -> None:
        start = await _ask(news)
        waiting = [asyncio.create_task(_ask(news, start)) for _ in range(20)]
        await asyncio.sleep(0)
        for alert_id in range(1, 101):
            news.publish(replace(FLOOD, id=alert_id))
        answered_at: set[int] = set()
        turns = 0
        for one in waiting:
            one.add_done_callback(lambda _: answered_at.add(turns))
        while not all(one.done() for one in waiting):
            await asyncio.sleep(0)
            turns += bool(news._told[0]) or news._turn.locked()
        assert len(answered_at) > 10
        assert min(answered_at) >= 100 // news_module.ENCODED_AT_ONCE
        assert [_ids(one.result()) for one in waiting] == [[*range(1, 101)]] * 20

    _play(story)


def test_nothing_is_kept_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without followers no alert is held in memory, and one who comes back is told to look at the whole."""

    async def story(news: News) -> None:
        start = await _ask(news)
        news.publish(FLOOD)
        assert [*news._words] == [FLOOD.id]
        monkeypatch.setattr(news_module, "FOLLOWED_S", 0.0)
        await asyncio.sleep(0.001)
        news.publish(replace(FLOOD, id=2))
        assert not news._words
        assert (await _ask(news, start))["resync"]

    _play(story)


def test_too_many_who_wait_are_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One question too many is answered at once, with a pause to keep, so that others can use the socket."""
    monkeypatch.setattr(news_module, "MOST_WAITING", 2)

    async def story(news: News) -> None:
        start = await _ask(news)
        waiting = [asyncio.create_task(_ask(news, start)) for _ in range(2)]
        await asyncio.sleep(0)
        third = await _ask(news, start)
        assert third["pause_s"] > 0
        news.publish(FLOOD)
        assert [_ids(answer) for answer in await asyncio.gather(*waiting)] == [[1], [1]]
        assert _ids(await _ask(news, third)) == [1]
        assert not news._waiting

    _play(story)


def test_closings_that_nobody_saved_mean_resync() -> None:
    """What a killed daemon left open is closed by the history itself: those who follow must look."""

    async def story(news: News) -> None:
        heard: list[str] = []
        log = news.heeding(lambda event, **_: heard.append(event))
        start = await _ask(news)
        waiting = asyncio.create_task(_ask(news, start))
        await asyncio.sleep(0)
        await asyncio.to_thread(log, "history.opened")
        assert not any(future.done() for future in news._waiting)
        await asyncio.to_thread(log, "history.interrupted_closed", ids=(1,))
        assert (await waiting)["resync"]
        assert heard == ["history.opened", "history.interrupted_closed"]

    _play(story)


def test_published_is_saved_first() -> None:
    """An alert is in the history's hands before anybody is told of it."""

    class Order:
        def __init__(self) -> None:
            self.calls: list[str] = []

        def save(self, alert: Alert) -> None:
            self.calls.append(f"saved {alert.id}")

    class Telling(News):
        def publish(self, alert: Alert) -> None:
            order.calls.append(f"told {alert.id}")

    order = Order()
    Published(order, Telling()).save(FLOOD)
    assert order.calls == ["saved 1", "told 1"]

"""What of the alerts that come by a watcher is shown, and when."""

from __future__ import annotations

from itertools import islice
from typing import Any, cast

import pytest

from synguard.cli import following
from synguard.cli.feeds import Feeds, Tidings
from synguard.cli.following import Follower, Following
from synguard.errors import SynguardError
from synguard.history.filter import AlertFilter
from synguard.history.records import alert_to_json
from tests.unit.cli.conftest import SPOOFED


def _alert(**changes: Any) -> dict[str, Any]:
    return {**alert_to_json(SPOOFED), **changes}


def _news(follower: Follower, now_s: float, **changes: Any) -> int:
    return len(list(follower.news([_alert(**changes)], now_s)))


def test_moving_figures_are_shown_once_a_second() -> None:
    """A watcher sees a new severity at once, and figures that only move at most once a second."""
    follower = Follower()
    assert _news(follower, 0.0) == 1
    assert _news(follower, 5.0) == 0
    assert _news(follower, 5.0, attempts=1) == 1
    assert _news(follower, 5.5, attempts=2) == 0
    assert _news(follower, 5.6, attempts=2, severity="critical") == 1
    assert _news(follower, 6.7, attempts=3, severity="critical") == 1


def test_figures_held_back_are_shown_when_it_is_time() -> None:
    """The last figures of an alert are shown though nothing more comes of it."""
    follower = Follower()
    assert _news(follower, 0.0) == 1
    assert _news(follower, 0.5, attempts=1) == 0
    assert list(follower.news([], 0.9)) == []
    assert [one["attempts"] for one in follower.news([], 1.0)] == [1]
    assert list(follower.news([], 9.0)) == []


def test_known_alerts_are_shown_once_they_change() -> None:
    """An alert that is known and was not shown is news when anything of it is another, and then followed."""
    follower = Follower()
    follower.know([_alert()])
    assert not follower.is_following(SPOOFED.id)
    assert _news(follower, 0.0) == 0
    assert _news(follower, 0.1, attempts=1) == 1
    assert follower.is_following(SPOOFED.id)
    assert follower.followed() == [SPOOFED.id]
    assert _news(follower, 0.2, state="closed") == 1
    assert follower.followed() == []


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many alerts the one not heard of for the longest is forgotten."""
    monkeypatch.setattr(following, "MOST_REMEMBERED", 3)
    follower = Follower()
    shown = [_news(follower, 0.0, id=alert_id) for alert_id in (1, 2, 3, 1, 4)]
    assert shown == [1, 1, 1, 0, 1]
    assert follower.followed() == [3, 1, 4]


class _Place:
    """Feeds and reading in one: tells the tidings that the test wrote down, of alerts that the test keeps."""

    is_ready = True

    def __init__(self, *alerts: dict[str, Any]) -> None:
        self.alerts = {alert["id"]: alert for alert in alerts}
        self.to_come: list[tuple[Tidings, list[dict[str, Any]]]] = []
        self.failing = 0
        self.reading = self

    def first(self) -> _Place:
        return self

    def next(self, _feed: object) -> tuple[_Place, Tidings]:
        tidings, changed = self.to_come.pop(0)
        self.alerts |= {alert["id"]: alert for alert in changed}
        return self, tidings

    def find(self, wanted: AlertFilter) -> list[dict[str, Any]]:
        if self.failing:
            self.failing -= 1
            raise SynguardError("the history is busy")
        found = [one for one in self.alerts.values() if wanted.state in (None, one["state"])]
        return sorted(found, key=lambda one: -one["id"])[: wanted.limit]

    def get(self, alert_id: int) -> dict[str, Any] | None:
        return self.alerts.get(alert_id)


def _shown(place: _Place, count: int, **restrictions: Any) -> list[tuple[int, str]]:
    """Return the next alerts that a watcher of ``place`` is shown."""
    following = Following(cast("Feeds", place), AlertFilter(**restrictions))
    return [(one["id"], one["state"]) for one in islice(following, count)]


def test_a_second_look_shows_what_changed_and_nothing_else() -> None:
    """After a gap what is new or another is shown, if the filter lets it through or it was shown before."""
    place = _Place(*(_alert(id=alert_id) for alert_id in (1, 2, 3)))
    changed = [_alert(id=2, state="closed"), _alert(id=4, state="closed"), _alert(id=5)]
    place.to_come = [(Tidings(resync=True), changed), (Tidings([_alert(id=6)]), [])]
    assert _shown(place, 5, state="open", limit=2) == [
        (2, "open"), (3, "open"), (2, "closed"), (5, "open"), (6, "open"),
    ]  # fmt: skip


def test_a_second_look_that_fails_is_made_later() -> None:
    """What was missed is looked for until that has worked; what comes meanwhile is shown."""
    place = _Place(_alert(id=1))
    place.to_come = [
        (Tidings(resync=True), [_alert(id=2)]),
        (Tidings([_alert(id=3)]), [_alert(id=3)]),
        (Tidings(), []),
    ]
    following = iter(Following(cast("Feeds", place), AlertFilter(limit=9)))
    assert next(following)["id"] == 1
    place.failing = 2
    assert [next(following)["id"] for _ in range(2)] == [3, 2]

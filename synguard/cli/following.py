"""What somebody who follows the alerts is shown, and when: every change once, wherever the news come from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from synguard.cli.feeds import Feed, Feeds, Tidings
from synguard.errors import SynguardError
from synguard.history.filter import AlertFilter
from synguard.history.questions import HistoryReading

#: Figures move with every second; one alert's are shown again this often at most.
FIGURES_INTERVAL_S = 1.0
#: Alerts remembered so that none is shown twice; the one not heard of for the longest is forgotten first.
MOST_REMEMBERED = 10_000
#: Whoever looks at the whole again looks at alerts that ended so long before the last news, too.
OVERLAP_S = 10.0
#: And at so many alerts at most, the newest.
MOST_LOOKED_AT = 1000

Row = Mapping[str, Any]


@dataclass(slots=True)
class _Known:
    """An alert as it was heard of last."""

    latest: Row
    #: As it was shown last; None if never.
    shown: Row | None = None
    shown_at_s: float = 0.0


class Follower:
    """Remembers what was shown. Times are those of any clock that does not go back."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def know(self, alerts: Iterable[Row]) -> None:
        """Take in alerts as they are now; they are shown when they change."""
        for alert in alerts:
            self._remember(alert)

    def show(self, alerts: Iterable[Row], now_s: float) -> Iterator[Row]:
        """Yield alerts as shown now, known or not."""
        for alert in alerts:
            known = self._remember(alert)
            known.shown, known.shown_at_s = alert, now_s
            yield alert

    def news(self, alerts: Iterable[Row], now_s: float) -> Iterator[Row]:
        """Yield those that are new, have turned into something else, or whose figures are outdated.

        With them come those whose figures moved too soon after they were last shown, once it is time.
        """
        for alert in alerts:
            before = self._known.get(alert["id"])
            is_new = before is None or (before.shown is None and before.latest != alert)
            known = self._remember(alert)
            if is_new or (known.shown is not None and _gist(alert) != _gist(known.shown)):
                yield from self.show([alert], now_s)
        yield from self.show(self._outdated(now_s), now_s)

    def is_following(self, alert_id: int) -> bool:
        """Tell whether an alert was shown, and is not over as far as is known."""
        known = self._known.get(alert_id)
        return known is not None and known.shown is not None and known.latest["state"] == "open"

    def followed(self) -> list[int]:
        """Return the ids of which :meth:`is_following` holds."""
        return [alert_id for alert_id in self._known if self.is_following(alert_id)]

    def _remember(self, alert: Row) -> _Known:
        known = self._known.pop(alert["id"], None)
        if known is None:
            known = _Known(alert)
            if len(self._known) >= MOST_REMEMBERED:
                del self._known[next(iter(self._known))]
        known.latest = alert
        self._known[alert["id"]] = known
        return known

    def _outdated(self, now_s: float) -> list[Row]:
        return [
            known.latest
            for known in self._known.values()
            if known.shown is not None
            and known.latest is not known.shown
            and now_s - known.shown_at_s >= FIGURES_INTERVAL_S
            and known.latest != known.shown
        ]


def _gist(alert: Row) -> tuple[Any, ...]:
    """Return what a watcher must learn at once."""
    action = alert["action"] or {}
    done = tuple(action.get(name) for name in ("response", "mode", "target"))
    what = tuple(alert[name] for name in ("kind", "class", "severity", "state", "listener", "source"))
    return (*what, alert.get("silenced"), tuple(alert.get("listeners") or ()), done)


class Following:
    """Yields the alerts to show, without an end.

    An alert is shown from the moment at which the filter lets it through, and from then on until it is over,
    whatever becomes of it. Whoever follows is told of the alerts that there are already, the oldest first.

    Args:
        feeds: where the news come from.
        alert_filter: which alerts; its limit holds for those that there are already.
        each_time: called after each look, to do what has to be done without news, too.

    """

    def __init__(
        self, feeds: Feeds, alert_filter: AlertFilter, each_time: Callable[[], None] = lambda: None
    ) -> None:
        """Begin. Raises SynguardError when there is nobody to ask."""
        self._feeds = feeds
        self._feed = feeds.first()
        self._filter = alert_filter
        self._each_time = each_time
        self._follower = Follower()
        self._heard_at_s = time.time()
        #: Whether something may have been missed that has not been looked for yet.
        self._is_behind = False

    def __iter__(self) -> Iterator[Row]:
        """Yield the alerts. Raises SynguardError when what there is cannot be asked for."""
        yield from self._first(self._feed)
        while True:
            self._feed, tidings = self._feeds.next(self._feed)
            self._is_behind |= tidings.resync
            if self._is_behind:
                yield from self._look_again(self._feed.reading)
            yield from self._hear(self._feed.reading, tidings)
            self._each_time()

    def _first(self, feed: Feed) -> Iterator[Row]:
        """Yield what there is, after the feed has begun: what changes meanwhile comes again with its news."""
        try:
            self._follower.know(feed.reading.find(self._wide(self._heard_at_s)))
            listed = feed.reading.find(self._filter)
        except SynguardError:
            if feed.is_ready:
                raise
            return
        yield from self._follower.show(reversed(listed), time.monotonic())

    def _hear(self, reading: HistoryReading, tidings: Tidings) -> Iterator[Row]:
        """Yield what is news of the tidings."""
        try:
            lost = self._whole(reading, filter(self._follower.is_following, tidings.others))
        except SynguardError:
            self._is_behind, lost = True, []
        yield from self._follower.news([*tidings.alerts, *lost], time.monotonic())
        if not self._is_behind:
            self._heard_at_s = time.time()

    def _look_again(self, reading: HistoryReading) -> Iterator[Row]:
        """Yield what has changed since the last news, as far as it still can be told."""
        asked_at_s = time.time()
        try:
            found = {alert["id"]: alert for alert in reading.find(self._wide(self._heard_at_s))}
            lost = self._whole(reading, (one for one in self._follower.followed() if one not in found))
        except SynguardError:
            # Whoever has just answered is away again, or has too much to do: the next time.
            return
        wanted = [
            alert
            for alert in found.values()
            if self._filter.state in (None, alert["state"]) or self._follower.is_following(alert["id"])
        ]
        yield from self._follower.news(sorted([*wanted, *lost], key=_id), time.monotonic())
        self._heard_at_s, self._is_behind = asked_at_s, False

    def _wide(self, heard_at_s: float) -> AlertFilter:
        """Return the filter of all that may have changed since, whether over or not."""
        since_s = max(heard_at_s - OVERLAP_S, self._filter.since_s or 0.0)
        return replace(self._filter, state=None, since_s=since_s, sort="-id", limit=MOST_LOOKED_AT)

    @staticmethod
    def _whole(reading: HistoryReading, ids: Iterable[int]) -> list[Row]:
        return [alert for alert_id in ids if (alert := reading.get(alert_id)) is not None]


def _id(alert: Row) -> int:
    alert_id: int = alert["id"]
    return alert_id

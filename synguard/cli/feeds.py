"""Where the news of alerts come from: the daemon while it answers, and the history file while it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from synguard.cli.reading import alert_reading
from synguard.client import NotRunningError, request
from synguard.config import Settings
from synguard.errors import SynguardError, UnsupportedError, UsageError
from synguard.history.filter import AlertFilter
from synguard.history.matching import matcher
from synguard.history.questions import HistoryReading
from synguard.history.records import alert_to_json
from synguard.history.watching import AlertWatch

#: How often the file is looked at; an unchanged one costs some 20 µs.
LOOK_INTERVAL_S = 0.025
#: A file that cannot be read is tried this often.
RETRY_INTERVAL_S = 0.25
#: Looks without news end after this long, so that the caller can do what else there is to do.
PATIENCE_S = 0.5
#: While the file is followed, a daemon is looked for this often; one that hangs, less often.
SEEK_INTERVAL_S = 0.25
SEEK_HANGING_INTERVAL_S = 30.0
_HANGING_S = 1.0


@dataclass(frozen=True, slots=True)
class Tidings:
    """What may be news."""

    #: Changed alerts that the filter lets through.
    alerts: list[dict[str, Any]] = field(default_factory=list)
    #: The ids of changed ones that it does not.
    others: list[int] = field(default_factory=list)
    #: Whether something may have been missed, so that one has to look at the whole.
    resync: bool = False


class Feed(Protocol):
    """Tells which alerts have changed."""

    #: Whom to ask about the whole.
    reading: HistoryReading
    #: Whether it can tell anything yet.
    is_ready: bool

    def next(self) -> Tidings:
        """Wait for news, a few seconds at most. Raises SynguardError when there will be none."""


class DaemonFeed:
    """Asks the daemon, which answers once there is something to tell. Raises SynguardError if it does not."""

    is_ready = True

    def __init__(self, settings: Settings, alert_filter: AlertFilter) -> None:
        self.reading = alert_reading(settings, offline=False)
        self._socket_path = settings.control.socket_path
        self._filter = alert_filter.to_json()
        self._asks_for: dict[str, Any] = {}
        self._take(request(self._socket_path, "news", filter=self._filter))

    def next(self) -> Tidings:
        """Wait for the daemon's answer."""
        return self._take(request(self._socket_path, "news", filter=self._filter, **self._asks_for))

    def _take(self, answer: dict[str, Any]) -> Tidings:
        self._asks_for = {"run": answer["run"], "after": answer["next"]}
        if answer["pause_s"]:
            time.sleep(answer["pause_s"])
        return Tidings(answer["alerts"], answer["others"], answer["resync"])


class FileFeed:
    """Looks at the history file again and again; one that is not there is waited for, and that is said."""

    def __init__(
        self, settings: Settings, alert_filter: AlertFilter, since_s: float, note: Callable[[str], None]
    ) -> None:
        """Begin with what is there. Raises UnsupportedError when the file may not be read."""
        self.reading = alert_reading(settings, offline=True)
        self.is_ready = True
        self._note = note
        self._passes = matcher(alert_filter)
        self._watch = AlertWatch(settings.history.database_path, since_s)
        try:
            self._watch.start()
        except UnsupportedError:
            raise
        except SynguardError as error:
            self._refused(error)

    def next(self) -> Tidings:
        """Look until there is something, or the patience is over."""
        until_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                changed = self._watch.changed()
            except SynguardError as error:
                self._refused(error)
                time.sleep(RETRY_INTERVAL_S)
                return Tidings()
            self.is_ready = True
            if changed or self._watch.is_another:
                passing = [alert_to_json(alert) for alert in changed if self._passes(alert)]
                others = [alert.id for alert in changed if not self._passes(alert)]
                return Tidings(passing, others, self._watch.is_another)
            if time.monotonic() >= until_s:
                return Tidings()
            time.sleep(LOOK_INTERVAL_S)

    def _refused(self, error: SynguardError) -> None:
        if self.is_ready:
            self._note(f"{error}; waiting for it")
        self.is_ready = False


class Feeds:
    """The feed to follow, and another when it fails.

    Args:
        settings: where the daemon and the file are.
        alert_filter: which alerts pass.
        offline: follow the file alone.
        note: says something to whoever follows, beside the alerts.

    """

    def __init__(
        self, settings: Settings, alert_filter: AlertFilter, *, offline: bool, note: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._filter = alert_filter
        self._offline = offline
        self._note = note
        self._seek_at_s = 0.0
        self._heard_at_s = time.time()

    def first(self) -> Feed:
        """Return the daemon's feed, else the file's. Raises SynguardError when neither may be asked."""
        if not self._offline:
            try:
                return DaemonFeed(self._settings, self._filter)
            except (NotRunningError, UnsupportedError):
                # As every command that asks: the file is as good.
                pass
            except SynguardError as error:
                self._note(_why_file(error))
        return self._file()

    def next(self, feed: Feed) -> tuple[Feed, Tidings]:
        """Return the feed to go on with, and its news; after a change one has to look at the whole."""
        if isinstance(feed, FileFeed):
            daemon = self._sought()
            if daemon is not None:
                self._note("the daemon answers: following it")
                return daemon, Tidings(resync=True)
        try:
            news = feed.next()
        except SynguardError as error:
            self._note(_why_file(error))
            return self._other(), Tidings(resync=True)
        self._heard_at_s = time.time()
        return feed, news

    def _other(self) -> Feed:
        """Return the file's feed; where it may not be read, wait for a daemon."""
        while True:
            try:
                return self._file()
            except SynguardError as error:
                self._note(f"{error}; waiting for the daemon")
            while (daemon := self._sought()) is None:
                time.sleep(SEEK_INTERVAL_S)
            self._note("the daemon answers: following it")
            return daemon

    def _file(self) -> FileFeed:
        return FileFeed(self._settings, self._filter, self._heard_at_s, self._note)

    def _sought(self) -> DaemonFeed | None:
        """Return the daemon's feed if there is one again."""
        began_s = time.monotonic()
        if self._offline or began_s < self._seek_at_s:
            return None
        try:
            return DaemonFeed(self._settings, self._filter)
        except SynguardError:
            spent_s = time.monotonic() - began_s
            hangs = spent_s > _HANGING_S
            self._seek_at_s = began_s + spent_s + (SEEK_HANGING_INTERVAL_S if hangs else SEEK_INTERVAL_S)
            return None


def _why_file(error: SynguardError) -> str:
    """Say why the file is followed."""
    if isinstance(error, NotRunningError):
        return "the daemon has ended: following the history file until one answers"
    if isinstance(error, UsageError):
        return "the daemon is of another version and tells no news: following the history file"
    return f"{error}; following the history file meanwhile"

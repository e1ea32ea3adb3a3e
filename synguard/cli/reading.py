"""Where the history is asked: the daemon when it runs and the caller may ask it, else the history file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from synguard.client import NotAnsweringError, NotRunningError, request
from synguard.config import Settings
from synguard.errors import UnsupportedError
from synguard.history.filter import AlertFilter
from synguard.history.query import find_alerts, get_alert
from synguard.history.questions import (
    RUN_HEARD_WITHIN_S,
    HistoryReading,
    Rows,
    find_listener_series,
    find_responses,
    find_runs,
    find_totals,
)
from synguard.history.records import alert_to_json, time_from_json
from synguard.model import Alert, AlertState

_Found = TypeVar("_Found")


def alert_reading(settings: Settings, *, offline: bool, is_named: bool = False) -> HistoryReading:
    """Return where to ask; ``offline`` means the file alone.

    Where the caller has named the socket it is said that no daemon answers there.
    """
    file = FileReading(settings)
    return file if offline else DaemonReading(settings, file, is_named=is_named)


class FileReading:
    """Asks the history file."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.history.database_path
        self._warned = False

    def find(self, alert_filter: AlertFilter) -> Rows:
        """Ask the file."""
        found = find_alerts(self._path, alert_filter)
        self._warn(found)
        return [alert_to_json(alert) for alert in found]

    def get(self, alert_id: int) -> dict[str, Any] | None:
        """Ask the file."""
        alert = get_alert(self._path, alert_id)
        if alert is None:
            return None
        self._warn([alert])
        return alert_to_json(alert)

    def _warn(self, alerts: Iterable[Alert]) -> None:
        """Say once that what is open in the file may be over: a daemon that is gone closes no alert."""
        if self._warned or not any(alert.state is AlertState.OPEN for alert in alerts):
            return
        self._warned, now_s = True, time.time()
        last = max((run["last_seen_at"] for run in find_runs(self._path, 0.0, now_s)), default=None)
        if last is not None and now_s - time_from_json(last) >= RUN_HEARD_WITHIN_S:
            note = f"no daemon was heard of since {last}: what is open was so then, and may be over"
            click.echo(f"synguard: warning: {note}", err=True)

    def totals(self, since_s: float, until_s: float, most_steps: int) -> Rows:
        """Ask the file."""
        return find_totals(self._path, since_s, until_s, most_steps)

    def listener_series(
        self, listeners: Sequence[str], since_s: float, until_s: float, most_steps: int
    ) -> Rows:
        """Ask the file."""
        return find_listener_series(self._path, listeners, since_s, until_s, most_steps)

    def responses(self, since_s: float, until_s: float, alert_id: int | None = None) -> Rows:
        """Ask the file."""
        return find_responses(self._path, since_s, until_s, alert_id)

    def runs(self, since_s: float, until_s: float) -> Rows:
        """Ask the file."""
        return find_runs(self._path, since_s, until_s)


class DaemonReading:
    """Asks the daemon, which knows more than its file yet does, and the file when that cannot be."""

    def __init__(self, settings: Settings, file: FileReading, *, is_named: bool) -> None:
        self._is_named = is_named
        self._socket_path = settings.control.socket_path
        self._file = file
        self._warned = False

    def find(self, alert_filter: AlertFilter) -> Rows:
        """Ask the daemon, else the file."""
        return self._ask(lambda: self._file.find(alert_filter), "alerts", filter=alert_filter.to_json())

    def get(self, alert_id: int) -> dict[str, Any] | None:
        """Ask the daemon, else the file."""
        return self._ask(lambda: self._file.get(alert_id), "alert", id=alert_id)

    def totals(self, since_s: float, until_s: float, most_steps: int) -> Rows:
        """Ask the daemon, else the file."""
        return self._ask(
            lambda: self._file.totals(since_s, until_s, most_steps),
            "totals_series",
            since_s=since_s,
            until_s=until_s,
            most_steps=most_steps,
        )

    def listener_series(
        self, listeners: Sequence[str], since_s: float, until_s: float, most_steps: int
    ) -> Rows:
        """Ask the daemon, else the file."""
        return self._ask(
            lambda: self._file.listener_series(listeners, since_s, until_s, most_steps),
            "listener_series",
            listeners=[*listeners],
            since_s=since_s,
            until_s=until_s,
            most_steps=most_steps,
        )

    def responses(self, since_s: float, until_s: float, alert_id: int | None = None) -> Rows:
        """Ask the daemon, else the file."""
        of_alert = {} if alert_id is None else {"alert_id": alert_id}
        return self._ask(
            lambda: self._file.responses(since_s, until_s, alert_id),
            "responses",
            since_s=since_s,
            until_s=until_s,
            **of_alert,
        )

    def runs(self, since_s: float, until_s: float) -> Rows:
        """Ask the daemon, else the file."""
        return self._ask(lambda: self._file.runs(since_s, until_s), "runs", since_s=since_s, until_s=until_s)

    def _ask(self, file: Callable[[], _Found], command: str, **arguments: Any) -> _Found:
        try:
            answer: _Found = request(self._socket_path, command, **arguments)
        except (NotRunningError, UnsupportedError, NotAnsweringError) as error:
            self._warn(error)
            return file()
        return answer

    def _warn(self, error: Exception) -> None:
        """Say once that the daemon hangs; that it does not run is to say only where it was asked for."""
        is_news = isinstance(error, NotAnsweringError) or self._is_named
        if is_news and not self._warned:
            self._warned = True
            click.echo(f"synguard: warning: {error}; reading the history file instead", err=True)

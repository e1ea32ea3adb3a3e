"""Where alerts come from: the daemon when it runs and the caller may ask it, else the history file."""

from __future__ import annotations

from typing import Any, Protocol

import click

from synguard.client import NotAnsweringError, NotRunningError, request
from synguard.config import Settings
from synguard.errors import UnsupportedError
from synguard.history.filter import AlertFilter
from synguard.history.query import find_alerts, get_alert
from synguard.history.records import alert_to_json


class AlertReading(Protocol):
    """Answers questions about alerts, as JSON gives them."""

    def find(self, alert_filter: AlertFilter) -> list[dict[str, Any]]:
        """Return the alerts that the filter lets through, in its order."""

    def get(self, alert_id: int) -> dict[str, Any] | None:
        """Return one alert, or None if there is none of that id."""


def alert_reading(settings: Settings, *, offline: bool) -> AlertReading:
    """Return where to ask; ``offline`` means the file alone."""
    file = FileReading(settings)
    return file if offline else DaemonReading(settings, file)


class FileReading:
    """Asks the history file."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.history.database_path

    def find(self, alert_filter: AlertFilter) -> list[dict[str, Any]]:
        """Ask the file. Raises SynguardError when it cannot be read."""
        return [alert_to_json(alert) for alert in find_alerts(self._path, alert_filter)]

    def get(self, alert_id: int) -> dict[str, Any] | None:
        """Ask the file. Raises SynguardError when it cannot be read."""
        alert = get_alert(self._path, alert_id)
        return None if alert is None else alert_to_json(alert)


class DaemonReading:
    """Asks the daemon, which knows more than its file yet does, and the file when that cannot be."""

    def __init__(self, settings: Settings, file: FileReading) -> None:
        self._socket_path = settings.control.socket_path
        self._file = file
        self._warned = False

    def find(self, alert_filter: AlertFilter) -> list[dict[str, Any]]:
        """Ask the daemon, else the file. Raises SynguardError when neither answers."""
        try:
            found: list[dict[str, Any]] = self._ask("alerts", filter=alert_filter.to_json())
        except (NotRunningError, UnsupportedError, NotAnsweringError) as error:
            self._warn(error)
            return self._file.find(alert_filter)
        return found

    def get(self, alert_id: int) -> dict[str, Any] | None:
        """Ask the daemon, else the file. Raises SynguardError when neither answers."""
        try:
            found: dict[str, Any] | None = self._ask("alert", id=alert_id)
        except (NotRunningError, UnsupportedError, NotAnsweringError) as error:
            self._warn(error)
            return self._file.get(alert_id)
        return found

    def _ask(self, command: str, **arguments: Any) -> Any:
        return request(self._socket_path, command, **arguments)

    def _warn(self, error: Exception) -> None:
        """Say once that the daemon hangs; that it does not run is nothing to say."""
        if isinstance(error, NotAnsweringError) and not self._warned:
            self._warned = True
            click.echo(f"synguard: warning: {error}; reading the history file instead", err=True)

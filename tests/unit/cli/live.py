"""A daemon of which only the probe and the detector are missing: what the test saves, its followers hear."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synguard.client import request
from synguard.daemon.news import News, Published
from synguard.daemon.permitting import Peer
from synguard.history.filter import AlertFilter
from synguard.history.query import find_alerts, get_alert
from synguard.history.records import alert_from_json, alert_to_json
from synguard.history.store import HistoryStore
from synguard.model import Alert
from tests.unit.history.helpers import Events
from tests.unit.serving import serving


class LiveDaemon:
    """Saves alerts on its own event loop, as the real one does."""

    def __init__(self, database: Path, socket_path: Path) -> None:
        """Open the history; the socket answers while :func:`live_daemon`'s block runs."""
        self.news = News()
        self.store = HistoryStore(database, log=self.news.heeding(Events()))
        self._published = Published(self.store, self.news)
        self._database = database
        self._socket_path = socket_path

    def save(self, *alerts: Alert) -> None:
        """Take in alerts, on the event loop."""
        request(self._socket_path, "save", alerts=[alert_to_json(alert) for alert in alerts])

    def handlers(self) -> dict[str, Any]:
        """Return what it answers."""
        return {"news": self.news.answer, "alerts": self._alerts, "alert": self._alert, "save": self._save}

    def _save(self, arguments: Mapping[str, Any], _peer: Peer) -> None:
        for alert in arguments["alerts"]:
            self._published.save(alert_from_json(alert))

    async def _alerts(self, arguments: Mapping[str, Any], _peer: Peer) -> list[dict[str, Any]]:
        wanted = AlertFilter.from_json(arguments["filter"])
        found = await asyncio.to_thread(find_alerts, self._database, wanted, self.store.unsaved())
        return [alert_to_json(alert) for alert in found]

    async def _alert(self, arguments: Mapping[str, Any], _peer: Peer) -> dict[str, Any] | None:
        found = await asyncio.to_thread(get_alert, self._database, arguments["id"], self.store.unsaved())
        return None if found is None else alert_to_json(found)


@contextmanager
def live_daemon(database: Path, socket_path: Path) -> Iterator[LiveDaemon]:
    """Return a daemon that runs as long as the block does, and then leaves as one that is stopped."""
    daemon = LiveDaemon(database, socket_path)
    daemon.store.start(30.0)
    try:
        with serving(socket_path, daemon.handlers()):
            yield daemon
    finally:
        daemon.store.close()

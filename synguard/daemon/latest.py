"""Holds the open alerts as each was told last: to ask the detector has its price."""

from __future__ import annotations

from synguard.daemon.cases import AlertHistory
from synguard.model import Alert, AlertState


class Latest:
    """A history that also keeps the last word on each open alert, which is a second old at most."""

    def __init__(self, history: AlertHistory) -> None:
        self._history = history
        self._open: dict[int, Alert] = {}

    def save(self, alert: Alert) -> None:
        """Take an alert in, and hand it on."""
        if alert.state is AlertState.OPEN:
            self._open[alert.id] = alert
        else:
            self._open.pop(alert.id, None)
        self._history.save(alert)

    def __len__(self) -> int:
        return len(self._open)

    def alerts(self) -> list[Alert]:
        """Return the open alerts, the oldest first."""
        return sorted(self._open.values(), key=lambda alert: alert.id)

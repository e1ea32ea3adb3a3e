"""Which of the alerts that polls bring are news to somebody who watches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Figures move with every poll; one alert's are shown again this often at most.
FIGURES_INTERVAL_S = 1.0


@dataclass(slots=True)
class _Shown:
    alert: Mapping[str, Any]
    at_s: float


class Follower:
    """Remembers what was shown."""

    def __init__(self) -> None:
        self._shown: dict[int, _Shown] = {}

    def news(self, alerts: Iterable[Mapping[str, Any]], now_s: float) -> Iterator[Mapping[str, Any]]:
        """Yield alerts that are new, have turned into something else, or whose figures are outdated.

        ``now_s`` is any clock that does not go back.
        """
        for alert in alerts:
            shown = self._shown.get(alert["id"])
            if shown is None or _is_news(alert, shown, now_s):
                self._shown[alert["id"]] = _Shown(alert, now_s)
                yield alert


def _is_news(alert: Mapping[str, Any], shown: _Shown, now_s: float) -> bool:
    if alert == shown.alert:
        return False
    return _gist(alert) != _gist(shown.alert) or now_s - shown.at_s >= FIGURES_INTERVAL_S


def _gist(alert: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a watcher must learn at once."""
    action = alert["action"] or {}
    return (alert["state"], alert["class"], alert["severity"], action.get("response"), action.get("mode"))

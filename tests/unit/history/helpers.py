"""What the history's tests share: an alert's time, a log that remembers, and the shapes of fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from synguard.history.store import HistoryStore
from synguard.model import Alert

STARTED_AT_S = 1_795_341_600.25


class MakeAlert(Protocol):
    """Makes an alert; what is not given is that of a plausible one."""

    def __call__(self, alert_id: int, **changes: Any) -> Alert:
        """Return the alert."""


class Events:
    """A log that remembers; called as the daemon's is."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, object]]] = []

    def __call__(self, event: str, **keys: object) -> None:
        """Remember an event."""
        self.all.append((event, keys))

    def named(self, event: str) -> list[dict[str, object]]:
        """Return the keys of each event of that name."""
        return [keys for name, keys in self.all if name == event]


def names(directory: Path) -> list[str]:
    """Return the names of what is in a directory, in order."""
    return sorted(path.name for path in directory.iterdir())


class OpenStore(Protocol):
    """Opens a store that is closed when the test ends."""

    def __call__(self, at: Path | None = None, **options: Any) -> HistoryStore:
        """Return the started store."""


#: Waits until a condition holds, fails after so many seconds, and tells how many it took.
Until = Callable[..., float]

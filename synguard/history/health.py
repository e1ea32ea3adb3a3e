"""What the history's writer tells others of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Log(Protocol):
    """What events are told to: a bound structlog method, or anything called like one."""

    def __call__(self, event: str, **keys: object) -> object:
        """Take an event's static name and what belongs to it."""


@dataclass(frozen=True, slots=True)
class HistoryHealth:
    """How the history fares; ``status`` shows it."""

    #: ``ok`` or ``degraded``.
    state: str
    #: Why it is degraded, in words; None when it is not.
    error: str | None
    #: Changes that wait for the disk: alerts, blocks, silences, baselines, seconds and responses.
    queued: int
    #: Words on alerts, blocks and silences that never reached the disk because too many waited.
    lost: int
    #: Likewise seconds of the series, and responses.
    seconds_lost: int
    responses_lost: int
    #: Where a damaged database was put, the last time.
    moved_aside: str | None

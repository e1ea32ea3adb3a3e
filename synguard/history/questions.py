"""Asks the history for what it keeps beside the alerts: figures over time, responses, runs. Never writes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from synguard.errors import UsageError
from synguard.history import responses, runs, series
from synguard.history.bounds import check_integer, check_moments
from synguard.history.filter import AlertFilter
from synguard.history.reading import read

#: More than any picture shows, and an answer of some megabytes.
MOST_STEPS = 10_000
MOST_LISTENERS = 1000

#: A daemon that runs says so every 10 s; one that was not heard of for so long is taken for gone.
RUN_HEARD_WITHIN_S = 30.0

Rows = list[dict[str, Any]]


class HistoryReading(Protocol):
    """Answers questions about alerts and what belongs to them, as JSON gives them.

    Each method raises SynguardError when the history cannot be asked. Times are seconds since the Unix epoch.
    """

    def find(self, alert_filter: AlertFilter) -> Rows:
        """Return the alerts that the filter lets through, in its order."""

    def get(self, alert_id: int) -> dict[str, Any] | None:
        """Return one alert, or None if there is none of that id."""

    def totals(self, since_s: float, until_s: float, most_steps: int) -> Rows:
        """Return what came in all, as :func:`find_totals` does."""

    def listener_series(
        self, listeners: Sequence[str], since_s: float, until_s: float, most_steps: int
    ) -> Rows:
        """Return what came to some listeners together, in such steps."""

    def responses(self, since_s: float, until_s: float, alert_id: int | None = None) -> Rows:
        """Return the responses in force in a time, of one alert or all."""

    def runs(self, since_s: float, until_s: float) -> Rows:
        """Return the daemon's runs in a time."""


def find_totals(path: Path, since_s: float, until_s: float, most_steps: int = 600) -> Rows:
    """Return what came in all from one moment to another, in steps.

    Each is ``{at, step_s, attempts, ...}``: its begin, its seconds, the counts within it; None is unknown.
    Steps in which nothing happened are missing. There are about ``most_steps`` at most (1 to 10,000), none of
    them shorter than what is kept. A history of an earlier release has none. Raises UsageError on nonsense,
    else as :func:`synguard.history.reading.read` does.
    """
    _check(since_s, until_s, most_steps)
    question = partial(series.totals, since_s=since_s, until_s=until_s, most_steps=most_steps)
    return _ask(path, "totals_series", question)


def find_listener_series(
    path: Path, listeners: Sequence[str], since_s: float, until_s: float, most_steps: int = 600
) -> Rows:
    """Return the same of some listeners added up, by their texts; at most 1,000 of them."""
    _check(since_s, until_s, most_steps)
    if len(listeners) > MOST_LISTENERS:
        raise UsageError(f"figures of {len(listeners)} listeners are asked for: {MOST_LISTENERS} at most")
    question = partial(
        series.listeners_together,
        listeners=listeners,
        since_s=since_s,
        until_s=until_s,
        most_steps=most_steps,
    )
    return _ask(path, "listener_series", question)


def find_responses(path: Path, since_s: float, until_s: float, alert_id: int | None = None) -> Rows:
    """Return the responses in force at any moment from one to another, oldest first; of one alert, or all."""
    check_moments(since_s=since_s, until_s=until_s)
    check_integer("alert_id", alert_id)
    question = partial(
        responses.responses, since_s=since_s, until_s=until_s, alert_id=alert_id, now_s=time.time()
    )
    return _ask(path, "responses", question)


def find_runs(path: Path, since_s: float, until_s: float) -> Rows:
    """Return the daemon's runs from one moment to another, oldest first."""
    check_moments(since_s=since_s, until_s=until_s)
    return _ask(path, "runs", partial(runs.runs, since_s=since_s, until_s=until_s))


def _check(since_s: float, until_s: float, most_steps: int) -> None:
    check_moments(since_s=since_s, until_s=until_s)
    if not since_s < until_s:
        raise UsageError("figures are asked for from one moment to a later one")
    if not 1 <= most_steps <= MOST_STEPS:
        raise UsageError(f"figures come in 1 to {MOST_STEPS} steps, not {most_steps}")


def _ask(path: Path, table: str, question: Callable[[sqlite3.Connection], Rows]) -> Rows:
    def answer(connection: sqlite3.Connection) -> Rows:
        known = connection.execute("SELECT 1 FROM main.sqlite_master WHERE name = ?", [table]).fetchone()
        return question(connection) if known else []

    return read(path, answer)

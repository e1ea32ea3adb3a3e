"""What ``synguard top`` asks the daemon, and how two answers make rates."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synguard.client import NotAnsweringError, request
from synguard.errors import SynguardError

#: What listeners and sources can be sorted by; a table that lacks it keeps its own order.
SORTS = (
    *("attempts_per_s", "half_open", "half_open_ratio", "attempts", "completed"),
    *("handshake_p50_ms", "handshake_p99_ms", "syn_queue_fill", "accept_queue_fill"),
    *("sources_estimated", "targets_estimated"),
)
BUSIEST = "-attempts_per_s"
MOST_ROWS = 512
#: Rows of each table that a live view asks for at first; what is filtered needs all.
ROWS = 64
#: The tables of an answer, in the order in which they are shown.
TABLES = ("listeners", "sources", "prefixes", "alerts", "blocks")
_NEEDED = (*TABLES, "totals", "rows_known", "interfaces", "history", "losses", "monotonic_s", "started_at")


@dataclass(frozen=True, slots=True)
class Look:
    """One answer of the daemon's, and what each total rose by a second since the one before."""

    answer: Mapping[str, Any]
    #: By ``{total}_per_s``; None where no earlier answer of the same daemon is there to compare with.
    rates: Mapping[str, float | None] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {**self.answer, "rates": None if self.rates is None else dict(self.rates)}


def rates(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, float | None] | None:
    """Return by how much each total rose a second; None after a restart, for what is unknown, or fell."""
    if before is None or before["started_at"] != after["started_at"]:
        return None
    span_s = after["monotonic_s"] - before["monotonic_s"]
    if span_s <= 0:
        return None
    risen: dict[str, float | None] = {}
    for name, total in after["totals"].items():
        was = before["totals"].get(name)
        known = total is not None and was is not None and total >= was
        risen[f"{name}_per_s"] = round((total - was) / span_s, 1) if known else None
    return risen


class Asker:
    """Asks the daemon, again and again."""

    def __init__(self, socket_path: Path, sort: str = BUSIEST, rows: int = ROWS) -> None:
        self._socket_path = socket_path
        self.sort = sort
        self.rows = rows
        self._last: Look | None = None

    def look(self) -> Look:
        """Return the present. Raises SynguardError as :func:`synguard.client.request` does."""
        answer = request(self._socket_path, "top", sort=self.sort, rows=self.rows)
        if not isinstance(answer, dict) or any(name not in answer for name in _NEEDED):
            raise NotAnsweringError("the daemon's answer is not understood: is it of another version?")
        last = self._last
        if last is not None and last.answer["monotonic_s"] == answer["monotonic_s"]:
            # Many who ask share one answer for a moment; its rates are those it had.
            return Look(answer, last.rates)
        self._last = Look(answer, rates(last.answer if last else None, answer))
        return self._last


@dataclass(frozen=True, slots=True)
class Trouble:
    """The daemon does not answer."""

    since: datetime
    why: str


class Feed(threading.Thread):
    """Asks at an interval, in a thread of its own that nobody has to wait for.

    Args:
        asker: asks.
        interval_s: from one question to the next.
        take: is given each look, or the trouble in its place, in that thread.

    """

    def __init__(self, asker: Asker, interval_s: float, take: Callable[[Look | Trouble], None]) -> None:
        super().__init__(name="feed", daemon=True)
        self._asker = asker
        self._interval_s = interval_s
        self._take = take
        self._hurry = threading.Event()
        self._ended = threading.Event()
        self._trouble: Trouble | None = None

    def run(self) -> None:
        """Ask until it is ended."""
        while not self._ended.is_set():
            began_s = time.monotonic()
            told = self._look()
            if self._ended.is_set():
                return
            self._take(told)
            self._hurry.wait(max(self._interval_s - (time.monotonic() - began_s), 0.0))
            self._hurry.clear()

    def _look(self) -> Look | Trouble:
        try:
            look = self._asker.look()
        except SynguardError as error:
            since = self._trouble.since if self._trouble else datetime.now(UTC)
            self._trouble = Trouble(since, str(error))
            return self._trouble
        self._trouble = None
        return look

    def hurry(self) -> None:
        """Ask now, since something else is wanted."""
        self._hurry.set()

    def end(self) -> None:
        """Ask no more; what is being asked is forgotten."""
        self._ended.set()
        self._hurry.set()

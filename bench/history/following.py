"""Follows a history by a real command, and tells how far it is behind."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bench.history.alerts import open_alert
from synguard.errors import SynguardError
from synguard.history.store import HistoryStore

#: Followed until then, or not at all.
_PATIENCE_S = 10.0
#: Between two news; no whole number of what a follower waits.
_PAUSE_S = 0.237
#: Alerts that a follower shows when it begins.
_SHOWN = 5

_Seen = tuple[float, int]


def follow_lags_ms(path: Path, count: int) -> list[float]:
    """Return how long each of so many new alerts took from being saved to being printed.

    Raises SynguardError when one is not printed.
    """
    store = HistoryStore(path, log=_say_nothing)
    store.start(60.0)
    try:
        with _follower(path) as seen:
            for _ in range(_SHOWN):
                _next(seen)
            return [_lag_ms(store, seen) for _ in range(count)]
    finally:
        store.close()


def _say_nothing(event: str, **keys: object) -> None:
    """Take the store's log events."""


def _lag_ms(store: HistoryStore, seen: queue.Queue[_Seen]) -> float:
    time.sleep(_PAUSE_S)
    alert_id = store.next_alert_id()
    saved_s = time.monotonic()
    store.save(open_alert(alert_id))
    while True:
        printed_s, printed = _next(seen)
        if printed == alert_id:
            return (printed_s - saved_s) * 1000


def _next(seen: queue.Queue[_Seen]) -> _Seen:
    try:
        return seen.get(timeout=_PATIENCE_S)
    except queue.Empty:
        raise SynguardError(f"the follower printed nothing for {_PATIENCE_S:g} s") from None


@contextmanager
def _follower(path: Path) -> Iterator[queue.Queue[_Seen]]:
    """Start ``synguard alerts --follow`` and yield what it prints: when, and the alert's id."""
    command = [sys.executable, "-m", "synguard", "alerts", "--follow", "--offline", "--format", "jsonl"]
    command += ["--database", str(path), "--limit", str(_SHOWN)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        seen: queue.Queue[_Seen] = queue.Queue()
        reader = threading.Thread(target=_read, args=(process.stdout, seen), daemon=True)
        reader.start()
        try:
            yield seen
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE_S)
            process.kill()
            reader.join(_PATIENCE_S)


def _read(lines: IO[str], seen: queue.Queue[_Seen]) -> None:
    for line in lines:
        seen.put((time.monotonic(), json.loads(line)["id"]))

"""Looking at a history file again and again: what has changed is found, and nothing costs nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from synguard.errors import SynguardError
from synguard.history import reading, watching
from synguard.history.watching import AlertWatch
from synguard.model import Alert, AlertState, ClosedBecause, Severity
from tests.unit.history.helpers import MakeAlert, OpenStore, Until

T = TypeVar("T")


def _ids(alerts: list[Alert]) -> list[int]:
    return [alert.id for alert in alerts]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the history is."""
    return tmp_path / "synguard.db"


def _changed(watch: AlertWatch, until: Until) -> list[Alert]:
    """Return the next changes."""
    found: list[Alert] = []

    def look() -> bool:
        found.extend(watch.changed())
        return bool(found)

    until(look)
    return found


def _closed(alert: Alert) -> Alert:
    ended_at_s = alert.started_at_s + 9.0
    return replace(alert, state=AlertState.CLOSED, closed_because=ClosedBecause.ENDED, ended_at_s=ended_at_s)


def test_each_change_is_found_once(
    path: Path, open_store: OpenStore, make_alert: MakeAlert, until: Until
) -> None:
    """Beside a writer, openings, changes and closings are found, each once, and none of what was known."""
    store = open_store(path)
    store.save(make_alert(1))
    store.save(_closed(make_alert(2)))
    until(lambda: store.health().queued == 0)
    watch = AlertWatch(path, time.time())
    watch.start()
    assert watch.changed() == []
    store.save(make_alert(3))
    assert _changed(watch, until) == [make_alert(3)]
    store.save(replace(make_alert(1), severity=Severity.CRITICAL))
    assert _ids(_changed(watch, until)) == [1]
    store.save(_closed(make_alert(1)))
    assert _changed(watch, until) == [_closed(make_alert(1))]
    assert watch.changed() == []


def test_an_unchanged_file_is_not_opened(
    path: Path, open_store: OpenStore, make_alert: MakeAlert, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks ask the database nothing until something is written; that the -wal is folded in is nothing."""
    asked: list[Path] = []

    def read(at: Path, question: Callable[[sqlite3.Connection], T]) -> T:
        asked.append(at)
        return reading.read(at, question)

    monkeypatch.setattr(watching, "read", read)
    store = open_store(path)
    watch = AlertWatch(path, time.time())
    watch.start()

    def is_calm() -> bool:
        before = len(asked)
        watch.changed()
        return len(asked) == before

    until(is_calm)
    calm_at = len(asked)
    for _ in range(50):
        assert watch.changed() == []
    other = sqlite3.connect(path)
    other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    assert watch.changed() == []
    other.close()
    assert len(asked) == calm_at
    store.save(make_alert(1))
    assert _ids(_changed(watch, until)) == [1]


def test_two_writes_within_the_clocks_grain_are_both_found(
    path: Path, open_store: OpenStore, make_alert: MakeAlert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was closed again and again, with the same time and size, is not taken for unchanged."""
    open_store(path).close()
    watch = AlertWatch(path, time.time())
    watch.start()
    frozen = (time.time_ns(), 0, 0, 0, None)
    monkeypatch.setattr(watching, "_stamp", lambda _: frozen)
    # However slowly this test runs, its two writes come within the grain.
    monkeypatch.setattr(watching, "_COARSE_NS", 3_600_000_000_000)
    assert watch.changed() == []
    store = open_store(path)
    store.save(make_alert(1))
    store.close()
    assert _ids(watch.changed()) == [1]


def test_many_new_alerts_come_in_portions(
    path: Path, open_store: OpenStore, make_alert: MakeAlert, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look takes a bounded number of new alerts; the next have the rest, and none is left out."""
    monkeypatch.setattr(watching, "MOST_AT_ONCE", 4)
    monkeypatch.setattr(watching, "_COARSE_NS", 0)
    store = open_store(path)
    watch = AlertWatch(path, time.time())
    watch.start()
    for alert_id in range(1, 11):
        store.save(_closed(make_alert(alert_id)))
    until(lambda: store.health().queued == 0)
    assert [_ids(watch.changed()) for _ in range(3)] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


def test_closings_by_the_next_daemon_are_found(
    path: Path, open_store: OpenStore, make_alert: MakeAlert, until: Until
) -> None:
    """What a killed daemon left open is found when the next one closes it, though it ended long ago."""
    first = open_store(path)
    first.save(make_alert(1))
    first.close()
    watch = AlertWatch(path, time.time())
    watch.start()
    second = open_store(path)
    second.next_alert_id()
    second.close_interrupted(time.time())
    (closed,) = _changed(watch, until)
    assert (closed.id, closed.closed_because) == (1, ClosedBecause.INTERRUPTED)


def test_another_file_is_told(path: Path, open_store: OpenStore, make_alert: MakeAlert, until: Until) -> None:
    """A file that was not there, or another in its place, is said to be; its open and new alerts are news."""
    watch = AlertWatch(path, time.time())
    with pytest.raises(SynguardError, match="no history"):
        watch.start()
    with pytest.raises(SynguardError, match="no history"):
        watch.changed()
    store = open_store(path)
    for alert in (make_alert(1), _closed(make_alert(2)), _closed(make_alert(3, started_at_s=time.time()))):
        store.save(alert)
    until(lambda: store.health().queued == 0)
    assert _ids(watch.changed()) == [1, 3]
    was_another = [watch.is_another]
    store.save(make_alert(4))
    assert _ids(_changed(watch, until)) == [4]
    assert [*was_another, watch.is_another] == [True, False]
    store.close()
    path.unlink()
    with pytest.raises(SynguardError, match="no history"):
        watch.changed()

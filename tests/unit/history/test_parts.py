"""The tables beside the alerts: written where something changed, and right whatever came before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from synguard.history.database import HistoryDatabase
from synguard.history.file import HistoryFaultError
from synguard.history.pending import Batch, Saved
from synguard.history.query import get_alert
from synguard.model import Alert, AlertState, Change, TopSource
from tests.unit.history.helpers import STARTED_AT_S


@pytest.fixture
def written(tmp_path: Path) -> Iterator[HistoryDatabase]:
    """Return an open database."""
    database = HistoryDatabase(tmp_path / "history.db")
    database.prepare()
    yield database
    database.close()


@pytest.fixture
def busy(full_alert: Alert) -> Alert:
    """Return an open alert with fifty sources and fifty changes."""
    return replace(
        full_alert,
        state=AlertState.OPEN,
        closed_because=None,
        ended_at_s=None,
        top_sources=tuple(TopSource(ip_network(f"198.51.100.{n}"), 50 - n, 0) for n in range(50)),
        timeline=tuple(Change(STARTED_AT_S + n, "severity", "low", "high") for n in range(50)),
    )


def write(database: HistoryDatabase, alert: Alert) -> int:
    """Write an alert; return how many rows of all tables that inserted, changed or deleted."""
    before = database._db.conn.total_changes
    database.write(Batch((Saved(alert, STARTED_AT_S),), {}))
    return database._db.conn.total_changes - before


def test_only_what_changed_is_written(written: HistoryDatabase, busy: Alert) -> None:
    """Of a hundred rows beside an alert, a second's update writes the one that is new and the one changed."""
    assert write(written, busy) > 100
    first, *others = busy.top_sources
    later = replace(
        busy,
        top_sources=(replace(first, attempts=51), *others),
        timeline=(*busy.timeline, Change(STARTED_AT_S + 60, "impact", "none", "dropping")),
    )
    # The alert's own row counts once or, as sqlite-utils puts it there, twice.
    assert write(written, later) <= 4
    assert get_alert(written.path, busy.id) == later


def test_a_list_may_become_shorter_or_another(written: HistoryDatabase, busy: Alert) -> None:
    """What is no longer in an alert is no longer shown, be it at the end, at the beginning or all of it."""
    write(written, busy)
    for timeline in (busy.timeline[:23], busy.timeline[7:23], (), busy.timeline):
        alert = replace(busy, timeline=timeline, listeners=busy.listeners[: len(timeline)])
        write(written, alert)
        assert get_alert(written.path, busy.id) == alert


def test_another_writer_before_changes_nothing(written: HistoryDatabase, busy: Alert) -> None:
    """What an earlier connection wrote of an alert is replaced in full."""
    write(written, busy)
    again = HistoryDatabase(written.path)
    again.prepare()
    shorter = replace(busy, timeline=busy.timeline[40:], top_sources=busy.top_sources[3:5])
    write(again, shorter)
    again.close()
    assert get_alert(written.path, busy.id) == shorter


def test_what_a_failed_write_left_out_comes_with_the_next(written: HistoryDatabase, busy: Alert) -> None:
    """Rows of a transaction that was rolled back do not count as written."""
    write(written, busy)
    later = replace(busy, timeline=(*busy.timeline, Change(STARTED_AT_S + 60, "impact", "none", "dropping")))
    written._db.execute("CREATE TEMP TRIGGER t BEFORE DELETE ON blocks BEGIN SELECT RAISE(ABORT, 'no'); END")
    written._db.execute("INSERT INTO blocks VALUES ('192.0.2.1', 1, '', '', NULL, 1, 'drop')")
    written._db.commit()
    with pytest.raises(HistoryFaultError):
        written.write(Batch((Saved(later, STARTED_AT_S),), {"192.0.2.1": None}))
    assert get_alert(written.path, busy.id) == busy
    write(written, later)
    assert get_alert(written.path, busy.id) == later

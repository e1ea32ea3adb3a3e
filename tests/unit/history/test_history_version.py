"""A history that a newer release has made: refused with words, and left exactly as it is."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_utils import Database

from synguard import __version__
from synguard.history.query import find_alerts
from synguard.history.schema import migrations
from synguard.history.version import KNOWN_STEPS, NewerHistoryError
from tests.unit.history.helpers import Events, MakeAlert, OpenStore, Until


@pytest.fixture
def newer(open_store: OpenStore, database: Path) -> Path:
    """Return a database that a release 99.1 has brought up to date."""
    assert open_store().close(5.0)
    with sqlite3.connect(database) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('synguard', 'foretell', '2030-01-01')"
        )
        connection.execute(
            "INSERT INTO runs (version, kernel, interfaces, mode, settings_hash, started_at_ms, last_seen_ms)"
            " VALUES ('99.1', '7.0', '[]', 'observe', '', 1, 1)"
        )
    connection.close()
    return database


def contents(database: Path) -> dict[str, bytes]:
    """Return the bytes of all that lies beside the database, but for the index that readers build."""
    files = database.parent.iterdir()
    return {path.name: path.read_bytes() for path in files if not path.name.endswith("-shm")}


def leave_a_log(database: Path) -> None:
    """Write to the database in a process that dies before it folds its -wal in."""
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "c.execute(\"UPDATE runs SET kernel = '7.1'\"); c.commit(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(database)], check=True)
    assert database.with_name(f"{database.name}-wal").stat().st_size > 0


def test_every_step_of_this_release_is_known() -> None:
    """A release never refuses what it has made itself."""
    assert {step.name for step in migrations.pending(Database(memory=True))} == KNOWN_STEPS


@pytest.mark.parametrize("logged", [False, True])
def test_a_question_to_a_newer_history_is_refused(newer: Path, *, logged: bool) -> None:
    """The words name the file, its maker, this release and the way out; no byte changes."""
    if logged:
        leave_a_log(newer)
    before = contents(newer)
    with pytest.raises(NewerHistoryError) as refusal:
        find_alerts(newer)
    for word in (str(newer), "99.1", "foretell", __version__, "upgrade", "history.database", "--database"):
        assert word in str(refusal.value)
    assert contents(newer) == before


@pytest.mark.parametrize("logged", [False, True])
def test_a_daemon_guards_on_beside_a_newer_history(
    newer: Path, open_store: OpenStore, make_alert: MakeAlert, until: Until, events: Events, *, logged: bool
) -> None:
    """It is degraded, keeps its alerts in memory, moves nothing aside, and changes no byte."""
    if logged:
        leave_a_log(newer)
    before = contents(newer)
    store = open_store()
    store.save(make_alert(store.next_alert_id()))
    until(lambda: store.health().state == "degraded")
    assert "99.1" in (store.health().error or "")
    assert store.health().queued >= 1
    store.close(0.2)
    assert contents(newer) == before
    assert events.named("history.moved_aside") == []
    assert "99.1" in str(events.named("history.degraded")[0]["error"])


def test_a_question_does_not_load_what_makes_the_schema() -> None:
    """Telling a newer history costs a command no start-up time."""
    script = "import sys, synguard.history.reading; print('sqlite_utils' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"

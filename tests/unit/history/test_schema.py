"""The schema, to the letter, and the way to it from the first release."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Database

from synguard.history.database import HistoryDatabase
from synguard.history.pending import Batch, Saved
from synguard.history.query import get_alert
from synguard.history.rows import alert_to_row
from synguard.history.schema import migrations
from synguard.model import Alert, AlertState
from tests.unit.history.helpers import MakeAlert

SCHEMA = {
    "alerts": """
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, class TEXT, severity TEXT NOT NULL,
        state TEXT NOT NULL, closed_because TEXT, started_at_ms INTEGER NOT NULL, ended_at_ms INTEGER,
        updated_at_ms INTEGER NOT NULL, listener TEXT, source TEXT, source_first BLOB, source_last BLOB,
        sources_estimated INTEGER, attempts INTEGER NOT NULL, answered INTEGER, completed INTEGER,
        aborted INTEGER NOT NULL, refused INTEGER NOT NULL, dropped_by_us INTEGER NOT NULL,
        half_open_ratio REAL, peak_syn_per_s REAL NOT NULL, impact TEXT NOT NULL, evidence TEXT NOT NULL,
        measurements TEXT NOT NULL, response TEXT, decision TEXT NOT NULL ) STRICT""",
    "alert_sources": """
        alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE, rank INTEGER NOT NULL,
        source TEXT NOT NULL, source_first BLOB NOT NULL, source_last BLOB NOT NULL,
        attempts INTEGER NOT NULL, completed INTEGER NOT NULL,
        PRIMARY KEY (alert_id, rank) ) STRICT, WITHOUT ROWID""",
    "blocks": """
        target TEXT PRIMARY KEY NOT NULL, until_ms INTEGER NOT NULL, reason TEXT NOT NULL,
        asked_by TEXT NOT NULL, alert_id INTEGER, created_at_ms INTEGER NOT NULL ) STRICT""",
}
INDEXES = {
    "alerts_by_start": "CREATE INDEX alerts_by_start ON alerts (started_at_ms)",
    "alerts_by_end": "CREATE INDEX alerts_by_end ON alerts (ended_at_ms)",
    "alerts_still_open": "CREATE INDEX alerts_still_open ON alerts (id) WHERE state = 'open'",
}


def one_line(sql: str) -> str:
    """Return SQL with each white space as one blank."""
    return " ".join(sql.split())


def schema_of(path: Path) -> dict[str, str]:
    """Return the SQL of everything of ours in a database, on one line each."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {
        name: one_line(sql)
        for name, sql in rows
        if not name.startswith("sqlite_") and "_sqlite_migrations" not in sql
    }


FINAL = {name: one_line(f"CREATE TABLE {name} ( {columns}") for name, columns in SCHEMA.items()} | INDEXES


def test_the_final_schema(tmp_path: Path) -> None:
    """A fresh database has exactly these tables and indexes."""
    path = tmp_path / "history.db"
    database = HistoryDatabase(path)
    database.prepare()
    database.close()
    assert schema_of(path) == FINAL


def test_a_database_of_the_first_release_is_brought_up_to_date(tmp_path: Path, full_alert: Alert) -> None:
    """Its alerts stay, the schema becomes the final one, and a second start changes nothing."""
    path = tmp_path / "history.db"
    connection = sqlite3.connect(path)
    first = Database(connection, execute_plugins=False)
    migrations.apply(first, stop_before="create_blocks")
    first.table("alerts").insert(alert_to_row(full_alert, 0))
    connection.close()
    assert "blocks" not in schema_of(path)

    for _ in range(2):
        database = HistoryDatabase(path)
        assert database.facts().highest_id == full_alert.id
        database.prepare()
        database.close()
        assert schema_of(path) == FINAL
    kept = get_alert(path, full_alert.id)
    assert kept is not None
    assert kept.decision == full_alert.decision


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_an_id_is_never_given_twice(tmp_path: Path, make_alert: MakeAlert, first: int, second: int) -> None:
    """The highest id is remembered although its alert was deleted."""
    database = HistoryDatabase(tmp_path / "history.db")
    database.prepare()
    alerts = [make_alert(n, state=AlertState.CLOSED, ended_at_s=1.0) for n in (first, second)]
    database.write(Batch(tuple(Saved(alert, 1.0) for alert in alerts), {}))
    assert database.expire_step(2.0, 1 << 30) == 2
    assert database.facts().highest_id == 2
    database.close()

"""The schema, to the letter, and the way to it from the first release."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Database

from synguard.history.database import HistoryDatabase
from synguard.history.parts import PARTS
from synguard.history.pending import Batch, Saved
from synguard.history.query import AlertFilter, find_alerts, get_alert
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
        measurements TEXT NOT NULL, response TEXT, decision TEXT NOT NULL ,
        silenced INTEGER NOT NULL DEFAULT 0) STRICT""",
    "alert_sources": """
        alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE, rank INTEGER NOT NULL,
        source TEXT NOT NULL, source_first BLOB NOT NULL, source_last BLOB NOT NULL,
        attempts INTEGER NOT NULL, completed INTEGER NOT NULL,
        PRIMARY KEY (alert_id, rank) ) STRICT, WITHOUT ROWID""",
    "alert_listeners": """
        alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE, rank INTEGER NOT NULL,
        listener TEXT NOT NULL, PRIMARY KEY (alert_id, rank) ) STRICT, WITHOUT ROWID""",
    "alert_timeline": """
        alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE, position INTEGER NOT NULL,
        at_ms INTEGER NOT NULL, what TEXT NOT NULL, before TEXT, after TEXT, because TEXT NOT NULL,
        PRIMARY KEY (alert_id, position) ) STRICT, WITHOUT ROWID""",
    "blocks": """
        target TEXT PRIMARY KEY NOT NULL, until_ms INTEGER NOT NULL, reason TEXT NOT NULL,
        asked_by TEXT NOT NULL, alert_id INTEGER, created_at_ms INTEGER NOT NULL ) STRICT""",
    "baselines": """
        listener TEXT PRIMARY KEY NOT NULL, state TEXT NOT NULL, updated_at_ms INTEGER NOT NULL ) STRICT""",
    "silences": """
        target TEXT PRIMARY KEY NOT NULL, until_ms INTEGER NOT NULL, reason TEXT NOT NULL,
        asked_by TEXT NOT NULL, created_at_ms INTEGER NOT NULL ) STRICT""",
}
INDEXES = {
    "alerts_by_start": "CREATE INDEX alerts_by_start ON alerts (started_at_ms)",
    "alerts_by_end": "CREATE INDEX alerts_by_end ON alerts (ended_at_ms)",
    "alerts_still_open": "CREATE INDEX alerts_still_open ON alerts (id) WHERE state = 'open'",
    "alert_listeners_by_listener": "CREATE INDEX alert_listeners_by_listener ON alert_listeners (listener)",
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


def make_earlier(path: Path, next_step: str, *alerts: Alert) -> dict[str, str]:
    """Make a database as it was before ``next_step`` came, with alerts, and return its schema."""
    connection = sqlite3.connect(path)
    earlier = Database(connection, execute_plugins=False)
    migrations.apply(earlier, stop_before=next_step)
    known = earlier.table("alerts").columns_dict
    for alert in alerts:
        row = alert_to_row(alert, 0)
        earlier.table("alerts").insert({name: value for name, value in row.items() if name in known})
        for table, part in PARTS.items():
            if earlier.table(table).exists():
                for one in part.rows(alert):
                    earlier.table(table).insert(one)
    connection.close()
    return schema_of(path)


#: Each step but the first, which no database is without.
LATER_STEPS = [
    "create_blocks", "create_alert_listeners", "create_alert_timeline", "create_baselines", "create_silences"
]  # fmt: skip


def test_every_step_is_upgraded_from() -> None:
    """The list above leaves no step out."""
    applied = migrations.pending(Database(memory=True))
    assert [step.name for step in applied][1:] == LATER_STEPS


@pytest.mark.parametrize("next_step", LATER_STEPS)
def test_an_earlier_database_is_brought_up_to_date(
    tmp_path: Path, full_alert: Alert, make_alert: MakeAlert, next_step: str
) -> None:
    """From every earlier schema its alerts stay, the schema becomes the final one, a second start is none."""
    path = tmp_path / "history.db"
    assert make_earlier(path, next_step, full_alert, make_alert(24)) != FINAL
    assert [alert.id for alert in find_alerts(path, AlertFilter(listener="203.0.113.5:443", sort="id"))] == [
        23,
        24,
    ]
    for _ in range(2):
        database = HistoryDatabase(path)
        facts = database.facts()
        assert (facts.highest_id, [alert.id for alert in facts.open_alerts]) == (24, [24])
        database.prepare()
        database.close()
        assert schema_of(path) == FINAL
    kept = get_alert(path, full_alert.id)
    assert kept is not None
    assert (kept.decision, kept.listener) == (full_alert.decision, full_alert.listener)
    was_known = LATER_STEPS.index(next_step)
    assert kept.listeners == (full_alert.listeners if was_known > 1 else full_alert.listeners[:1])
    assert kept.timeline == (full_alert.timeline if was_known > 2 else ())
    assert kept.silenced == (was_known > 2)


@pytest.mark.parametrize("next_step", LATER_STEPS)
def test_an_earlier_database_is_read_before_it_is_brought_up_to_date(
    tmp_path: Path, full_alert: Alert, make_alert: MakeAlert, next_step: str
) -> None:
    """Who asks before the first start of a new release gets answers, also with what is not saved yet."""
    path = tmp_path / "history.db"
    before = make_earlier(path, next_step, make_alert(24, attempts=5))
    assert [alert.attempts for alert in find_alerts(path)] == [5]
    assert [alert.id for alert in find_alerts(path, unsaved=(full_alert,))] == [24, 23]
    assert get_alert(path, 23, (full_alert,)) == full_alert
    assert schema_of(path) == before


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

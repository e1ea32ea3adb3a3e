"""The schema, to the letter, and the way to it from the first release."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Database

from synguard.history.chronicle import Page
from synguard.history.database import HistoryDatabase
from synguard.history.parts import PARTS
from synguard.history.pending import Batch, Saved
from synguard.history.query import AlertFilter, find_alerts, get_alert
from synguard.history.responses import TakenResponse
from synguard.history.retention import KEEP
from synguard.history.rows import alert_to_row
from synguard.history.schema import migrations
from synguard.history.series import LISTENER, TOTALS
from synguard.model import Alert, AlertState
from tests.unit.history.helpers import MakeAlert

#: Every statement of the final schema, by name; a released step is never changed, so this only grows.
FINAL_SQL = Path(__file__).with_name("final_schema.sql")
#: A row for each table that no alert is in.
OTHERS: dict[str, dict[str, object]] = {
    "blocks": {
        "target": "192.0.2.7", "until_ms": 2, "reason": "by hand", "asked_by": "manual", "alert_id": None,
        "created_at_ms": 1,
    },
    "baselines": {"listener": "203.0.113.5:443", "state": "{}", "updated_at_ms": 1},
    "silences": {
        "target": "203.0.113.5:443", "until_ms": 2, "reason": "load test", "asked_by": "uid 0",
        "created_at_ms": 1,
    },
    "totals_series": {"step_s": 1, "at_s": 1, **dict.fromkeys((one.name for one in TOTALS), 3)},
    "series_listeners": {"id": 7, "listener": "203.0.113.5:443"},
    "listener_series": {
        "step_s": 1, "listener_id": 7, "at_s": 1, **dict.fromkeys((one.name for one in LISTENER), 3)
    },
    "runs": {
        "id": 1, "version": "0.1.0", "kernel": "6.1", "interfaces": '["eth0"]', "mode": "dry-run",
        "settings_hash": "0", "started_at_ms": 1, "last_seen_ms": 2, "ended_at_ms": 2,
        "ended_because": "stopped",
    },
    "responses": {
        "id": 1, "alert_id": 23, "response": "drop", "mode": "enforce", "target": "192.0.2.7",
        "target_first": b"0", "target_last": b"1", "reason": "floods", "asked_by": "alert",
        "started_at_ms": 1, "until_ms": 2, "ended_at_ms": 2, "ended_because": "its time is over", "hits": 5,
    },
}  # fmt: skip
#: What later steps add to those rows.
LATER_COLUMNS: dict[str, dict[str, object]] = {"blocks": {"response": "drop"}}


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


def final() -> dict[str, str]:
    """Return the final schema as it is written down."""
    statements = filter(None, map(one_line, FINAL_SQL.read_text(encoding="utf-8").split(";\n")))
    return {re.findall(r'CREATE \w+ "?(\w+)', sql)[0]: sql for sql in statements}


FINAL = final()


def test_the_final_schema(tmp_path: Path) -> None:
    """A fresh database has exactly the tables, indexes and views that are written down."""
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
    for table, row in OTHERS.items():
        if earlier.table(table).exists():
            marks = ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608
    connection.commit()
    connection.close()
    return schema_of(path)


def others_of(path: Path) -> dict[str, dict[str, object]]:
    """Return the row of each table that no alert is in, as far as there is one."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    rows = {table: connection.execute(f"SELECT * FROM {table}").fetchone() for table in OTHERS}  # noqa: S608
    connection.close()
    return {table: dict(row) for table, row in rows.items() if row is not None}


#: Each step but the first, which no database is without.
LATER_STEPS = [
    "create_blocks", "create_alert_listeners", "create_alert_timeline", "create_baselines", "create_silences",
    "create_series", "create_runs_and_responses", "create_views", "index_alerts",
    "let_blocks_be_of_listeners",
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
    earlier = make_earlier(path, next_step, full_alert, make_alert(24))
    assert earlier != FINAL
    assert [alert.id for alert in find_alerts(path, AlertFilter(listener="203.0.113.5:443", sort="id"))] == [
        23,
        24,
    ]
    for _ in range(2):
        database = HistoryDatabase(path)
        assert database.facts().highest_id == 24
        database.prepare()
        database.close()
        assert schema_of(path) == FINAL
    assert others_of(path) == {
        table: {**row, **LATER_COLUMNS.get(table, {})} for table, row in OTHERS.items() if table in earlier
    }
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


@pytest.mark.parametrize("next_step", LATER_STEPS[1:])
def test_a_block_from_before_goes_on_as_a_drop(tmp_path: Path, next_step: str) -> None:
    """A daemon that starts on an earlier history finds its blocks, which could only drop."""
    path = tmp_path / "history.db"
    make_earlier(path, next_step)
    for _ in range(2):
        database = HistoryDatabase(path)
        (block,) = database.facts().blocks
        assert (str(block.target), block.response, block.reason) == ("192.0.2.7/32", "drop", "by hand")
        database.prepare()
        database.close()


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("192.0.2.7", "source"), ("198.51.100.0/24", "source"), ("2001:db8::/64", "source"),
        ("203.0.113.5:443", "listener"), ("[2001:db8::5]:443", "listener"),
    ],
)  # fmt: skip
def test_people_are_told_what_a_response_is_on(tmp_path: Path, target: str, told: str) -> None:
    """The view of responses says whether the target is a source or a listener."""
    database = HistoryDatabase(tmp_path / "history.db")
    database.prepare()
    taken = TakenResponse("greylist", "enforce", target, "floods", "alert", 1, 1.0, 2.0)
    database.write(Batch(page=Page((), (taken,))))
    database.close()
    connection = sqlite3.connect(tmp_path / "history.db")
    rows = connection.execute("SELECT response, target, target_is FROM response_list").fetchall()
    connection.close()
    assert rows == [("greylist", target, told)]


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_an_id_is_never_given_twice(tmp_path: Path, make_alert: MakeAlert, first: int, second: int) -> None:
    """The highest id is remembered although its alert was deleted."""
    database = HistoryDatabase(tmp_path / "history.db")
    database.prepare()
    alerts = [make_alert(n, state=AlertState.CLOSED, ended_at_s=1.0) for n in (first, second)]
    database.write(Batch(tuple(Saved(alert, 1.0) for alert in alerts), {}))
    assert database.expire_step(2.0 + KEEP.ended_s, KEEP) == 2
    assert database.facts().highest_id == 2
    database.close()

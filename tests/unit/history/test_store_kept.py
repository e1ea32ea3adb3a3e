"""What is to be there again after a restart besides blocks: baselines and silences."""

from __future__ import annotations

import sqlite3
import time
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from synguard.endpoint import Listener
from synguard.history import database as history_database
from synguard.history.pending import MAX_BATCH, Pending
from synguard.history.query import get_alert
from synguard.history.retention import Keep
from synguard.model import AlertState
from synguard.silence import Silence
from tests.unit.history.helpers import Events, MakeAlert, OpenStore, Until

NOW_S = 1_795_341_600.0


def states(count: int, value: float = 1.0) -> dict[str, dict[str, Any]]:
    """Return the baselines of so many listeners."""
    return {f"192.0.2.{n % 250}:{n + 1}": {"version": 1, "slow": [value, n]} for n in range(count)}


def test_baselines_survive_a_restart(open_store: OpenStore) -> None:
    """Each listener's state comes back as it was saved last; one that was not saved again stays."""
    store = open_store()
    assert store.baselines() == {}
    store.save_baselines({"203.0.113.5:443": {"rate": 1.5}, "[2001:db8::5]:25": {"rate": None}})
    store.save_baselines({"203.0.113.5:443": {"rate": 2.5, "hours": [0, 1]}})
    assert store.close(5.0)
    store = open_store()
    store.save_baselines({"[2001:db8::5]:25": {"rate": 7}})
    assert store.close(5.0)
    kept = {"203.0.113.5:443": {"rate": 2.5, "hours": [0, 1]}, "[2001:db8::5]:25": {"rate": 7}}
    assert open_store().baselines() == kept


def test_thousands_of_baselines_are_written_bit_by_bit(open_store: OpenStore) -> None:
    """All of them arrive, although an alert need never wait for more than a part of them."""
    store = open_store()
    store.save_baselines(states(4096))
    assert store.close(10.0)
    assert open_store().baselines() == states(4096)


def test_an_alert_goes_before_baselines(make_alert: MakeAlert) -> None:
    """While an alert is to be written no baseline is; afterwards they come in parts, the newest words."""
    pending = Pending()
    pending.put_baselines(states(MAX_BATCH + 23), 1.0)
    pending.put(make_alert(1, state=AlertState.CLOSED), 0.0)
    batch = pending.due(0.0)
    assert (len(batch.alerts), len(batch.baselines.states)) == (1, 0)
    pending.written(batch, 0.0)
    first = pending.due(0.0)
    pending.written(first, 0.0)
    second = pending.due(0.0)
    assert (len(first.baselines.states), len(second.baselines.states)) == (MAX_BATCH, 23)
    assert {**first.baselines.states, **second.baselines.states} == states(MAX_BATCH + 23)
    pending.put_baselines(states(3, 2.0), 2.0)
    pending.written(second, 0.0)
    assert pending.due(0.0).baselines.states == states(3, 2.0)
    pending.written(pending.due(0.0), 0.0)
    assert len(pending) == 0
    pending.rewrite(0.0)
    assert pending.due(0.0).baselines.states == states(3, 2.0)


def test_only_changed_baselines_are_written(open_store: OpenStore, database: Path, until: Until) -> None:
    """Saving what is on disk already leaves each row with the time of its last change."""
    store = open_store()
    store.save_baselines(states(2))
    until(lambda: store.health().queued == 0)
    rows = sqlite3.connect(database)
    ask = "SELECT listener, updated_at_ms FROM baselines ORDER BY updated_at_ms"
    before = dict(rows.execute(ask).fetchall())
    time.sleep(0.01)
    changed, kept = states(2)
    store.save_baselines(states(2) | {changed: {"version": 2}})
    until(lambda: store.health().queued == 0)
    after = dict(rows.execute(ask).fetchall())
    rows.close()
    assert after[kept] == before[kept]
    assert after[changed] > before[changed]


def test_damaged_baselines_and_silences_are_skipped_and_counted(
    open_store: OpenStore, database: Path, events: Events
) -> None:
    """One unreadable row costs that row, and the log says how many there were."""
    store = open_store()
    store.save_baselines(states(1))
    assert store.close(5.0)
    with sqlite3.connect(database) as connection:
        for listener, state in (("192.0.2.1:80", "{"), ("192.0.2.2:80", "[1]"), ("web:80", "{}")):
            connection.execute("INSERT INTO baselines VALUES (?, ?, 1)", [listener, state])
        connection.execute("INSERT INTO silences VALUES ('everyone', 1, '', '', 1)")
    connection.close()
    store = open_store()
    assert store.baselines() == states(1)
    assert store.silences(0.0) == ()
    assert [keys["rows"] for keys in events.named("history.rows_skipped")] == [4]
    assert store.health().state == "ok"


def test_baselines_are_bounded_and_the_newest_stay(
    open_store: OpenStore, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many listeners come and go, the table does not grow beyond its bound."""
    monkeypatch.setattr(history_database, "MAX_BASELINES", 23)
    store = open_store()
    store.save_baselines(states(20))
    until(lambda: store.health().queued == 0)
    time.sleep(0.01)
    newer = {f"198.51.100.1:{n}": {"n": n} for n in range(1, 21)}
    store.save_baselines(newer)
    assert store.close(5.0)
    kept = open_store().baselines()
    assert len(kept) == 23
    assert newer.items() <= kept.items()


def test_baselines_that_nobody_updates_are_deleted(
    open_store: OpenStore, database: Path, until: Until
) -> None:
    """A listener whose usual traffic has not changed for the retention is forgotten like its alerts."""
    store = open_store()
    store.save_baselines(states(2))
    assert store.close(5.0)
    old, young = states(2)
    with sqlite3.connect(database) as connection:
        three_days_ago_ms = int((time.time() - 3 * 86400) * 1000)
        connection.execute(
            "UPDATE baselines SET updated_at_ms = ? WHERE listener = ?", [three_days_ago_ms, old]
        )
    connection.close()
    store = open_store(keep=Keep(ended_s=2 * 86400))
    rows = sqlite3.connect(database)
    until(lambda: rows.execute("SELECT listener FROM baselines").fetchall() == [(young,)])
    rows.close()


def test_silences_survive_a_restart(open_store: OpenStore, until: Until) -> None:
    """A silence that lasts is there for the next daemon; one removed or run out is not."""
    listener = Silence(Listener.parse("[2001:db8::5]:443"), NOW_S + 600, "new disks", "uid 1000", NOW_S)
    source = Silence(ip_network("198.51.100.0/24"), NOW_S + 60.5, "", "uid 0", NOW_S)
    removed = Silence(ip_network("192.0.2.1"), NOW_S + 600, "", "uid 0", NOW_S)
    store = open_store()
    for silence in (listener, source, removed):
        store.save_silence(silence)
    until(lambda: store.health().queued == 0)
    store.remove_silence(removed.target)
    assert store.close(5.0)
    again = open_store()
    assert set(again.silences(NOW_S)) == {listener, source}
    assert again.silences(NOW_S + 60.5) == (listener,)


def test_silences_that_ran_out_leave_the_disk(open_store: OpenStore, database: Path, until: Until) -> None:
    """What will silence nothing any more is not kept."""
    store = open_store()
    for last_byte, until_s in ((1, time.time() - 1), (2, time.time() + 600)):
        store.save_silence(Silence(ip_network(f"192.0.2.{last_byte}"), until_s, "", "uid 0"))
    assert store.close(5.0)
    open_store()
    rows = sqlite3.connect(database)
    until(lambda: rows.execute("SELECT target FROM silences").fetchall() == [("192.0.2.2",)])
    rows.close()


def test_a_fresh_database_gets_silences_and_baselines_too(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until
) -> None:
    """When the database is removed under the daemon, what still holds is written into the new one."""
    silence = Silence(ip_network("198.51.100.0/24"), time.time() + 600, "", "uid 0")
    earlier = open_store()
    earlier.save_silence(silence)
    assert earlier.close(5.0)
    store = open_store()
    store.save_baselines(states(3))
    until(lambda: store.health().queued == 0)
    for path in database.parent.iterdir():
        path.unlink()
    store.save(make_alert(1))
    until(lambda: database.exists() and store.health().queued == 0)
    assert store.close(5.0)
    assert get_alert(database, 1) is not None
    again = open_store()
    assert again.baselines() == states(3)
    assert [one.target for one in again.silences(0.0)] == [silence.target]

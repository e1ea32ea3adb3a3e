"""The store on a healthy disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path

import pytest

from synguard.block import Block
from synguard.endpoint import Listener
from synguard.history import pending
from synguard.history.query import AlertFilter, find_alerts, get_alert
from synguard.history.retention import Keep
from synguard.history.store import HistoryStore
from synguard.model import AlertState, Change, ClosedBecause, TopSource
from tests.unit.history.helpers import STARTED_AT_S, Events, MakeAlert, OpenStore, Until, names


def saved_attempts(database: Path, alert_id: int) -> int | None:
    """Return the attempts that the disk knows of an alert."""
    alert = get_alert(database, alert_id)
    return alert.attempts if alert else None


def test_an_opening_is_on_disk_within_100_ms(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until
) -> None:
    """An alert can be asked for a tenth of a second after it was raised, and so can its end."""
    store = open_store()
    store.save(make_alert(1))
    assert until(lambda: saved_attempts(database, 1) == 2300) < 0.1
    store.save(make_alert(1, state=AlertState.CLOSED, ended_at_s=STARTED_AT_S + 9, attempts=4000))
    assert until(lambda: saved_attempts(database, 1) == 4000) < 0.1
    assert get_alert(database, 1).state is AlertState.CLOSED  # type: ignore[union-attr]


def test_updates_are_written_once_a_second(
    open_store: OpenStore,
    database: Path,
    make_alert: MakeAlert,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forty updates in a row become one write, a while after the opening, of the newest."""
    monkeypatch.setattr(pending, "UPDATE_INTERVAL_S", 1.0)  # forty of them take their time on a busy machine
    store = open_store()
    store.save(make_alert(1))
    until(lambda: saved_attempts(database, 1) == 2300)
    watch = sqlite3.connect(database)
    version = watch.execute("PRAGMA data_version").fetchone()
    for attempts in range(3000, 3040):
        store.save(make_alert(1, attempts=attempts))
    until(lambda: watch.execute("PRAGMA data_version").fetchone() != version)
    assert saved_attempts(database, 1) == 3039
    assert until(lambda: store.health().queued == 0) < 0.1
    watch.close()


def test_saving_does_not_wait_for_the_disk(open_store: OpenStore, make_alert: MakeAlert) -> None:
    """A thousand alerts are taken in at once."""
    store = open_store()
    alerts = [make_alert(n) for n in range(1, 1001)]
    started_s = time.monotonic()
    for alert in alerts:
        store.save(alert)
    assert time.monotonic() - started_s < 1.0
    assert store.close(10.0)


def test_close_writes_what_waits(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until, events: Events
) -> None:
    """An update that waits is written when the daemon stops, and nothing stays beside."""
    store = open_store()
    store.save(make_alert(1))
    until(lambda: saved_attempts(database, 1) == 2300)
    store.save(make_alert(1, attempts=3000))
    assert store.close(5.0)
    assert saved_attempts(database, 1) == 3000
    assert names(database.parent) == ["synguard.db"]
    assert not events.named("history.abandoned")


def test_the_directory_is_made_for_the_group_alone(open_store: OpenStore, database: Path) -> None:
    """Addresses are personal data: nobody else may read the directory or the database."""
    old_umask = os.umask(0)
    try:
        open_store().close(1.0)
    finally:
        os.umask(old_umask)
    assert stat.S_IMODE(database.parent.stat().st_mode) == 0o750
    assert stat.S_IMODE(database.stat().st_mode) == 0o640


def test_ids_go_on_after_a_restart(open_store: OpenStore, make_alert: MakeAlert) -> None:
    """The first id is 1; a later daemon goes on after the highest."""
    store = open_store()
    assert [store.next_alert_id(), store.next_alert_id()] == [1, 2]
    store.save(make_alert(2))
    store.close(5.0)
    assert open_store().next_alert_id() == 3


def test_alerts_of_a_killed_daemon_are_closed_as_interrupted(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until, events: Events
) -> None:
    """They end when they were last written, and this daemon's own alerts stay open."""
    first = open_store()
    first.save(make_alert(1, started_at_s=time.time() - 60))
    first.save(make_alert(2, started_at_s=time.time() + 3600))
    first.close(5.0)
    wrote_at_s = time.time()

    second = open_store()
    second.save(make_alert(second.next_alert_id()))
    second.close_interrupted(wrote_at_s + 100)
    until(lambda: events.named("history.interrupted_closed"))
    assert events.named("history.interrupted_closed") == [{"alert_ids": [1, 2]}]
    old, from_the_future = get_alert(database, 1), get_alert(database, 2)
    assert old is not None
    assert from_the_future is not None
    assert (old.state, old.closed_because) == (AlertState.CLOSED, ClosedBecause.INTERRUPTED)
    assert old.ended_at_s == pytest.approx(wrote_at_s, abs=5)
    assert from_the_future.ended_at_s == from_the_future.started_at_s
    told = [(one.what, one.before, one.after, one.because) for one in old.timeline]
    assert told == [("state", "open", "closed", "synguard was interrupted")]
    until(lambda: [alert.id for alert in find_alerts(database, AlertFilter(state="open"))] == [3])


def test_blocks_survive_a_restart(open_store: OpenStore, until: Until) -> None:
    """A block that runs is there for the next daemon; one removed or run out is not."""
    now_s = 1_795_341_600.0
    kept = Block(ip_network("192.0.2.0/24"), now_s + 600, "by hand", "manual", None, now_s)
    for_alert = Block(ip_network("2001:db8::/64"), now_s + 60.5, "flood", "alert", 7, now_s, 0, "greylist")
    listener = Listener.parse("[2001:db8::5]:443")
    of_listener = Block(listener, now_s + 60.5, "flood", "alert", 8, now_s, response="cookie")
    store = open_store()
    for block in (kept, for_alert, of_listener, Block(ip_network("192.0.2.1"), now_s + 600, "", "manual")):
        store.save_block(block)
    until(lambda: store.health().queued == 0)
    store.remove_block(ip_network("192.0.2.1"))
    store.close(5.0)
    again = open_store()
    assert set(again.blocks(now_s)) == {kept, for_alert, of_listener}
    assert again.blocks(now_s + 60.5) == (kept,)


def test_blocks_that_ran_out_leave_the_disk(open_store: OpenStore, database: Path, until: Until) -> None:
    """What no daemon will ever put in force again is not kept: it holds an address."""
    store = open_store()
    for last_byte, until_s in ((1, time.time() - 1), (2, time.time() + 600)):
        store.save_block(Block(ip_network(f"192.0.2.{last_byte}"), until_s, "", "manual"))
    assert store.close(5.0)
    open_store()
    rows = sqlite3.connect(database)
    until(lambda: rows.execute("SELECT target FROM blocks").fetchall() == [("192.0.2.2",)])
    rows.close()


def test_top_sources_are_those_of_the_last_word(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until
) -> None:
    """A source that is no longer among the top ones is no longer shown."""
    first, second = (TopSource(ip_network(f"198.51.100.{n}"), n, 0) for n in (1, 2))
    store = open_store()
    store.save(make_alert(1, top_sources=(first, second)))
    until(lambda: store.health().queued == 0)
    store.save(make_alert(1, top_sources=(second,), state=AlertState.CLOSED, ended_at_s=STARTED_AT_S))
    until(lambda: store.health().queued == 0)
    alert = get_alert(database, 1)
    assert alert is not None
    assert alert.top_sources == (second,)


def test_old_closed_alerts_are_deleted(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until
) -> None:
    """At start, what ended before the retention goes; what is open stays, however old."""
    day_s, now_s = 86400, time.time()
    store = open_store()
    for alert_id, days_ago, state in ((1, 3, "closed"), (2, 1, "closed"), (3, 9, "open")):
        ended_at_s = None if state == "open" else now_s - days_ago * day_s
        store.save(
            make_alert(
                alert_id,
                state=AlertState(state),
                started_at_s=now_s - 10 * day_s,
                ended_at_s=ended_at_s,
                top_sources=(TopSource(ip_network("198.51.100.7"), 1, 0),),
                listeners=(Listener.parse("203.0.113.5:443"),),
                timeline=(Change(now_s, "impact", "none", "cookies"),),
            )
        )
    store.close(5.0)
    open_store(keep=Keep(ended_s=2 * 86400))
    until(lambda: {alert.id for alert in find_alerts(database)} == {2, 3})
    rows = sqlite3.connect(database)
    for table in ("alert_sources", "alert_listeners", "alert_timeline"):
        assert rows.execute(f"SELECT alert_id FROM {table}").fetchall() == [(2,), (3,)]  # noqa: S608
    rows.close()


def test_the_oldest_go_while_the_file_is_too_large(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until
) -> None:
    """Over the size limit the oldest closed alerts go and the file shrinks; the newest stay."""
    store = open_store()
    for alert_id in range(1, 401):
        store.save(
            make_alert(
                alert_id,
                state=AlertState.CLOSED,
                ended_at_s=time.time() - 4000 + alert_id,
                decision="x" * 8000,
            )
        )
    assert store.close(10.0)
    assert database.stat().st_size > 3 << 20
    store = open_store(keep=Keep(max_bytes=1 << 20))
    until(lambda: database.stat().st_size <= 1 << 20)
    store.close(5.0)
    left = sorted(alert.id for alert in find_alerts(database))
    assert left == list(range(left[0], 401))
    assert len(left) > 80


def test_an_opening_survives_kill_9(database: Path, until: Until) -> None:
    """What was raised before a kill -9 is in the history, open, and its number is not given again."""
    code = f"""
import dataclasses, signal, sys
from pathlib import Path
from synguard.history.query import get_alert
from synguard.history.retention import Keep
from synguard.history.store import HistoryStore
from synguard.model import *
store = HistoryStore(Path({str(database)!r}), log=lambda event, **keys: None)
store.start()
store.save(Alert(1, AlertKind.SYN_FLOOD, None, Severity.HIGH, AlertState.OPEN, 5.0, None, None))
while store.health().queued:
    pass
print("saved", flush=True)
signal.pause()
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "saved\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()

    alert = get_alert(database, 1)
    assert alert is not None
    assert alert.state is AlertState.OPEN
    store = HistoryStore(database, log=Events())
    store.start()
    assert store.next_alert_id() == 2
    until(lambda: store.health().state == "ok")
    assert store.close(5.0)

"""The history among real processes: writers killed at any moment, and a hundred readers at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from synguard.history.query import find_alerts
from tests.unit.history.helpers import MakeAlert, OpenStore, Until

ROUNDS = 12
#: The aim is 100 ms, which a loaded machine's scheduler alone may take.
SAVED_BEFORE_S = 0.5
#: The aim is a second of the series.
TOLD_BEFORE_S = 1.0
READERS = 100

#: Saves an alert each 5 ms, and tells the id and the moment when save() has returned.
_WRITER = """
import sys, time
from pathlib import Path
from synguard.endpoint import Listener
from synguard.history.store import HistoryStore
from synguard.model import Alert, AlertKind, AlertState, Severity

store = HistoryStore(Path(sys.argv[1]), log=lambda *a, **k: None)
store.start()
while True:
    one = store.next_alert_id()
    store.save(Alert(id=one, kind=AlertKind.SYN_FLOOD, alert_class=None, severity=Severity.HIGH,
        state=AlertState.OPEN, started_at_s=time.time(), listener=Listener.parse("203.0.113.5:443"),
        source=None, attempts=1))
    print(one, time.monotonic(), flush=True)
    time.sleep(0.005)
"""
#: Likewise a second of the series each 50 ms, with 64 listeners.
_SERIES_WRITER = """
import sys, time
from pathlib import Path
from synguard.history.series import LISTENER, TOTALS, Second
from synguard.history.store import HistoryStore

store = HistoryStore(Path(sys.argv[1]), log=lambda *a, **k: None)
store.start()
totals, figures = (dict.fromkeys((one.name for one in columns), 1) for columns in (TOTALS, LISTENER))
at_s = int(sys.argv[2])
while True:
    at_s += 1
    store.save_second(Second(at_s, totals, {f"203.0.113.{n}:443": figures for n in range(64)}))
    print(at_s, time.monotonic(), flush=True)
    time.sleep(0.05)
"""
_READER = """
import sys
from pathlib import Path
from synguard.history.query import find_alerts
print(len(find_alerts(Path(sys.argv[1]))))
"""


def test_a_killed_writer_loses_no_alert_that_was_saved_a_while_before(database: Path) -> None:
    """After kill -9 at any moment the database is whole and has all that was saved half a second before."""
    kept: set[int] = set()
    for number in range(ROUNDS):
        command = [sys.executable, "-c", _WRITER, str(database)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            time.sleep(0.4 + number * 0.037)
            killed_s = time.monotonic()
            writer.kill()
            saved = [line.split() for line in [first, *writer.stdout] if line.endswith("\n")]
        kept |= {int(alert_id) for alert_id, at_s in saved if float(at_s) < killed_s - SAVED_BEFORE_S}
        connection = sqlite3.connect(database)
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert kept <= {row[0] for row in connection.execute("SELECT id FROM alerts")}
        connection.close()
    assert kept


def test_a_killed_writer_loses_no_second_that_was_told_a_while_before(database: Path) -> None:
    """After kill -9 the series has each second of a while before, with all its listeners."""
    kept: set[int] = set()
    for number in range(ROUNDS // 2):
        command = [sys.executable, "-c", _SERIES_WRITER, str(database), str(int(time.time()) + number * 1000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            time.sleep(1.2 + number * 0.037)
            killed_s = time.monotonic()
            writer.kill()
            saved = [line.split() for line in [first, *writer.stdout] if line.endswith("\n")]
        kept |= {int(at_s) for at_s, told_s in saved if float(told_s) < killed_s - TOLD_BEFORE_S}
        connection = sqlite3.connect(database)
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        whole = "SELECT at_s FROM listener_series JOIN totals_series USING (step_s, at_s) WHERE step_s = 1"
        assert kept <= {row[0] for row in connection.execute(f"{whole} GROUP BY 1 HAVING count(*) = 64")}
        connection.close()
    assert kept


def test_a_hundred_readers_at_once_are_all_answered(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until
) -> None:
    """While a daemon writes, each of a hundred processes gets its answer, and the daemon goes on."""
    store = open_store()
    for alert_id in range(1, 6):
        store.save(make_alert(alert_id))
    until(lambda: store.health().queued == 0)
    command = [sys.executable, "-c", _READER, str(database)]
    readers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(READERS)
    ]
    for alert_id in range(6, 26):
        store.save(make_alert(alert_id))
        time.sleep(0.05)
    for reader in readers:
        answer, error = reader.communicate(timeout=120)
        assert reader.returncode == 0, error
        assert 5 <= int(answer) <= 25
    until(lambda: store.health().queued == 0)
    assert store.health().state == "ok"
    assert len(find_alerts(database)) == 25

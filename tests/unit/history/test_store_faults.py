"""The store on a disk that refuses: locked, full, read-only, damaged, taken away."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from synguard.block import Block
from synguard.errors import UnsupportedError
from synguard.history import file
from synguard.history.query import find_alerts, get_alert
from synguard.history.reading import DamagedHistoryError
from synguard.model import AlertState
from tests.unit.history.helpers import Events, MakeAlert, OpenStore, Until, names


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return the root of a file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """Return a directory that is mounted read-only."""
    place = tmp_path / "state"
    place.mkdir()
    subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def empty_the_log(database: Path) -> None:
    """Fold the -wal into the database and leave none of it."""
    checkpointer = sqlite3.connect(database)
    assert checkpointer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    checkpointer.close()


def test_a_locked_database_is_waited_out(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until, events: Events
) -> None:
    """While another program locks it, alerts wait and status says why; then all are written."""
    store = open_store()
    locker = sqlite3.connect(database, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    for alert_id in range(1, 24):
        store.save(make_alert(alert_id))
    until(lambda: store.health().state == "degraded")
    assert store.health().error == f"{database}: database is locked"
    assert store.health().queued == 23
    assert {alert.id for alert in find_alerts(database, unsaved=store.unsaved())} == set(range(1, 24))
    assert find_alerts(database) == []

    locker.rollback()
    until(lambda: store.health().state == "ok")
    assert (store.health().queued, store.health().lost, store.health().error) == (0, 0, None)
    assert len(find_alerts(database)) == 23
    assert [name for name, _ in events.all] == ["history.opened", "history.degraded", "history.recovered"]
    locker.close()


def test_a_lock_at_start_does_not_stop_the_daemon(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until, events: Events
) -> None:
    """A locked database is read at start, so ids go on; old alerts are closed when it is free."""
    first = open_store()
    first.save(make_alert(1))
    first.close(5.0)
    locker = sqlite3.connect(database, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    store = open_store()
    assert store.health().state == "degraded"
    assert store.next_alert_id() == 2
    store.close_interrupted(time.time())
    store.save(make_alert(2))
    locker.rollback()
    until(lambda: store.health().state == "ok")
    assert events.named("history.interrupted_closed") == [{"alert_ids": [1]}]
    assert get_alert(database, 2) is not None
    locker.close()


def test_closing_on_a_locked_database_ends_in_time(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, events: Events
) -> None:
    """A daemon that stops does not wait for ever, and says what it could not write."""
    store = open_store()
    locker = sqlite3.connect(database, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    store.save(make_alert(1))
    started_s = time.monotonic()
    assert not store.close(0.5)
    assert time.monotonic() - started_s < 2.0
    assert events.named("history.abandoned")[0]["queued"] == 1
    locker.close()


@pytest.mark.root
def test_a_full_disk_is_waited_out(
    open_store: OpenStore, small_disk: Path, make_alert: MakeAlert, until: Until
) -> None:
    """When the disk is full nothing is lost: once there is room, every alert is written."""
    database = small_disk / "synguard.db"
    store = open_store(database)
    until(lambda: store.health().state == "ok")
    empty_the_log(database)  # what its -wal has room for would still be written
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"x" * (1 << 20))
    for alert_id in range(1, 24):
        store.save(make_alert(alert_id, decision="x" * 2000))
    until(lambda: store.health().state == "degraded")
    error = store.health().error or ""
    assert "full" in error or "I/O" in error, error
    assert store.health().queued == 23
    filler.unlink()
    until(lambda: store.health().state == "ok")
    assert len(find_alerts(database)) == 23
    assert store.health().lost == 0


@pytest.mark.root
def test_a_read_only_directory_is_waited_out(
    open_store: OpenStore, read_only: Path, make_alert: MakeAlert, until: Until
) -> None:
    """On a read-only file system alerts wait from the start, with ids that cannot clash later."""
    database = read_only / "synguard.db"
    store = open_store(database)
    assert store.health().state == "degraded"
    assert store.health().error == f"{database}: Read-only file system"
    first_id = store.next_alert_id()
    assert first_id > 1_700_000_000_000
    store.save(make_alert(first_id))
    subprocess.run(["umount", str(read_only)], check=True)
    until(lambda: store.health().state == "ok")
    assert [alert.id for alert in find_alerts(database)] == [first_id]


@pytest.mark.root
def test_a_log_that_cannot_be_indexed_is_said(read_only: Path) -> None:
    """On a read-only file system with a -wal left behind, a question is told why it is not answered."""
    subprocess.run(["mount", "-o", "remount,bind,rw", str(read_only)], check=True)
    database = read_only / "synguard.db"
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE alerts (id)")
    log = database.with_name("synguard.db-wal").read_bytes()
    writer.close()
    database.with_name("synguard.db-wal").write_bytes(log)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(read_only)], check=True)
    with pytest.raises(UnsupportedError, match="copy the file and its -wal"):
        find_alerts(database)


def test_a_directory_that_cannot_be_made_is_named(open_store: OpenStore, tmp_path: Path) -> None:
    """Where a file stands in the way of the directory, the words name it."""
    (tmp_path / "file").touch()
    store = open_store(tmp_path / "file" / "synguard.db")
    assert store.health().state == "degraded"
    assert store.health().error == f"{tmp_path}/file: File exists"


def asides(database: Path) -> list[str]:
    """Return the names of what was moved aside."""
    return [name for name in names(database.parent) if ".corrupt-" in name]


def test_garbage_is_moved_aside_with_its_sidecars(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until, events: Events
) -> None:
    """A database of which the head alone is whole is kept under another name, and a fresh one is begun."""
    database.parent.mkdir()
    left = {suffix: f"garbage{suffix} " * 1000 for suffix in ("-wal", "-shm")}
    left[""] = "SQLite format 3\0" + "garbage " * 1000
    for suffix, text in left.items():
        database.with_name(database.name + suffix).write_text(text)
    store = open_store()
    until(lambda: store.health().state == "ok" and store.health().moved_aside)
    moved_to = Path(store.health().moved_aside or "")
    assert asides(database) == [moved_to.name, f"{moved_to.name}-shm", f"{moved_to.name}-wal"]
    # The -shm is an index of the -wal, which SQLite builds anew whenever it opens one.
    for suffix in ("", "-wal"):
        assert moved_to.with_name(moved_to.name + suffix).read_text() == left[suffix]
    assert events.named("history.moved_aside")[0]["moved_to"] == str(moved_to)
    alert_id = store.next_alert_id()
    assert alert_id > 1_700_000_000_000
    store.save(make_alert(alert_id))
    until(lambda: get_alert(database, alert_id))


def test_somebody_elses_file_is_left_alone(open_store: OpenStore, database: Path, until: Until) -> None:
    """A slip in the settings that names a file of another kind moves nothing; the words say what to do."""
    database.parent.mkdir()
    database.write_text("root:x:0:0:root:/root:/bin/bash\n" * 200)
    store = open_store()
    until(lambda: store.health().error)
    assert "may be somebody else's" in (store.health().error or "")
    assert names(database.parent) == [database.name]
    assert database.read_text().startswith("root:x:0:0")


def test_damage_inside_is_found_at_start(
    open_store: OpenStore, database: Path, make_alert: MakeAlert
) -> None:
    """A database with nonsense in old alerts is moved aside although it opens and its newest are whole."""
    store = open_store()
    for alert_id in range(1, 100):
        store.save(make_alert(alert_id, state=AlertState.CLOSED, ended_at_s=time.time(), decision="x" * 3000))
    assert store.close(5.0)
    damaged = bytearray(database.read_bytes())
    damaged[40 * 4096 : 60 * 4096] = b"\xa5" * (20 * 4096)
    database.write_bytes(damaged)
    assert open_store().close(5.0)
    assert (database.parent / asides(database)[0]).read_bytes() == damaged
    assert find_alerts(database) == []


def test_a_large_database_is_not_read_whole_before_anything_is_written(
    open_store: OpenStore,
    database: Path,
    make_alert: MakeAlert,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a gigabyte the check would take seconds, and alerts wait for it: ids and alerts go on at once."""
    store = open_store()
    for alert_id in range(1, 100):
        store.save(make_alert(alert_id, state=AlertState.CLOSED, ended_at_s=time.time(), decision="x" * 3000))
    assert store.close(5.0)
    monkeypatch.setattr(file, "MOST_CHECKED_BYTES", database.stat().st_size - 1)
    monkeypatch.setattr(file.DatabaseFile, "_rows", lambda *asked: pytest.fail(asked[1]))
    opened = file.DatabaseFile(database)
    opened.close()
    monkeypatch.undo()
    assert opened.damage is None
    assert open_store().next_alert_id() == 100


def damage(database: Path) -> None:
    """Write nonsense over the head of a database that is in use."""
    empty_the_log(database)
    with database.open("r+b") as file:
        file.write(b"\xa5" * 16384)


def test_damage_while_running_loses_nothing_that_is_still_true(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until
) -> None:
    """Open alerts and running blocks are written into the fresh database too."""
    now_s = time.time()
    earlier = open_store()
    earlier.save_block(Block(ip_network("192.0.2.1"), now_s + 600, "", "manual"))
    assert earlier.close(5.0)
    store = open_store()
    store.save_block(Block(ip_network("192.0.2.2"), now_s + 600, "", "manual"))
    store.save(make_alert(1))
    until(lambda: store.health().queued == 0)
    damage(database)
    store.save(make_alert(2, state=AlertState.CLOSED, ended_at_s=time.time()))
    until(lambda: store.health().moved_aside and store.health().queued == 0)
    assert {alert.id for alert in find_alerts(database)} == {1, 2}
    assert store.close(5.0)
    kept = {str(block.target) for block in open_store().blocks(now_s)}
    assert kept == {"192.0.2.1/32", "192.0.2.2/32"}


def test_damage_that_a_reader_meets_is_looked_after(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until
) -> None:
    """The writer may not see it for hours, since it has the pages in its cache; told of it, it does."""
    store = open_store()
    store.save(make_alert(1))
    until(lambda: store.health().queued == 0)
    damage(database)
    with pytest.raises(DamagedHistoryError, match="moves it aside"):
        find_alerts(database)
    assert store.health().moved_aside is None
    store.check_again()
    until(lambda: store.health().moved_aside and store.health().queued == 0)
    assert [alert.id for alert in find_alerts(database)] == [1]


def test_a_disk_that_damages_everything_is_not_filled(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until
) -> None:
    """Damaged again within a minute, the database stays where it is, and alerts wait in memory."""
    store = open_store()
    for alert_id in (1, 2):
        store.save(make_alert(alert_id))
        until(lambda: store.health().queued == 0)
        damage(database)
    store.save(make_alert(3))
    until(lambda: store.health().state == "degraded")
    assert len([name for name in asides(database) if name.endswith("Z")]) == 1
    assert "malformed" in (store.health().error or "") or "not a database" in (store.health().error or "")
    assert 3 in {alert.id for alert in find_alerts(database, unsaved=store.unsaved())}


def test_a_database_that_was_removed_is_made_again(
    open_store: OpenStore, database: Path, make_alert: MakeAlert, until: Until, events: Events
) -> None:
    """Alerts do not go on into a file that nobody can reach any more."""
    store = open_store()
    store.save(make_alert(1))
    until(lambda: get_alert(database, 1))
    until(lambda: store.health().queued == 0)
    for path in database.parent.iterdir():
        path.unlink()
    store.save(make_alert(2))
    until(lambda: database.exists() and store.health().queued == 0)
    assert {alert.id for alert in find_alerts(database)} == {1, 2}
    assert len(events.named("history.replaced")) == 1


def test_a_fault_of_our_own_shows(open_store: OpenStore, make_alert: MakeAlert, until: Until) -> None:
    """An alert that cannot be written for a reason of ours degrades; the writer lives on."""
    store = open_store()
    store.save(make_alert(1, attempts=1 << 70))
    until(lambda: store.health().state == "degraded")
    assert (store.health().error or "").startswith("OverflowError: ")
    store.save(make_alert(1, attempts=5))
    until(lambda: store.health().state == "ok")

"""The one adapter that writes SQLite: opening, checking, writing, expiring, moving aside."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from synguard.block import Block
from synguard.history.parts import PartWriter, stored_parts, stored_tables
from synguard.history.pending import Batch
from synguard.history.rows import alert_from_rows, alert_to_row, block_from_row, block_to_row, to_ms
from synguard.history.schema import migrations
from synguard.model import Alert

#: A reader's or a backup's short lock is waited for; a longer one degrades.
BUSY_TIMEOUT_S = 0.25
#: Reading a database of 1 GiB in full takes seconds, and alerts wait for it: what the first second
#: does not find, a later read or write will.
QUICK_CHECK_LIMIT_S = 1.0
EXPIRE_STEP_ALERTS = 200
SHRINK_STEP_ALERTS = 20
SHRINK_STEP_PAGES = 256
_CORRUPT_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class HistoryFaultError(Exception):
    """The disk or the database refuses; it may be tried again."""


class CorruptHistoryError(HistoryFaultError):
    """The file is no database, or a damaged one."""


@dataclass(frozen=True, slots=True)
class StartFacts:
    """What the last daemon left behind."""

    highest_id: int = 0
    open_alerts: tuple[Alert, ...] = ()
    blocks: tuple[Block, ...] = ()


class HistoryDatabase:
    """An open database. Every method raises HistoryFaultError; one thread uses it."""

    def __init__(self, path: Path, *, check: bool = True) -> None:
        """Connect, making the directory (0750) and the file (0640) if they are missing."""
        self.path = path
        with self._faults():
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            # SQLite gives its -wal and -shm the database's own mode; addresses are personal data.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640))
            self._identity = self._identify()
            connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
            connection.row_factory = sqlite3.Row
            self._db = Database(connection, execute_plugins=False, recursive_triggers=False)
            self._parts = PartWriter(connection)
        try:
            if check:
                self._quick_check()
            with self._faults():
                self._db.execute("PRAGMA foreign_keys = ON")
        except HistoryFaultError as fault:
            if not isinstance(fault, CorruptHistoryError):
                self.close()
                raise
            self.damage: CorruptHistoryError | None = fault
        else:
            self.damage = None

    def prepare(self) -> None:
        """Bring the schema up to date and make sure that writing works."""
        with self._faults():
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._db.execute("PRAGMA journal_mode = WAL")
            # A commit is in the page cache of the kernel before it returns, so kill -9 of this process
            # loses nothing; a power cut may lose the last commits, and never damages the database
            # (sqlite.org/pragma.html#pragma_synchronous). FULL would cost an fsync for each alert.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(f"PRAGMA journal_size_limit = {4 << 20}")
            migrations.apply(self._db)
        with self._transaction():
            pass

    def facts(self) -> StartFacts:
        """Return what the last daemon left behind; nothing where there is no schema yet."""
        with self._faults():
            if not {"alerts", "alert_sources"} <= set(self._db.table_names()):
                return StartFacts()
            highest_id = self._rows(
                "SELECT max(coalesce((SELECT max(id) FROM alerts), 0),"
                " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'alerts'), 0)) AS id"
            )[0]["id"]
            # The schema is an earlier release's until prepare() has worked.
            stored = stored_tables(self._db.conn)
            opened = self._rows(f"SELECT * FROM {stored['alerts']} WHERE state = 'open' ORDER BY id")  # noqa: S608
            blocks = self._rows("SELECT * FROM blocks") if self._db.table("blocks").exists() else []
            parts = stored_parts(self._db.conn, [row["id"] for row in opened], stored)
            alerts = tuple(alert_from_rows(row, parts[row["id"]]) for row in opened)
            return StartFacts(highest_id, alerts, tuple(block_from_row(row) for row in blocks))

    def write(self, batch: Batch) -> None:
        """Write a batch in one transaction: all of it or nothing."""
        if not (batch.alerts or batch.blocks):
            return
        with self._transaction():
            rows = [alert_to_row(saved.alert, to_ms(saved.wall_s)) for saved in batch.alerts]
            self._db.table("alerts").upsert_all(rows, pk="id")
            for saved in batch.alerts:
                self._parts.write(saved.alert)
            self._write_blocks(batch.blocks)

    def close_interrupted(self, before_id: int, wall_s: float) -> tuple[int, ...]:
        """Close open alerts with an id below ``before_id`` as interrupted; return their ids.

        They end when they were last written, which is the last that is known of them.
        """
        with self._transaction():
            rows = self._rows(
                "UPDATE alerts SET state = 'closed', closed_because = 'interrupted',"
                " ended_at_ms = max(started_at_ms, updated_at_ms), updated_at_ms = ?"
                " WHERE state = 'open' AND id < ? RETURNING id",
                [to_ms(wall_s), before_id],
            )
        return tuple(sorted(row["id"] for row in rows))

    def expire_step(self, ended_before_s: float, max_bytes: int) -> int:
        """Delete a few closed alerts that are too old or, over the size, the oldest; return the work done.

        The work is a count of alerts deleted and pages given back; 0 means that all is done.
        """
        with self._transaction():
            deleted = self._delete_closed(EXPIRE_STEP_ALERTS, "AND ended_at_ms < ?", [to_ms(ended_before_s)])
        if deleted:
            return deleted
        page_bytes, pages, free_pages = (
            self._pragma(name) for name in ("page_size", "page_count", "freelist_count")
        )
        excess_pages = pages - max_bytes // page_bytes
        if excess_pages <= 0:
            return 0
        if free_pages >= min(excess_pages, SHRINK_STEP_PAGES):
            return self._give_back(min(excess_pages, SHRINK_STEP_PAGES))
        with self._transaction():
            return self._delete_closed(SHRINK_STEP_ALERTS, "", [])

    def finish_expiry(self, wall_s: float) -> None:
        """Delete the blocks that ended before ``wall_s``, and give back to the disk what was freed."""
        with self._transaction():
            self._db.execute("DELETE FROM blocks WHERE until_ms <= ?", [to_ms(wall_s)])
        # The file shrinks when the -wal is folded in; passive does what it can without waiting.
        self._pragma("wal_checkpoint(PASSIVE)")

    def replaced(self) -> bool:
        """Return whether the path no longer leads to this database: removed, or another in its place."""
        try:
            return self._identify() != self._identity
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def move_aside(self) -> Path:
        """Rename the database, its -wal and its -shm out of the way, close, and return the new path."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = self.path.with_name(f"{self.path.name}.corrupt-{stamp}")
        number = 1
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{self.path.name}.corrupt-{stamp}-{number}")
        with self._faults():
            # Before closing: the last connection to close would fold the -wal in and delete it. The -wal
            # first: one left behind by a kill -9 in between would be played into the fresh database.
            for suffix in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(aside.with_name(aside.name + suffix))
        self.close()
        return aside

    def close(self) -> None:
        """Close the connection; a failure is no news by then."""
        with suppress(sqlite3.Error):
            self._db.close()

    def _quick_check(self) -> None:
        until_s = time.monotonic() + QUICK_CHECK_LIMIT_S
        self._db.conn.set_progress_handler(lambda: time.monotonic() > until_s, 10_000)
        try:
            with self._faults():
                found = self._rows("PRAGMA quick_check(1)")[0][0]
        except HistoryFaultError as fault:
            if getattr(fault.__cause__, "sqlite_errorcode", None) != sqlite3.SQLITE_INTERRUPT:
                raise
            found = "ok"
        finally:
            self._db.conn.set_progress_handler(None, 0)
        if found != "ok":
            raise CorruptHistoryError(f"{self.path}: {found}")

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        return self._db.execute(sql, list(parameters)).fetchall()

    def _pragma(self, name: str) -> int:
        with self._faults():
            value: int = self._rows(f"PRAGMA {name}")[0][0]
            return value

    def _write_blocks(self, blocks: Mapping[str, Block | None]) -> None:
        rows: list[dict[str, Any]] = [block_to_row(block) for block in blocks.values() if block is not None]
        self._db.table("blocks").upsert_all(rows, pk="target")
        for target, block in blocks.items():
            if block is None:
                self._db.execute("DELETE FROM blocks WHERE target = ?", [target])

    def _delete_closed(self, limit: int, condition: str, parameters: list[object]) -> int:
        # The condition is one of this module's own texts; what it compares with is a parameter.
        deleted = self._db.execute(
            f"DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE state = 'closed' {condition}"  # noqa: S608
            " ORDER BY ended_at_ms LIMIT ?)",
            [*parameters, limit],
        )
        return deleted.rowcount

    def _give_back(self, pages: int) -> int:
        with self._faults():
            # Each step of the statement frees one page, so all its rows are fetched.
            self._rows(f"PRAGMA incremental_vacuum({pages})")
        return pages

    def _identify(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_dev, status.st_ino

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._faults():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.commit()
            except BaseException:
                self._parts.forget()
                with suppress(sqlite3.Error):
                    self._db.rollback()
                raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HistoryFaultError(f"{error.filename or self.path}: {error.strerror}") from error
        except sqlite3.Error as error:
            # Extended result codes keep the primary one in their low byte (sqlite.org/rescode.html).
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            kind = CorruptHistoryError if code in _CORRUPT_CODES else HistoryFaultError
            raise kind(f"{self.path}: {error}") from error

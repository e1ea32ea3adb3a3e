"""What is in the history's database: bringing it up to date, writing, expiring."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlite_utils import Database

from synguard.block import Block
from synguard.endpoint import Network
from synguard.history import responses, runs
from synguard.history.file import DatabaseFile
from synguard.history.parts import PartWriter, settle_sources
from synguard.history.pending import Baselines, Batch
from synguard.history.responses import write_response
from synguard.history.retention import Keep, Retention, pages_to_give_back
from synguard.history.rows import (
    Row,
    alert_to_row,
    baseline_from_row,
    block_from_row,
    block_to_row,
    silence_from_row,
    silence_to_row,
    to_ms,
)
from synguard.history.runs import write_run
from synguard.history.schema import migrations
from synguard.history.series import write_seconds
from synguard.silence import Silence

#: Baselines kept, the newest: as many as the probe has listeners.
MAX_BASELINES = 4096

_T = TypeVar("_T")

_INTERRUPTED = """
INSERT INTO alert_timeline
SELECT id, (SELECT coalesce(max(position) + 1, 0) FROM alert_timeline WHERE alert_id = id), ended_at_ms,
    'state', 'open', 'closed', 'synguard was interrupted'
FROM alerts WHERE id = ?
"""


@dataclass(frozen=True, slots=True)
class StartFacts:
    """What the last daemon left behind."""

    highest_id: int = 0
    blocks: tuple[Block, ...] = ()
    silences: tuple[Silence, ...] = ()
    #: What was usual at each listener, as :meth:`synguard.history.store.HistoryStore.save_baselines` got it.
    baselines: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    #: Sources that were dropped until the drop's time was over, and when that was, as
    #: :func:`synguard.history.responses.earlier_drops` tells.
    drops: tuple[tuple[Network, float], ...] = ()
    #: Blocks, silences and baselines that could not be read.
    damaged_rows: int = 0


class HistoryDatabase(DatabaseFile):
    """An open history. Every method raises HistoryFaultError; one thread uses it."""

    def __init__(self, path: Path, *, check: bool = True) -> None:
        """Open as any database."""
        super().__init__(path, check=check)
        self._db = Database(self._connection, execute_plugins=False, recursive_triggers=False)
        self._parts = PartWriter(self._connection)
        self._retention: Retention | None = None

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
            blocks, no_blocks = self._readable("blocks", block_from_row)
            silences, no_silences = self._readable("silences", silence_from_row)
            baselines, no_baselines = self._readable("baselines", baseline_from_row)
            return StartFacts(
                highest_id,
                tuple(blocks),
                tuple(silences),
                dict(baselines),
                self._drops(),
                no_blocks + no_silences + no_baselines,
            )

    def _drops(self) -> tuple[tuple[Network, float], ...]:
        known = self._db.table("responses").exists()
        return tuple(responses.earlier_drops(self._connection)) if known else ()

    def _all(self, table: str) -> list[sqlite3.Row]:
        """Return the rows of a table; none where the schema is an earlier release's without it."""
        return self._rows(f"SELECT * FROM {table}") if self._db.table(table).exists() else []  # noqa: S608

    def _readable(self, table: str, from_row: Callable[[Row], _T]) -> tuple[list[_T], int]:
        """Return what can be made of a table's rows, and of how many nothing can."""
        found, damaged = [], 0
        for row in self._all(table):
            try:
                found.append(from_row(row))
            except ValueError:
                damaged += 1
        return found, damaged

    def write(self, batch: Batch) -> None:
        """Write a batch in one transaction: all of it or nothing."""
        if batch.is_empty:
            return
        baselines = _baseline_rows(batch.baselines)
        with self._transaction():
            rows = [alert_to_row(saved.alert, to_ms(saved.wall_s)) for saved in batch.alerts]
            self._db.table("alerts").upsert_all(rows, pk="id")
            for saved in batch.alerts:
                self._parts.write(saved.alert)
            self._write_standing("blocks", batch.blocks, block_to_row)
            self._write_standing("silences", batch.silences, silence_to_row)
            self._write_baselines(baselines)
            write_seconds(self._connection, batch.page.seconds)
            for taken in batch.page.responses:
                write_response(self._connection, taken)
            if batch.page.run is not None:
                write_run(self._connection, batch.page.run)

    def close_interrupted(self, before_id: int, wall_s: float, began_s: float) -> tuple[int, ...]:
        """Close open alerts with an id below ``before_id`` as interrupted; return their ids.

        They end when they were last written, which is the last that is known of them. So do runs from before
        ``began_s`` that have no end, and what they had put in force.
        """
        with self._transaction():
            rows = self._rows(
                "UPDATE alerts SET state = 'closed', closed_because = 'interrupted',"
                " ended_at_ms = max(started_at_ms, updated_at_ms), updated_at_ms = ?"
                " WHERE state = 'open' AND id < ? RETURNING id",
                [to_ms(wall_s), before_id],
            )
            self._connection.executemany(_INTERRUPTED, [(row["id"],) for row in rows])
            settle_sources(self._connection, [row["id"] for row in rows])
            runs.end_interrupted(self._connection, to_ms(began_s))
            responses.end_interrupted(self._connection, to_ms(began_s), to_ms(wall_s))
        return tuple(sorted(row["id"] for row in rows))

    def expire_step(self, wall_s: float, keep: Keep) -> int:
        """Do a little of what is due by age or by size, the oldest first; return how much.

        That is a count of rows, or of pages given back; 0 means that all is done.
        """
        if self._retention is None or self._retention.keep != keep:
            self._retention = Retention(self._connection, keep)
        with self._transaction():
            done = self._retention.step(wall_s)
        if done:
            return done
        page_bytes, pages, free_pages = (
            self._pragma(name) for name in ("page_size", "page_count", "freelist_count")
        )
        max_pages = keep.max_bytes // page_bytes
        if back := pages_to_give_back(pages, free_pages, max_pages):
            return self._give_back(back)
        if pages <= max_pages:
            return 0
        with self._transaction():
            return self._retention.shrink(wall_s)

    def finish_expiry(self, wall_s: float, updated_before_s: float) -> None:
        """Delete what has ended before ``wall_s`` or is no longer usual, and give the room back to the disk.

        ``updated_before_s`` is the moment since which a baseline that is kept has changed.
        """
        with self._transaction():
            for table in ("blocks", "silences"):
                self._db.execute(f"DELETE FROM {table} WHERE until_ms <= ?", [to_ms(wall_s)])  # noqa: S608
            self._db.execute("DELETE FROM baselines WHERE updated_at_ms < ?", [to_ms(updated_before_s)])
        # The file shrinks when the -wal is folded in; passive does what it can without waiting.
        self._pragma("wal_checkpoint(PASSIVE)")

    def _write_standing(
        self, table: str, changes: Mapping[str, _T | None], to_row: Callable[[_T], dict[str, Any]]
    ) -> None:
        """Write what is in force, by its target, and remove what is over."""
        rows = [to_row(item) for item in changes.values() if item is not None]
        self._db.table(table).upsert_all(rows, pk="target")
        for target, item in changes.items():
            if item is None:
                self._db.execute(f"DELETE FROM {table} WHERE target = ?", [target])  # noqa: S608

    def _write_baselines(self, rows: Sequence[tuple[str, str, int]]) -> None:
        """Write what has changed of the baselines, and keep the newest of all there are."""
        if not rows:
            return
        self._connection.executemany(
            "INSERT INTO baselines VALUES (?, ?, ?) ON CONFLICT (listener) DO UPDATE"
            " SET state = excluded.state, updated_at_ms = excluded.updated_at_ms"
            " WHERE state != excluded.state",
            rows,
        )
        excess = self._rows("SELECT count(*) FROM baselines")[0][0] - MAX_BASELINES
        if excess > 0:
            self._db.execute(
                "DELETE FROM baselines WHERE listener IN"
                " (SELECT listener FROM baselines ORDER BY updated_at_ms, listener LIMIT ?)",
                [excess],
            )

    def _give_back(self, pages: int) -> int:
        with self._faults():
            # Each step of the statement frees one page, so all its rows are fetched.
            self._rows(f"PRAGMA incremental_vacuum({pages})")
        return pages

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with super()._transaction():
                yield
        except BaseException:
            self._parts.forget()
            raise


def _baseline_rows(baselines: Baselines) -> list[tuple[str, str, int]]:
    at_ms = to_ms(baselines.wall_s)
    return [
        (listener, json.dumps(state, separators=(",", ":")), at_ms)
        for listener, state in baselines.states.items()
    ]

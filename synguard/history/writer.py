"""The thread that owns the database: writes what waits, retries, mends, and keeps the retention."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from synguard.endpoint import target_text
from synguard.history.database import HistoryDatabase, StartFacts
from synguard.history.file import CorruptHistoryError, HistoryFaultError
from synguard.history.health import HistoryHealth, Log
from synguard.history.pending import Batch, Pending
from synguard.history.retention import Keep

RETENTION_INTERVAL_S = 3600.0
FIRST_RETRY_S = 0.25
LAST_RETRY_S = 10.0
#: While the daemon stops, a refusing disk is asked this often.
STOP_RETRY_S = 0.1
#: A disk that damages each fresh database must not be filled with damaged ones.
MOVE_ASIDE_INTERVAL_S = 60.0


class Writer:
    """One thread and its database.

    ``wake`` guards what both sides touch: ``pending``, and all that the public methods tell and ask. Who has
    put something into ``pending`` notifies it.
    """

    def __init__(self, path: Path, keep: Keep, log: Log) -> None:
        self.wake = threading.Condition()
        self.pending = Pending()
        #: What the last daemon left behind; None until the database could be read.
        self.facts: StartFacts | None = None
        #: Where a damaged database was put, the last time.
        self.moved_aside: Path | None = None
        #: Open alerts below this id are an earlier daemon's.
        self.first_id = 0
        self._path = path
        #: What stays how long; may be set from any thread.
        self.keep = keep
        self._log = log
        self._error: str | None = None
        #: Now, and since when all that is open is this daemon's.
        self._interrupted: tuple[float, float] | None = None
        self._stop_at_s: float | None = None
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        # The thread's own.
        self._db: HistoryDatabase | None = None
        self._checked = self._distrusted = False
        #: Whether a database was opened at this path before.
        self._was_ours = False
        self._retry_at_s = 0.0
        self._retry_s = FIRST_RETRY_S
        self._retention_at_s = 0.0
        self._moved_at_s = -MOVE_ASIDE_INTERVAL_S

    def start(self, wait_s: float) -> None:
        """Start the thread and wait until it has once tried to open the database."""
        self._thread.start()
        self._tried.wait(wait_s)

    def close_interrupted(self, wall_s: float) -> None:
        """Have alerts below ``first_id`` closed as interrupted, and all else that is from before this run."""
        with self.wake:
            began_s = self.pending.chronicle.run_began_s
            self._interrupted = (wall_s, wall_s if began_s is None else began_s)
            self.wake.notify()

    def distrust(self) -> None:
        """Have the database opened and checked anew."""
        with self.wake:
            self._distrusted = True
            self.wake.notify()

    def health(self) -> HistoryHealth:
        """Return how the history fares."""
        with self.wake:
            return HistoryHealth(
                state="ok" if self._error is None else "degraded",
                error=self._error,
                queued=len(self.pending),
                lost=self.pending.lost,
                seconds_lost=self.pending.chronicle.seconds_lost,
                responses_lost=self.pending.chronicle.responses_lost,
                moved_aside=None if self.moved_aside is None else str(self.moved_aside),
            )

    def stop(self, timeout_s: float) -> None:
        """Write what waits, and end the thread."""
        with self.wake:
            self._stop_at_s = time.monotonic() + timeout_s
            self._retry_at_s = 0.0
            self.wake.notify()
        if self._thread.is_alive():
            # A disk that hangs in a system call is left to the daemon thread it hangs in.
            self._thread.join(timeout_s + 1.0)

    def _run(self) -> None:
        working = True
        while working:
            try:
                working = self._turn()
            except CorruptHistoryError as fault:
                self._move_aside(fault)
            except HistoryFaultError as fault:
                self._degrade(str(fault))
            except Exception as error:  # noqa: BLE001 - a fault of our own must show, not end the thread
                self._degrade(f"{type(error).__name__}: {error}")
            if self._db is not None or self._error is not None:
                self._tried.set()
        self._drop_connection()

    def _turn(self) -> bool:
        """Do what is due, or wait for something to be; return whether to go on."""
        with self.wake:
            now_s = time.monotonic()
            stopping = self._stop_at_s is not None
            batch = self.pending.due(now_s, everything=stopping)
            has_work = not batch.is_empty or self._interrupted is not None
            if self._stop_at_s is not None and (not has_work or now_s >= self._stop_at_s):
                return False
            wait_s = self._wait_s(now_s, has_work=has_work)
            if wait_s > 0:
                self.wake.wait(wait_s)
                return True
        database = self._open()
        database.write(batch)
        with self.wake:
            self.pending.written(batch, time.monotonic())
        self._close_interrupted(database)
        self._recover()
        self._keep_retention(database, batch)
        return True

    def _wait_s(self, now_s: float, *, has_work: bool) -> float:
        if now_s < self._retry_at_s:
            return self._retry_at_s - now_s
        if has_work or self._distrusted or self._db is None or self._error is not None:
            return 0.0
        due_s = self.pending.next_due_s()
        next_s = self._retention_at_s if due_s is None else min(due_s, self._retention_at_s)
        return next_s - now_s

    def _open(self) -> HistoryDatabase:
        """Return the database, opened anew if it is not open or its file is another one now."""
        if self._db is not None and self._db.replaced():
            self._log("history.replaced", database=str(self._path))
            self._forget_check()
            self._rewrite()
        if self._distrusted:
            self._forget_check()
        if self._db is None:
            self._db = HistoryDatabase(self._path, check=not self._checked)
            if self._db.damage is not None:
                raise self._db.damage
            self._checked = True
            if self.facts is None:
                self._learn(self._db.facts())
            self._db.prepare()
            self._was_ours = True
            if self._error is None:
                self._log("history.opened", database=str(self._path))
        return self._db

    def _learn(self, facts: StartFacts) -> None:
        with self.wake:
            self.facts = facts
            self.pending.blocks.know((target_text(block.target), block) for block in facts.blocks)
            self.pending.silences.know((target_text(one.target), one) for one in facts.silences)
        if facts.damaged_rows:
            self._log(
                "history.rows_skipped", rows=facts.damaged_rows, why="damaged blocks, baselines or silences"
            )

    def _close_interrupted(self, database: HistoryDatabase) -> None:
        if self._interrupted is None:
            return
        ids = database.close_interrupted(self.first_id, *self._interrupted)
        with self.wake:
            self._interrupted = None
        if ids:
            self._log("history.interrupted_closed", alert_ids=list(ids))

    def _keep_retention(self, database: HistoryDatabase, batch: Batch) -> None:
        """Do one small step of what is due each hour; alerts that came in meanwhile go first."""
        now_s, wall_s = time.monotonic(), time.time()
        if now_s < self._retention_at_s or batch.alerts or self._stop_at_s is not None:
            return
        if database.expire_step(wall_s, self.keep):
            return
        database.finish_expiry(wall_s, wall_s - self.keep.ended_s)
        with self.wake:
            self.pending.forget_ended(wall_s)
        self._retention_at_s = now_s + RETENTION_INTERVAL_S

    def _move_aside(self, fault: CorruptHistoryError) -> None:
        now_s = time.monotonic()
        if self._db is None or now_s < self._moved_at_s + MOVE_ASIDE_INTERVAL_S:
            self._degrade(str(fault))
            return
        if not (self._was_ours or self._db.looks_like_a_database()):
            self._degrade(
                f"{fault}; it may be somebody else's, and is left alone: move it away, or name another file "
                "(history.database)"
            )
            return
        try:
            aside = self._db.move_aside()
        except HistoryFaultError as refusal:
            self._degrade(f"{fault}; it cannot be moved aside: {refusal}")
            return
        self._db = None
        self._checked = False
        self._moved_at_s = now_s
        with self.wake:
            self.moved_aside = aside
        self._rewrite()
        self._log("history.moved_aside", database=str(self._path), moved_to=str(aside), error=str(fault))

    def _rewrite(self) -> None:
        with self.wake:
            self.pending.rewrite(time.time())

    def _degrade(self, error: str) -> None:
        self._drop_connection()
        with self.wake:
            news = self._error is None
            self._error = error
            stopping = self._stop_at_s is not None
            self._retry_at_s = time.monotonic() + (STOP_RETRY_S if stopping else self._retry_s)
            self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)
            queued = len(self.pending)
        if news:
            self._log("history.degraded", error=error, queued=queued)

    def _recover(self) -> None:
        with self.wake:
            news, self._error = self._error is not None, None
            self._retry_s = FIRST_RETRY_S
            lost = self.pending.lost
        if news:
            self._log("history.recovered", database=str(self._path), lost=lost)

    def _forget_check(self) -> None:
        self._distrusted = self._checked = False
        self._drop_connection()

    def _drop_connection(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

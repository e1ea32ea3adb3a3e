"""The one writer of the history: takes alerts at once, and gets them onto the disk when it can."""

from __future__ import annotations

import threading
import time
from itertools import count
from pathlib import Path

from synguard.block import Block
from synguard.endpoint import Network, source_text
from synguard.history.database import CorruptHistoryError, HistoryDatabase, HistoryFaultError, StartFacts
from synguard.history.health import HistoryHealth, Log
from synguard.history.pending import Batch, Pending
from synguard.model import Alert

__all__ = ["HistoryHealth", "HistoryStore", "Log"]

RETENTION_INTERVAL_S = 3600.0
FIRST_RETRY_S = 0.25
LAST_RETRY_S = 10.0
#: While the daemon stops, a refusing disk is asked this often.
STOP_RETRY_S = 0.1
#: A disk that damages each fresh database must not be filled with damaged ones.
MOVE_ASIDE_INTERVAL_S = 60.0


class HistoryStore:
    """Keeps alerts and blocks on disk through one thread that owns the database.

    Callers never wait for the disk and never see it fail: what cannot be written is kept, retried
    (at first within 1 s, at last every 10 s) and counted in :meth:`health`. An opening or closing is
    written at once, updates of an open alert at most once a second.
    """

    def __init__(
        self, database: Path, *, retention_days: float = 90, retention_mib: float = 1024, log: Log
    ) -> None:
        self._path = database
        self._retention_s = retention_days * 86400
        self._max_bytes = int(retention_mib * (1 << 20))
        self._log = log
        #: Guards everything below that both sides touch: the queue, the health, the requests.
        self._wake = threading.Condition()
        self._pending = Pending()
        self._error: str | None = None
        self._moved_aside: Path | None = None
        self._interrupted_wall_s: float | None = None
        self._stop_at_s: float | None = None
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._facts: StartFacts | None = None
        self._ids: count[int] | None = None
        self._first_id = 0
        # The worker's own.
        self._db: HistoryDatabase | None = None
        self._checked = self._distrusted = False
        self._retry_at_s = 0.0
        self._retry_s = FIRST_RETRY_S
        self._retention_at_s = 0.0
        self._moved_at_s = -MOVE_ASIDE_INTERVAL_S

    def start(self, wait_s: float = 5.0) -> None:
        """Start the worker and wait until it has once tried to open the database."""
        self._thread.start()
        self._tried.wait(wait_s)
        with self._wake:
            readable = self._facts is not None and self._moved_aside is None
            # Unread, the database may hold any id counted up by one for each alert so far. The
            # milliseconds since 1970 are above all of those, and above each other from start to
            # start, as long as there was less than one alert per millisecond all the time.
            highest_id = self._facts.highest_id if self._facts and readable else int(time.time() * 1000)
            self._first_id = highest_id + 1
            self._ids = count(self._first_id)

    def next_alert_id(self) -> int:
        """Return an id that no alert has had, one higher each time. Call after :meth:`start`."""
        if self._ids is None:
            raise RuntimeError("the history has not been started")
        return next(self._ids)

    def interrupted_alerts(self) -> tuple[Alert, ...]:
        """Return the alerts that a killed daemon left open; none while the database cannot be read."""
        return self._facts.open_alerts if self._facts else ()

    def close_interrupted(self, wall_s: float) -> None:
        """Have alerts of earlier daemons closed as ``interrupted``, as soon as the database can be written.

        They end at their last write, or at their start. The event ``history.interrupted_closed``
        tells their ids.
        """
        with self._wake:
            self._interrupted_wall_s = wall_s
            self._wake.notify()

    def blocks(self, wall_s: float) -> tuple[Block, ...]:
        """Return the blocks of the last daemon that last beyond ``wall_s``; none if it cannot be read."""
        return tuple(block for block in (self._facts or StartFacts()).blocks if block.until_s > wall_s)

    def save(self, alert: Alert) -> None:
        """Take an alert in: its opening, an update or its closing. Never waits, never fails."""
        with self._wake:
            lost_before = self._pending.lost
            self._pending.put(alert, time.time())
            first_loss = lost_before == 0 and self._pending.lost > 0
            queued = len(self._pending)
            self._wake.notify()
        if first_loss:
            self._log("history.alert_lost", alert_id=alert.id, queued=queued)

    def save_block(self, block: Block) -> None:
        """Take in a block that is to be in force again after a restart. Never waits, never fails."""
        with self._wake:
            self._pending.put_block(block)
            self._wake.notify()

    def remove_block(self, target: Network) -> None:
        """Take in that a block is over. Never waits, never fails."""
        with self._wake:
            self._pending.drop_block(source_text(target))
            self._wake.notify()

    def check_again(self) -> None:
        """Have the database opened and checked anew: a reader met damage that a cache hides from us."""
        with self._wake:
            self._distrusted = True
            self._wake.notify()

    def unsaved(self) -> tuple[Alert, ...]:
        """Return the alerts of which the disk does not have the latest word yet."""
        with self._wake:
            return self._pending.alerts()

    def health(self) -> HistoryHealth:
        """Return how the history fares."""
        with self._wake:
            return HistoryHealth(
                state="ok" if self._error is None else "degraded",
                error=self._error,
                queued=len(self._pending),
                lost=self._pending.lost,
                moved_aside=None if self._moved_aside is None else str(self._moved_aside),
            )

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what waits, stop the worker, and return whether everything got onto the disk."""
        with self._wake:
            self._stop_at_s = time.monotonic() + timeout_s
            self._retry_at_s = 0.0
            self._wake.notify()
        if self._thread.is_alive():
            # A disk that hangs in a system call is left to the daemon thread it hangs in.
            self._thread.join(timeout_s + 1.0)
        queued = self.health().queued
        if queued:
            self._log("history.abandoned", queued=queued, error=self._error)
        return queued == 0

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
        with self._wake:
            now_s = time.monotonic()
            stopping = self._stop_at_s is not None
            batch = self._pending.due(now_s, everything=stopping)
            has_work = bool(batch.alerts or batch.blocks or self._interrupted_wall_s is not None)
            if self._stop_at_s is not None and (not has_work or now_s >= self._stop_at_s):
                return False
            wait_s = self._wait_s(now_s, has_work=has_work)
            if wait_s > 0:
                self._wake.wait(wait_s)
                return True
        database = self._open()
        database.write(batch)
        with self._wake:
            self._pending.written(batch, time.monotonic())
        self._close_interrupted(database)
        self._recover()
        self._keep_retention(database, batch)
        return True

    def _wait_s(self, now_s: float, *, has_work: bool) -> float:
        if now_s < self._retry_at_s:
            return self._retry_at_s - now_s
        if has_work or self._distrusted or self._db is None or self._error is not None:
            return 0.0
        due_s = self._pending.next_due_s()
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
            if self._facts is None:
                self._learn(self._db.facts())
            self._db.prepare()
            if self._error is None:
                self._log("history.opened", database=str(self._path))
        return self._db

    def _learn(self, facts: StartFacts) -> None:
        with self._wake:
            self._facts = facts
            self._pending.know_blocks(facts.blocks)

    def _close_interrupted(self, database: HistoryDatabase) -> None:
        wall_s = self._interrupted_wall_s
        if wall_s is None:
            return
        ids = database.close_interrupted(self._first_id, wall_s)
        with self._wake:
            self._interrupted_wall_s = None
        if ids:
            self._log("history.interrupted_closed", alert_ids=list(ids))

    def _keep_retention(self, database: HistoryDatabase, batch: Batch) -> None:
        """Do one small step of what is due each hour; alerts that came in meanwhile go first."""
        now_s, wall_s = time.monotonic(), time.time()
        if now_s < self._retention_at_s or batch.alerts or self._stop_at_s is not None:
            return
        if database.expire_step(wall_s - self._retention_s, self._max_bytes):
            return
        database.finish_expiry(wall_s)
        with self._wake:
            self._pending.forget_expired_blocks(wall_s)
        self._retention_at_s = now_s + RETENTION_INTERVAL_S

    def _move_aside(self, fault: CorruptHistoryError) -> None:
        now_s = time.monotonic()
        if self._db is None or now_s < self._moved_at_s + MOVE_ASIDE_INTERVAL_S:
            self._degrade(str(fault))
            return
        try:
            aside = self._db.move_aside()
        except HistoryFaultError as refusal:
            self._degrade(f"{fault}; it cannot be moved aside: {refusal}")
            return
        self._db = None
        self._checked = False
        self._moved_at_s = now_s
        with self._wake:
            self._moved_aside = aside
        self._rewrite()
        self._log("history.moved_aside", database=str(self._path), moved_to=str(aside), error=str(fault))

    def _rewrite(self) -> None:
        with self._wake:
            self._pending.rewrite(time.time())

    def _degrade(self, error: str) -> None:
        self._drop_connection()
        with self._wake:
            news = self._error is None
            self._error = error
            stopping = self._stop_at_s is not None
            self._retry_at_s = time.monotonic() + (STOP_RETRY_S if stopping else self._retry_s)
            self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)
            queued = len(self._pending)
        if news:
            self._log("history.degraded", error=error, queued=queued)

    def _recover(self) -> None:
        with self._wake:
            news, self._error = self._error is not None, None
            self._retry_s = FIRST_RETRY_S
            lost = self._pending.lost
        if news:
            self._log("history.recovered", database=str(self._path), lost=lost)

    def _forget_check(self) -> None:
        self._distrusted = self._checked = False
        self._drop_connection()

    def _drop_connection(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

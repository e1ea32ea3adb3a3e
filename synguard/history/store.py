"""The history as the daemon uses it: takes alerts at once, and gets them onto the disk when it can."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from synguard.block import Block
from synguard.endpoint import Network, Target, target_text
from synguard.history.database import StartFacts
from synguard.history.health import HistoryHealth, Log
from synguard.history.pending import Pending
from synguard.history.responses import TakenResponse
from synguard.history.retention import KEEP, Keep
from synguard.history.runs import Run
from synguard.history.series import Second
from synguard.history.writer import Writer
from synguard.model import Alert
from synguard.silence import Silence

__all__ = ["HistoryHealth", "HistoryStore", "Log"]


class HistoryStore:
    """Keeps alerts and all that belongs to them on disk through one thread that owns the database.

    Callers never wait for the disk and never see it fail: what cannot be written is kept, retried
    (at first within 1 s, at last every 10 s) and counted in :meth:`health`. An opening or closing is
    written at once, updates of an open alert at most ten times a second.
    """

    def __init__(self, database: Path, *, keep: Keep = KEEP, log: Log) -> None:
        self._log = log
        self._writer = Writer(database, keep, log)
        self._ids: count[int] | None = None

    def keep(self, keep: Keep) -> None:
        """Keep so much from now on; what goes for it goes within the hour."""
        self._writer.keep = keep

    def start(self, wait_s: float = 5.0) -> None:
        """Start the worker and wait until it has once tried to open the database."""
        writer = self._writer
        writer.start(wait_s)
        with writer.wake:
            readable = writer.facts is not None and writer.moved_aside is None
            # Unread, the database may hold any id counted up by one for each alert so far. The
            # milliseconds since 1970 are above all of those, and above each other from start to
            # start, as long as there was less than one alert per millisecond all the time.
            highest_id = writer.facts.highest_id if writer.facts and readable else int(time.time() * 1000)
            writer.first_id = highest_id + 1
            self._ids = count(writer.first_id)

    def next_alert_id(self) -> int:
        """Return an id that no alert has had, one higher each time. Call after :meth:`start`."""
        if self._ids is None:
            raise RuntimeError("the history has not been started")
        return next(self._ids)

    @property
    def _facts(self) -> StartFacts:
        """What the last daemon left behind; nothing while the database cannot be read."""
        return self._writer.facts or StartFacts()

    def close_interrupted(self, wall_s: float) -> None:
        """Have alerts of earlier daemons closed as ``interrupted``, as soon as the database can be written.

        So are runs and responses from before this daemon's run.

        They end at their last write, or at their start. The event ``history.interrupted_closed``
        tells their ids.
        """
        self._writer.close_interrupted(wall_s)

    def blocks(self, wall_s: float) -> tuple[Block, ...]:
        """Return the blocks of the last daemon that last beyond ``wall_s``; none if it cannot be read."""
        return tuple(block for block in self._facts.blocks if block.until_s > wall_s)

    def earlier_drops(self, since_s: float) -> list[tuple[Network, float]]:
        """Return the sources that earlier daemons dropped on their own account, and when each drop ended.

        Both in seconds since the Unix epoch. Only drops in mode ``enforce`` that lasted their whole time, and
        were over between ``since_s`` and now; each as often as it happened, the newest first, at most
        10,000. None if the database cannot be read.
        """
        now_s = time.time()
        return [(source, ended_s) for source, ended_s in self._facts.drops if since_s <= ended_s <= now_s]

    def silences(self, wall_s: float) -> tuple[Silence, ...]:
        """Return the silences of the last daemon that last beyond ``wall_s``; none if it cannot be read."""
        return tuple(silence for silence in self._facts.silences if silence.until_s > wall_s)

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Return what was usual at each listener, as it was saved last; nothing if it cannot be read."""
        return dict(self._facts.baselines)

    def save(self, alert: Alert) -> None:
        """Take an alert in: its opening, an update or its closing. Never waits, never fails."""
        with self._queue() as pending:
            lost_before = pending.lost
            pending.put(alert, time.time())
            first_loss = lost_before == 0 and pending.lost > 0
            queued = len(pending)
        if first_loss:
            self._log("history.alert_lost", alert_id=alert.id, queued=queued)

    def save_block(self, block: Block) -> None:
        """Take in a block that is to be in force again after a restart. Never waits, never fails."""
        with self._queue() as pending:
            pending.blocks.put(target_text(block.target), block)

    def remove_block(self, target: Target) -> None:
        """Take in that a block is over. Never waits, never fails."""
        with self._queue() as pending:
            pending.blocks.drop(target_text(target))

    def save_silence(self, silence: Silence) -> None:
        """Take in a silence that is to be in force again after a restart. Never waits, never fails."""
        with self._queue() as pending:
            pending.silences.put(target_text(silence.target), silence)

    def remove_silence(self, target: Target) -> None:
        """Take in that a silence is over. Never waits, never fails."""
        with self._queue() as pending:
            pending.silences.drop(target_text(target))

    def save_second(self, second: Second) -> None:
        """Take in what a second brought. Never waits, never fails; of those that wait 600 are kept."""
        with self._queue() as pending:
            pending.chronicle.put_second(second, time.time())

    def save_response(self, taken: TakenResponse) -> None:
        """Take in that a response was taken, goes on otherwise, or has ended. Never waits, never fails."""
        with self._queue() as pending:
            pending.chronicle.put_response(taken)

    def begin_run(self, run: Run) -> None:
        """Take in that the daemon's run begins. Never waits, never fails."""
        with self._queue() as pending:
            pending.chronicle.put_run(run)

    def run_goes_on(self, wall_s: float) -> None:
        """Take in that the run goes on. Never waits, never fails."""
        with self._queue() as pending:
            pending.chronicle.run_goes_on(wall_s)

    def end_run(self, wall_s: float, because: str) -> None:
        """Take in that the run has ended: ``stopped`` or ``failed``. Never waits, never fails."""
        with self._queue() as pending:
            pending.chronicle.end_run(wall_s, because)

    def save_baselines(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        """Take in what is usual at each listener: JSON-able, and not to be changed by anyone any more.

        Never waits, never fails. Listeners that are not among them keep what they have; of all, the newest
        4,096 are kept, and none that did not change for as long as alerts are kept.
        """
        with self._queue() as pending:
            pending.put_baselines(states, time.time())

    @contextmanager
    def _queue(self) -> Iterator[Pending]:
        """Hold what waits for the disk, and wake the writer up."""
        with self._writer.wake:
            yield self._writer.pending
            self._writer.wake.notify()

    def check_again(self) -> None:
        """Have the database opened and checked anew: a reader met damage that a cache hides from us."""
        self._writer.distrust()

    def unsaved(self) -> tuple[Alert, ...]:
        """Return the alerts of which the disk does not have the latest word yet."""
        with self._writer.wake:
            return self._writer.pending.alerts()

    def health(self) -> HistoryHealth:
        """Return how the history fares."""
        return self._writer.health()

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what waits, stop the worker, and return whether everything got onto the disk."""
        self._writer.stop(timeout_s)
        health = self.health()
        if health.queued:
            self._log("history.abandoned", queued=health.queued, error=health.error)
        return health.queued == 0

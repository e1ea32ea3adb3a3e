"""What is not on disk yet: newest words only, each alert once, bounded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from synguard.block import Block
from synguard.endpoint import source_text
from synguard.model import Alert, AlertState

#: An update of an open alert is not written sooner than this after the last write of that alert.
UPDATE_INTERVAL_S = 1.0
MAX_ALERTS = 10_000
#: More than the largest `max_blocks`, so that a table replaced once over still fits.
MAX_BLOCK_CHANGES = 200_000
#: Alerts in one transaction: small, so that an opening that comes meanwhile waits little.
MAX_BATCH = 250


class Saved(NamedTuple):
    """An alert as it was at a wall-clock moment."""

    alert: Alert
    wall_s: float


class Batch(NamedTuple):
    """What to write next; a block of None is to be removed."""

    alerts: tuple[Saved, ...]
    blocks: dict[str, Block | None]


class Pending:
    """The queue before the disk. No locks, no clock: its owner brings both.

    Times are seconds of one monotonic clock, except ``wall_s``.
    """

    def __init__(self, max_alerts: int = MAX_ALERTS) -> None:
        self.lost = 0
        self._max_alerts = max_alerts
        #: Openings and closings, to be written at once.
        self._urgent: dict[int, Saved] = {}
        #: Updates of alerts whose opening is on disk.
        self._updates: dict[int, Saved] = {}
        #: Alerts on disk and open: when they were last written, and how.
        self._open: dict[int, tuple[float, Saved]] = {}
        self._block_changes: dict[str, Block | None] = {}
        self._blocks: dict[str, Block] = {}

    def __len__(self) -> int:
        """Return how many alerts and blocks wait."""
        return len(self._urgent) + len(self._updates) + len(self._block_changes)

    def put(self, alert: Alert, wall_s: float) -> bool:
        """Take an alert in, over an older word on it; return whether there was room."""
        saved = Saved(alert, wall_s)
        closed = alert.state is AlertState.CLOSED
        waiting = self._urgent.get(alert.id)
        if waiting is not None:
            if closed or waiting.alert.state is AlertState.OPEN:
                self._urgent[alert.id] = saved
            return True
        urgent = closed or alert.id not in self._open
        if alert.id not in self._updates and not self._make_room(urgent=urgent):
            return False
        if urgent:
            self._updates.pop(alert.id, None)
            self._urgent[alert.id] = saved
        else:
            self._updates[alert.id] = saved
        return True

    def put_block(self, block: Block) -> None:
        """Take in a block that is to survive a restart."""
        target = source_text(block.target)
        self._blocks[target] = block
        self._change_block(target, block)

    def drop_block(self, target: str) -> None:
        """Take in that a block is over."""
        self._blocks.pop(target, None)
        self._change_block(target, None)

    def due(self, now_s: float, *, everything: bool = False) -> Batch:
        """Return what is to be written now; it stays here until it is :meth:`written`."""
        ripe = (
            saved for alert_id, saved in self._updates.items() if everything or self._due_s(alert_id) <= now_s
        )
        alerts = list(islice(self._urgent.values(), MAX_BATCH))
        alerts += islice(ripe, MAX_BATCH - len(alerts))
        return Batch(tuple(alerts), dict(self._block_changes))

    def next_due_s(self) -> float | None:
        """Return when something will be due (0 for at once), or None when nothing waits."""
        if self._urgent or self._block_changes:
            return 0.0
        return min((self._due_s(alert_id) for alert_id in self._updates), default=None)

    def written(self, batch: Batch, now_s: float) -> None:
        """Forget what is on disk now; newer words that came in meanwhile stay."""
        for saved in batch.alerts:
            self._alert_written(saved, now_s)
        for target, block in batch.blocks.items():
            if target in self._block_changes and self._block_changes[target] is block:
                del self._block_changes[target]

    def rewrite(self, wall_s: float) -> None:
        """Ask for everything that is still true again, because the database is a fresh one."""
        for alert_id, (_, saved) in self._open.items():
            self._urgent.setdefault(alert_id, self._updates.pop(alert_id, saved))
        self._open.clear()
        self.forget_expired_blocks(wall_s)
        self._block_changes = {**self._blocks}

    def forget_expired_blocks(self, wall_s: float) -> None:
        """Forget blocks that ended by themselves before ``wall_s``."""
        self._blocks = {t: block for t, block in self._blocks.items() if block.until_s > wall_s}

    def know_blocks(self, blocks: Iterable[Block]) -> None:
        """Take in blocks that are on disk already."""
        self._blocks.update((source_text(block.target), block) for block in blocks)

    def alerts(self) -> tuple[Alert, ...]:
        """Return the alerts of which the disk does not have the latest word."""
        return tuple(saved.alert for saved in (*self._urgent.values(), *self._updates.values()))

    def _make_room(self, *, urgent: bool) -> bool:
        if len(self._urgent) + len(self._updates) < self._max_alerts:
            return True
        self.lost += 1
        if urgent and self._updates:
            # An update is the lesser loss: the alert's next update or its closing makes it good.
            del self._updates[next(iter(self._updates))]
            return True
        return False

    def _change_block(self, target: str, block: Block | None) -> None:
        if target not in self._block_changes and len(self._block_changes) >= MAX_BLOCK_CHANGES:
            self.lost += 1
            return
        self._block_changes[target] = block

    def _due_s(self, alert_id: int) -> float:
        return self._open[alert_id][0] + UPDATE_INTERVAL_S if alert_id in self._open else 0.0

    def _alert_written(self, saved: Saved, now_s: float) -> None:
        alert_id = saved.alert.id
        if self._updates.get(alert_id) is saved:
            del self._updates[alert_id]
        newer = self._urgent.get(alert_id)
        if newer is saved:
            del self._urgent[alert_id]
        elif newer is not None and newer.alert.state is AlertState.OPEN:
            # Its opening is on disk now, so the newer word is a mere update.
            self._updates[alert_id] = self._urgent.pop(alert_id)
        if saved.alert.state is AlertState.OPEN:
            self._open[alert_id] = (now_s, saved)
        else:
            self._open.pop(alert_id, None)

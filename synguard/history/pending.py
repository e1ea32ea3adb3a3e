"""What is not on disk yet: newest words only, each alert once, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from synguard.block import Block
from synguard.history.chronicle import NO_PAGE, Chronicle, Page
from synguard.history.standing import Standing
from synguard.model import Alert, AlertState
from synguard.silence import Silence

#: An update of an open alert is not written sooner than this after the last write of that alert. The detector
#: tells of figures once a second; what it has told a kill is not to lose.
UPDATE_INTERVAL_S = 0.1
MAX_ALERTS = 10_000
#: More than the largest `max_blocks`, so that a table replaced once over still fits.
MAX_BLOCK_CHANGES = 200_000
MAX_SILENCE_CHANGES = 10_000
#: Alerts in one transaction: small, so that an opening that comes meanwhile waits little.
MAX_BATCH = 250


class Saved(NamedTuple):
    """An alert as it was at a wall-clock moment."""

    alert: Alert
    wall_s: float


class Baselines(NamedTuple):
    """What is usual at some listeners, as the detector's JSON-able states, and when that was."""

    states: Mapping[str, Mapping[str, Any]]
    wall_s: float


NO_BASELINES = Baselines({}, 0.0)


@dataclass(frozen=True, slots=True)
class Batch:
    """What to write next; a block or silence of None is to be removed."""

    alerts: tuple[Saved, ...] = ()
    blocks: dict[str, Block | None] = field(default_factory=dict)
    silences: dict[str, Silence | None] = field(default_factory=dict)
    baselines: Baselines = NO_BASELINES
    page: Page = NO_PAGE

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to write."""
        others = self.blocks or self.silences or self.baselines.states
        return not (self.alerts or others) and self.page.is_empty


class Pending:
    """The queue before the disk. No locks, no clock: its owner brings both.

    Times are seconds of one monotonic clock, except ``wall_s``.
    """

    def __init__(self, max_alerts: int = MAX_ALERTS) -> None:
        self._lost = 0
        self._max_alerts = max_alerts
        #: Openings and closings, to be written at once.
        self._urgent: dict[int, Saved] = {}
        #: Updates of alerts whose opening is on disk.
        self._updates: dict[int, Saved] = {}
        #: Alerts on disk and open: when they were last written, and how.
        self._open: dict[int, tuple[float, Saved]] = {}
        self.blocks: Standing[Block] = Standing(MAX_BLOCK_CHANGES)
        self.silences: Standing[Silence] = Standing(MAX_SILENCE_CHANGES)
        self.chronicle = Chronicle()
        self._baselines = NO_BASELINES
        #: Listeners whose baseline the disk has not been asked to write yet.
        self._baselines_left: list[str] = []

    def __len__(self) -> int:
        """Return how many changes wait, of whatever kind."""
        alerts = len(self._urgent) + len(self._updates)
        standing = len(self.blocks) + len(self.silences) + len(self._baselines_left)
        return alerts + standing + len(self.chronicle)

    @property
    def lost(self) -> int:
        """Return how many words on alerts, blocks and silences never reached the disk: too many waited."""
        return self._lost + self.blocks.lost + self.silences.lost

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

    def put_baselines(self, states: Mapping[str, Mapping[str, Any]], wall_s: float) -> None:
        """Take in what is usual at each listener, over all older words; nobody may change it any more."""
        self._baselines = Baselines(states, wall_s)
        self._baselines_left = [*states]

    def due(self, now_s: float, *, everything: bool = False) -> Batch:
        """Return what is to be written now; it stays here until it is :meth:`written`."""
        ripe = (
            saved for alert_id, saved in self._updates.items() if everything or self._due_s(alert_id) <= now_s
        )
        alerts = list(islice(self._urgent.values(), MAX_BATCH))
        alerts += islice(ripe, MAX_BATCH - len(alerts))
        return Batch(
            tuple(alerts),
            self.blocks.changes(),
            self.silences.changes(),
            self._due_baselines(len(alerts)),
            # An opening must not wait for seconds that pile up behind a disk that has just come back.
            NO_PAGE if self._urgent else self.chronicle.due(),
        )

    def _due_baselines(self, alerts: int) -> Baselines:
        """Return some of the baselines, if no alert is to be written: none of them is in a hurry."""
        listeners = () if alerts else self._baselines_left[:MAX_BATCH]
        states = {listener: self._baselines.states[listener] for listener in listeners}
        return Baselines(states, self._baselines.wall_s)

    def next_due_s(self) -> float | None:
        """Return when something will be due (0 for at once), or None when nothing waits."""
        standing = len(self.blocks) or len(self.silences) or self._baselines_left
        if self._urgent or standing or len(self.chronicle):
            return 0.0
        return min((self._due_s(alert_id) for alert_id in self._updates), default=None)

    def written(self, batch: Batch, now_s: float) -> None:
        """Forget what is on disk now; newer words that came in meanwhile stay."""
        for saved in batch.alerts:
            self._alert_written(saved, now_s)
        self.blocks.written(batch.blocks)
        self.silences.written(batch.silences)
        self.chronicle.written(batch.page)
        if batch.baselines.wall_s == self._baselines.wall_s:
            del self._baselines_left[: len(batch.baselines.states)]

    def rewrite(self, wall_s: float) -> None:
        """Ask for everything that is still true again, because the database is a fresh one."""
        for alert_id, (_, saved) in self._open.items():
            self._urgent.setdefault(alert_id, self._updates.pop(alert_id, saved))
        self._open.clear()
        self.blocks.rewrite(wall_s)
        self.silences.rewrite(wall_s)
        self.chronicle.rewrite()
        self._baselines_left = [*self._baselines.states]

    def forget_ended(self, wall_s: float) -> None:
        """Forget blocks and silences that ended by themselves before ``wall_s``."""
        self.blocks.forget_ended(wall_s)
        self.silences.forget_ended(wall_s)

    def alerts(self) -> tuple[Alert, ...]:
        """Return the alerts of which the disk does not have the latest word."""
        return tuple(saved.alert for saved in (*self._urgent.values(), *self._updates.values()))

    def _make_room(self, *, urgent: bool) -> bool:
        if len(self._urgent) + len(self._updates) < self._max_alerts:
            return True
        self._lost += 1
        if urgent and self._updates:
            # An update is the lesser loss: the alert's next update or its closing makes it good.
            del self._updates[next(iter(self._updates))]
            return True
        return False

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

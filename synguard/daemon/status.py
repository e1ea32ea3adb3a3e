"""Says what ``synguard status`` shows: attachment, counts, losses, responses, history."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from synguard import __version__
from synguard.daemon.latest import Latest
from synguard.daemon.responding import describe
from synguard.daemon.room import OnDisk
from synguard.daemon.rows import blind_rows, interface_row, listener_row, source_row
from synguard.daemon.shared import Turns
from synguard.daemon.watch import Watch
from synguard.history.records import alert_to_json, time_to_json
from synguard.history.store import HistoryStore
from synguard.model import Alert
from synguard.probe import loss
from synguard.probe.totals import losses_to_json, totals_to_json, unparsed_to_json
from synguard.respond.responder import Responder
from synguard.respond.upkeep import Upkeep

#: The detector tells each open alert at a price; of more than so many its last word must do.
MOST_ALERTS_ASKED = 16


class Status:
    """Makes the whole status, ready for JSON.

    Args:
        watch: what is seen.
        upkeep: what is done about it.
        history: what is kept.
        latest: the open alerts, as each was told last.
        facts: tells of what was decided as the daemon began: settings, pins, memory.

    """

    def __init__(
        self,
        watch: Watch,
        upkeep: Upkeep,
        history: HistoryStore,
        latest: Latest,
        facts: Callable[[], dict[str, Any]],
    ) -> None:
        self._watch = watch
        self._upkeep = upkeep
        self._history = history
        self._latest = latest
        self._facts = facts
        self._on_disk = OnDisk(Path(facts()["history"]["database"]))

    async def describe(self, turns: Turns) -> dict[str, Any]:
        """Return all of it; others have their turn meanwhile."""
        watch, facts, alerts = self._watch, self._facts(), self._alerts()
        totals = watch.reader.totals()
        listeners = await self._listeners(turns)
        return {
            **standing(watch, self._upkeep.responder, alerts, totals),
            **facts,
            "unparsed": unparsed_to_json(totals),
            "listeners": listeners,
            "stack": self._stack(),
            "sources": [row async for row in turns.of(self._sources())],
            "open_alerts": [alert_to_json(alert) async for alert in turns.of(alerts)],
            "expected_losses": list(_expected_losses(listeners)),
            "responses": await describe(self._upkeep, turns),
            "history": {**facts["history"], **await self.health()},
        }

    def _alerts(self) -> Sequence[Alert]:
        if len(self._latest) > MOST_ALERTS_ASKED:
            return self._latest.alerts()
        return self._watch.cases.open_alerts()

    async def _listeners(self, turns: Turns) -> list[dict[str, Any]]:
        views, rows = self._watch.detector.views(), []
        async for reading in turns.of(self._watch.reader.listeners(time.monotonic_ns())):
            row = listener_row(reading, views.listener(reading.listener), self._watch.snapshot)
            if row["attempts"]:
                rows.append((reading.counts.attempts, row))
        return [row for _, row in sorted(rows, key=lambda pair: -pair[0])]

    def _sources(self) -> Iterator[dict[str, Any]]:
        snapshot = self._watch.snapshot
        if snapshot is not None:
            busiest = sorted(snapshot.sources, key=lambda reading: reading.counts.attempts, reverse=True)
            yield from (source_row(reading, snapshot) for reading in busiest)

    def _stack(self) -> dict[str, Any]:
        """Return what the stack says of itself; while nothing moves it is not asked."""
        server = self._watch.snapshot.server if self._watch.snapshot else None
        return {
            "syncookies": server.syncookies if server else None,
            "counters": dict(server.counters) if server else None,
            "conntrack_entries": server.conntrack_entries if server else None,
            "conntrack_limit": server.conntrack_limit if server else None,
            "unreadable": dict(self._watch.server.problems),
        }

    async def health(self) -> dict[str, Any]:
        """Return how the history fares, and how much room it takes."""
        on_disk = await self._on_disk.look()
        return {"database": str(self._on_disk.database), **on_disk, **asdict(self._history.health())}


def standing(
    watch: Watch, responder: Responder, alerts: Iterable[Alert], totals: Mapping[str, int]
) -> dict[str, Any]:
    """Return who this daemon is and how it stands: attachment, sight, totals, losses, mode."""
    now_s, blind = time.time(), list(blind_rows(alerts))
    one_way = watch.snapshot is not None and watch.snapshot.one_way
    return {
        "version": __version__,
        "pid": os.getpid(),
        "started_at": time_to_json(watch.started_at_s),
        "uptime_s": round(now_s - watch.started_at_s, 3),
        "respond": str(responder.rules.mode),
        "drop": responder.rules.drop,
        "interfaces": [interface_row(described, blind) for described in watch.guard.describe()],
        "blind": blind,
        "one_way": one_way,
        "totals": totals_to_json(totals, one_way=one_way),
        "losses": _losses(watch, totals),
        "silences": len(watch.cases.silences.held(now_s)),
    }


def _losses(watch: Watch, totals: Mapping[str, int]) -> dict[str, int]:
    """Return what probe, reader and detector could not keep."""
    return {
        **losses_to_json(totals),
        "sources_unwatched": watch.reader.losses.sources_unwatched,
        "late_reads": watch.reader.losses.late_reads,
        **watch.detector.losses,
    }


def _expected_losses(listeners: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what the probe's bounded tables are stated to lose: at the present rate, and in floods."""
    now_per_s = round(sum(row["attempts_per_s"] or 0.0 for row in listeners), 1)
    for rate in (now_per_s, *loss.TOLD_ATTEMPTS_PER_S):
        yield {
            "attempts_per_s": rate,
            "handshakes": [
                {"hold_s": hold_s, "lost_share": loss.handshake_loss(rate, hold_s)}
                for hold_s in loss.TOLD_HOLD_S
            ],
            "greylisted": [
                {"hold_s": hold_s, "lost_share": loss.greylist_loss(rate, hold_s)}
                for hold_s in loss.TOLD_AGAIN_S
            ],
            "sources_known_from_syn_per_s": loss.known_from_syn_per_s(rate),
        }

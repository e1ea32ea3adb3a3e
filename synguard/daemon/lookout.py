"""Puts into each snapshot what the probe can see at all, and what it has missed."""

from __future__ import annotations

from dataclasses import replace

from synguard.daemon.egress import Egress
from synguard.daemon.guard import Guard
from synguard.model import Snapshot
from synguard.probe import layout
from synguard.probe.reader import ProbeReader
from synguard.sight import Sight


class Lookout:
    """Gathers the facts from those who have them: the guard, the reader, and whoever watches egress."""

    def __init__(self, guard: Guard, reader: ProbeReader, egress: Egress) -> None:
        self._guard = guard
        self._reader = reader
        self._egress = egress
        self._read_ns: int | None = None

    def complete(self, snapshot: Snapshot, pause_s: float) -> Snapshot:
        """Return the snapshot with its sight; it was to be read ``pause_s`` seconds after the one before."""
        self._egress.look(snapshot.time_ns, snapshot.totals)
        sight = Sight(
            interfaces=self._guard.readings(),
            flows=self._egress.flows,
            egress_in_doubt=self._egress.in_doubt,
            failed_updates={name: snapshot.totals[name] for name in layout.FAILED_UPDATES},
            read_late_s=self._late_s(snapshot.time_ns, pause_s),
            late_reads=self._reader.losses.late_reads,
        )
        return replace(snapshot, sight=sight, one_way=self._egress.one_way)

    def _late_s(self, now_ns: int, pause_s: float) -> float:
        last_ns, self._read_ns = self._read_ns, now_ns
        return 0.0 if last_ns is None else max(0.0, (now_ns - last_ns) / 10**9 - pause_s)

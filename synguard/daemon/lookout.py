"""Puts into each snapshot what the probe can see at all, and what it has missed."""

from __future__ import annotations

from dataclasses import replace

from synguard.daemon.guard import Guard
from synguard.model import Snapshot
from synguard.probe.reader import ProbeReader
from synguard.sight import Sight


class Lookout:
    """Gathers the facts from those who have them: the guard and the reader."""

    def __init__(self, guard: Guard, reader: ProbeReader) -> None:
        self._guard = guard
        self._reader = reader
        self._read_ns: int | None = None

    def complete(self, snapshot: Snapshot, pause_s: float) -> Snapshot:
        """Return the snapshot with its sight; it was to be read ``pause_s`` seconds after the one before."""
        sight = Sight(
            interfaces=self._guard.readings(),
            read_late_s=self._late_s(snapshot.time_ns, pause_s),
            late_reads=self._reader.losses.late_reads,
        )
        return replace(snapshot, sight=sight)

    def _late_s(self, now_ns: int, pause_s: float) -> float:
        last_ns, self._read_ns = self._read_ns, now_ns
        return 0.0 if last_ns is None else max(0.0, (now_ns - last_ns) / 10**9 - pause_s)

"""Puts into each snapshot what the probe cannot know: what it can see at all, and how the stack copes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from synguard.daemon.egress import Egress
from synguard.daemon.guard import Guard
from synguard.endpoint import Listener
from synguard.impact.impact import ServerWatch
from synguard.model import Snapshot
from synguard.probe import layout
from synguard.probe.reader import ProbeReader
from synguard.sight import Sight


class Lookout:
    """Gathers the facts from those who have them: guard, reader, who watches egress, and the stack."""

    def __init__(self, guard: Guard, reader: ProbeReader, egress: Egress, server: ServerWatch) -> None:
        self._guard = guard
        self._reader = reader
        self._egress = egress
        self._server = server
        self._read_ns: int | None = None

    def complete(self, snapshot: Snapshot, pause_s: float, suspects: Collection[Listener]) -> Snapshot:
        """Return the snapshot with its sight, and with the stack's word where handshakes move.

        Args:
            snapshot: what the probe said.
            pause_s: it was to be read so many seconds after the one before.
            suspects: the listeners whose queues matter now.

        """
        self._egress.look(snapshot.time_ns, snapshot.totals)
        sight = Sight(
            interfaces=self._guard.readings(),
            flows=self._egress.flows,
            egress_in_doubt=self._egress.in_doubt,
            failed_updates={name: snapshot.totals[name] for name in layout.FAILED_UPDATES},
            read_late_s=self._late_s(snapshot.time_ns, pause_s),
            late_reads=self._reader.losses.late_reads,
        )
        is_needed = self._reader.active or bool(suspects)
        server = self._server.read(snapshot.time_ns, suspects) if is_needed else None
        return replace(snapshot, sight=sight, one_way=self._egress.one_way, server=server)

    def _late_s(self, now_ns: int, pause_s: float) -> float:
        last_ns, self._read_ns = self._read_ns, now_ns
        return 0.0 if last_ns is None else max(0.0, (now_ns - last_ns) / 10**9 - pause_s)

"""Draws from the snapshots what each second brought: the figures that the history keeps beside the alerts."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import zip_longest
from typing import NamedTuple

from synguard.detect.allowance import percentile_ns
from synguard.detect.counts import rise
from synguard.endpoint import Listener
from synguard.history.series import TOTALS, Second
from synguard.model import HandshakeCounts, ListenerReading, Snapshot
from synguard.probe.totals import totals_to_json
from synguard.server import ServerReading

#: More listeners than a probe holds at a time are remembered only until it is known which it has forgotten.
MOST_REMEMBERED = 16_384
#: By what is kept of the kernel's counters, their names there.
_KERNEL = {
    "kernel_cookies": "SyncookiesSent",
    "kernel_drops": "ListenDrops",
    "accept_overflows": "ListenOverflows",
}
_TOTALS = tuple(one.name for one in TOTALS if one.name not in (*_KERNEL, "peak_attempts_per_s"))

Figures = dict[str, float | None]


class _Known(NamedTuple):
    """What a listener had counted at the last second's end."""

    counts: HandshakeCounts
    handshake_ms_histogram: tuple[int, ...]


class Seconds:
    """Remembers what was counted at the end of each second.

    Args:
        known_listeners: reads all that the probe knows, idle ones too.
        most_listeners: of so many the figures are drawn, those in ``wanted`` first and then the busiest.

    """

    def __init__(self, known_listeners: Callable[[], Iterable[ListenerReading]], most_listeners: int) -> None:
        self._known_listeners = known_listeners
        self.most_listeners = most_listeners
        self._wall_s: float | None = None
        self._totals: Mapping[str, int | None] = {}
        self._kernel: Mapping[str, int] = {}
        self._listeners: dict[Listener, _Known] = {}

    def take(
        self, snapshot: Snapshot, wanted: Collection[Listener] = (), *, last: bool = False
    ) -> Second | None:
        """Return what came since the last second's end, once another second has begun or with the ``last``.

        None if nothing came. The first snapshot is what all others are held against. After a read that came
        late, a second holds what several brought.
        """
        if self._wall_s is None:
            self._begin(snapshot)
            return None
        if int(snapshot.wall_s) == int(self._wall_s) and not last:
            return None
        # Reads come some milliseconds after a second's end: what it holds counts as one second's.
        began_s, lasted_s = self._wall_s, max(round(snapshot.wall_s - self._wall_s), 1)
        totals = self._rise_of_totals(snapshot, lasted_s)
        listeners = self._rise_of_listeners(snapshot, wanted, lasted_s)
        self._wall_s = snapshot.wall_s
        return Second(int(began_s), totals, listeners) if any(totals.values()) else None

    def _begin(self, snapshot: Snapshot) -> None:
        self._wall_s = snapshot.wall_s
        self._totals = totals_to_json(snapshot.totals, one_way=snapshot.one_way)
        self._kernel = snapshot.server.counters if snapshot.server else {}
        self._listeners = {one.listener: _known(one) for one in self._known_listeners()}

    def _rise_of_totals(self, snapshot: Snapshot, lasted_s: float) -> Figures:
        before, now = self._totals, totals_to_json(snapshot.totals, one_way=snapshot.one_way)
        self._totals = now
        totals: Figures = {name: _rise(before.get(name), now[name]) for name in _TOTALS}
        totals["peak_attempts_per_s"] = (totals["attempts"] or 0) / lasted_s
        counters = snapshot.server.counters if snapshot.server else {}
        for name, counter in _KERNEL.items():
            totals[name] = _rise(self._kernel.get(counter), counters.get(counter))
        self._kernel = {**self._kernel, **counters}
        return totals

    def _rise_of_listeners(
        self, snapshot: Snapshot, wanted: Collection[Listener], lasted_s: float
    ) -> dict[str, Figures]:
        if len(self._listeners) > MOST_REMEMBERED:
            held = {one.listener for one in self._known_listeners()}
            self._listeners = {one: known for one, known in self._listeners.items() if one in held}
        risen = []
        for reading in snapshot.listeners:
            before = self._listeners.get(reading.listener, _NEW)
            if reading.counts == before.counts:
                continue
            self._listeners[reading.listener] = _known(reading)
            risen.append((reading, before, rise(before.counts, reading.counts)))
        shown = heapq.nlargest(
            self.most_listeners, risen, key=lambda one: (one[0].listener in wanted, one[2].attempts)
        )
        listeners = {}
        for reading, before, counts in shown:
            counted = _counted(reading.listener, counts, snapshot, lasted_s)
            # A closed bucket's counts also rise by what moves to its listener.
            if any(counted.values()):
                listeners[str(reading.listener)] = {
                    **counted,
                    **_handshake_times(before, reading),
                    "sources_estimated": reading.sources_estimated,
                    **_queues(reading.listener, snapshot.server),
                }
        return listeners


def _known(reading: ListenerReading) -> _Known:
    return _Known(reading.counts, reading.handshake_ms_histogram)


_NEW = _Known(HandshakeCounts(), ())


def _rise(before: int | None, now: int | None) -> int | None:
    """Return by how much a count rose, all of it where it began anew, None where either is unknown."""
    if before is None or now is None:
        return None
    return now - before if now >= before else now


def _counted(listener: Listener, counts: HandshakeCounts, snapshot: Snapshot, lasted_s: float) -> Figures:
    # What a closed bucket calls answered moved to its listener, and counts there.
    attempts = counts.attempts if listener.port else max(0, counts.attempts - counts.answered)
    return {
        "attempts": attempts,
        "answered": None if snapshot.one_way else counts.answered if listener.port else 0,
        "completed": None if snapshot.one_way else counts.completed,
        "aborted": counts.aborted,
        "refused": counts.refused,
        "dropped_by_us": counts.dropped_by_us,
        "peak_attempts_per_s": attempts / lasted_s,
    }


def _handshake_times(before: _Known, reading: ListenerReading) -> Figures:
    """Return how long the handshakes took that completed in this second: upper edges of bins that double."""
    pairs = zip_longest(reading.handshake_ms_histogram, before.handshake_ms_histogram, fillvalue=0)
    gained = [max(0, now - then) for now, then in pairs]
    edges = {"handshake_p50_ms": percentile_ns(gained, 0.5), "handshake_p99_ms": percentile_ns(gained, 0.99)}
    return {name: None if edge_ns is None else edge_ns / 10**6 for name, edge_ns in edges.items()}


def _queues(listener: Listener, server: ServerReading | None) -> Figures:
    queues = server.queues.get(listener) if server else None
    names = ("syn_queue", "syn_queue_limit", "accept_queue", "accept_queue_limit")
    return {name: getattr(queues, name) if queues else None for name in names}

"""Reads the probe's maps into snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nlargest

from synguard.model import ListenerReading, Snapshot, SourceReading
from synguard.probe import layout
from synguard.probe.probe import Probe
from synguard.probe.syscall import BpfMap

_ONLY_KEY = bytes(4)
#: A listener or source whose last attempt is older has nothing left in its ring.
_RING_NS = layout.LISTENER_COHORTS << layout.LISTENER_COHORT_SHIFT
#: After how long without any attempt a listener may make room for a new one.
_LISTENER_IDLE_NS = 900 * 10**9
_CANDIDATES_A_READ = 256


@dataclass(slots=True)
class ReaderLosses:
    """What the reader could not keep, since the start."""

    sources_unwatched: int = 0
    #: Reads that came so late that cohorts had left the ring unread.
    late_reads: int = 0


class ProbeReader:
    """Turns maps into :class:`Snapshot` records; holds the bounded set of watched sources.

    The cost of a read follows the listeners with recent attempts and the watched sources, not the number of
    addresses that the probe has seen; while nothing at all happens only the totals are read.
    """

    def __init__(self, probe: Probe, watched_max: int = 512) -> None:
        self._probe = probe
        self._watched_max = watched_max
        self._watched: set[bytes] = set()
        self._activity: tuple[int, ...] = ()
        self._active_until_ns = 0
        #: Whether any handshake moved within the last ring.
        self.active = False
        self._last_read_ns: int | None = None
        self.losses = ReaderLosses()

    def totals(self) -> dict[str, int]:
        """Return every total counter since the probe was loaded."""
        return layout.decode_totals(self._probe.maps["totals"].lookup(_ONLY_KEY) or b"")

    def read(self, now_ns: int, wall_s: float) -> Snapshot:
        """Return what there is to know at ``now_ns`` (the kernel's monotonic clock)."""
        totals = self.totals()
        if self._last_read_ns is not None and now_ns - self._last_read_ns > _RING_NS:
            self.losses.late_reads += 1
        self._last_read_ns = now_ns
        self.active = self._is_active(totals, now_ns)
        return Snapshot(
            now_ns,
            wall_s,
            1 << layout.LISTENER_COHORT_SHIFT,
            1 << layout.SOURCE_COHORT_SHIFT,
            tuple(self._recent_listeners(now_ns)) if self.active else (),
            tuple(self._watched_sources(now_ns)) if self.active else (),
            totals,
        )

    def _is_active(self, totals: dict[str, int], now_ns: int) -> bool:
        """Tell whether any handshake moved within the last ring; reading the tables pays only then."""
        activity = tuple(totals[name] for name in layout.HANDSHAKE_COUNTERS)
        if activity != self._activity:
            self._activity = activity
            self._active_until_ns = now_ns + _RING_NS + 10**9
        return now_ns < self._active_until_ns

    def listeners(self, now_ns: int) -> Iterator[ListenerReading]:
        """Yield every listener that the probe knows, idle ones too, and the closed buckets."""
        for bpf_map in (self._probe.maps["listeners"], self._probe.maps["closed_buckets"]):
            for key, value in bpf_map.items():
                yield layout.decode_listener(value, layout.decode_listener_key(key), now_ns)

    def _recent_listeners(self, now_ns: int) -> Iterator[ListenerReading]:
        idle: list[bytes] = []
        known = 0
        for key, value in self._probe.maps["listeners"].items():
            known += 1
            age_ns = now_ns - layout.listener_last_ns(value)
            if age_ns < _RING_NS:
                yield layout.decode_listener(value, layout.decode_listener_key(key), now_ns)
            elif age_ns > _LISTENER_IDLE_NS:
                idle.append(key)
        self._make_room(self._probe.maps["listeners"], known, idle)
        for key, value in self._probe.maps["closed_buckets"].items():
            if now_ns - layout.listener_last_ns(value) < _RING_NS:
                yield layout.decode_listener(value, layout.decode_listener_key(key), now_ns)

    @staticmethod
    def _make_room(listeners: BpfMap, known: int, idle: list[bytes]) -> None:
        """Forget long idle listeners once three quarters of the table are taken."""
        if known * 4 > listeners.info.max_entries * 3:
            for key in idle:
                listeners.delete(key)

    def _watched_sources(self, now_ns: int) -> list[SourceReading]:
        """Read the watched sources and those newly named; of too many, go on watching the busiest."""
        readings = {}
        for key in sorted(self._watched.union(self._named())):
            raw = self._probe.maps["sources"].lookup(key)
            if raw is not None and now_ns - layout.source_last_ns(raw) <= _RING_NS:
                source = layout.decode_source_key(key, self._probe.ipv6_prefix_length)
                readings[key] = layout.decode_source(raw, source, now_ns)
        if len(readings) > self._watched_max:
            self.losses.sources_unwatched += len(readings) - self._watched_max
            busiest = nlargest(self._watched_max, readings, key=lambda key: _unfinished(readings[key]))
            readings = {key: readings[key] for key in busiest}
        self._watched = set(readings)
        return list(readings.values())

    def _named(self) -> Iterator[bytes]:
        """Take the sources that the probe has named out of its queue, so many at a time; the rest waits."""
        for _ in range(_CANDIDATES_A_READ):
            key = self._probe.maps["candidates"].pop()
            if key is None:
                return
            yield key


def _unfinished(reading: SourceReading) -> int:
    return sum(cohort.attempts - cohort.completed for cohort in reading.cohorts)

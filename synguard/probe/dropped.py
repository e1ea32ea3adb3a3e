"""What the probe has dropped and not booked yet: the last SYNs of a batch, which wait for another one.

The totals have them already. See ``bpf/dropped.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, TypeVar

from synguard.model import Cohort, HandshakeCounts, ListenerReading, SourceReading
from synguard.probe.syscall import BpfMap

#: ``struct dropped``: source, destination, port, tick, how many more.
DROPPED = struct.Struct("=16s16s2s6xQQ")
#: A tick is 2^23 ns.
TICK_SHIFT = 23

_ONLY_KEY = bytes(4)
_Reading = TypeVar("_Reading", ListenerReading, SourceReading)


class Batch(NamedTuple):
    """SYNs of one source to one listener; addresses and port as the probe keeps them."""

    source: bytes
    destination: bytes
    port: bytes
    at_ns: int
    more: int


class Unbooked:
    """The batches that wait, one at most for each CPU."""

    def __init__(self, dropped: BpfMap) -> None:
        self._dropped = dropped
        self._batches: tuple[Batch, ...] = ()

    def look(self) -> None:
        """Read what waits at present."""
        self._batches = tuple(self._read())

    def _read(self) -> Iterator[Batch]:
        for source, destination, port, tick, more in DROPPED.iter_unpack(
            self._dropped.lookup(_ONLY_KEY) or b""
        ):
            if more:
                yield Batch(source, destination, port, tick << TICK_SHIFT, more)

    def at_listener(self, key: bytes, reading: ListenerReading, cohort_ns: int) -> ListenerReading:
        """Return a listener's reading with what waits for the listener under that key."""
        for batch in self._batches:
            if key[:18] == batch.destination + batch.port:
                reading = _with(reading, batch, cohort_ns)
        return reading

    def at_closed(
        self, key: bytes, reading: ListenerReading, cohort_ns: int, known: BpfMap
    ) -> ListenerReading:
        """Return a closed bucket's reading with what waits for ports of its address that never answered."""
        for batch in self._batches:
            is_closed = known.lookup(batch.destination + batch.port + bytes(6)) is None
            if key[:16] == batch.destination and is_closed:
                reading = _with(reading, batch, cohort_ns)
        return reading

    def at_source(self, key: bytes, reading: SourceReading, cohort_ns: int) -> SourceReading:
        """Return a source's reading with what waits for the source under that key."""
        for batch in self._batches:
            if key == batch.source:
                reading = _with(reading, batch, cohort_ns)
        return reading


def _with(reading: _Reading, batch: Batch, cohort_ns: int) -> _Reading:
    start_ns = batch.at_ns - batch.at_ns % cohort_ns
    cohorts = {cohort.start_ns: cohort for cohort in reading.cohorts}
    held = cohorts.get(start_ns, Cohort(start_ns, 0, 0))
    cohorts[start_ns] = held._replace(attempts=held.attempts + batch.more)
    return replace(
        reading,
        counts=_dropped(reading.counts, batch.more),
        cohorts=tuple(cohorts[start] for start in sorted(cohorts)),
    )


def _dropped(counts: HandshakeCounts, more: int) -> HandshakeCounts:
    return replace(counts, attempts=counts.attempts + more, dropped_by_us=counts.dropped_by_us + more)

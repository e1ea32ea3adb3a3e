"""What people may look at of what the detector knows beyond the counts: rates, what is half-open, impact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from synguard.detect.allowance import HandshakeTimes
from synguard.detect.impact import Impact
from synguard.detect.listener_memory import ListenerView
from synguard.detect.memory import Memory
from synguard.detect.thresholds import NS_PER_MS, NS_PER_S, Thresholds
from synguard.detect.windows import RING_NS, matured, measure
from synguard.endpoint import Listener
from synguard.model import ListenerReading, Snapshot, SourceReading


@dataclass(frozen=True, slots=True)
class SourceView:
    """What is known of a source, or a prefix, beyond its counts."""

    #: Attempts per second over the last second.
    attempts_per_s: float
    #: Unfinished attempts that are at least a second old, and their share (0..1); None without any attempts.
    half_open: int | None
    half_open_ratio: float | None


def view_source(reading: SourceReading, snapshot: Snapshot) -> SourceView:
    """Return what people may want to know of a source or prefix of a snapshot."""
    slice_ns, now_ns = snapshot.source_cohort_ns, snapshot.time_ns
    old = matured(reading.cohorts, slice_ns, now_ns, NS_PER_S, RING_NS)
    # Its slices are long: a second that ends anywhere would miss the part of one at either end.
    end_ns = now_ns // slice_ns * slice_ns
    recent = measure(reading.cohorts, slice_ns, end_ns - NS_PER_S // slice_ns * slice_ns, end_ns)
    seen = old.attempts > 0
    return SourceView(
        recent.attempts_per_s, old.half_open if seen else None, old.half_open_ratio if seen else None
    )


class Views:
    """What the detector knows of its listeners, as of one snapshot."""

    def __init__(
        self, memory: Memory, impact: Impact, thresholds: Thresholds, at_ns: tuple[int, int]
    ) -> None:
        self._memory = memory
        self._impact = impact
        self._thresholds = thresholds
        self._now_ns, self._slice_ns = at_ns

    def readings(self) -> Iterator[ListenerReading]:
        """Yield the last reading of each listener that is remembered, and of the closed buckets."""
        # A copy: whoever looks takes turns with those who observe.
        for memory in [*self._memory.listeners.values()]:
            yield memory.reading

    def listener(self, listener: Listener) -> ListenerView:
        """Return what is known of a listener beyond its counts; what is not known of it is None."""
        memory = self._memory.listeners.get(listener)
        thresholds = self._thresholds.for_listener(listener)
        if memory is None:
            allowance_ms = HandshakeTimes().allowance_ns(thresholds) / NS_PER_MS
            return ListenerView(allowance_ms, None, None, None, 0.0)
        return memory.view(thresholds, self._now_ns, self._slice_ns)

    def impact(self, listener: Listener) -> str | None:
        """Return the impact on a listener in the last seconds; None where nobody has looked or can know."""
        return self._impact.now(listener, self._now_ns)

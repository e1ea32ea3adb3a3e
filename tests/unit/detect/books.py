"""The counters of one listener, source or prefix, kept as the probe keeps them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from synguard.model import Cohort, HandshakeCounts

MS = 1_000_000
LISTENER_SLICE_NS = 1 << 24
SOURCE_SLICE_NS = 1 << 26
RING_SLICES = {LISTENER_SLICE_NS: 256, SOURCE_SLICE_NS: 64}
#: TTLs by 8, handshake times by doubling.
BINS = {"ttl": 32, "times": 16}


@dataclass
class Book:
    """What is counted of one of them: a ring of cohorts, cumulative counts, and marks."""

    slice_ns: int
    ring: dict[int, list[int]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    #: Bare, bogon and patterned attempts; fin, null and xmas segments. Shares of attempts carry over.
    marks: Counter[str] = field(default_factory=Counter)
    times: list[int] = field(default_factory=lambda: [0] * BINS["times"])
    syn_ttl: list[int] = field(default_factory=lambda: [0] * BINS["ttl"])
    completed_ttl: list[int] = field(default_factory=lambda: [0] * BINS["ttl"])
    first_ms: int | None = None
    last_ms: int = 0

    def touch(self, now_ms: int) -> None:
        """Note that something of it was seen."""
        self.first_ms = now_ms if self.first_ms is None else self.first_ms
        self.last_ms = now_ms

    def attempt(self, time_ns: int, count: int) -> None:
        """Book attempts to the slice of now."""
        start_ns = time_ns // self.slice_ns * self.slice_ns
        self.ring.setdefault(start_ns, [0, 0])[0] += count
        self.counts["attempts"] += count

    def complete(self, attempted_ns: int, count: int, rtt_ms: int) -> None:
        """Book completions to the slice of their attempts, if the ring still has it."""
        start_ns = attempted_ns // self.slice_ns * self.slice_ns
        if start_ns in self.ring:
            self.ring[start_ns][1] += count
        self.counts["completed"] += count
        edges = (rtt_ms * MS >> 20).bit_length()
        self.times[min(edges, BINS["times"] - 1)] += count

    def cohorts(self, now_ns: int) -> tuple[Cohort, ...]:
        """Return what the ring holds, the oldest first."""
        oldest_ns = now_ns // self.slice_ns * self.slice_ns - (RING_SLICES[self.slice_ns] - 1) * self.slice_ns
        self.ring = {start: counts for start, counts in self.ring.items() if start >= oldest_ns}
        return tuple(Cohort(start, *self.ring[start]) for start in sorted(self.ring))

    def handshakes(self) -> HandshakeCounts:
        """Return the cumulative counts."""
        return HandshakeCounts(**self.counts)

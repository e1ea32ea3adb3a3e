"""Attempts of the last four seconds slice by slice, as lists: who asked whom is found by comparing many."""

from __future__ import annotations

from collections.abc import Sequence

from synguard.detect.thresholds import NS_PER_S
from synguard.model import Cohort, Snapshot

#: So far back slices are compared.
SPAN_NS = 4 * NS_PER_S


class Grid:
    """The source slices of a snapshot's last four seconds, by number from the oldest on."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.slice_ns = snapshot.source_cohort_ns
        self.now_ns = snapshot.time_ns
        self._from_ns = self.now_ns - SPAN_NS
        self._first = self._from_ns // self.slice_ns
        self._count = self.now_ns // self.slice_ns - self._first + 1

    def numbers(self, from_ns: int, until_ns: int) -> slice:
        """Return which slices begin between two moments, both included."""
        first = max(0, -(-from_ns // self.slice_ns) - self._first)
        return slice(first, max(first, until_ns // self.slice_ns - self._first + 1))

    def half_open(self, cohorts: Sequence[Cohort]) -> list[int]:
        """Return the unfinished attempts of each slice; ``cohorts`` are the oldest first."""
        found = [0] * self._count
        first, slice_ns, from_ns = self._first, self.slice_ns, self._from_ns
        for start_ns, attempts, completed in reversed(cohorts):
            if start_ns < from_ns:
                break
            place = start_ns // slice_ns - first
            if attempts > completed and place < self._count:
                found[place] += attempts - completed
        return found


def common(ours: Sequence[int], theirs: Sequence[int], numbers: slice) -> int:
    """Return how many of ours fit into theirs, slice by slice."""
    return sum(map(min, ours[numbers], theirs[numbers]))

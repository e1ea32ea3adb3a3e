"""Windows over cohorts: how many attempts of a stretch of time are still unfinished.

A completion is booked to the cohort of its own attempt, so a cohort that is old enough has its final
figures, and the ratio of a window of such cohorts means what it says, while traffic starts or ends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from synguard.detect.thresholds import NS_PER_S
from synguard.model import Cohort

#: The probe's rings hold 4.29 s; the last of it may be overwritten while it is read.
RING_NS = 4_100_000_000
#: A slice counts as busy from this share of the fullest slice's half-open attempts on, so that a
#: background of a few lost handshakes does not make a burst look long.
BUSY_SHARE = 0.1

#: No intensity is averaged over less: shorter bursts are no floods.
SHORTEST_NS = 50_000_000


class Window(NamedTuple):
    """The attempts that began within a stretch of time, and how many of them are unfinished."""

    start_ns: int
    end_ns: int
    attempts: int
    half_open: int
    #: Slices that hold half-open attempts in earnest.
    busy_slices: int
    #: Start of the first and end of the last busy slice; both ``start_ns`` where there is none.
    busy_from_ns: int
    busy_until_ns: int
    #: Half-open attempts of the fullest slice.
    peak_half_open: int = 0

    @property
    def length_s(self) -> float:
        """Return the window's length in seconds."""
        return (self.end_ns - self.start_ns) / NS_PER_S

    @property
    def half_open_per_s(self) -> float:
        """Return the half-open attempts per second, averaged over the whole window."""
        return self.half_open / self.length_s if self.end_ns > self.start_ns else 0.0

    @property
    def intensity_per_s(self) -> float:
        """Return the half-open attempts per second, averaged from the first to the last busy slice.

        A flood that began just now fills its window only in part; this tells how strong it is.
        """
        span_ns = max(self.busy_until_ns - self.busy_from_ns, SHORTEST_NS)
        return self.half_open * NS_PER_S / span_ns

    @property
    def attempts_per_s(self) -> float:
        """Return the attempts per second, averaged over the whole window."""
        return self.attempts / self.length_s if self.end_ns > self.start_ns else 0.0

    @property
    def half_open_ratio(self) -> float:
        """Return the share (0..1) of its attempts that are half-open; 0.0 without attempts."""
        return self.half_open / self.attempts if self.attempts else 0.0

    def without(self, half_open: int) -> Window:
        """Return this window less so many half-open attempts, which somebody else accounts for."""
        gone = min(half_open, self.half_open)
        return self._replace(attempts=self.attempts - gone, half_open=self.half_open - gone)


def measure(cohorts: Sequence[Cohort], slice_ns: int, start_ns: int, end_ns: int) -> Window:
    """Return the window of the cohorts that lie wholly between two moments; ``cohorts`` oldest first."""
    first = bisect_left(cohorts, (start_ns,))
    last = bisect_left(cohorts, (end_ns - slice_ns + 1,))
    chosen = cohorts[first:last]
    unfinished = [attempts - done if attempts > done else 0 for _, attempts, done in chosen]
    peak = max(unfinished, default=0)
    bar = max(1.0, BUSY_SHARE * peak)
    busy = [place for place, count in enumerate(unfinished) if count >= bar]
    return Window(
        start_ns=start_ns,
        end_ns=end_ns,
        attempts=sum([attempts for _, attempts, _ in chosen]),
        half_open=sum(unfinished),
        busy_slices=len(busy),
        busy_from_ns=chosen[busy[0]].start_ns if busy else start_ns,
        busy_until_ns=chosen[busy[-1]].start_ns + slice_ns if busy else start_ns,
        peak_half_open=peak,
    )


def matured(cohorts: Sequence[Cohort], slice_ns: int, now_ns: int, age_ns: int, length_ns: int) -> Window:
    """Return the newest window of about ``length_ns`` whose every cohort *ended* ``age_ns`` ago or earlier.

    Its bounds lie on slices; it is shorter where the probe's ring does not reach back so far.
    """
    end_ns = (now_ns - age_ns) // slice_ns * slice_ns
    slices = max(1, round(length_ns / slice_ns))
    oldest_ns = -(-(now_ns - RING_NS) // slice_ns) * slice_ns
    start_ns = min(max(end_ns - slices * slice_ns, oldest_ns), end_ns)
    return measure(cohorts, slice_ns, start_ns, end_ns)


def unfinished(cohorts: Sequence[Cohort]) -> int:
    """Return how many attempts of these cohorts have not completed, young ones included."""
    return sum([attempts - completed for _, attempts, completed in cohorts if attempts > completed])


def half_open_within(cohorts: Sequence[Cohort], window: Window, slice_ns: int) -> int:
    """Return the half-open attempts of all cohorts that touch a window; ``slice_ns`` is theirs."""
    return measure(cohorts, slice_ns, window.start_ns - slice_ns + 1, window.end_ns + slice_ns - 1).half_open


def peak_per_s(cohorts: Sequence[Cohort], slice_ns: int, start_ns: int, now_ns: int) -> float:
    """Return the highest attempts per second over any quarter of a second since ``start_ns``."""
    quarter_ns = max(1, NS_PER_S // 4 // slice_ns) * slice_ns
    last_end_ns = now_ns // slice_ns * slice_ns
    first_end_ns = max(start_ns // slice_ns * slice_ns + quarter_ns, last_end_ns - RING_NS)
    ends = range(min(first_end_ns, last_end_ns), last_end_ns + 1, slice_ns)
    return max(measure(cohorts, slice_ns, end - quarter_ns, end).attempts_per_s for end in ends)

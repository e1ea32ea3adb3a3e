"""Arithmetic on cumulative counts, which may begin anew when the probe forgets and meets again."""

from __future__ import annotations

from collections import deque
from itertools import zip_longest
from typing import NamedTuple

from synguard.model import HandshakeCounts, ListenerReading

ZERO = HandshakeCounts()


def rise(before: HandshakeCounts, after: HandshakeCounts) -> HandshakeCounts:
    """Return by how much each count rose; all of ``after`` where the counting began anew in between."""
    if after.attempts < before.attempts:
        return after
    return HandshakeCounts(
        attempts=after.attempts - before.attempts,
        syn_retransmits=max(0, after.syn_retransmits - before.syn_retransmits),
        syn_duplicates=max(0, after.syn_duplicates - before.syn_duplicates),
        answered=max(0, after.answered - before.answered),
        completed=max(0, after.completed - before.completed),
        aborted=max(0, after.aborted - before.aborted),
        refused=max(0, after.refused - before.refused),
        dropped_by_us=max(0, after.dropped_by_us - before.dropped_by_us),
    )


def plus(one: HandshakeCounts, other: HandshakeCounts) -> HandshakeCounts:
    """Return the sum of each count."""
    return HandshakeCounts(
        attempts=one.attempts + other.attempts,
        syn_retransmits=one.syn_retransmits + other.syn_retransmits,
        syn_duplicates=one.syn_duplicates + other.syn_duplicates,
        answered=one.answered + other.answered,
        completed=one.completed + other.completed,
        aborted=one.aborted + other.aborted,
        refused=one.refused + other.refused,
        dropped_by_us=one.dropped_by_us + other.dropped_by_us,
    )


def unheard(counts: HandshakeCounts) -> int:
    """Return how many attempts nobody answered or refused, and we did not drop."""
    return max(0, counts.attempts - counts.answered - counts.refused - counts.dropped_by_us)


def has_unheard(before: HandshakeCounts, after: HandshakeCounts) -> bool:
    """Tell whether any of the attempts by which counts rose is unheard, at less cost than :func:`rise`."""
    if after.attempts < before.attempts:
        return unheard(after) > 0
    heard = (
        max(0, after.answered - before.answered)
        + max(0, after.refused - before.refused)
        + max(0, after.dropped_by_us - before.dropped_by_us)
    )
    return after.attempts - before.attempts > heard


class Tally:
    """The sum of what cumulative counts rose by since a moment, over any new beginnings of theirs."""

    def __init__(self, base: HandshakeCounts) -> None:
        self.total = ZERO
        self._last = base

    def absorb(self, counts: HandshakeCounts) -> None:
        """Add what ``counts`` rose by since they were last seen."""
        if counts != self._last:
            self.total = plus(self.total, rise(self._last, counts))
            self._last = counts


class Marks(NamedTuple):
    """What a listener's SYNs bear that tells real clients from others, cumulative."""

    bare: int = 0
    bogon: int = 0
    patterned: int = 0
    #: SYNs and completing ACKs by TTL.
    syn_ttl: tuple[int, ...] = ()
    completed_ttl: tuple[int, ...] = ()
    #: SYNs that we answered with a cookie ourselves, and valid ACKs of those.
    cookies_sent: int = 0
    cookies_valid: int = 0

    @classmethod
    def of(cls, reading: ListenerReading) -> Marks:
        """Return what a reading has counted."""
        return cls(
            reading.bare_attempts,
            reading.bogon_attempts,
            reading.patterned_attempts,
            reading.syn_ttl_histogram,
            reading.completed_ttl_histogram,
            reading.cookies_sent,
            reading.cookies_valid,
        )

    def since(self, before: Marks) -> Marks:
        """Return by how much each rose; all of it where the counting began anew in between."""
        if min(self.bare - before.bare, self.bogon - before.bogon, self.patterned - before.patterned) < 0:
            return self
        return Marks(
            self.bare - before.bare,
            self.bogon - before.bogon,
            self.patterned - before.patterned,
            _rise(before.syn_ttl, self.syn_ttl),
            _rise(before.completed_ttl, self.completed_ttl),
            max(0, self.cookies_sent - before.cookies_sent),
            max(0, self.cookies_valid - before.cookies_valid),
        )


NO_MARKS = Marks()


def _rise(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(0, new - old) for new, old in zip_longest(after, before, fillvalue=0))


class Counted(NamedTuple):
    """Cumulative counts at a moment."""

    time_ns: int
    counts: HandshakeCounts
    marks: Marks = NO_MARKS


class CountHistory:
    """The last few seconds of somebody's cumulative counts, some moments of them."""

    def __init__(self, spacing_ns: int, reach_ns: int) -> None:
        self._spacing_ns = spacing_ns
        self._reach_ns = reach_ns
        self._entries: deque[Counted] = deque()

    def add(self, entry: Counted, *, counted_from_zero: bool) -> None:
        """Remember ``entry``.

        ``counted_from_zero`` tells of the very first one whether all that it counts happened lately.
        """
        entries = self._entries
        if not entries or entry.counts.attempts < entries[-1].counts.attempts:
            zero = counted_from_zero or bool(entries)
            entries.clear()
            entries.append(Counted(0, ZERO) if zero else entry)
        last = entries[-1]
        has_moved = last.counts.attempts != entry.counts.attempts or last[1:] != entry[1:]
        if not has_moved:
            return
        if len(entries) > 1 and entry.time_ns - entries[-2].time_ns < self._spacing_ns:
            entries[-1] = entry
        else:
            entries.append(entry)
        while len(entries) > 1 and entries[1].time_ns <= entry.time_ns - self._reach_ns:
            entries.popleft()

    def rest(self) -> None:
        """Keep the newest entry alone: nobody will ask for what came before it."""
        while len(self._entries) > 1:
            self._entries.popleft()

    def before(self, time_ns: int) -> Counted:
        """Return the newest entry at or before a moment, or the oldest that there is."""
        for entry in reversed(self._entries):
            if entry.time_ns <= time_ns:
                return entry
        return self._entries[0]

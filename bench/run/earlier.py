"""What is sent before the floods that are measured: until a response stands, and until its limit is known.

The limit is the most SYNs a second of which the receiver's ring refuses next to none, which is how RFC 2544
(26.1) measures throughput. It is sought from below, each flood half as fast again as the one before, until
three in a row lose some; then between the fastest that was taken and the slowest that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from bench.flood.plan import FloodPlan, FloodReport
from bench.measure.observation import Earlier

#: Sends one flood and returns what it did, and how many of its frames the receiver's ring refused.
Send = Callable[[FloodPlan], tuple[FloodReport, int]]

_FIRST_PER_S = 100_000.0
_SLICE_S = 0.8
_FASTER = 1.5
_SLICES_MAX = 16
#: A ring that refuses more than this share (0..1) has more to take than it can.
_REFUSED_MOST = 0.01
#: A machine's hiccup may lose frames at any pace: so many floods in a row lose some only beyond the limit.
_LOSING_SLICES = 3
#: Floods between what was taken and what was not: each halves the distance.
_NARROWING_SLICES = 3
#: A generator that falls so far behind what is asked of it, so often in a row, is at its own limit.
_HELD = 0.95
_BEHIND_SLICES = 2


class Slice(NamedTuple):
    """One flood of the search."""

    asked_per_s: float
    sent_per_s: float
    refused_share: float

    @property
    def taken_per_s(self) -> float:
        """What the receiver took off its ring."""
        return self.sent_per_s * (1 - self.refused_share)

    @property
    def behind(self) -> bool:
        """Whether the generator sent less than was asked."""
        return self.sent_per_s < _HELD * self.asked_per_s

    @property
    def by_generator(self) -> bool:
        """Whether the generator sent less than was asked, and the receiver took it all."""
        return self.behind and self.refused_share <= _REFUSED_MOST


class Search:
    """The pace to try next; pure."""

    def __init__(self) -> None:
        self.next_per_s = _FIRST_PER_S
        #: The most that was taken in any flood of which next to nothing was refused; 0 before the first.
        self.capacity_per_s = 0.0
        #: ``receiver`` or ``generator``: whose limit it is.
        self.limited_by = "receiver"
        self.done = False
        self._slices = 0
        self._behind = 0
        #: The slowest pace that lost some since a faster one was taken, and how many in a row did.
        self._losing_per_s: float | None = None
        self._losing = 0
        self._narrowings = 0

    def look(self, seen: Slice) -> None:
        """Take in what came of a flood at ``next_per_s``."""
        self._slices += 1
        self._behind = self._behind + 1 if seen.behind else 0
        if seen.refused_share > _REFUSED_MOST:
            self._losing += 1
            self._losing_per_s = min(self.next_per_s, self._losing_per_s or self.next_per_s)
        else:
            self._take(seen)
        self._go_on()

    def _take(self, seen: Slice) -> None:
        if not self._narrowings:
            self._losing, self._losing_per_s = 0, None
        if seen.taken_per_s > self.capacity_per_s:
            self.capacity_per_s = seen.taken_per_s
            self.limited_by = "generator" if seen.by_generator else "receiver"

    def _go_on(self) -> None:
        losing_per_s = self._losing_per_s
        if losing_per_s is None or (self._losing < _LOSING_SLICES and not self._narrowings):
            self.next_per_s *= _FASTER
            self.done = self._behind >= _BEHIND_SLICES
        elif not self.capacity_per_s:
            self.next_per_s = losing_per_s / _FASTER
        else:
            self.next_per_s = math.sqrt(self.capacity_per_s * losing_per_s)
            self._narrowings += 1
            self.done = self._narrowings > _NARROWING_SLICES
        self.done = self.done or self._slices >= _SLICES_MAX


def seek(plan: FloodPlan, send: Send) -> tuple[Search, Earlier]:
    """Find the receiver's limit by short floods of that plan's kind; return what was found and sent."""
    search, sent = Search(), Earlier()
    while not search.done:
        flood = steady(plan, search.next_per_s, _SLICE_S)
        report, refused = send(flood)
        search.look(Slice(search.next_per_s, report.syn_per_s, refused / max(report.frames, 1)))
        sent += Earlier.of(report, refused)
    return search, sent


def steady(plan: FloodPlan, syn_per_s: float, duration_s: float) -> FloodPlan:
    """Return a plan of the same SYNs at another rate and for another time."""
    return FloodPlan(
        destination=plan.destination,
        destination_port=plan.destination_port,
        sources=plan.sources,
        syn_per_s=syn_per_s,
        duration_s=duration_s,
        shape=plan.shape,
        vlans=plan.vlans,
        random_ports=plan.random_ports,
        ttls=plan.ttls,
        payload_bytes=plan.payload_bytes,
    )

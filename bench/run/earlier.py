"""What is sent before the floods that are measured: until a response stands, and until its limit is known.

The limit is the most SYNs a second that the receiver takes off its ring, however many more come. It is sought
from below, each flood half as fast again as the one before, until more no longer helps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bench.flood.plan import FloodPlan, FloodReport
from bench.measure.observation import Earlier
from bench.measure.premises import REFUSED_SHARE

#: Sends one flood and returns what it did, and how many of its frames the receiver's ring refused.
Send = Callable[[FloodPlan], tuple[FloodReport, int]]

_FIRST_PER_S = 100_000.0
_SLICE_S = 0.4
_FASTER = 1.5
_SLICES_MAX = 12
#: More does not help when so many floods in a row, each faster, brought no such growth, or were not sent.
_GROWTH = 1.03
_IDLE_SLICES = 2
#: A receiver that wakes too late loses some of what it could take; one that never sleeps loses most of it.
_OVERRUN_SHARE = 0.5
#: A generator that falls so far behind what is asked of it is at its own limit.
_HELD = 0.95


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
        return self.behind and self.refused_share <= REFUSED_SHARE


class Search:
    """The pace to try next; pure."""

    def __init__(self) -> None:
        self.next_per_s = _FIRST_PER_S
        #: The most that was taken in any of the floods; 0 before the first.
        self.capacity_per_s = 0.0
        #: ``receiver`` or ``generator``: whose limit it is.
        self.limited_by = "receiver"
        self.done = False
        self._slices = 0
        self._idle = 0
        self._behind = 0

    def look(self, seen: Slice) -> None:
        """Take in what came of a flood at ``next_per_s``."""
        self._slices += 1
        self._behind = self._behind + 1 if seen.behind else 0
        idle = seen.taken_per_s < _GROWTH * self.capacity_per_s and seen.refused_share > _OVERRUN_SHARE
        self._idle = self._idle + 1 if idle else 0
        if seen.taken_per_s > self.capacity_per_s:
            self.capacity_per_s = seen.taken_per_s
            self.limited_by = "generator" if seen.by_generator else "receiver"
        self.next_per_s *= _FASTER
        self.done = max(self._idle, self._behind) >= _IDLE_SLICES or self._slices >= _SLICES_MAX


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

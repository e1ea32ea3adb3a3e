"""One receiver at its limit: how long its thread is busy with each packet, and how fast packets must come.

A generator that sends far more than is taken makes the receiver slower than it is: the pages of its frames
then no longer go round, and the receiver has to give them back to the kernel one by one (measured: 860 ns for
a packet of 430 ns). So the pace is sought at which the ring refuses some, which proves that the receiver is
the limit, but few.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from bench.cost.rungs import Rung
from bench.cost.writer import Stream
from bench.defences.xdp import attached
from bench.live.wire import Wire
from bench.measure.premises import RECEIVER_BUSY, REFUSED_SHARE
from bench.measure.usage import process_cpu_ns
from bench.net.counters import read_wire
from bench.net.namespaces import Topology
from bench.scenario.model import Premise

#: The pace is right when the thread is busy for so much of the time and the ring refuses such a share.
BUSY_SOUGHT = 0.85
REFUSED_SOUGHT = (0.005, 0.12)
#: Above this it tells more of the full ring than of the receiver.
REFUSED_MAX = 0.2
_FASTER = 0.92
#: The ring's 256 frames take less.
_QUIET_S = 0.005


class Slice(NamedTuple):
    """What was sent to one program in one go, and what became of it."""

    sent: int
    #: Put into the receiver's ring, taken off it, and refused because it was full.
    offered: int
    received: int
    refused: int
    #: CPU time of the receiving thread.
    busy_ns: int
    span_s: float

    @property
    def refused_share(self) -> float:
        """Share of the packets sent that the ring refused, 0..1."""
        return self.refused / self.sent if self.sent else 0.0

    @property
    def busy(self) -> float:
        """Share of the time that the receiving thread was on its CPU; a little above 1 by rounding."""
        return self.busy_ns / 1e9 / self.span_s

    @property
    def ns_per_packet(self) -> float | None:
        """CPU time of the receiving thread over the packets that it took; None where it took none."""
        return self.busy_ns / self.received if self.received else None


def total(slices: Iterable[Slice]) -> Slice:
    """Return slices as if they were one."""
    return Slice(*(sum(column) for column in zip(*slices, strict=True)))


def faults(whole: Slice) -> Iterator[str]:
    """Yield why this is no result, as ``PREMISE: why``."""
    if lost := whole.sent - whole.offered - whole.refused:
        yield f"{Premise.ACCOUNTED}: {lost} of {whole.sent} packets were neither received nor refused"
    if left := whole.offered - whole.received:
        yield f"{Premise.ACCOUNTED}: {left} of {whole.offered} packets on the wire were never taken off it"
    if why := _limit_fault(whole):
        yield f"{Premise.RECEIVER_LIMITED}: {why}"


def _limit_fault(whole: Slice) -> str | None:
    if whole.refused_share <= REFUSED_SHARE:
        return "the receiver took all that came: limited by the generator"
    if whole.busy < RECEIVER_BUSY:
        return f"the receiver was busy for {whole.busy:.0%} of the time: something else was the limit"
    if whole.refused_share > REFUSED_MAX:
        return f"the full ring refused {whole.refused_share:.0%}: it slowed the receiver down"
    return None


def next_gap_ns(gap_ns: float, seen: Slice) -> float:
    """Return the gap between packets to try next; 0: as fast as can be.

    A thread that has time to sleep wakes too late at times, and the ring overflows meanwhile: what is refused
    tells of the pace only while the thread is busy.
    """
    least, most = REFUSED_SOUGHT
    if seen.busy >= BUSY_SOUGHT and seen.refused_share > most:
        # Between that at which they came and that at which they were taken: it could have taken more.
        return seen.span_s * 1e9 / math.sqrt(seen.sent * max(seen.received, 1))
    if seen.busy < BUSY_SOUGHT or seen.refused_share < least:
        # A thread that rests also wakes and sleeps: it could take more than this.
        return gap_ns * min(_FASTER, seen.busy / BUSY_SOUGHT)
    return gap_ns


@dataclass(frozen=True, slots=True)
class Receiver:
    """A topology's guarded host, whose receiving thread is measured."""

    topology: Topology
    wire: Wire

    def receive(self, rung: Rung, stream: Stream, span_s: float, gap_ns: float) -> tuple[Slice, int]:
        """Let a program receive the stream's packets for so long, one sent each ``gap_ns``.

        Returns also how many of the stream's packets were written for that.
        """
        (thread,) = self.topology.receiver_threads
        with attached(self.topology.guarded, rung.ingress):
            before, busy_before_ns = read_wire(self.topology), process_cpu_ns(thread)
            sent = self.wire.send(stream, span_s, gap_ns)
            threading.Event().wait(_QUIET_S)
            busy_ns = process_cpu_ns(thread) - busy_before_ns
            moved = read_wire(self.topology) - before
        frames = moved.offered_frames, moved.received_frames, moved.refused_frames
        return Slice(sent.frames, *frames, busy_ns, sent.span_s), sent.written

"""Reads, in quiet, every counter that has to agree with the others in the end."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.defences.registry import Deployed
from bench.measure.observation import Counted
from bench.net.counters import WireReading, lost_in_queues, read_wire, syns_sent
from bench.net.namespaces import Topology

_QUIET_TIMEOUT_S = 5.0
#: Two reads of the daemon's own poll lie in between even when it is idle.
_QUIET_STEP_S = 0.3


@dataclass(frozen=True, slots=True)
class Counters:
    """What the kernels of all hosts and the defence have counted so far."""

    wire: WireReading
    #: SYNs that the good clients' kernels sent.
    good_syns: int
    #: Frames of anybody's but the generator's that were lost: in queues, at the full ring, by lines.
    lost_frames: int
    counted_syns: int | None
    dropped_syns: int | None

    @property
    def settled(self) -> tuple[int | None, ...]:
        """What has to stand still before it can agree: SYNs, wherever they are counted."""
        return self.wire.offered_frames, self.wire.refused_frames, self.good_syns, self.counted_syns


def read_counters(topology: Topology, deployed: Deployed) -> Counters:
    """Return all counters as they are now."""
    wire = read_wire(topology)
    return Counters(
        wire,
        sum(syns_sent(client) for client in topology.clients.values()),
        wire.other_dropped_frames + lost_in_queues() + _lost_on_lines(topology),
        deployed.counted_syns(),
        deployed.dropped_syns(),
    )


def read_in_quiet(topology: Topology, deployed: Deployed) -> Counters:
    """Return all counters once they no longer move, or after 5 s."""
    deadline_s = time.monotonic() + _QUIET_TIMEOUT_S
    counters = read_counters(topology, deployed)
    while time.monotonic() < deadline_s:
        time.sleep(_QUIET_STEP_S)
        before, counters = counters, read_counters(topology, deployed)
        if counters.settled == before.settled:
            break
    return counters


def counted(deployed: Deployed, before: Counters, after: Counters) -> Counted:
    """Return what the defence counted between two readings."""
    return Counted(
        detects=deployed.detects,
        syns=_difference(before.counted_syns, after.counted_syns),
        dropped_syns=_difference(before.dropped_syns, after.dropped_syns),
        map_bytes=deployed.map_bytes(),
        lost_updates=deployed.lost_updates(),
    )


def _lost_on_lines(topology: Topology) -> int:
    ways = (
        way
        for line in topology.lines.values()
        for reading in [line.read()]
        for way in (reading.up, reading.down)
    )
    return sum(way.lost_frames + way.refused_frames for way in ways)


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before

"""All that one trial of a flood scenario saw, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from bench.defences.follow import LogEvent
from bench.flood.plan import FloodPlan, FloodReport
from bench.net.counters import WireReading
from bench.peers.messages import Connection
from bench.scenario.model import FloodScenario, FloodSpec


@dataclass(frozen=True, slots=True)
class Flood:
    """One load: what was asked for, and what its sender says it did."""

    spec: FloodSpec
    plan: FloodPlan
    report: FloodReport


@dataclass(frozen=True, slots=True)
class Busy:
    """CPU time while it was flooded."""

    #: Between the two readings.
    span_ns: int
    receiver_cpu_ns: int | None = None
    detector_cpu_ns: int | None = None
    detector_peak_rss_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """What the defence says of the whole trial; None is what it does not count."""

    detects: bool = False
    syns: int | None = None
    dropped_syns: int | None = None
    map_bytes: int | None = None
    lost_updates: int | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was sent before the floods that are measured."""

    frames: int = 0
    syns: int = 0
    #: Of the frames, those that the receiver's full ring refused.
    refused_frames: int = 0
    #: When the first of them left; None where there was none.
    first_ns: int | None = None

    @classmethod
    def of(cls, report: FloodReport, refused_frames: int) -> Self:
        """Return what one flood was."""
        return cls(report.frames, report.syns, refused_frames, report.first_ns)

    def __add__(self, later: Earlier) -> Earlier:
        return Earlier(
            self.frames + later.frames,
            self.syns + later.syns,
            self.refused_frames + later.refused_frames,
            later.first_ns if self.first_ns is None else self.first_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A trial; times are CLOCK_MONOTONIC."""

    scenario: FloodScenario
    #: Listeners under attack, as synguard writes them.
    targets: frozenset[str]
    #: The address that ``expect.source`` stands for.
    expected_source: str | None
    #: Every address that a good client may use, as networks.
    innocent: frozenset[str]
    #: From the first flood packet to the last; without floods the time that stands for them.
    began_ns: int
    ended_ns: int
    floods: Sequence[Flood]
    earlier: Earlier = Earlier()
    #: SYNs a second that the receiver was found to take before, and whose limit that was.
    capacity_per_s: float | None = None
    capacity_limited_by: str | None = None
    #: Over the whole trial, read while all was quiet before and after.
    wire: WireReading
    #: SYNs that good clients sent over the whole trial, by their kernels.
    good_syns: int
    #: Frames that were not the flood's and were lost on the way, by a lossy line, a full ring or a full
    #: queue: good clients', and the server's answers.
    other_frames_lost: int
    counted: Counted
    busy: Busy
    connections: Mapping[str, Sequence[Connection]]
    #: When a kept-alive connection broke.
    broken_ns: Sequence[int] = ()
    #: In words: attempts that good clients never began, frames that a delay line could not take.
    hindered: Sequence[str] = ()
    events: Sequence[LogEvent] = ()
    timeline: dict[str, list[float | None]] = field(default_factory=dict)
    cpus: int = 2
    receiver_pinned: bool = True

    @property
    def first_ns(self) -> int:
        """When the very first packet of any flood left, measured or not."""
        return self.began_ns if self.earlier.first_ns is None else self.earlier.first_ns

    @property
    def refused_frames(self) -> int:
        """Frames of the floods that the receiver's full ring refused."""
        return self.wire.refused_frames - self.earlier.refused_frames

    @property
    def span_s(self) -> float:
        """How long it was flooded."""
        return (self.ended_ns - self.began_ns) / 1e9

    @property
    def frames(self) -> int:
        """Frames that the senders say they sent."""
        return sum(flood.report.frames for flood in self.floods)

    @property
    def generated_frames(self) -> int:
        """Those of them that came from the in-kernel generator, and so by the counted way."""
        return sum(flood.report.frames for flood in self.floods if flood.spec.tool == "generator")

    @property
    def syns(self) -> int:
        """SYNs among them."""
        return sum(flood.report.syns for flood in self.floods)

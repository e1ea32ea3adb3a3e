"""Strangers by the hundred thousand in front of the tier's probe, each with an address of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from bench.cost.frames import Segment
from bench.cost.resident import resident
from bench.cost.writer import Stream, Writer
from bench.scenario.model import Family
from synguard.probe.probe import Probe
from synguard.probe.programs import XDP_PROGRAM

#: Below it the packets' numbers are those of tests that choose them.
_FIRST_STRANGER = 1 << 40


class Strangers:
    """Whoever sends SYNs to one port of one server; the clock is the caller's."""

    def __init__(self, probe: Probe, writer: Writer) -> None:
        self._program = probe.programs[XDP_PROGRAM]
        self._writer = writer
        self._next = _FIRST_STRANGER

    def come(self, family: Family, number: int) -> None:
        """Deliver a SYN of each of so many that nobody has seen; a few may have one address."""
        self.give(Stream(Segment.SYN, family, self._next, scattered=True), number)
        self._next += number

    def give(self, stream: Stream, packets: int) -> None:
        """Deliver a stream's first packets."""
        self._writer.run(self._program, stream, packets)

    @classmethod
    @contextmanager
    def through(cls, probe: Probe) -> Iterator[Strangers]:
        """Yield strangers in front of a probe."""
        with closing(Writer.load()) as writer, resident([writer.programs["write_xdp"]]):
            yield cls(probe, writer)

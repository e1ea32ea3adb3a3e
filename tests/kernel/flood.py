"""Floods through the probe at the speed of the kernel, under a clock that the test drives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from bench.cost.frames import Segment
from bench.cost.resident import resident
from bench.cost.writer import Stream, Writer
from bench.scenario.model import Family
from synguard.probe.probe import Groups, Probe, Sizes
from synguard.probe.programs import TC_EGRESS_PROGRAM, XDP_PROGRAM
from synguard.probe.reader import ProbeReader

NS_PER_S = 10**9


@dataclass(slots=True)
class Flood:
    """The probe, and what writes packets of ever other clients in front of it."""

    probe: Probe
    writer: Writer
    reader: ProbeReader
    now_ns: int
    #: The first packet number that no stranger had yet; below it all are of others.
    next_stranger: int = 1 << 32

    def wait_ns(self, pause_ns: int) -> None:
        """Let time pass."""
        self.now_ns += pause_ns
        self.probe.set_clock(self.now_ns)

    def give(self, stream: Stream, packets: int) -> None:
        """Deliver the stream's first packets, or emit them where the server sends them."""
        name = TC_EGRESS_PROGRAM if stream.outgoing else XDP_PROGRAM
        self.writer.run(self.probe.programs[name], stream, packets)

    def strangers(self, family: Family, packets: int) -> None:
        """Deliver SYNs, each of which has a source, a port and an ISN that nobody has seen."""
        self.give(Stream(Segment.SYN, family, self.next_stranger, scattered=True), packets)
        self.next_stranger += packets

    def open(self, syns: Stream, packets: int) -> None:
        """Deliver SYNs and answer them."""
        self.give(syns, packets)
        self.give(syns.of(Segment.SYN_ACK), packets)

    def complete(self, syns: Stream, packets: int) -> int:
        """Deliver the ACKs of handshakes that were opened; return how many the probe took for that."""
        before = self.reader.totals()["completed"]
        self.give(syns.of(Segment.ACK), packets)
        return self.reader.totals()["completed"] - before


@contextmanager
def flood_through(probe: Probe, start_ns: int) -> Iterator[Flood]:
    """Yield floods through a probe of the caller's, whose clock stands at ``start_ns``."""
    with ExitStack() as stack:
        writer = Writer.load()
        stack.callback(writer.close)
        # Entering the kernel's dispatcher anew for each call would take far longer than the packets.
        stack.enter_context(resident([writer.programs["write_xdp"]]))
        stack.callback(probe.set_clock, 0)
        flood = Flood(probe, writer, ProbeReader(probe), start_ns)
        flood.wait_ns(0)
        yield flood


@contextmanager
def own_flood(secret: tuple[int, int], start_ns: int = NS_PER_S) -> Iterator[Flood]:
    """Yield floods through a probe of the caller's own: what millions leave would disturb others."""
    probe = Probe.load(Sizes(), Groups())
    probe._secret = secret
    with closing(probe), flood_through(probe, start_ns) as flood:
        yield flood

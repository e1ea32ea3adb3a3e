"""Plays a reading scenario: how long one read takes while the kernel knows few sources, and after millions.

What is measured
    ``read_us`` is the time of one :meth:`synguard.probe.reader.ProbeReader.read`, as the daemon does it
    twenty times a second: the totals, the listeners with recent attempts, and the sources that the probe has
    named. The median over so many reads, on a CPU that nothing else runs on meanwhile. First there are so
    many sources that flood a listener, and nobody else; then the same ones, beside millions that came once.

What makes a trial invalid
    A snapshot that does not show those sources and their listener, and strangers that were not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from statistics import median

from bench.cost.frames import Segment
from bench.cost.resident import resident
from bench.cost.rungs import load_probe
from bench.cost.writer import Stream, Writer
from bench.net.promptness import alone
from bench.results.model import Trial, now
from bench.scenario.model import ReadingScenario
from synguard.model import Snapshot
from synguard.probe.probe import Probe
from synguard.probe.programs import TC_EGRESS_PROGRAM, XDP_PROGRAM
from synguard.probe.reader import ProbeReader

BEFORE, AFTER = "few", "millions before"
_FIRST_SOURCE = 6 << 20
#: Strangers between two rounds of the sources' SYNs, which a ring of seconds must not forget.
_CHUNK = 500_000
_SYNS_A_ROUND = 64


def play(scenario: ReadingScenario, tell: Callable[[str], None]) -> Generator[Trial, None, None]:
    """Measure before and after the strangers, in each repetition anew; yield a trial for each.

    Raises as :func:`synguard.probe.compiler.load_object` does.
    """
    for repetition in range(1, scenario.repetitions + 1):
        tell(f"repetition {repetition} of {scenario.repetitions}: {scenario.strangers:,} strangers")
        with ExitStack() as stack:
            probe = stack.enter_context(closing(load_probe(1)))
            writer = stack.enter_context(closing(Writer.load()))
            stack.enter_context(resident([writer.programs["write_xdp"]]))
            kernel = _Kernel(scenario, probe, writer)
            kernel.sources()
            yield kernel.trial(BEFORE, repetition)
            kernel.strangers()
            yield kernel.trial(AFTER, repetition)


class _Kernel:
    """What the probe has been sent, and what reads it."""

    def __init__(self, scenario: ReadingScenario, probe: Probe, writer: Writer) -> None:
        self._scenario = scenario
        self._probe = probe
        self._writer = writer
        self._reader = ProbeReader(probe)
        self._next = 0
        self._strangers = 0

    def _give(self, stream: Stream, packets: int) -> None:
        """Let SYNs come in, and answer them: the listener must be one."""
        self._writer.run(self._probe.programs[XDP_PROGRAM], stream, packets)
        self._writer.run(self._probe.programs[TC_EGRESS_PROGRAM], stream.of(Segment.SYN_ACK), packets)
        self._next += packets

    def sources(self) -> None:
        """Let each source send some SYNs."""
        clients = self._scenario.sources
        syns = Stream(Segment.SYN, 4, self._next, _FIRST_SOURCE, clients, fresh_numbers=True)
        self._give(syns, clients * _SYNS_A_ROUND)

    def strangers(self) -> None:
        """Let all strangers send one SYN each, and the sources go on."""
        while self._strangers < self._scenario.strangers:
            packets = min(_CHUNK, self._scenario.strangers - self._strangers)
            self._give(Stream(Segment.SYN, 4, self._next, scattered=True), packets)
            self._strangers += packets
            self.sources()
            self._reader.read(time.monotonic_ns(), time.time())

    def trial(self, known: str, repetition: int) -> Trial:
        """Read so many times, and return the trial."""
        started_at, began_s = now(), time.monotonic()
        times_us: list[float] = []
        with alone():
            # The first read takes the sources' names out of the queue.
            snapshot = self._reader.read(time.monotonic_ns(), time.time())
            for _ in range(self._scenario.reads):
                before_ns = time.perf_counter_ns()
                snapshot = self._reader.read(time.monotonic_ns(), time.time())
                times_us.append((time.perf_counter_ns() - before_ns) / 1e3)
        return Trial(
            labels={"sources": self._scenario.sources, "known": known},
            repetition=repetition,
            started_at=started_at,
            lasted_s=round(time.monotonic() - began_s, 3),
            invalid_because=list(self._faults(snapshot)),
            figures={"read_us": median(times_us), "map_bytes": self._probe.memlock_bytes()},
        )

    def _faults(self, snapshot: Snapshot) -> Iterator[str]:
        if len(snapshot.sources) != self._scenario.sources:
            yield f"{len(snapshot.sources)} sources were read, not {self._scenario.sources}"
        if not any(reading.listener.port for reading in snapshot.listeners):
            yield "no listener was read"
        if snapshot.totals["attempts"] != self._next:
            yield f"{snapshot.totals['attempts']} SYNs were counted, not {self._next}"

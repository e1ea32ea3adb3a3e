"""Plays a cost scenario: nanoseconds per packet of each program, by BPF_PROG_TEST_RUN.

What is measured
    The kernel's own mean over a loop that runs the program on one frame, in whole nanoseconds, rounded
    down. ``ns_per_packet`` is the median over ``SLICES`` such loops; ``ns_over_empty`` is that less the
    empty program's of the same repetition, which takes out what the loop costs. There is no rung below
    ``empty``: without a program there is no loop.

Hot and cold
    Hot is the same packet again and again, given to the program directly. For cold a writer, itself an
    XDP or tc program, puts another client into the frame and calls the measured program as a tail call. Its
    own cost, about that of the empty program's again, is in ``ns_per_packet`` of every cold cell and in no
    ``ns_over_empty``. Two things differ from a network card: between two packets of a real host there is the
    rest of the stack, which pushes more out of the caches; and the processor may overlap what does not
    depend on each other, as it may there within one poll of a driver.

Noise
    The programs take turns slice by slice, so that whatever slows the machine down hits all; the process
    is pinned to one CPU meanwhile.

Order
    First the packets of quiet times, over flows that were established by whole handshakes; then, after
    a flood of as many SYNs as there are flows, the others; last those for which the blocks are in force.
    Time runs as in production, by the kernel's clock. IPv4 and IPv6 share the programs and their maps.

What makes a trial invalid
    Counters that do not tell of the packet that was meant; another return value; fewer packets written
    than measured; a state that could not be made; kernel.bpf_stats_enabled; an empty program beside it
    whose own trial is invalid. An invalid trial is not played again, as a flood would be: the state that
    it met is gone. What counts is the other repetitions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

from bench.cost.measurement import Measurement
from bench.cost.packets import Packet, Phase, chosen
from bench.cost.rungs import Ladder, Rung, ladder
from bench.cost.stage import Stage
from bench.results.model import Trial
from bench.scenario.model import CostScenario, Family

FAMILIES: tuple[Family, ...] = (4, 6)


def play(scenario: CostScenario, tell: Callable[[str], None]) -> Generator[Trial, None, None]:
    """Measure every program with every packet, hot and cold, IPv4 and IPv6; yield a trial for each.

    It can be left between any two trials; nothing stays behind in the kernel.

    Raises:
        UsageError: an unknown program or packet.
        UnsupportedError: no bcc, or not permitted.
        SynguardError: a program could not be compiled or loaded.

    """
    packets = chosen(scenario.packets)
    tell(f"loading {', '.join(scenario.programs)}")
    with ladder(scenario) as ready:
        yield from climb(ready, scenario, packets, tell)


def climb(
    ready: Ladder, scenario: CostScenario, packets: Sequence[Packet], tell: Callable[[str], None]
) -> Iterator[Trial]:
    """Measure what stands ready with these packets; yield a trial for each cell and repetition."""
    stages = [Stage(ready.writer, ready.rungs, scenario, family) for family in FAMILIES]
    tell(f"{scenario.flows} handshakes in IPv4 and in IPv6")
    for stage in stages:
        stage.establish()
    for phase in Phase:
        if any(packet.phase.value >= phase.value for packet in packets):
            _begin(phase, stages, ready.rungs)
        yield from _repetitions(stages, [packet for packet in packets if packet.phase is phase], tell)


def _begin(phase: Phase, stages: Sequence[Stage], rungs: Sequence[Rung]) -> None:
    if phase is Phase.BUSY:
        for stage in stages:
            stage.flood(stage.scenario.flows)
    if phase is Phase.BLOCKING:
        for rung in rungs:
            if rung.block is not None:
                rung.block()


def _repetitions(
    stages: Sequence[Stage], packets: Sequence[Packet], tell: Callable[[str], None]
) -> Iterator[Trial]:
    repetitions = stages[0].scenario.repetitions if packets else 0
    for repetition in range(1, repetitions + 1):
        tell(f"repetition {repetition} of {repetitions}: {', '.join(packet.name for packet in packets)}")
        for packet in packets:
            for stage in stages:
                for temperature in packet.counted_as:
                    yield from Measurement(stage, packet, temperature).trials(repetition)

"""Plays a live scenario: nanoseconds per packet of a CPU that receives from another, program by program.

What is measured
    A generator on one CPU puts live frames of BPF_PROG_TEST_RUN into a veth; on another CPU the thread of
    the guarded host's NAPI takes them off the ring and gives each to the program. ``ns_per_packet`` is the
    CPU time of that thread over the packets that it took, the median over slices; ``ns_over_empty`` is that
    less the empty program's in the same repetition, which takes out what a veth costs. All programs end in
    XDP_DROP, so that it is not the stack behind them that is measured.

What differs from the ladder (``bench.cost``)
    The packet comes from another CPU's cache, and whoever reads its headers waits for them: the difference
    between ``empty`` and ``parse`` is that, and not the parsing. It is part of what the probe adds here.

What makes a trial invalid
    A row that the generator limits: the receiver's ring refused nothing, or its thread had time left. Frames
    that nobody can account for, and counters that do not tell of the packet that was meant. Slices in which
    the pace was wrong or the machine had other things to do are played again, a few times.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing

from bench.cost.packets import Packet, Phase, chosen
from bench.cost.rungs import Rung
from bench.cost.stage import Stage
from bench.cost.writer import Writer
from bench.live.measurement import Measurement, Paces
from bench.live.receivers import receivers
from bench.live.receiving import Receiver
from bench.live.wire import wire_into
from bench.net.namespaces import Topology
from bench.net.promptness import awake, put_first
from bench.results.model import Trial
from bench.scenario.model import CostScenario, LiveScenario
from synguard.errors import UnsupportedError, UsageError

#: No slice has as many packets: so many numbers are set aside for each packet's measurement.
_PACKETS_MAX = 10_000_000


def play(scenario: LiveScenario, tell: Callable[[str], None]) -> Generator[Trial, None, None]:
    """Measure every program with every packet; yield a trial for each.

    It can be left between any two trials; nothing stays behind.

    Raises:
        UsageError: an unknown program or packet, or one that does not come in.
        UnsupportedError: fewer than two CPUs, no bcc, no native XDP, or not permitted.
        SynguardError: a program could not be compiled or loaded.

    """
    packets = _incoming(scenario)
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise UnsupportedError("generator and receiver need a CPU each, and there is only one")
    tell(f"loading {', '.join(scenario.programs)}")
    with ExitStack() as stack:
        rungs = stack.enter_context(receivers(scenario.programs, scenario.blocks))
        writer = stack.enter_context(closing(Writer.load()))
        topology = stack.enter_context(Topology(receiver_cpu=cpus[0]))
        if not stack.enter_context(awake()):
            tell("the receiver's CPU may sleep between packets: programs of few ns may not be measurable")
        for thread in topology.receiver_threads:
            put_first(thread)
        wire = stack.enter_context(wire_into(topology, writer, cpus[-1]))
        yield from _climb(scenario, Receiver(topology, wire), rungs, packets, tell)


def _incoming(scenario: LiveScenario) -> list[Packet]:
    packets = chosen(scenario.packets)
    if outgoing := [packet.name for packet in packets if packet.name == "synack"]:
        raise UsageError(f"{outgoing[0]} leaves the server: it is not received")
    return packets


def _climb(
    scenario: LiveScenario,
    receiver: Receiver,
    rungs: tuple[Rung, ...],
    packets: list[Packet],
    tell: Callable[[str], None],
) -> Iterator[Trial]:
    ladder = CostScenario(
        purpose=scenario.purpose,
        programs=scenario.programs,
        packets=scenario.packets,
        flows=scenario.flows,
        blocks=scenario.blocks,
        packets_per_trial=_PACKETS_MAX,
    )
    stages = [Stage(receiver.wire.writer, rungs, ladder, family) for family in scenario.families]
    tell(f"{scenario.flows} handshakes for each family")
    for stage in stages:
        stage.establish()
    paces: Paces = {}
    for phase in Phase:
        if phase is Phase.BUSY:
            for stage in stages:
                stage.flood(scenario.flows)
        if phase is Phase.BLOCKING:
            _block(rungs)
        for repetition in range(1, scenario.repetitions + 1):
            for packet in (packet for packet in packets if packet.phase is phase):
                tell(f"repetition {repetition} of {scenario.repetitions}: {packet.name}")
                for stage in stages:
                    measurement = Measurement(scenario, receiver, stage, packet, paces)
                    yield from measurement.trials(repetition)


def _block(rungs: tuple[Rung, ...]) -> None:
    for rung in rungs:
        if rung.block is not None:
            rung.block()

"""Plays a blocks scenario: how long many blocks take to be added, and what each packet pays for them.

What is measured
    ``add_ms`` is the time of one ``synguard block add --file``, the start of Python included, until it says
    that all are in force. ``ns_over_empty`` is what the probe's XDP program takes for a SYN of a stranger, or
    for one of a blocked source, by BPF_PROG_TEST_RUN, with one block in force and with all, in turns.

What makes a trial invalid
    Blocks that are not listed, or drop nothing; SYNs that were not dropped, or were, against what they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from statistics import median

from bench.blocks.adding import add, blocked
from bench.cost.frames import Segment
from bench.cost.resident import resident
from bench.cost.rungs import FIRST_BLOCKED, load_probe
from bench.cost.validity import kernel_faults
from bench.cost.writer import Stream, Writer
from bench.net.promptness import alone
from bench.results.model import Trial, now
from bench.scenario.model import BlocksScenario, Family
from synguard.endpoint import Network
from synguard.probe.probe import Probe
from synguard.probe.programs import XDP_PROGRAM
from synguard.probe.reader import ProbeReader
from synguard.probe.source_rules import SourceAction, SourceRules

STRANGER, OF_BLOCKED = "SYN of a stranger", "SYN of the blocked"
_TURNS = 8
_FAMILIES: tuple[Family, ...] = (4, 6)
_TTL_NS = 3600 * 10**9


def play(scenario: BlocksScenario, tell: Callable[[str], None]) -> Generator[Trial, None, None]:
    """Measure both; yield a trial for each number of blocks, family and packet.

    Raises as :func:`synguard.probe.compiler.load_object` does.
    """
    tell(f"adding {scenario.blocks} blocks, {scenario.repetitions} times")
    yield from add(scenario)
    tell("what a packet costs beside them")
    with ExitStack() as stack:
        probe = stack.enter_context(closing(load_probe(scenario.blocks)))
        writer = stack.enter_context(closing(Writer.load()))
        stack.enter_context(resident([writer.programs["write_xdp"], probe.programs[XDP_PROGRAM]]))
        for repetition in range(1, scenario.repetitions + 1):
            for family in _FAMILIES:
                for packet in (STRANGER, OF_BLOCKED):
                    yield from _Beside(scenario, probe, writer, family, packet).trials(repetition)


@dataclass(slots=True)
class _Tally:
    """What the packets took beside so many blocks."""

    blocks: int
    turns_ns: list[int] = field(default_factory=list)
    dropped: int = 0


class _Beside:
    """One kind of packet, with one block in force and with all."""

    def __init__(
        self, scenario: BlocksScenario, probe: Probe, writer: Writer, family: Family, packet: str
    ) -> None:
        self._scenario = scenario
        self._program = probe.programs[XDP_PROGRAM]
        self._rules = SourceRules(probe)
        self._reader = ProbeReader(probe)
        self._writer = writer
        self._family = family
        self._packet = packet
        self._next = time.monotonic_ns()

    def trials(self, repetition: int) -> Iterator[Trial]:
        """Measure; return a trial for each number of blocks."""
        started_at, began_s = now(), time.monotonic()
        tallies = [_Tally(1), _Tally(self._scenario.blocks)]
        empty_ns: list[int] = []
        with alone():
            for _ in range(_TURNS):
                empty_ns.append(self._run(self._writer.programs["empty_xdp"], 1))
                for tally in tallies:
                    self._turn(tally)
        for tally in tallies:
            yield Trial(
                labels={"blocks": tally.blocks, "measured": self._packet, "family": self._family},
                repetition=repetition,
                started_at=started_at,
                lasted_s=round(time.monotonic() - began_s, 3),
                invalid_because=[*kernel_faults(), *self._faults(tally)],
                figures={
                    "ns_per_packet": median(tally.turns_ns),
                    "ns_over_empty": median(tally.turns_ns) - median(empty_ns),
                },
            )

    def _turn(self, tally: _Tally) -> None:
        targets = self._targets(tally.blocks)
        until_ns = time.monotonic_ns() + _TTL_NS
        self._rules.put(dict.fromkeys(targets, (SourceAction.DROP, until_ns)))
        before = self._reader.totals()["dropped_by_us"]
        tally.turns_ns.append(self._run(self._program, tally.blocks))
        tally.dropped += self._reader.totals()["dropped_by_us"] - before
        self._rules.end(targets)

    def _targets(self, blocks: int) -> list[Network]:
        """Return who is blocked: one of this family, or all."""
        everyone = blocked(self._scenario.blocks)
        return everyone if blocks > 1 else [next(one for one in everyone if one.version == self._family)]

    def _run(self, program: int, blocks: int) -> int:
        packets = self._scenario.packets_per_turn
        stream = Stream(Segment.SYN, self._family, self._next, scattered=True)
        if self._packet == OF_BLOCKED:
            of_family = blocks // 2 if self._family == 6 else blocks - blocks // 2
            clients = max(of_family, 1)
            stream = Stream(Segment.SYN, self._family, self._next, FIRST_BLOCKED, clients, fresh_numbers=True)
        self._next += packets
        return self._writer.run(program, stream, packets).ns_per_packet

    def _faults(self, tally: _Tally) -> Iterator[str]:
        expected = _TURNS * self._scenario.packets_per_turn if self._packet == OF_BLOCKED else 0
        if abs(tally.dropped - expected) > _TURNS * self._scenario.packets_per_turn // 100:
            yield f"{tally.dropped} SYNs were dropped, not {expected}"

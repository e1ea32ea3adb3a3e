"""Plays a scaling scenario: nanoseconds per packet on one CPU alone, and while another one does the same.

What is measured
    As in the ladder (``bench.cost``): the kernel's own mean over a loop of BPF_PROG_TEST_RUN, in which a
    writer gives the program another packet each time. Here two CPUs have a writer each, and the program and
    its maps are the same. ``ns_per_packet`` is the median over turns and CPUs; ``ns_over_alone`` is that of
    both at once less that of one while the other rests, in the same repetition: what they cost each other.

What it says
    A line of the cache that two CPUs write goes to and fro between them. What shares one shows it; ``parse``,
    which writes nothing, shows what the machine itself loses when both are busy.

What makes a trial invalid
    Packets that were not written, or that the probe counted as anything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from bench.cost.rungs import FULL, PARSE, Rung, load_probe, probe_rung
from bench.cost.stage import TOLERATED, Stage
from bench.cost.validity import kernel_faults
from bench.cost.writer import Stream
from bench.results.model import Trial, now
from bench.scaling.pair import Pair, Turn, pair
from bench.scaling.sharing import Sharing, chosen
from bench.scenario.model import CostScenario, Family, ScalingScenario
from synguard.errors import UsageError

NAMES = (PARSE, FULL)
_BLOCKS = 2


def play(scenario: ScalingScenario, tell: Callable[[str], None]) -> Generator[Trial, None, None]:
    """Measure every program with every kind of packets, on one CPU and on two; yield a trial for each.

    It can be left between any two trials; nothing stays behind in the kernel.

    Raises:
        UsageError: an unknown program or kind.
        UnsupportedError: one CPU, no bcc, or not permitted.
        SynguardError: a program could not be compiled or loaded.

    """
    sharings = chosen(scenario.sharings)
    if unknown := sorted(set(scenario.programs) - set(NAMES)):
        raise UsageError(f"there is no program {', '.join(unknown)}; there are {', '.join(NAMES)}")
    tell(f"loading {', '.join(scenario.programs)}")
    with ExitStack() as stack:
        cpus = stack.enter_context(pair())
        probe = load_probe(_BLOCKS)
        stack.callback(probe.close)
        rungs = [Rung(PARSE, cpus.writers[0].programs["parse_xdp"], None), probe_rung(probe, _BLOCKS)]
        arena = _Arena(scenario, cpus, [rung for rung in rungs if rung.name in scenario.programs])
        tell(f"{scenario.flows} handshakes for each family")
        arena.establish()
        for repetition in range(1, scenario.repetitions + 1):
            for sharing in sharings:
                tell(f"repetition {repetition} of {scenario.repetitions}: {sharing.name}")
                yield from arena.trials(sharing, repetition)


@dataclass(slots=True)
class _Tally:
    """What one program's turns gave, by how many CPUs were busy."""

    rung: Rung
    turns: dict[int, list[Turn]] = field(default_factory=lambda: {1: [], 2: []})
    moved: dict[int, dict[str, int]] = field(default_factory=dict)
    lasted_s: dict[int, float] = field(default_factory=lambda: {1: 0.0, 2: 0.0})

    def ns_per_packet(self, cpus: int) -> float:
        return median(turn.ns_per_packet for turn in self.turns[cpus])


class _Arena:
    """The pair of CPUs, and what they have sent so far."""

    def __init__(self, scenario: ScalingScenario, cpus: Pair, rungs: Sequence[Rung]) -> None:
        self._scenario = scenario
        self._cpus = cpus
        self._rungs = rungs
        #: The first packet number that no packet of any stream had yet.
        self._next = 0

    def establish(self) -> None:
        """Let every flow do its handshake."""
        ladder = CostScenario(
            purpose=self._scenario.purpose, programs=(), packets=(), flows=self._scenario.flows
        )
        for family in self._scenario.families:
            Stage(self._cpus.writers[0], self._rungs, ladder, family).establish()

    def trials(self, sharing: Sharing, repetition: int) -> Iterator[Trial]:
        """Measure; yield a trial for each family, program, and number of busy CPUs."""
        for family in self._scenario.families:
            started_at = now()
            faults = list(kernel_faults())
            tallies = [_Tally(rung) for rung in self._rungs]
            # The first packets of a source make its entry, which is another matter.
            self._run(tallies[-1].rung, sharing, family, (0, 1))
            for turn in range(self._scenario.turns):
                for tally in tallies:
                    # Alone each of the two has its turns.
                    self._turn(tally, sharing, family, (turn % 2,))
                    self._turn(tally, sharing, family, (0, 1))
            for tally in tallies:
                for cpus in (1, 2):
                    yield Trial(
                        labels={
                            "program": tally.rung.name,
                            "sharing": sharing.name,
                            "family": family,
                            "cpus": cpus,
                        },
                        repetition=repetition,
                        started_at=started_at,
                        lasted_s=round(tally.lasted_s[cpus], 4),
                        invalid_because=[*faults, *self._faults(tally, sharing, cpus)],
                        figures=_figures(tally, cpus),
                    )

    def _turn(self, tally: _Tally, sharing: Sharing, family: Family, busy: Sequence[int]) -> None:
        before, began_s = _counts(tally.rung), time.monotonic()
        tally.turns[len(busy)] += self._run(tally.rung, sharing, family, busy)
        tally.lasted_s[len(busy)] += time.monotonic() - began_s
        moved = tally.moved.setdefault(len(busy), {})
        for name, count in _counts(tally.rung).items():
            moved[name] = moved.get(name, 0) + count - before[name]

    def _run(self, rung: Rung, sharing: Sharing, family: Family, busy: Sequence[int]) -> list[Turn]:
        streams: list[Stream | None] = [None, None]
        for index in busy:
            streams[index] = sharing.stream(index, family, self._scenario.flows).behind(self._next)
        self._next += self._scenario.packets_per_turn
        return self._cpus.run(rung.ingress, streams, self._scenario.packets_per_turn)

    def _faults(self, tally: _Tally, sharing: Sharing, cpus: int) -> Iterator[str]:
        packets = self._scenario.packets_per_turn
        if any(turn.written != packets for turn in tally.turns[cpus]):
            yield f"not all of {packets} packets were written in every turn"
        if tally.rung.counts is not None:
            sent = packets * len(tally.turns[cpus])
            yield from _count_faults(tally.moved[cpus], sent, sharing.counted_as)


def _count_faults(moved: Mapping[str, int], packets: int, counted_as: str | None) -> Iterator[str]:
    """Yield where the probe's counters do not tell of so many packets of that kind."""
    if moved["packets"] != packets:
        yield f"packets moved by {moved['packets']}, not by {packets}"
    for name in ("attempts", "completed"):
        expected = packets if name == counted_as else 0
        if abs(moved[name] - expected) > TOLERATED * packets:
            yield f"{name} moved by {moved[name]}, not by {expected}"


def _counts(rung: Rung) -> dict[str, int]:
    return rung.counts() if rung.counts else {}


def _figures(tally: _Tally, cpus: int) -> dict[str, float | None]:
    figures: dict[str, float | None] = {"ns_per_packet": tally.ns_per_packet(cpus)}
    if cpus == 2:
        figures["ns_over_alone"] = tally.ns_per_packet(2) - tally.ns_per_packet(1)
    return figures

"""Plays a drop scenario: how many SYNs of a source that it was told of a CPU drops behind each defence.

What is measured
    SYNs are given to the guarded interface as its driver would: one CPU runs the interface's XDP program on
    live frames, by BPF_PROG_TEST_RUN, and takes what passes up the stack. ``ns_per_packet`` is one SYN's CPU
    time from there to its drop, the median over turns, the making of its number and port included.
    ``absorbed_syn_per_s`` is how many a whole CPU drops in a second. Nothing sends: no sender is the limit.

What differs from a network card
    Frames are in the CPU's cache, and there is no ring to take them from: every defence is cheaper, and most
    of all those that let a frame become a packet of the stack, which touches more of it.

What makes a trial invalid
    A defence that did not drop 99 of 100; kernel.bpf_stats_enabled.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median

from bench.cost.validity import kernel_faults
from bench.defences.registry import Deployed, Target, chosen, deploy
from bench.drop.giving import Giver, giver, load_givers, settled, syn_frame
from bench.net.namespaces import SILENT_IPV4, SILENT_IPV6, Topology
from bench.results.model import Trial, now
from bench.scenario.model import DropScenario, Family
from synguard.probe.compiler import LoadedObject

PORT = 443
_DROPPED_MIN = 0.99
_SOURCES = {4: str(SILENT_IPV4), 6: str(SILENT_IPV6)}


def play(scenario: DropScenario, tell: Callable[[str], None]) -> Generator[Trial, None, None]:
    """Measure every defence in turn, in each repetition in another order; yield a trial for each family.

    Raises UsageError for a defence that there is not, else as ``deploy`` and ``load_object``.
    """
    for name in scenario.defences:
        chosen(name)
    with ExitStack() as stack:
        topology = stack.enter_context(Topology())
        loaded = stack.enter_context(closing(load_givers()))
        for repetition in range(1, scenario.repetitions + 1):
            first = (repetition - 1) % len(scenario.defences)
            for name in (*scenario.defences[first:], *scenario.defences[:first]):
                tell(f"repetition {repetition} of {scenario.repetitions}: {name}")
                yield from _behind(name, scenario, topology, loaded, repetition)


def _behind(
    name: str, scenario: DropScenario, topology: Topology, loaded: LoadedObject, repetition: int
) -> Iterator[Trial]:
    server = topology.server
    with tempfile.TemporaryDirectory(prefix="synguard-bench-drop-") as folder:
        target = Target(
            guarded=topology.guarded,
            addresses=(str(server.ipv4.ip), str(server.ipv6.ip)),
            port=PORT,
            role="host",
            folder=Path(folder),
            flooding=tuple(_SOURCES.values()),
        )
        cpu = max(os.sched_getaffinity(0))
        with deploy(name, target) as deployed, giver(topology, loaded, cpu) as given:
            for family in scenario.families:
                yield _trial(name, family, scenario, deployed, given, repetition)


def _trial(
    name: str, family: Family, scenario: DropScenario, deployed: Deployed, given: Giver, repetition: int
) -> Trial:
    started_at, began_s = now(), time.monotonic()
    frame = syn_frame(given.topology, _SOURCES[family], PORT)

    def dropped_so_far() -> int:
        return deployed.dropped_syns() or 0

    dropped_before = dropped_so_far()
    faults = list(kernel_faults())
    turns_ns = [given.give(frame, scenario.syns_per_turn) for _ in range(scenario.turns)]
    expected = scenario.turns * scenario.syns_per_turn
    dropped = settled(dropped_so_far, dropped_before + expected) - dropped_before
    if not _DROPPED_MIN * expected <= dropped <= expected:
        faults.append(f"{dropped} of {expected} SYNs were dropped")
    ns_per_packet = median(turns_ns)
    return Trial(
        labels={"defence": name, "family": family},
        repetition=repetition,
        started_at=started_at,
        lasted_s=round(time.monotonic() - began_s, 3),
        invalid_because=faults,
        figures={"ns_per_packet": ns_per_packet, "absorbed_syn_per_s": 1e9 / ns_per_packet},
    )

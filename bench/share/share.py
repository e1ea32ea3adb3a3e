"""Plays a share scenario: the daemon's share of a CPU, and its memory, while its probe counts SYNs.

What is measured
    A daemon guards the interface of a host to which nothing is sent. The SYNs are given to its own XDP
    program, by BPF_PROG_TEST_RUN on another CPU: the probe counts them as if they had come, and the daemon
    reads and judges them. So a rate can be had that the stack behind the probe could not take, and the
    daemon's CPU is its own. ``daemon_cpu`` is its CPU time over the time, all that it does included;
    ``daemon_rss_mib`` its resident memory at its highest.

What makes a trial invalid
    A rate that was not held within 5 %, a daemon that ended, and SYNs that it did not count.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from bench.cost.resident import resident
from bench.cost.writer import Writer
from bench.defences.registry import Deployed, Target, deploy
from bench.folders import folder
from bench.measure.usage import UsageMeter
from bench.net.namespaces import Topology
from bench.results.model import Trial, now
from bench.scenario.model import Premise, ShareScenario
from bench.share.feeder import Feeder, feeder
from synguard.errors import UnsupportedError

_DEFENCE = "synguard-off"
_PORT = 443
#: Before it is measured: an alert opens, and the daemon's tables are what they will be.
_WARM_UP_S = 1.5
_MIB = 1 << 20


def play(scenario: ShareScenario, tell: Callable[[str], None]) -> Generator[Trial, None, None]:
    """Measure the daemon under each load; yield a trial for each. Nothing stays behind.

    Raises UnsupportedError for one CPU or without what a daemon needs, SynguardError for one that failed.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise UnsupportedError("the daemon and its flood need a CPU each, and there is only one")
    with ExitStack() as stack:
        writer = stack.enter_context(closing(Writer.load()))
        stack.enter_context(resident([writer.programs["write_xdp"]]))
        topology = stack.enter_context(Topology())
        for repetition in range(1, scenario.repetitions + 1):
            for syn_per_s, sources in _loads(scenario):
                tell(f"repetition {repetition}: {syn_per_s:,} SYN/s from {sources or 'any'} sources")
                yield _trial(scenario, topology, writer, (syn_per_s, sources), repetition)


def _loads(scenario: ShareScenario) -> Iterator[tuple[int, int]]:
    for syn_per_s in scenario.syn_per_s:
        yield from ((syn_per_s, sources) for sources in (scenario.sources if syn_per_s else (0,)))


def _trial(
    scenario: ShareScenario, topology: Topology, writer: Writer, load: tuple[int, int], repetition: int
) -> Trial:
    started_at, began_s = now(), time.monotonic()
    syn_per_s, sources = load
    addresses = (str(topology.server.ipv4.ip), str(topology.server.ipv6.ip))
    with folder("bench") as files:
        target = Target(topology.guarded, addresses, _PORT, "host", files)
        with deploy(_DEFENCE, target) as deployed:
            (pid,) = deployed.pids
            _pin(pid, min(os.sched_getaffinity(0)))
            with feeder(pid, writer) as source:
                figures, faults = _measure(scenario, deployed, source, load)
    return Trial(
        labels={"syn_per_s": syn_per_s, "sources": sources or "anywhere"},
        repetition=repetition,
        started_at=started_at,
        lasted_s=round(time.monotonic() - began_s, 2),
        invalid_because=faults,
        figures=figures,
    )


def _pin(pid: int, cpu: int) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cpu})


def _measure(
    scenario: ShareScenario, deployed: Deployed, source: Feeder, load: tuple[int, int]
) -> tuple[dict[str, float | None], list[str]]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        if load[0]:
            source.make_listener()
        source.feed(*load, _WARM_UP_S)
        with UsageMeter({_DEFENCE: deployed.pids}) as meter:
            began = meter.mark()
            held = source.feed(*load, scenario.span_s)
            ended = meter.mark()
    finally:
        os.sched_setaffinity(0, before)
    busy_ns = ended.cpu_ns[_DEFENCE] - began.cpu_ns[_DEFENCE]
    figures: dict[str, float | None] = {
        "daemon_cpu": busy_ns / (ended.at_ns - began.at_ns),
        "daemon_rss_mib": meter.peak_resident_bytes(_DEFENCE) / _MIB,
        "map_bytes": deployed.map_bytes(),
    }
    return figures, list(_faults(deployed, source, held=held))


def _faults(deployed: Deployed, source: Feeder, *, held: bool) -> Iterator[str]:
    if not held:
        yield f"{Premise.RATE_HELD}: the SYNs were not given fast enough"
    if not deployed.is_up:
        yield "the daemon ended"
        return
    counted = deployed.counted_syns()
    if counted != source.syns:
        yield f"{Premise.ACCOUNTED}: {source.syns} SYNs were given, and {counted} counted"

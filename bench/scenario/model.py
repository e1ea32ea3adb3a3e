"""The words of a scenario file, by its kind.

A scenario is one TOML file in ``bench/scenarios``; its name is the file's. ``bench/README.md`` shows how
to write one. Every record refuses fields that it does not know.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from bench.scenario.common import Family, Premise, Promise, Record
from bench.scenario.flood import ClientSpec, Expectation, FloodScenario, FloodSpec, ServerSpec

__all__ = [
    "BlocksScenario",
    "ClientSpec",
    "CostScenario",
    "DetectionScenario",
    "DropScenario",
    "Expectation",
    "Family",
    "FloodScenario",
    "FloodSpec",
    "HistoryScenario",
    "LifeScenario",
    "LiveScenario",
    "Premise",
    "Promise",
    "ReadingScenario",
    "Record",
    "ScalingScenario",
    "Scenario",
    "ServerSpec",
    "ShareScenario",
]


class CostScenario(Record, tag_field="kind", tag="cost", frozen=True, kw_only=True):
    """Measures nanoseconds per packet with BPF_PROG_TEST_RUN; one cell for each program and packet."""

    purpose: str
    premises: tuple[Premise, ...] = ()
    #: Of ``bench.cost.rungs``; ``empty`` is one of them.
    programs: tuple[str, ...]
    #: Of ``bench.cost.packets``, each in IPv4 and in IPv6, hot and cold.
    packets: tuple[str, ...]
    #: Flows established before, in IPv4 and in IPv6; a flood before the later packets has as many SYNs.
    flows: Annotated[int, Meta(ge=1, le=8_000_000)] = 1_000_000
    #: In place for the packets that are about blocks: half of them IPv4 addresses, half IPv6 /64s.
    blocks: Annotated[int, Meta(ge=2, le=10_000)] = 10_000
    #: Packets in one measurement.
    packets_per_trial: Annotated[int, Meta(ge=2000, le=10_000_000)] = 100_000
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 7
    promises: tuple[Promise, ...] = ()


class LiveScenario(Record, tag_field="kind", tag="live", frozen=True, kw_only=True):
    """Measures nanoseconds per packet of a CPU that receives from another; one cell a program and packet."""

    purpose: str
    premises: tuple[Premise, ...] = ()
    #: Of ``bench.live.receivers``; ``empty`` is one of them.
    programs: tuple[str, ...]
    #: Of ``bench.cost.packets``, those that come in.
    packets: tuple[str, ...]
    families: tuple[Family, ...] = (4, 6)
    #: Flows established before, in each family; a flood before the later packets has as many SYNs.
    flows: Annotated[int, Meta(ge=1, le=8_000_000)] = 1_000_000
    blocks: Annotated[int, Meta(ge=2, le=10_000)] = 10_000
    #: Each program receives for so many slices of so long.
    slices: Annotated[int, Meta(ge=1, le=100)] = 5
    slice_s: Annotated[float, Meta(gt=0, le=0.5)] = 0.1
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 5
    promises: tuple[Promise, ...] = ()


class ScalingScenario(Record, tag_field="kind", tag="scaling", frozen=True, kw_only=True):
    """Measures nanoseconds per packet on one CPU and on two at once; one cell a program and sharing."""

    purpose: str
    premises: tuple[Premise, ...] = ()
    #: Of ``bench.scaling.scaling``.
    programs: tuple[str, ...]
    #: Of ``bench.scaling.sharing``.
    sharings: tuple[str, ...]
    families: tuple[Family, ...] = (4, 6)
    #: Flows established before, in each family.
    flows: Annotated[int, Meta(ge=1, le=8_000_000)] = 1_000_000
    #: Turns of each program, alone and together, and packets in each.
    turns: Annotated[int, Meta(ge=1, le=100)] = 6
    packets_per_turn: Annotated[int, Meta(ge=1000, le=10_000_000)] = 50_000
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 5
    promises: tuple[Promise, ...] = ()


class DropScenario(Record, tag_field="kind", tag="drop", frozen=True, kw_only=True):
    """Measures how many SYNs of a source that it was told of a CPU drops; one cell a defence and family."""

    purpose: str
    premises: tuple[Premise, ...] = ()
    #: Each one or more of ``bench.defences``, joined by ``+``, that drop such SYNs.
    defences: tuple[str, ...]
    families: tuple[Family, ...] = (4, 6)
    turns: Annotated[int, Meta(ge=1, le=100)] = 8
    syns_per_turn: Annotated[int, Meta(ge=1000, le=10_000_000)] = 200_000
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 5
    promises: tuple[Promise, ...] = ()


class BlocksScenario(Record, tag_field="kind", tag="blocks", frozen=True, kw_only=True):
    """Measures how long many blocks take to be added, and what a packet pays for them."""

    purpose: str
    premises: tuple[Premise, ...] = ()
    #: Half of them IPv4 addresses, half IPv6 /64s.
    blocks: Annotated[int, Meta(ge=2, le=10_000)] = 10_000
    packets_per_turn: Annotated[int, Meta(ge=1000, le=10_000_000)] = 20_000
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 5
    promises: tuple[Promise, ...] = ()


class ReadingScenario(Record, tag_field="kind", tag="reading", frozen=True, kw_only=True):
    """Measures the time of one read of the probe's maps, before millions of strangers and after."""

    purpose: str
    premises: tuple[Premise, ...] = ()
    #: That flood a listener all along; strangers come once.
    sources: Annotated[int, Meta(ge=1, le=500)] = 10
    strangers: Annotated[int, Meta(ge=1, le=100_000_000)] = 10_000_000
    reads: Annotated[int, Meta(ge=1, le=10_000)] = 100
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 3
    promises: tuple[Promise, ...] = ()


class ShareScenario(Record, tag_field="kind", tag="share", frozen=True, kw_only=True):
    """Measures the daemon's share of a CPU while its probe is given SYNs on another; one cell a load."""

    purpose: str
    premises: tuple[Premise, ...] = ()
    #: SYNs a second; each with each kind of sources, 0 with none.
    syn_per_s: tuple[Annotated[int, Meta(ge=0, le=2_000_000)], ...]
    #: How many addresses they come from; 0: each from another.
    sources: tuple[Annotated[int, Meta(ge=0, le=100_000)], ...] = (0,)
    #: The flood is given for a second before it is measured for so long.
    span_s: Annotated[float, Meta(gt=0, le=600)] = 5.0
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 3
    promises: tuple[Promise, ...] = ()


class DetectionScenario(Record, tag_field="kind", tag="detection", frozen=True, kw_only=True):
    """Compares what attacks and harmless things are with what they are called; one cell for each."""

    purpose: str
    premises: tuple[Premise, ...] = ()
    #: Of ``bench.detection.cases``.
    plays: tuple[str, ...]
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 3
    promises: tuple[Promise, ...] = ()


class HistoryScenario(Record, tag_field="kind", tag="history", frozen=True, kw_only=True):
    """Measures how fast a large history answers, is followed and is written; one cell a question."""

    purpose: str
    premises: tuple[Premise, ...] = ()
    #: Each of 50 sources.
    alerts: Annotated[int, Meta(ge=1000, le=10_000_000)] = 1_000_000
    #: How often each question is put.
    repeats: Annotated[int, Meta(ge=1, le=100)] = 5
    #: Times an open alert is written anew.
    updates: Annotated[int, Meta(ge=1, le=10_000)] = 200
    #: Alerts that open while they are followed.
    news: Annotated[int, Meta(ge=1, le=1000)] = 30
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 1
    promises: tuple[Promise, ...] = ()


class LifeScenario(Record, tag_field="kind", tag="life", frozen=True, kw_only=True):
    """Lives hours of the daemon's life by a driven clock, and measures what it holds; one trial."""

    purpose: str
    premises: tuple[Premise, ...] = ()
    #: The daemon's looks at the probe; some 9,900 are an hour.
    snapshots: Annotated[int, Meta(ge=500, le=10_000_000)] = 250_000
    #: history.retention_mib, which a day is to reach.
    retention_mib: Annotated[int, Meta(ge=1, le=1024)] = 2
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 1
    promises: tuple[Promise, ...] = ()


Scenario = (
    FloodScenario
    | CostScenario
    | LiveScenario
    | ScalingScenario
    | DropScenario
    | BlocksScenario
    | ReadingScenario
    | ShareScenario
    | DetectionScenario
    | HistoryScenario
    | LifeScenario
)

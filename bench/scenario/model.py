"""The words of a scenario file: who floods whom and how, beside which clients, behind which defence.

A scenario is one TOML file in ``bench/scenarios``; its name is the file's. ``bench/README.md`` shows how
to write one. Every record refuses fields that it does not know.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bench.flood.plan import Shape

Family = Literal[4, 6]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Hops = Annotated[int, Meta(ge=1, le=255)]
_MEDIAN = 0.5
Word = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$")]


class Premise(StrEnum):
    """What must have held for a trial to be a result at all."""

    #: Every frame that the generator sent is found again, at the interface or by name among the lost.
    ACCOUNTED = "accounted"
    #: Each flood kept its rate within 5 %.
    RATE_HELD = "rate-held"
    #: No frame was lost before the receiver: what was sent is what came.
    ALL_RECEIVED = "all-received"
    #: The receiver was at its limit and the generator was not: frames were lost at its ring.
    RECEIVER_LIMITED = "receiver-limited"
    #: Every good client was served before the flood, and the bench itself kept none from trying.
    CLIENTS_UP = "clients-up"
    #: The good clients attempted at least 1,000 connections during the flood, over all repetitions.
    ENOUGH_CONNECTS = "enough-connects"
    #: Generator and receiver have a CPU each.
    TWO_CPUS = "two-cpus"


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all parts of a scenario have in common."""


class ClientSpec(Record, frozen=True, kw_only=True):
    """One kind of good clients, in a namespace of their own."""

    name: Word
    #: plain: connect, exchange a few bytes, close. keep-alive: a fixed number of connections, each of
    #: which exchanges again and again; a broken one is opened anew.
    kind: Literal["plain", "keep-alive"] = "plain"
    #: plain: connections begun in a second; keep-alive: exchanges in a second, over all connections.
    per_s: Positive = 80.0
    #: Of keep-alive clients.
    connections: Annotated[int, Meta(ge=1, le=1000)] = 20
    #: How many addresses they connect from, one after another.
    addresses: Annotated[int, Meta(ge=1, le=250)] = 1
    family: Family = 4
    #: Distance to the switch and back.
    rtt_ms: Annotated[float, Meta(ge=0, le=500)] = 0.0
    #: The share of frames lost in each direction.
    loss: Annotated[float, Meta(ge=0, le=0.3)] = 0.0


class ServerSpec(Record, frozen=True, kw_only=True):
    """The listener, and the kernel's settings around it."""

    kind: Literal["accept-loop", "nginx", "none"] = "accept-loop"
    port: Port = 443
    #: What listen(2) is given; somaxconn is set to it.
    queue_entries: Annotated[int, Meta(ge=1, le=65535)] = 4096
    #: tcp_syncookies; the defence ``cookies`` sets it to 1.
    syncookies: Literal[0, 1, 2] = 0


class FloodSpec(Record, frozen=True, kw_only=True):
    """One load. All loads of a scenario begin together, each ``start_s`` later."""

    tool: Literal["generator", "hping3", "nmap", "trafgen"] = "generator"
    family: Family = 4
    #: ``silent`` (an address that nobody owns), ``any`` (any unicast address), ``attacker`` (the sending
    #: host's own), ``client:NAME`` (the address of a good client), an address, several, or one prefix.
    sources: tuple[str, ...] = ("silent",)
    #: ``max`` sends as fast as the machine can.
    syn_per_s: Positive | Literal["max"] = 60_000.0
    shape: Shape = Shape.LINUX
    #: steady; pulse: on for ``on_s``, off for ``off_s``; ramp: from 1/100 of the rate up to it.
    pattern: Literal["steady", "pulse", "ramp"] = "steady"
    on_s: Positive = 1.0
    off_s: Positive = 1.0
    #: Each SYN is sent so many times, all copies alike.
    copies: Annotated[int, Meta(ge=1, le=1000)] = 1
    #: So many ACKs with random numbers follow each SYN, from its source and port.
    acks_per_syn: Annotated[int, Meta(ge=0, le=100)] = 0
    #: 802.1Q tags, outermost first; the outer of two is 802.1ad.
    vlans: Annotated[tuple[Annotated[int, Meta(ge=1, le=4094)], ...], Meta(max_length=2)] = ()
    random_ports: bool = False
    #: The least and the most hops that are left; each source has one of them, always the same.
    ttls: tuple[Hops, Hops] = (64, 64)
    #: Data in each SYN, in fours.
    payload_bytes: Annotated[int, Meta(ge=0, le=256, multiple_of=4)] = 0
    #: The port that is flooded; the server's where it is not given.
    port: Port | None = None
    start_s: NotNegative = 0.0
    #: The scenario's ``flood_s`` where it is not given.
    duration_s: Positive | None = None


class Expectation(Record, frozen=True, kw_only=True):
    """What a detector should say of the floods; a scenario without one expects silence."""

    kind: str
    #: The class it should give in the end; where it is left out, any will do.
    alert_class: str | None = None
    #: The source it should name, in the words of ``FloodSpec.sources``; where it is left out, no good client.
    source: str | None = None


class Promise(Record, frozen=True, kw_only=True):
    """What has to hold within one run on any machine; ``bench run`` fails when it does not.

    Numbers are judged by the median over valid repetitions, or as ``share`` says; ``equals`` must hold in
    every one.
    """

    #: A figure's name, or a fact's.
    figure: str
    #: The cells meant, by label; all where it is empty.
    where: dict[str, Any] = {}
    #: Judge the ratio over the cell that has these labels instead of the figure itself.
    over: dict[str, Any] = {}
    equals: float | str | None = None
    at_least: float | None = None
    at_most: float | None = None
    #: Limits are on the value that this share of the repetitions does not exceed: 0.5 is the median, 0.95
    #: leaves out one in twenty, 1 is the greatest.
    share: Annotated[float, Meta(ge=0, le=1)] = _MEDIAN
    #: Judge it in full runs, in quick ones, or in both.
    judged: Literal["always", "full", "quick"] = "always"


class FloodScenario(Record, tag_field="kind", tag="flood", frozen=True, kw_only=True):
    """Floods a server beside good clients; one trial for each cell and repetition."""

    purpose: str
    premises: tuple[Premise, ...]
    #: One or more of ``bench.defences``, joined by ``+``.
    defence: str = "none"
    #: Where the defence stands: on the server, or on a gateway before it.
    role: Literal["host", "gateway"] = "host"
    server: ServerSpec = ServerSpec()
    clients: tuple[ClientSpec, ...] = (ClientSpec(name="client"),)
    floods: tuple[FloodSpec, ...] = ()
    expect: Expectation | None = None
    #: Good clients alone, then beside the floods, then alone again.
    learn_s: NotNegative = 1.5
    flood_s: Annotated[float, Meta(gt=0, le=600)] = 5.0
    after_s: NotNegative = 0.0
    #: How long an alert may take to close after the floods; 0 does not wait.
    close_timeout_s: NotNegative = 0.0
    #: Settings of synguard's, by section and name.
    settings: dict[str, dict[str, Any]] = {}
    #: Keep a time line of the trial, for a plot.
    timeline: bool = False
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 5
    promises: tuple[Promise, ...] = ()


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


Scenario = (
    FloodScenario
    | CostScenario
    | LiveScenario
    | ScalingScenario
    | ReadingScenario
    | ShareScenario
    | DetectionScenario
)

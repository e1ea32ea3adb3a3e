"""The words of a scenario that floods a server: who floods it and how, beside which clients."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bench.flood.plan import Shape
from bench.scenario.common import Family, NotNegative, Positive, Premise, Promise, Record

Port = Annotated[int, Meta(ge=1, le=65535)]
Hops = Annotated[int, Meta(ge=1, le=255)]
Word = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$")]


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
    #: So many times what the guarded is found to take right before, in place of ``syn_per_s``.
    of_capacity: Annotated[float, Meta(gt=0, le=2)] | None = None
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


class FloodScenario(Record, tag_field="kind", tag="flood", frozen=True, kw_only=True):
    """Floods a server beside good clients; one trial for each cell and repetition."""

    purpose: str
    premises: tuple[Premise, ...]
    #: One or more of ``bench.defences``, joined by ``+``.
    defence: str = "none"
    #: Where the defence stands: on the server, or on a gateway before it.
    role: Literal["host", "gateway"] = "host"
    #: Whether answers to addresses that nobody has end at the far end of the guarded's wire, as on a real
    #: one, instead of being carried on at its expense. With a defence that answers by XDP they always do.
    answers_vanish: bool = False
    server: ServerSpec = ServerSpec()
    clients: tuple[ClientSpec, ...] = (ClientSpec(name="client"),)
    floods: tuple[FloodSpec, ...] = ()
    expect: Expectation | None = None
    #: Good clients alone, then beside the floods, then alone again.
    learn_s: NotNegative = 1.5
    #: The first flood goes on for so long at a low rate before anything is measured, until a response stands.
    prelude_s: NotNegative = 0.0
    prelude_syn_per_s: Positive = 20_000.0
    flood_s: Annotated[float, Meta(gt=0, le=600)] = 5.0
    after_s: NotNegative = 0.0
    #: How long an alert may take to close after the floods; 0 does not wait.
    close_timeout_s: NotNegative = 0.0
    #: Settings of synguard's, by section and name.
    settings: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    #: Keep a time line of the trial, for a plot.
    timeline: bool = False
    repetitions: Annotated[int, Meta(ge=1, le=100)] = 5
    promises: tuple[Promise, ...] = ()

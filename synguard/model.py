"""The frozen records that every layer speaks.

Two clocks appear here. ``*_ns`` is the kernel's monotonic clock, which the probe stamps its records
with; ``*_s`` is wall-clock time in seconds since the Unix epoch, for people. Nothing below a
:class:`Snapshot` reads either of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from synguard.endpoint import Listener, Network
from synguard.handshake import Answer
from synguard.server import ServerReading
from synguard.sight import Sight


class Cohort(NamedTuple):
    """The attempts that began in one time slice, with the completions of *those* attempts.

    In a closed bucket ``completed`` counts the attempts that were answered after all, and so moved
    to their listener.
    """

    start_ns: int
    attempts: int
    completed: int


@dataclass(frozen=True, slots=True)
class HandshakeCounts:
    """Cumulative counts since the probe was attached, as RFC 9293's handshake goes."""

    attempts: int = 0
    syn_retransmits: int = 0
    syn_duplicates: int = 0
    answered: int = 0
    completed: int = 0
    aborted: int = 0
    refused: int = 0
    dropped_by_us: int = 0


@dataclass(frozen=True, slots=True)
class ListenerReading:
    """What the probe knows of one listener at one moment."""

    listener: Listener
    counts: HandshakeCounts
    #: Slices of ``Snapshot.listener_cohort_ns``, oldest first; slices without attempts are left out.
    cohorts: tuple[Cohort, ...]
    #: Cumulative attempts whose SYN carried no TCP option at all.
    bare_attempts: int = 0
    #: Distinct sources of the attempts of the last one to two seconds (standard error 6.3 %).
    sources_estimated: int | None = None
    #: Cumulative completions by SYN-ACK→ACK time: bin 0 is below 1 ms (2^20 ns), bin i below 2^i ms.
    handshake_ms_histogram: tuple[int, ...] = ()
    #: Share (0..1) of those distinct sources that came once in that time (standard error 3.1 %).
    sources_once_share: float | None = None
    #: Cumulative attempts by TTL of the SYN, and completions by that of the ACK: bin i is 8 i to 8 i + 7.
    syn_ttl_histogram: tuple[int, ...] = ()
    completed_ttl_histogram: tuple[int, ...] = ()
    #: Cumulative attempts whose source no router may carry (RFC 6890: 0/8, 127/8, 224/3 and the like).
    bogon_attempts: int = 0
    #: Cumulative attempts that repeat the sequence number or the source port of the one before them, or have
    #: their destination for a sequence number.
    patterned_attempts: int = 0
    #: Cumulative first SYNs that a greylist dropped; SYNs answered with our cookies, valid ACKs of those, and
    #: such flows of which a later segment found its connection's socket.
    greylisted: int = 0
    cookies_sent: int = 0
    cookies_valid: int = 0
    cookies_connected: int = 0
    #: None before one was seen.
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class SourceReading:
    """What the probe knows of one watched source, or prefix of sources, at one moment."""

    source: Network
    counts: HandshakeCounts
    #: Slices of ``Snapshot.source_cohort_ns``, oldest first; slices without attempts are left out.
    cohorts: tuple[Cohort, ...]
    #: Of a source, its distinct (address, port) targets since it was first seen; saturates near 250.
    targets_estimated: int = 0
    #: Of a prefix, its distinct sources since it was first seen; saturates near 250.
    sources_estimated: int | None = None
    #: Of a source, its segments with FIN alone, with no flag, and with FIN, PSH and URG; cumulative.
    fin_probes: int = 0
    null_probes: int = 0
    xmas_probes: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the detector may know, with the moment it was true."""

    time_ns: int
    wall_s: float
    listener_cohort_ns: int
    source_cohort_ns: int
    listeners: tuple[ListenerReading, ...] = ()
    #: Only sources that the probe named as candidates, not all it holds.
    sources: tuple[SourceReading, ...] = ()
    totals: Mapping[str, int] = field(default_factory=dict)
    #: Only prefixes that the probe named. What it books to a source it books to its prefix, too.
    prefixes: tuple[SourceReading, ...] = ()
    #: Our answers cannot be seen: ``completed`` is inferred from what the peer sends later.
    one_way: bool = False
    #: What the probe can see at all.
    sight: Sight = field(default_factory=Sight)
    #: What the kernel that answers says of itself; None where nobody asked it, as in a replay.
    server: ServerReading | None = None


class AlertKind(StrEnum):
    """What is happening."""

    SYN_FLOOD = "syn-flood"
    SCAN = "scan"
    REFLECTION = "reflection"
    OVERLOAD = "overload"
    BLIND = "blind"


class AlertClass(StrEnum):
    """Which form of its kind it takes."""

    SINGLE_SOURCE = "single-source"
    PREFIX = "prefix"
    SPOOFED = "spoofed"
    DISTRIBUTED = "distributed"
    FIN = "fin"
    NULL = "null"
    XMAS = "xmas"
    HALF_OPEN = "half-open"
    CLOSED_PORTS = "closed-ports"


class Severity(StrEnum):
    """How much it matters, least first."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class AlertState(StrEnum):
    """Whether it goes on."""

    OPEN = "open"
    CLOSED = "closed"


class ClosedBecause(StrEnum):
    """Why an alert is closed."""

    ENDED = "ended"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


class RespondMode(StrEnum):
    """What may be done about an alert."""

    OFF = "off"
    DRY_RUN = "dry-run"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation that speaks for an alert's class."""

    name: str
    value: float | int | str
    #: 0..1; the weights of the evidence found add up to the belief in the class.
    weight: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """One observed figure beside the bound it passed; ``explain`` prints these."""

    name: str
    observed: float
    threshold: float | None
    unit: str
    #: What is usual for this listener, where that is known.
    baseline: float | None = None


@dataclass(frozen=True, slots=True)
class TopSource:
    """A source's share in an alert."""

    source: Network
    attempts: int
    completed: int


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of an alert's timeline: what was changed, from what to what, and why."""

    at_s: float
    #: ``state``, ``class``, ``source``, ``listener``, ``severity``, ``impact``, ``response`` or ``silence``.
    what: str
    before: str | None
    after: str | None
    #: One clause that says why; empty where it says itself.
    because: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What was done about an alert, or in dry-run would have been."""

    response: str
    mode: RespondMode
    target: str
    reason: str
    until_s: float | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """One incident, from its opening to its close. Counts are those since it opened."""

    id: int
    kind: AlertKind
    alert_class: AlertClass | None
    severity: Severity
    state: AlertState
    started_at_s: float
    listener: Listener | None
    source: Network | None
    closed_because: ClosedBecause | None = None
    ended_at_s: float | None = None
    sources_estimated: int | None = None
    attempts: int = 0
    answered: int | None = None
    completed: int | None = None
    aborted: int = 0
    refused: int = 0
    dropped_by_us: int = 0
    half_open_ratio: float | None = None
    peak_syn_per_s: float = 0.0
    #: ``none``, ``cookies``, ``dropping``, ``accept-queue-full`` or ``unknown``.
    impact: str = "unknown"
    evidence: tuple[Evidence, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    top_sources: tuple[TopSource, ...] = ()
    response: Response | None = None
    #: Why this response, or why none: one sentence for ``explain``.
    decision: str = ""
    #: Every listener that the incident is on, the hardest hit first; ``listener`` is the first of them.
    listeners: tuple[Listener, ...] = ()
    #: What has changed since it opened, oldest first; at most 100 entries.
    timeline: tuple[Change, ...] = ()
    #: Somebody asked for silence about it: recorded, not announced and not answered.
    silenced: bool = False


@dataclass(frozen=True, slots=True)
class AlertOpened:
    """The detector's word that an incident has begun."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class AlertUpdated:
    """The detector's word that an open incident's figures have moved."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class AlertClosed:
    """The detector's word that an incident is over."""

    alert: Alert


Action = AlertOpened | AlertUpdated | AlertClosed

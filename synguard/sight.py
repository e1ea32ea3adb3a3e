"""The frozen records of what the probe can see at all, which each :class:`~synguard.model.Snapshot` carries.

What was not measured is left out: a replay has neither interfaces nor flows, and nothing in it is blind.
``*_ns`` is the kernel's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class BlindCause(StrEnum):
    """Why something is not seen."""

    #: Somebody took the probe's programs away.
    DETACHED = "detached"
    #: Somebody put another program into the probe's place.
    REPLACED = "replaced"
    #: An interface that was guarded is not there any more.
    MISSING = "missing"
    #: Packets come in, and the probe, which is attached, sees none.
    STALLED = "stalled"
    #: Connections are alive of which only the incoming half shows.
    EGRESS_HIDDEN = "egress-hidden"
    #: What the probe sees finds no room in its maps.
    UPDATES_FAILING = "updates-failing"
    #: The daemon read so late that what it should have read was gone.
    READER_BEHIND = "reader-behind"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A stretch of time in which the probe did not sit on an interface as it should."""

    #: ``DETACHED``, ``REPLACED`` or ``MISSING``.
    cause: BlindCause
    since_ns: int
    #: What was found, in words.
    found: str
    #: What came of it so far, in words.
    outcome: str
    #: None while it goes on.
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class InterfaceReading:
    """One guarded interface at one moment."""

    name: str
    read_ns: int
    #: The last trouble with it, if there ever was one; also when it is over.
    trouble: Trouble | None = None
    #: How the probe sits on ingress: ``xdp-native``, ``xdp-generic``, ``tc-ingress``; None if it does not.
    ingress: str | None = None
    #: Packets received by the interface's own count, and by the probe's, which was read after it. Both are
    #: cumulative, and None where one of them is not known.
    received_packets: int | None = None
    probed_packets: int | None = None


@dataclass(frozen=True, slots=True)
class FlowReading:
    """How many live connections were found on ingress within a while, and how many of them on egress too."""

    since_ns: int
    #: Those whose sequence and acknowledgement numbers both advanced; whoever spoofs can feign that.
    live: int
    shown_on_egress: int


@dataclass(frozen=True, slots=True)
class Sight:
    """What the probe could see at one moment, and what it had missed until then."""

    interfaces: tuple[InterfaceReading, ...] = ()
    #: The last look at flows that told anything; None before the first.
    flows: FlowReading | None = None
    #: Whether unanswered SYNs say nothing now, because answers may take a way that is not seen.
    egress_in_doubt: bool = False
    #: Updates of maps that failed, cumulative, by the name of their counter.
    failed_updates: Mapping[str, int] = field(default_factory=dict)
    #: By how much this read came later than it was due, in seconds.
    read_late_s: float = 0.0
    #: Reads that came so late that attempts had left the probe's rings unread, cumulative.
    late_reads: int = 0

"""What is sent through the ladder: the state that each packet finds, and what it must be counted as."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from bench.cost.frames import Segment
from bench.cost.stage import Stage
from bench.cost.writer import Stream
from synguard.errors import UsageError

#: hot: one packet again and again. cold: another client each time, out of as many as the packet's kind has.
Temperature = Literal["hot", "cold"]


class Phase(Enum):
    """What went before; in this order."""

    #: Flows were established, and nothing else.
    QUIET = auto()
    #: After a flood, and what the other packets of this phase are.
    BUSY = auto()
    #: The same, with all blocks in force.
    BLOCKING = auto()


@dataclass(frozen=True, slots=True)
class Packet:
    """One kind of packet."""

    name: str
    #: Prepares what it is to find, and returns the stream to measure with; the first of it is the hot one.
    stage: Callable[[Stage], Stream]
    #: By temperature, the counters of synguard's that each packet moves; no other one may.
    counted_as: Mapping[Temperature, tuple[str, ...]]
    phase: Phase = Phase.BUSY
    #: Whoever knows the blocks drops it.
    dropped: bool = False
    #: Losses that would make it another packet than the one meant.
    never: tuple[str, ...] = ()
    #: Looks, after the measurement, whether the state was the one meant.
    verify: Callable[[Stage, Stream], None] = lambda _stage, _stream: None


def _ack_flood(stage: Stage) -> Stream:
    stage.flood(stage.scenario.packets_per_trial)
    return stage.established()


def _ack_wrong(stage: Stage) -> Stream:
    return stage.pending(stage.scenario.packets_per_trial).of(Segment.WRONG_ACK)


def _syn_random(stage: Stage) -> Stream:
    return stage.strangers(stage.scenario.packets_per_trial)


def _null_known(stage: Stage) -> Stream:
    return stage.known().of(Segment.NULL)


def _null_random(stage: Stage) -> Stream:
    return stage.strangers(stage.scenario.packets_per_trial).of(Segment.NULL)


def _syn_ack(stage: Stage) -> Stream:
    packets = stage.scenario.packets_per_trial
    syns = stage.strangers(packets)
    stage.give(syns, packets)
    return syns.of(Segment.SYN_ACK)


def _udp(stage: Stage) -> Stream:
    return Stream(Segment.UDP, stage.family)


_ATTEMPT = ("attempts",)
_ACK = ("ack_segments",)
_NULL = ("null_probes",)

#: In the order in which they are measured.
PACKETS = (
    # Not TCP.
    Packet("udp", _udp, {"hot": ("not_tcp",)}, phase=Phase.QUIET),
    # An established flow's ACK; cold: of one of all flows.
    Packet("ack", Stage.established, {"hot": _ACK, "cold": _ACK}, phase=Phase.QUIET),
    # The same, right after a flood of SYNs that were answered and not completed.
    Packet("ack-flood", _ack_flood, {"hot": _ACK, "cold": _ACK}),
    # An ACK with a wrong number for a handshake that waits for one.
    Packet("ack-bogus", _ack_wrong, {"hot": _ACK, "cold": _ACK}, verify=Stage.expect_pending),
    # A SYN of a source that has an entry of its own; hot: the same SYN; cold: another source, port and ISN.
    Packet("syn-known", Stage.known, {"hot": _ATTEMPT, "cold": _ATTEMPT}, never=("sources_not_admitted",)),
    # A SYN whose source, port and ISN nobody has seen.
    Packet("syn-random", _syn_random, {"cold": _ATTEMPT}),
    # A scanner's segment without any flag: of a source that has an entry of its own, and of a stranger.
    Packet("null-known", _null_known, {"hot": _NULL, "cold": _NULL}, never=("sources_not_admitted",)),
    Packet("null-random", _null_random, {"cold": _NULL}),
    # Our SYN-ACK, leaving; hot: sent again and again.
    Packet(
        "synack", _syn_ack, {"hot": ("egress_tcp", "synack_retransmits"), "cold": ("egress_tcp", "answered")}
    ),
    # A SYN whose source, port and ISN nobody has seen, while others are blocked.
    Packet("syn-beside-blocks", _syn_random, {"cold": _ATTEMPT}, phase=Phase.BLOCKING),
    # A SYN of a blocked source.
    Packet(
        "syn-blocked",
        Stage.blocked,
        {"hot": ("attempts", "dropped_by_us"), "cold": ("attempts", "dropped_by_us")},
        phase=Phase.BLOCKING,
        dropped=True,
    ),
)


def chosen(names: tuple[str, ...]) -> list[Packet]:
    """Return the packets of these names. Raises UsageError for one that there is not."""
    unknown = sorted(set(names) - {packet.name for packet in PACKETS})
    if unknown:
        known = ", ".join(packet.name for packet in PACKETS)
        raise UsageError(f"there is no packet {', '.join(unknown)}; there are {known}")
    return [packet for packet in PACKETS if packet.name in names]

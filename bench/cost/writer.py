"""Streams of packets from ever other clients, written in the kernel right before the measured program."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

from bench.cost.frames import Segment, build_frame
from bench.scenario.model import Family
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.syscall import BPF_F_TEST_XDP_LIVE_FRAMES, TestRunResult, test_run

#: next, first_client, clients, ipv6, segment, scattered, fresh_numbers.
PLAN = struct.Struct("=QQIBBBB")
DEFINES = {"PLAN_BYTES": PLAN.size, "PLAN_LAST_OFFSET": PLAN.size - 1}
_PROGRAMS = {
    "write_xdp": ProgramType.XDP,
    "write_tc": ProgramType.SCHED_CLS,
    "empty_xdp": ProgramType.XDP,
    "empty_tc": ProgramType.SCHED_CLS,
    "parse_xdp": ProgramType.XDP,
    "parse_tc": ProgramType.SCHED_CLS,
}
_FIRST = bytes(4)
#: The most that the kernel takes. With fewer, pages of live frames find no place to go back to.
_LIVE_BATCH_FRAMES = 256


@dataclass(frozen=True, slots=True)
class Stream:
    """An endless row of packets, each with a number.

    A client is an address of its own (in IPv6 a /64), a port, and the sequence numbers of both sides.
    """

    segment: Segment
    family: Family
    #: The number of the first packet.
    start: int = 0
    first_client: int = 0
    #: How many clients the packets come from, in random order; 0: packet by packet the next one.
    clients: int = 0
    #: Random addresses. Else they follow each other: 10.0.0.0 or 2001:db8::/64 and on.
    scattered: bool = False
    #: Each packet has its own port and sequence numbers, whichever client it is from.
    fresh_numbers: bool = False

    @property
    def outgoing(self) -> bool:
        """Whether the packets leave the server."""
        return self.segment is Segment.SYN_ACK

    def of(self, segment: Segment) -> Stream:
        """Return the same clients' packets of another kind."""
        return replace(self, segment=segment)

    def behind(self, packets: int) -> Stream:
        """Return the stream without so many packets at its beginning."""
        return replace(self, start=self.start + packets)


class Run(NamedTuple):
    """What one call of BPF_PROG_TEST_RUN gave."""

    #: Mean over its packets, rounded down by the kernel.
    ns_per_packet: int
    #: The program's return value for the last packet.
    verdict: int


class Writer:
    """The loaded writers and the ladder's lower rungs, ``programs``."""

    def __init__(self, loaded: LoadedObject) -> None:
        self._loaded = loaded
        self.programs = loaded.programs

    @classmethod
    def load(cls) -> Self:
        """Compile and load. Raises as :func:`synguard.probe.compiler.load_object` does."""
        return cls(load_object(Path(__file__).with_name("ladder.c"), _PROGRAMS, DEFINES))

    def run(self, program: int, stream: Stream, packets: int) -> Run:
        """Give a program the stream's first packets, each once.

        The program's kind must be that of the stream's direction: XDP, or tc for what leaves the server.
        """
        result = self._call(program, stream, packets)
        return Run(result.duration_ns, result.return_value)

    def send(self, program: int, stream: Stream, packets: int) -> None:
        """Give an XDP program the stream's first packets as live frames, which it may send on."""
        self._call(program, stream, packets, live=True)

    def first_frame(self, stream: Stream) -> bytes:
        """Return the stream's first packet."""
        if stream.segment is Segment.UDP:
            return build_frame(stream.family, stream.segment)
        empty = self.programs["empty_tc" if stream.outgoing else "empty_xdp"]
        return self._call(empty, stream, 1).data

    def written(self, stream: Stream) -> int:
        """Return how many packets of the stream run last have been written."""
        fields = PLAN.unpack(self._loaded.maps["plans"].lookup(_FIRST) or bytes(PLAN.size))
        return int(fields[0]) - stream.start

    def _call(self, program: int, stream: Stream, packets: int, *, live: bool = False) -> TestRunResult:
        kind = "tc" if stream.outgoing else "xdp"
        self._loaded.maps[f"{kind}_target"].update(_FIRST, struct.pack("=I", program))
        plan = PLAN.pack(
            stream.start,
            stream.first_client,
            stream.clients,
            stream.family == 6,
            stream.segment,
            stream.scattered,
            stream.fresh_numbers,
        )
        self._loaded.maps["plans"].update(_FIRST, plan)
        frame = build_frame(stream.family, stream.segment)
        flags, batch_frames = (BPF_F_TEST_XDP_LIVE_FRAMES, _LIVE_BATCH_FRAMES) if live else (0, 0)
        writer = self.programs[f"write_{kind}"]
        return test_run(writer, frame, repeat=packets, flags=flags, batch_frames=batch_frames)

    def close(self) -> None:
        """Let go of programs and maps."""
        self._loaded.close()


def repeat(program: int, frame: bytes, packets: int) -> Run:
    """Give a program the same packet again and again."""
    result = test_run(program, frame, repeat=packets)
    return Run(result.duration_ns, result.return_value)

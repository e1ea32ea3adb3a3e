"""Gives a running daemon's own programs SYNs, at a rate, on a CPU of their own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.cost.frames import Segment
from bench.cost.writer import Stream, Writer
from bench.defences.held import programs_held_by
from synguard.errors import SynguardError
from synguard.probe.programs import TC_EGRESS_PROGRAM, XDP_PROGRAM
from synguard.probe.syscall import program_fd_by_id, program_info

#: The SYNs of so long are given at once.
_TICK_S = 0.01
_FIRST_SOURCE = 6 << 20
#: Beyond this the rate is not held.
_LATE_SHARE_MAX = 0.05


@dataclass(slots=True)
class Feeder:
    """What gives SYNs to the programs of a probe that somebody else has loaded."""

    _writer: Writer
    _ingress: int
    _egress: int
    #: SYNs given so far; each has a port and an ISN of its own.
    syns: int = 0

    def make_listener(self) -> None:
        """Let some handshakes complete, so that the flood is one on a listener."""
        syns = Stream(Segment.SYN, 4, self.syns, _FIRST_SOURCE - 16, 16, fresh_numbers=True)
        for program, segment in (
            (self._ingress, Segment.SYN),
            (self._egress, Segment.SYN_ACK),
            (self._ingress, Segment.ACK),
        ):
            self._writer.run(program, syns.of(segment), 64)
        self.syns += 64

    def feed(self, syn_per_s: int, sources: int, span_s: float) -> bool:
        """Give so many SYNs a second for so long, from so many sources (0: each from another).

        Returns whether the rate was held. Of a rate of 0 it only waits.
        """
        began_s, given, pause = time.monotonic(), 0, threading.Event()
        while (elapsed_s := time.monotonic() - began_s) < span_s:
            due = round(elapsed_s * syn_per_s) - given
            if due > 0:
                self._writer.run(self._ingress, self._stream(sources), due)
                self.syns += due
                given += due
            pause.wait(max(_TICK_S - (time.monotonic() - began_s - elapsed_s), 0.0))
        return given >= (1 - _LATE_SHARE_MAX) * syn_per_s * span_s

    def _stream(self, sources: int) -> Stream:
        if not sources:
            return Stream(Segment.SYN, 4, self.syns, scattered=True)
        return Stream(Segment.SYN, 4, self.syns, _FIRST_SOURCE, sources, fresh_numbers=True)


@contextmanager
def feeder(pid: int, writer: Writer) -> Iterator[Feeder]:
    """Yield what feeds the probe of the daemon with that pid.

    Raises SynguardError for a process that holds no programs of synguard's.
    """
    with ExitStack() as stack:
        found = {}
        for number in programs_held_by(pid):
            fd = program_fd_by_id(number)
            stack.callback(os.close, fd)
            found[program_info(fd).name] = fd
        # The kernel keeps 15 characters of a name.
        names = [name[:15] for name in (XDP_PROGRAM, TC_EGRESS_PROGRAM)]
        if missing := [name for name in names if name not in found]:
            raise SynguardError(f"process {pid} holds no program {missing[0]}")
        yield Feeder(writer, *(found[name] for name in names))

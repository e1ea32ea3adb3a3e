"""Sends the writer's packets from one CPU into a guarded interface, which another CPU receives."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.cost.resident import resident
from bench.cost.writer import Stream, Writer
from bench.flood.child import check_interface
from bench.net.enter import call_in
from bench.net.namespaces import Topology
from bench.net.promptness import put_first
from synguard.probe.compiler import LoadedObject, ProgramType, load_object

_PROGRAM = "send_on"
#: gap_ns, due_ns, sent, interface.
_PLAN = struct.Struct("=QQQI4x")
_BURST_PACKETS = 16
_DEFINES = {"PLAN_BYTES": _PLAN.size, "BURST_PACKETS": _BURST_PACKETS}
_FIRST = bytes(4)
#: The kernel makes and destroys a pool of pages for each call, some 0.5 ms: few and large ones.
_CALL_FRAMES = (1 << 14, 1 << 20)


class Sent(NamedTuple):
    """What was put on the wire, refused by the receiver's full ring or not."""

    frames: int
    #: Packets written for it; those that were not due in time were not sent.
    written: int
    span_s: float


@dataclass(frozen=True, slots=True)
class Wire:
    """The way from the writer into a topology's guarded host."""

    writer: Writer
    _loaded: LoadedObject
    _namespace: str
    _interface_index: int
    _cpu: int

    def send(self, stream: Stream, span_s: float, gap_ns: float) -> Sent:
        """Send the stream from its beginning for so long, a packet each ``gap_ns``; 0: as fast as can be."""
        return call_in(self._namespace, lambda: self._send(stream, span_s, gap_ns))

    def _send(self, stream: Stream, span_s: float, gap_ns: float) -> Sent:
        # Of this thread alone, which ends with the call.
        os.sched_setaffinity(0, {self._cpu})
        put_first(0)
        plan = _PLAN.pack(round(gap_ns * _BURST_PACKETS), 0, 0, self._interface_index)
        self._loaded.maps["wires"].update(_FIRST, plan)
        program = self._loaded.programs[_PROGRAM]
        began_s = time.monotonic()
        written, frames, elapsed_s = 0, _CALL_FRAMES[0], 0.0
        while elapsed_s < span_s:
            self.writer.send(program, stream.behind(written), frames)
            written += frames
            elapsed_s = time.monotonic() - began_s
            left = round(written / elapsed_s * (span_s - elapsed_s))
            frames = min(max(left, _CALL_FRAMES[0]), _CALL_FRAMES[1])
        _, _, sent, _ = _PLAN.unpack(self._loaded.maps["wires"].lookup(_FIRST) or bytes(_PLAN.size))
        return Sent(sent, written, elapsed_s)


@contextmanager
def wire_into(topology: Topology, writer: Writer, cpu: int) -> Iterator[Wire]:
    """Yield the way into the guarded host; it sends on that CPU.

    Raises UsageError for an interface that the bench did not make, else as
    :func:`synguard.probe.compiler.load_object` does.
    """
    interface = check_interface(topology.switch, topology.guarded.port)
    source = Path(__file__).with_name("wire.c")
    loaded = load_object(source, {_PROGRAM: ProgramType.XDP}, _DEFINES)
    with closing(loaded), resident([loaded.programs[_PROGRAM], writer.programs["write_xdp"]]):
        yield Wire(writer, loaded, topology.switch, interface.index, cpu)

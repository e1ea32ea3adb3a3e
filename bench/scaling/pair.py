"""Two CPUs, each with a writer of its own, that run a program one after the other or both at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from bench.cost.resident import resident
from bench.cost.writer import Stream, Writer
from bench.net.promptness import put_first
from synguard.errors import UnsupportedError

_START_TIMEOUT_S = 10.0


class Turn(NamedTuple):
    """What one CPU's turn gave."""

    ns_per_packet: int
    #: Packets that were written, which should be as many as were asked for.
    written: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two CPUs. Their writers share nothing."""

    cpus: tuple[int, int]
    writers: tuple[Writer, Writer]

    def run(self, program: int, streams: Sequence[Stream | None], packets: int) -> list[Turn]:
        """Give a program the first packets of each CPU's stream, at once; a CPU without one rests."""
        busy = [index for index, stream in enumerate(streams) if stream is not None]
        together = threading.Barrier(len(busy))

        def turn(index: int) -> Turn:
            stream = streams[index]
            assert stream is not None  # noqa: S101 - only those with a stream are run
            # Of this thread alone, which ends with the pool.
            os.sched_setaffinity(0, {self.cpus[index]})
            put_first(0)
            together.wait(_START_TIMEOUT_S)
            writer = self.writers[index]
            ns_per_packet = writer.run(program, stream, packets).ns_per_packet
            return Turn(ns_per_packet, writer.written(stream))

        with ThreadPoolExecutor(len(busy)) as threads:
            return list(threads.map(turn, busy))


@contextmanager
def pair() -> Iterator[Pair]:
    """Load a writer for each of two CPUs, while the ``with`` block lasts.

    Raises UnsupportedError where there is only one CPU, else as
    :func:`synguard.probe.compiler.load_object` does.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise UnsupportedError("what CPUs cost each other takes two of them, and there is only one")
    with ExitStack() as stack:
        writers = (Writer.load(), Writer.load())
        for writer in writers:
            stack.callback(writer.close)
        stack.enter_context(resident([writer.programs["write_xdp"] for writer in writers]))
        yield Pair((cpus[0], cpus[-1]), writers)

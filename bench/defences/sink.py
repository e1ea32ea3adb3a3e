"""The sink: an XDP program that drops every SYN to the port, so that what is left is receiving alone."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path

from bench.defences.model import Deployed, Target
from bench.defences.xdp import attached
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.syscall import map_memlock_bytes

_PROGRAM = "bench_sink"
_SOURCE = Path(__file__).with_name("sink.c")


class _Sink(Deployed):
    """The running program."""

    def __init__(self, loaded: LoadedObject) -> None:
        self._maps = loaded.maps

    def totals(self) -> dict[str, int]:
        """Return the one count there is."""
        values = self._maps["dropped"].lookup(bytes(4)) or b""
        return {"dropped": sum(count for (count,) in struct.iter_unpack("=Q", values))}

    def counted_syns(self) -> int:
        """Return how many SYNs to the port came; SYNs to others are not its business."""
        return self.totals()["dropped"]

    def dropped_syns(self) -> int:
        """Return the same: none passes."""
        return self.totals()["dropped"]

    def map_bytes(self) -> int:
        """Return the bytes of its one map."""
        return sum(map_memlock_bytes(bpf_map.fd) for bpf_map in self._maps.values())


@contextlib.contextmanager
def sink(target: Target) -> Iterator[Deployed]:
    """Drop every SYN to the port, good clients' too, as early as the kernel can."""
    loaded = load_object(_SOURCE, {_PROGRAM: ProgramType.XDP}, {"PORT": target.port})
    with contextlib.closing(loaded), attached(target.guarded, loaded.programs[_PROGRAM]):
        yield _Sink(loaded)

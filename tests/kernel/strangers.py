"""Strangers by the hundred thousand in front of the tier's probe, each with an address of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address
from zlib import crc32

from bench.cost.frames import Segment
from bench.cost.resident import resident
from bench.cost.writer import Stream, Writer
from bench.scenario.model import Family
from synguard.endpoint import Listener
from synguard.probe.probe import Probe
from synguard.probe.programs import XDP_PROGRAM

#: Nobody answers where they go, so their attempts are in a closed bucket.
ASKED = {4: Listener(ip_address("198.18.0.1"), 0), 6: Listener(ip_address("2001:2:0:1::1"), 0)}
#: Sources that tests choose by number have lower ones.
_FIRST_STRANGER = 1 << 40


class Strangers:
    """Whoever sends SYNs to one port of one server; the clock is the caller's.

    A source is a number, which stands for a random address. Each SYN is an attempt of its own.
    """

    def __init__(self, probe: Probe, writer: Writer) -> None:
        self._program = probe.programs[XDP_PROGRAM]
        self._writer = writer
        self._next = _FIRST_STRANGER

    def known_by(self, name: str) -> None:
        """Let those who come next be others than ever before, and the same ones each time for that name."""
        self._next = _FIRST_STRANGER + (crc32(name.encode()) + 1 << 24)

    def come(self, family: Family, number: int) -> None:
        """Deliver a SYN of each of so many that nobody has seen; a few may have one address."""
        self.come_again(family, self._next, number)

    def come_again(self, family: Family, first: int, number: int) -> None:
        """Deliver a SYN of each of so many sources, from the one with that number on."""
        self._give(family, (first - self._next) % 2**64, 0, number)

    def come_often(self, family: Family, source: int, times: int) -> None:
        """Deliver so many SYNs of one source."""
        self._give(family, source, 1, times)

    def _give(self, family: Family, first_client: int, clients: int, number: int) -> None:
        stream = Stream(
            Segment.SYN, family, self._next, first_client, clients, scattered=True, fresh_numbers=True
        )
        self._next += number
        self._writer.run(self._program, stream, number)

    @classmethod
    @contextmanager
    def through(cls, probe: Probe) -> Iterator[Strangers]:
        """Yield strangers in front of a probe."""
        with closing(Writer.load()) as writer, resident([writer.programs["write_xdp"]]):
            yield cls(probe, writer)

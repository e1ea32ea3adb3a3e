"""Brings the programs that remember into the state that a packet is to find."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.cost.frames import Segment
from bench.cost.rungs import FIRST_BLOCKED, FULL, Rung
from bench.cost.writer import Stream, Writer
from bench.scenario.model import CostScenario, Family

#: Of what is meant to happen to every packet or flow, so much may fail to: a bounded probe loses a little.
TOLERATED = 0.01
#: So many clients every design has room to know.
KNOWN_SOURCES = 2048
_FIRST_KNOWN = 2 << 22
#: Handshakes are done so many at a time: few enough that all can be pending at once.
_CHUNK = 8192
#: A probe may want to see a source several times before it keeps it.
_ROUNDS_MAX = 32
#: Far more numbers than any measurement has packets.
_MANY = 1 << 32


@dataclass(slots=True)
class Stage:
    """The state of one family's clients, in all rungs alike."""

    writer: Writer
    rungs: Sequence[Rung]
    scenario: CostScenario
    family: Family
    #: The first packet number that nobody's packet had yet.
    next_number: int = _MANY
    #: By rung's name, why it is not in the state that the packet staged last should find.
    faults: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _established: int = 0

    def give(self, stream: Stream, packets: int) -> None:
        """Send to every rung that remembers, unmeasured."""
        for rung in self.rungs:
            program = rung.program(outgoing=stream.outgoing)
            if rung.counts is not None and program is not None:
                self.writer.run(program, stream, packets)

    def strangers(self, packets: int) -> Stream:
        """Return SYNs, so many of which are from clients that nobody has seen."""
        return Stream(Segment.SYN, self.family, self._numbers(packets), scattered=True)

    def established(self) -> Stream:
        """Return the ACKs of all established flows, in random order."""
        flows = self.scenario.flows
        if self._established < flows * (1 - TOLERATED):
            self.faults[FULL].append(f"{self._established} of {flows} flows were established before")
        return Stream(Segment.ACK, self.family, self._numbers(_MANY), clients=flows)

    def pending(self, clients: int) -> Stream:
        """Return the ACKs of so many handshakes that wait for theirs, in random order."""
        syns = self.strangers(clients)
        self.give(syns, clients)
        self.give(syns.of(Segment.SYN_ACK), clients)
        number = self._numbers(_MANY)
        return Stream(Segment.ACK, self.family, number, syns.start, clients, scattered=True)

    def known(self) -> Stream:
        """Return SYNs of sources that every rung has in its table."""
        once = Stream(Segment.SYN, self.family, first_client=_FIRST_KNOWN)
        for _ in range(_ROUNDS_MAX):
            if not self._moved("sources_not_admitted", once, KNOWN_SOURCES):
                break
        return self._clients(_FIRST_KNOWN, KNOWN_SOURCES)

    def blocked(self) -> Stream:
        """Return SYNs of the blocked clients."""
        blocks = self.scenario.blocks
        return self._clients(FIRST_BLOCKED, blocks // 2 if self.family == 6 else blocks - blocks // 2)

    def establish(self) -> None:
        """Let every flow do its handshake."""
        flows = self.scenario.flows
        self._established = 0
        for first in range(0, flows, _CHUNK):
            packets = min(_CHUNK, flows - first)
            syns = Stream(Segment.SYN, self.family, first)
            self.give(syns, packets)
            self.give(syns.of(Segment.SYN_ACK), packets)
            completed = self._moved("completed", syns.of(Segment.ACK), packets)
            self._established += packets if completed is None else completed

    def flood(self, packets: int) -> None:
        """Let so many strangers' SYNs come in, and an answer go out to each."""
        syns = self.strangers(packets)
        self.give(syns, packets)
        self.give(syns.of(Segment.SYN_ACK), packets)

    def expect_pending(self, acks: Stream) -> None:
        """Note a fault unless the right ACKs complete what ``pending`` gave."""
        clients = acks.clients
        once = Stream(Segment.ACK, self.family, acks.first_client, scattered=True)
        completed = self._moved("completed", once, clients)
        if completed is not None and completed < clients * (1 - TOLERATED):
            self.faults[FULL].append(f"{completed} of {clients} handshakes had been pending")

    def _clients(self, first_client: int, clients: int) -> Stream:
        number = self._numbers(_MANY)
        return Stream(Segment.SYN, self.family, number, first_client, clients, fresh_numbers=True)

    def _numbers(self, packets: int) -> int:
        """Return the first of so many numbers that no packet had before: what is meant to be new is."""
        first = self.next_number
        self.next_number += packets
        return first

    def _moved(self, counter: str, stream: Stream, packets: int) -> int | None:
        """Send, and return by how much synguard's counter moved; None where it is not measured."""
        counts = next((rung.counts for rung in self.rungs if rung.name == FULL), None)
        before = counts()[counter] if counts else 0
        self.give(stream, packets)
        return counts()[counter] - before if counts else None

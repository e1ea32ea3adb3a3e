"""The first pass over a capture: who sends, who asks and who answers, in bounded memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from ipaddress import ip_address
from typing import NamedTuple

from synguard.endpoint import Listener
from synguard.replay.formats import INCOMING, OUTGOING, Packet
from synguard.replay.frames import FRAMERS, ip_header

#: Entries of a tally before those that came least are forgotten.
TALLY_MAX = 1 << 16
#: Packets of the sample; it is thinned to half when it is full.
SAMPLE_MAX = 1 << 13
#: Live connections noted, at most; as many as the probe notes on a CPU.
FLOWS_MAX = 1024
#: A connection goes on by less than this between two of its segments, in bytes.
_FLOW_WINDOW = 1 << 20

_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16


class Tally(defaultdict[bytes, int]):
    """Counts by address; of too many the rare ones are forgotten, as those of a spoofed flood are."""

    def __init__(self) -> None:
        super().__init__(int)

    def bound(self) -> None:
        """Forget the rarer half, or more, if there are too many."""
        if len(self) <= TALLY_MAX:
            return
        least = sorted(self.values())[TALLY_MAX // 2]
        kept = [(address, count) for address, count in self.items() if count > least]
        self.clear()
        self.update(kept)

    def of(self, wanted: Iterable[bytes]) -> int:
        """Return the sum over these addresses."""
        return sum(self.get(address, 0) for address in wanted)


class Sampled(NamedTuple):
    """Who sent a packet to whom: packed addresses, and those of the link, 0 where there are none."""

    source: bytes
    destination: bytes
    link_source: bytes
    link_destination: bytes


class Sample:
    """Packets of the whole capture, evenly, and few."""

    def __init__(self) -> None:
        self.packets: list[Sampled] = []
        self._seen = 0
        self._stride = 1

    def offer(self, source: bytes, destination: bytes, frame: bytes) -> None:
        """Take one packet in so many; when there are too many, every other one goes."""
        if self._seen % self._stride == 0:
            self.packets.append(Sampled(source, destination, frame[6:12], frame[:6]))
            if len(self.packets) >= SAMPLE_MAX:
                del self.packets[1::2]
                self._stride *= 2
        self._seen += 1


@dataclass(slots=True)
class _Flow:
    """One direction of a connection, as far as its numbers tell whether it is alive."""

    destination: bytes
    sequence: int
    acknowledgement: int
    advances: int = 0


@dataclass(slots=True)
class Survey:
    """What the packets of a capture have in common; addresses are packed."""

    packets: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    link_types: set[int] = field(default_factory=set)
    #: IP packets by source and by destination.
    sent: Tally = field(default_factory=Tally)
    received: Tally = field(default_factory=Tally)
    #: SYNs by destination and by source, SYN-ACKs by source and by destination.
    asked: Tally = field(default_factory=Tally)
    asking: Tally = field(default_factory=Tally)
    answering: Tally = field(default_factory=Tally)
    answered: Tally = field(default_factory=Tally)
    #: SYNs by destination and port, two bytes behind the address.
    asked_ports: Tally = field(default_factory=Tally)
    #: Packets that the capture itself calls incoming, by destination, and outgoing, by source.
    marked_in: Tally = field(default_factory=Tally)
    marked_out: Tally = field(default_factory=Tally)
    #: Of TCP packets one in so many, by the length of their addresses.
    samples: dict[int, Sample] = field(default_factory=lambda: {4: Sample(), 16: Sample()})
    tcp_packets: int = 0
    #: TCP segments that are neither SYN nor SYN-ACK nor RST.
    segments: int = 0
    _flows: dict[bytes, _Flow] = field(default_factory=dict)

    def asked_most(self, holds: Callable[[bytes], bool], most: int) -> list[tuple[Listener, int]]:
        """Return the ports, of addresses that ``holds`` knows, that were asked most, with their SYNs."""
        asked = {target: count for target, count in self.asked_ports.items() if holds(target[:-2])}
        greatest = nlargest(most, asked, key=lambda target: (asked[target], target))
        return [
            (Listener(ip_address(target[:-2]), int.from_bytes(target[-2:], "big")), asked[target])
            for target in greatest
        ]

    def flows(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the destination of each live flow, and whether the other direction showed as well."""
        for key, flow in self._flows.items():
            if flow.advances:
                yield flow.destination, _way_back(key) in self._flows

    def take(self, batch: Sequence[Packet]) -> None:
        """Take so many packets more; at most some thousands, for tallies are made small after each batch."""
        for _, link_type, direction, data in batch:
            framer = FRAMERS.get(link_type)
            if framer is None:
                continue
            frame, told = framer(data)
            found = ip_header(frame)
            if found is not None:
                self._take_ip(frame, found, direction or told)
        self.packets += len(batch)
        times_ns = [time_ns for time_ns, *_ in batch if time_ns is not None]
        if times_ns:
            self.first_ns = min(times_ns) if self.first_ns is None else min(self.first_ns, *times_ns)
            self.last_ns = max(self.last_ns or 0, *times_ns)
        self.link_types.update(link_type for _, link_type, *_ in batch)
        for tally in self._tallies():
            tally.bound()

    def _tallies(self) -> tuple[Tally, ...]:
        handshakes = (self.asked, self.asking, self.answering, self.answered, self.asked_ports)
        return self.sent, self.received, *handshakes, self.marked_in, self.marked_out

    def _take_ip(self, frame: bytes, found: tuple[int, int], direction: int) -> None:
        version, at = found
        if version == 4:
            source, destination = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
            tcp = at + (frame[at] & 15) * 4 if frame[at + 9] == 6 else 0
        else:
            source, destination = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
            tcp = at + 40 if frame[at + 6] == 6 else 0
        self.sent[source] += 1
        self.received[destination] += 1
        if direction == INCOMING:
            self.marked_in[destination] += 1
        elif direction == OUTGOING:
            self.marked_out[source] += 1
        if tcp and len(frame) >= tcp + 14:
            self._take_tcp(source, destination, frame, tcp)

    def _take_tcp(self, source: bytes, destination: bytes, frame: bytes, tcp: int) -> None:
        self.tcp_packets += 1
        self.samples[len(source)].offer(source, destination, frame)
        kind = frame[tcp + 13] & (_FIN | _SYN | _RST | _ACK)
        if kind == _SYN:
            self.asked[destination] += 1
            self.asked_ports[destination + frame[tcp + 2 : tcp + 4]] += 1
            self.asking[source] += 1
        elif kind == _SYN | _ACK:
            self.answering[source] += 1
            self.answered[destination] += 1
        elif not kind & _RST:
            self.segments += 1
            if kind & _ACK:
                self._take_segment(source, destination, frame[tcp : tcp + 12])

    def _take_segment(self, source: bytes, destination: bytes, head: bytes) -> None:
        """Note a segment of a connection: it lives if sequence and acknowledgement numbers both go on."""
        key = source + destination + head[:4]
        flow = self._flows.get(key)
        sequence, acknowledgement = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big")
        if flow is None:
            if len(self._flows) < FLOWS_MAX or _way_back(key) in self._flows:
                self._flows[key] = _Flow(destination, sequence, acknowledgement)
            return
        sent = sequence - flow.sequence & 0xFFFFFFFF
        received = acknowledgement - flow.acknowledgement & 0xFFFFFFFF
        if 0 < sent <= _FLOW_WINDOW and 0 < received <= _FLOW_WINDOW:
            flow.advances += 1
        if sent <= _FLOW_WINDOW and received <= _FLOW_WINDOW and not (sent and received):
            return
        flow.sequence, flow.acknowledgement = sequence, acknowledgement


def _way_back(key: bytes) -> bytes:
    """Return the key of a flow's other direction: both addresses and both ports change places."""
    half, ports = (len(key) - 4) // 2, key[-4:]
    return key[half:-4] + key[:half] + ports[2:] + ports[:2]

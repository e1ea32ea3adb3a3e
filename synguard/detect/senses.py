"""What snapshots say is not seen: the findings that alerts of kind ``blind`` are made of.

========================  ===================================================================================
cause                     found when
========================  ===================================================================================
detached, replaced,       the daemon, which looks every second, found the probe or the interface gone; such
missing                   a trouble may be over, because mended, before anything could be said of it
stalled                   by its own count the interface receives 10 packets or more within 10 s, and another
                          2 s to 10 s later, while the probe's count of all its packets stays exactly where it
                          is. Slower than that, an interface may count what its firmware keeps to itself
egress-hidden             of 20 or more live connections on ingress egress shows at most one in eight. Live
                          means that sequence *and* acknowledgement numbers advance, which those of a scan or
                          a storm of bare ACKs do not; but whoever spoofs can feign it with two ACKs. So the
                          daemon tells of no such flows while it sees handshakes answered (``daemon.egress``)
updates-failing           10 failed updates in 3 s, and one for 1,000 attempts: a single one that two CPUs
                          fought for is no blindness
reader-behind             attempts left the probe's rings unread, or three reads of 10 s were a second late
========================  ===================================================================================

Packets are never compared as numbers: generic XDP and tc see merged segments, and an interface may count
what its driver drops. Only standing exactly still while the other moves means something.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from synguard.detect import blind_words
from synguard.detect.thresholds import NS_PER_S
from synguard.model import Measurement, Snapshot
from synguard.sight import BlindCause, FlowReading, InterfaceReading

STALL_PACKETS = 10
STALL_NS = 2 * NS_PER_S
#: Frames that an interface counts and keeps from the probe, as some firmware does, are fewer in so long.
STALL_WITHIN_NS = 10 * NS_PER_S
LEAST_FLOWS = 20
#: Egress is hidden where it shows at most one in so many live flows: the rest of a change of routes,
#: or the few connections that do come back this way, hide nothing of that.
HIDDEN_SHARE = 8
UPDATES_NS = 3 * NS_PER_S
FAILED_UPDATES = 10
FAILED_PER_ATTEMPT = 0.001
LATE_READ_S = 1.0
LATE_READS = 3
LATE_READS_NS = 10 * NS_PER_S
#: Readings of a stretch of time that are kept, at most, should the clock stand still.
MOST_KEPT = 1024

Key = tuple[BlindCause, str | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not seen, or was not until a moment ago."""

    cause: BlindCause
    #: The interface that it is about, if it is about one.
    interface: str | None
    since_ns: int
    #: None while it goes on.
    until_ns: int | None
    words: blind_words.Words
    measurements: tuple[Measurement, ...] = ()

    @property
    def key(self) -> Key:
        """What makes two findings one incident."""
        return self.cause, self.interface

    @property
    def times(self) -> tuple[int, int | None]:
        """From when until when it is, or was, not seen."""
        return self.since_ns, self.until_ns


def egress_hidden(flows: FlowReading) -> bool:
    """Tell whether live connections pass of which egress shows nothing worth the name."""
    hidden = flows.live - flows.shown_on_egress
    return hidden >= LEAST_FLOWS and HIDDEN_SHARE * flows.shown_on_egress <= flows.live


class Senses:
    """Finds what is not seen; remembers just enough of earlier snapshots for that."""

    def __init__(self) -> None:
        self._stalls: dict[str, _Stall] = {}
        self._updates = _Updates()
        self._reads = _Reads()

    def findings(self, snapshot: Snapshot) -> Iterator[Finding]:
        """Yield what a snapshot shows to be unseen; what is over, as long as the snapshot tells of it."""
        for reading in snapshot.sight.interfaces:
            yield from _trouble(reading)
            stall = self._stalls.setdefault(reading.name, _Stall())
            yield from stall.take(reading)
        yield from _egress(snapshot)
        yield from self._updates.take(snapshot)
        yield from self._reads.take(snapshot)


def _trouble(reading: InterfaceReading) -> Iterator[Finding]:
    trouble = reading.trouble
    if trouble is not None:
        words = blind_words.trouble(reading.name, trouble)
        yield Finding(trouble.cause, reading.name, trouble.since_ns, trouble.until_ns, words)


class _Stall:
    """Compares an interface's own count of received packets with the probe's."""

    def __init__(self) -> None:
        self._probed_packets: int | None = None
        #: (time, packets received), all while the probe stands still: the last 10 s of it.
        self._received: deque[tuple[int, int]] = deque(maxlen=MOST_KEPT)
        self._moved_ns: int | None = None
        self._from_packets = self._moved_packets = 0
        self._is_stalled = False

    def take(self, reading: InterfaceReading) -> Iterator[Finding]:
        received, probed = reading.received_packets, reading.probed_packets
        if received is None or probed is None:
            self._begin(None)
            return
        if probed != self._probed_packets or (self._received and received < self._received[-1][1]):
            self._begin(probed)
        self._compare(reading.read_ns, received)
        if self._is_stalled and self._moved_ns is not None:
            unseen = received - self._from_packets
            measurement = Measurement("received_unseen", unseen, STALL_PACKETS, "packets")
            words = blind_words.stalled(reading.name, reading.ingress)
            yield Finding(BlindCause.STALLED, reading.name, self._moved_ns, None, words, (measurement,))

    def _compare(self, read_ns: int, received: int) -> None:
        """Take a reading while the probe stands still; what came long ago says nothing."""
        self._received.append((read_ns, received))
        while self._received[0][0] < read_ns - STALL_WITHIN_NS:
            self._received.popleft()
        if self._is_stalled:
            return
        if self._moved_ns is not None and read_ns - self._moved_ns > STALL_WITHIN_NS:
            self._moved_ns = None
        if self._moved_ns is None:
            self._from_packets = self._received[0][1]
            if received - self._from_packets >= STALL_PACKETS:
                self._moved_ns, self._moved_packets = read_ns, received
        elif received > self._moved_packets:
            self._is_stalled = read_ns - self._moved_ns >= STALL_NS

    def _begin(self, probed_packets: int | None) -> None:
        self._probed_packets = probed_packets
        self._received.clear()
        self._moved_ns, self._is_stalled = None, False


def _egress(snapshot: Snapshot) -> Iterator[Finding]:
    flows = snapshot.sight.flows
    if flows is None or not egress_hidden(flows):
        return
    measurements = (
        Measurement("live_flows", flows.live, LEAST_FLOWS, "connections"),
        Measurement("shown_on_egress", flows.shown_on_egress, flows.live / HIDDEN_SHARE, "connections"),
    )
    words = blind_words.egress_hidden(one_way=snapshot.one_way)
    yield Finding(BlindCause.EGRESS_HIDDEN, None, flows.since_ns, None, words, measurements)


class _Updates:
    """Follows how many updates of the probe's maps fail."""

    def __init__(self) -> None:
        #: (time, failures by name, attempts), the oldest 3 s old.
        self._seen: deque[tuple[int, dict[str, int], int]] = deque(maxlen=MOST_KEPT)
        self._since_ns: int | None = None

    def take(self, snapshot: Snapshot) -> Iterator[Finding]:
        now_ns, failed = snapshot.time_ns, dict(snapshot.sight.failed_updates)
        if not self._seen or now_ns - self._seen[-1][0] >= UPDATES_NS // 10 or failed != self._seen[-1][1]:
            self._seen.append((now_ns, failed, snapshot.totals.get("attempts", 0)))
        while len(self._seen) > 1 and self._seen[1][0] <= now_ns - UPDATES_NS:
            self._seen.popleft()
        rose = {name: count - self._seen[0][1].get(name, 0) for name, count in failed.items()}
        rose = {name: count for name, count in rose.items() if count > 0}
        attempts = self._seen[-1][2] - self._seen[0][2]
        enough = max(FAILED_UPDATES, FAILED_PER_ATTEMPT * attempts)
        if not rose:
            self._since_ns = None
        elif self._since_ns is None and sum(rose.values()) >= enough:
            self._since_ns = now_ns
        if self._since_ns is not None:
            seconds = UPDATES_NS / NS_PER_S
            measurements = tuple(
                Measurement(f"{name}_per_s", round(count / seconds, 1), FAILED_UPDATES / seconds, "1/s")
                for name, count in sorted(rose.items())
            )
            words = blind_words.updates_failing(sorted(rose))
            yield Finding(BlindCause.UPDATES_FAILING, None, self._since_ns, None, words, measurements)


class _Reads:
    """Follows whether the daemon reads in time; what it missed is known only once it reads again."""

    def __init__(self) -> None:
        self._late_reads: int | None = None
        self._late_ns: deque[int] = deque(maxlen=MOST_KEPT)
        self._found: Finding | None = None

    def take(self, snapshot: Snapshot) -> Iterator[Finding]:
        now_ns, sight = snapshot.time_ns, snapshot.sight
        lost = self._late_reads is not None and sight.late_reads > self._late_reads
        self._late_reads = sight.late_reads
        if sight.read_late_s >= LATE_READ_S:
            self._late_ns.append(now_ns)
        while self._late_ns and self._late_ns[0] <= now_ns - LATE_READS_NS:
            self._late_ns.popleft()
        if lost or (len(self._late_ns) >= LATE_READS and self._late_ns[-1] == now_ns):
            late_ns = round(sight.read_late_s * NS_PER_S)
            measurement = Measurement("read_late_s", round(sight.read_late_s, 1), LATE_READ_S, "s")
            words = blind_words.reader_behind(lost=lost)
            self._found = Finding(
                BlindCause.READER_BEHIND, None, now_ns - late_ns, now_ns, words, (measurement,)
            )
        if self._found is not None:
            yield self._found

"""A small world of clients and floods, counted as the probe counts: each completion in its attempt's cohort.

Time runs in milliseconds from zero. Streams send attempts at a steady rate; fractions carry over, so
that everything is the same each time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from synguard.detect import Detector
from synguard.endpoint import Listener, Network
from synguard.model import (
    Action,
    Alert,
    AlertClosed,
    AlertOpened,
    AlertUpdated,
    Cohort,
    HandshakeCounts,
    ListenerReading,
    Snapshot,
    SourceReading,
)

MS = 1_000_000
LISTENER_SLICE_NS = 1 << 24
SOURCE_SLICE_NS = 1 << 26
RING_SLICES = {LISTENER_SLICE_NS: 256, SOURCE_SLICE_NS: 64}
#: The kernel's clock and the wall clock at the world's beginning.
BOOT_NS = 3_600_000 * MS
BOOT_WALL_S = 1_790_000_000.0

WEB = Listener(ip_address("203.0.113.5"), 443)
MAIL = Listener(ip_address("203.0.113.5"), 25)
CLOSED = Listener(ip_address("203.0.113.5"), 0)
FLOODER = ip_network("198.51.100.7/32")
NAT = ip_network("198.51.100.99/32")


@dataclass(frozen=True)
class Stream:
    """Attempts at one listener, at a steady rate for a time."""

    listener: Listener
    per_s: float
    start_ms: int = 0
    stop_ms: int = 1_000_000_000
    #: SYN-ACK→ACK time in milliseconds of those that complete.
    rtt_ms: int = 20
    #: Share (0..1) of the attempts that never complete.
    lost: float = 0.0
    #: Distinct sources; None gives every attempt one of its own.
    sources: int | None = None
    #: A source that the probe watches, if all attempts are of one such.
    watched: Network | None = None
    targets: int = 1
    bare: bool = False
    refused: bool = False
    #: From this millisecond on the server answers nothing, and nothing completes.
    silent_from_ms: int | None = None
    #: Whether unanswered SYNs are sent again after a second, as stacks do.
    retries: bool = False


@dataclass
class _Book:
    """The counters of one listener or source."""

    slice_ns: int
    ring: dict[int, list[int]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    bare: int = 0
    histogram: list[int] = field(default_factory=lambda: [0] * 16)
    first_ms: int | None = None

    def attempt(self, time_ns: int, count: int) -> None:
        start_ns = time_ns // self.slice_ns * self.slice_ns
        self.ring.setdefault(start_ns, [0, 0])[0] += count
        self.counts["attempts"] += count

    def complete(self, attempted_ns: int, count: int, rtt_ms: int) -> None:
        start_ns = attempted_ns // self.slice_ns * self.slice_ns
        if start_ns in self.ring:
            self.ring[start_ns][1] += count
        self.counts["completed"] += count
        edges = (rtt_ms * MS >> 20).bit_length()
        self.histogram[min(edges, 15)] += count

    def cohorts(self, now_ns: int) -> tuple[Cohort, ...]:
        oldest_ns = now_ns // self.slice_ns * self.slice_ns - (RING_SLICES[self.slice_ns] - 1) * self.slice_ns
        self.ring = {start: counts for start, counts in self.ring.items() if start >= oldest_ns}
        return tuple(Cohort(start, *self.ring[start]) for start in sorted(self.ring))

    def handshakes(self) -> HandshakeCounts:
        return HandshakeCounts(**self.counts)


class World:
    """Plays streams to a detector, one snapshot every 50 ms, and keeps what it says."""

    def __init__(
        self, detector: Detector, *streams: Stream, poll_ms: int = 50, watch_after_ms: int = 60
    ) -> None:
        self.detector = detector
        self.streams = list(streams)
        self.poll_ms = poll_ms
        self.watch_after_ms = watch_after_ms
        self.now_ms = 0
        #: What the detector did, with the millisecond at which it did so.
        self.actions: list[tuple[int, Action]] = []
        self._listeners: dict[Listener, _Book] = defaultdict(lambda: _Book(LISTENER_SLICE_NS))
        self._sources: dict[Network, _Book] = defaultdict(lambda: _Book(SOURCE_SLICE_NS))
        self._targets: dict[Network, int] = {}
        self._owed: dict[Stream, list[float]] = {}
        self._due: dict[int, list[tuple[Stream, int, int]]] = defaultdict(list)
        self._again: dict[int, list[tuple[Stream, int]]] = defaultdict(list)
        self._distinct: dict[Listener, Counter[tuple[int, Stream | None]]] = defaultdict(Counter)

    def run(self, until_ms: int) -> World:
        """Play until a moment; returns itself."""
        while self.now_ms < until_ms:
            self._tick()
            self.now_ms += 1
            if self.now_ms % self.poll_ms == 0:
                self.observe()
        return self

    def observe(self) -> tuple[Action, ...]:
        """Show the detector a snapshot of this moment."""
        done = self.detector.observe(self.snapshot())
        self.actions += [(self.now_ms, action) for action in done]
        return done

    def opened(self) -> list[tuple[int, Alert]]:
        """Return the alerts as they were opened, with the milliseconds at which they were."""
        return [(at_ms, act.alert) for at_ms, act in self.actions if isinstance(act, AlertOpened)]

    def updated(self) -> list[tuple[int, Alert]]:
        """Return what updates said, with the milliseconds at which they did."""
        return [(at_ms, act.alert) for at_ms, act in self.actions if isinstance(act, AlertUpdated)]

    def closed(self) -> list[tuple[int, Alert]]:
        """Return the alerts as they were closed, with the milliseconds at which they were."""
        return [(at_ms, act.alert) for at_ms, act in self.actions if isinstance(act, AlertClosed)]

    def snapshot(self) -> Snapshot:
        """Return what the probe would read now."""
        now_ns = BOOT_NS + self.now_ms * MS
        return Snapshot(
            time_ns=now_ns,
            wall_s=BOOT_WALL_S + self.now_ms / 1000,
            listener_cohort_ns=LISTENER_SLICE_NS,
            source_cohort_ns=SOURCE_SLICE_NS,
            listeners=tuple(self._listener_readings(now_ns)),
            sources=tuple(self._source_readings(now_ns)),
        )

    def _listener_readings(self, now_ns: int) -> Iterator[ListenerReading]:
        for listener, book in self._listeners.items():
            yield ListenerReading(
                listener=listener,
                counts=book.handshakes(),
                cohorts=book.cohorts(now_ns),
                bare_attempts=book.bare,
                sources_estimated=self._sources_estimated(listener),
                handshake_ms_histogram=tuple(book.histogram),
            )

    def _source_readings(self, now_ns: int) -> Iterator[SourceReading]:
        for source, book in self._sources.items():
            if book.first_ms is not None and self.now_ms - book.first_ms >= self.watch_after_ms:
                targets = min(self._targets[source], 250, book.counts["attempts"])
                yield SourceReading(source, book.handshakes(), book.cohorts(now_ns), targets)

    def _sources_estimated(self, listener: Listener) -> int:
        """Count the sources of the current and the last second."""
        second = self.now_ms // 1000
        distinct = self._distinct[listener]
        anonymous = sum(distinct[s, None] for s in (second - 1, second))
        known = {stream for (s, stream) in distinct if stream is not None and s >= second - 1}
        return anonymous + sum(
            min(stream.sources or 1, distinct[second - 1, stream] + distinct[second, stream])
            for stream in known
        )

    def _tick(self) -> None:
        for stream in self.streams:
            if stream.start_ms <= self.now_ms < stream.stop_ms:
                self._send(stream)
        for stream, count in self._again.pop(self.now_ms, ()):
            for book in self._books(stream):
                book.counts["syn_retransmits"] += count
        for stream, attempted_ms, count in self._due.pop(self.now_ms, ()):
            attempted_ns = BOOT_NS + attempted_ms * MS
            for book in self._books(stream):
                book.complete(attempted_ns, count, stream.rtt_ms)

    def _books(self, stream: Stream) -> list[_Book]:
        books = [self._listeners[stream.listener]]
        if stream.watched is not None:
            books.append(self._sources[stream.watched])
            self._targets[stream.watched] = stream.targets
        return books

    def _send(self, stream: Stream) -> None:
        owed = self._owed.setdefault(stream, [0.0, 0.0])
        owed[0] += stream.per_s / 1000
        count = int(owed[0])
        owed[0] -= count
        if count == 0:
            return
        silent = stream.silent_from_ms is not None and self.now_ms >= stream.silent_from_ms
        owed[1] += 0.0 if silent else count * (1.0 - stream.lost)
        completing = int(owed[1] + 1e-9)
        owed[1] -= completing
        for book in self._books(stream):
            book.first_ms = self.now_ms if book.first_ms is None else book.first_ms
            book.attempt(BOOT_NS + self.now_ms * MS, count)
            if not silent:
                book.counts["refused" if stream.refused else "answered"] += count
            book.bare += count if stream.bare else 0
        if completing:
            self._due[self.now_ms + stream.rtt_ms].append((stream, self.now_ms, completing))
        if silent and stream.retries:
            self._again[self.now_ms + 1000].append((stream, count))
        one = stream.sources is not None or stream.watched is not None
        self._distinct[stream.listener][self.now_ms // 1000, stream if one else None] += count


def crowd(per_s: float = 2000.0, rtt_ms: int = 20, **more: object) -> Stream:
    """Return clients that all complete."""
    return replace(Stream(WEB, per_s, rtt_ms=rtt_ms), **more)  # type: ignore[arg-type]


def flood(per_s: float, start_ms: int = 0, stop_ms: int = 1_000_000_000, **more: object) -> Stream:
    """Return SYNs of as many sources, with options, that nobody ever completes."""
    return replace(Stream(WEB, per_s, start_ms, stop_ms, lost=1.0), **more)  # type: ignore[arg-type]


def single(per_s: float, start_ms: int = 0, stop_ms: int = 1_000_000_000, **more: object) -> Stream:
    """Return SYNs of one watched source that nobody ever completes."""
    return replace(flood(per_s, start_ms, stop_ms, watched=FLOODER), **more)  # type: ignore[arg-type]

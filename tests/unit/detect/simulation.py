"""A small world of clients and floods, counted as the probe counts: each completion in its attempt's cohort.

Time runs in milliseconds from zero. Streams send attempts at a steady rate; fractions carry over, so
that everything is the same each time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from synguard.detect import Detector
from synguard.endpoint import Listener, Network
from synguard.model import (
    Action,
    Alert,
    AlertClosed,
    AlertOpened,
    AlertUpdated,
    ListenerReading,
    Snapshot,
    SourceReading,
)
from synguard.server import ServerReading
from tests.unit.detect.books import LISTENER_SLICE_NS, MS, RING_SLICES, SOURCE_SLICE_NS, Book
from tests.unit.detect.streams import CLOSED, FLOODER, MAIL, NAT, WEB, Stream, crowd, flood, single

__all__ = [
    "BOOT_NS",
    "BOOT_WALL_S",
    "CLOSED",
    "FLOODER",
    "LISTENER_SLICE_NS",
    "MAIL",
    "MS",
    "NAT",
    "RING_SLICES",
    "SOURCE_SLICE_NS",
    "WEB",
    "Stream",
    "World",
    "crowd",
    "flood",
    "single",
]

#: The kernel's clock and the wall clock at the world's beginning.
BOOT_NS = 3_600_000 * MS
BOOT_WALL_S = 1_790_000_000.0
#: The probe's estimates of a source's targets and a prefix's sources are full near here.
MOST_ESTIMATED = 250
#: Who is silent for longer is not read any more.
FRESH_MS = (256 << 24) // MS


class World:
    """Plays streams to a detector, one snapshot every 50 ms, and keeps what it says.

    ``server`` tells for a millisecond what the kernel that answers says of itself. Long worlds are played
    faster with a ``tick_ms`` of which all times of their streams are multiples.
    """

    def __init__(
        self,
        detector: Detector,
        *streams: Stream,
        poll_ms: int = 50,
        watch_after_ms: int = 60,
        tick_ms: int = 1,
        server: Callable[[int], ServerReading] | None = None,
    ) -> None:
        self.detector = detector
        self.streams = list(streams)
        self.poll_ms = poll_ms
        self.watch_after_ms = watch_after_ms
        self.tick_ms = tick_ms
        self.server = server
        self.now_ms = 0
        #: What the detector did, with the millisecond at which it did so.
        self.actions: list[tuple[int, Action]] = []
        self._listeners: dict[Listener, Book] = defaultdict(lambda: Book(LISTENER_SLICE_NS))
        self._sources: dict[Network, Book] = defaultdict(lambda: Book(SOURCE_SLICE_NS))
        self._prefixes: dict[Network, Book] = defaultdict(lambda: Book(SOURCE_SLICE_NS))
        self._targets: dict[Network, int] = defaultdict(int)
        #: Attempts of each stream to each prefix, for the estimate of its sources.
        self._of_prefix: dict[Network, Counter[Stream]] = defaultdict(Counter)
        self._owed: dict[Stream, dict[str, float]] = {}
        self._due: dict[int, list[tuple[Stream, int, int, int]]] = defaultdict(list)
        self._again: dict[int, list[tuple[Stream, int]]] = defaultdict(list)
        self._distinct: dict[Listener, Counter[tuple[int, Stream | None]]] = defaultdict(Counter)

    def run(self, until_ms: int) -> World:
        """Play until a moment; returns itself."""
        while self.now_ms < until_ms:
            self._tick()
            self.now_ms += self.tick_ms
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
            prefixes=tuple(self._prefix_readings(now_ns)),
            server=self.server(self.now_ms) if self.server else None,
        )

    def _listener_readings(self, now_ns: int) -> Iterator[ListenerReading]:
        for listener, book in self._listeners.items():
            if not self._is_fresh(book):
                continue
            estimated, once = self._sources_estimated(listener)
            yield ListenerReading(
                listener=listener,
                counts=book.handshakes(),
                cohorts=book.cohorts(now_ns),
                bare_attempts=book.marks["bare"],
                sources_estimated=estimated,
                handshake_ms_histogram=tuple(book.times),
                sources_once_share=once / estimated if estimated else None,
                syn_ttl_histogram=tuple(book.syn_ttl),
                completed_ttl_histogram=tuple(book.completed_ttl),
                bogon_attempts=book.marks["bogon"],
                patterned_attempts=book.marks["patterned"],
            )

    def _is_named(self, book: Book) -> bool:
        named = book.first_ms is not None and self.now_ms - book.first_ms >= self.watch_after_ms
        return named and self._is_fresh(book)

    def _is_fresh(self, book: Book) -> bool:
        """Tell whether the probe is still asked of somebody: not of who was silent for as long as a ring."""
        return self.now_ms - book.last_ms <= FRESH_MS

    def _source_readings(self, now_ns: int) -> Iterator[SourceReading]:
        for source, book in self._sources.items():
            if self._is_named(book):
                asked = book.counts["attempts"] + sum(book.marks[kind] for kind in ("fin", "null", "xmas"))
                yield SourceReading(
                    source,
                    book.handshakes(),
                    book.cohorts(now_ns),
                    min(self._targets[source], MOST_ESTIMATED, asked),
                    fin_probes=book.marks["fin"],
                    null_probes=book.marks["null"],
                    xmas_probes=book.marks["xmas"],
                )

    def _prefix_readings(self, now_ns: int) -> Iterator[SourceReading]:
        for prefix, book in self._prefixes.items():
            if self._is_named(book):
                alone = {stream.watched for stream in self._of_prefix[prefix] if stream.watched}
                others = sum(
                    min(count, stream.sources or count)
                    for stream, count in self._of_prefix[prefix].items()
                    if stream.watched is None
                )
                estimated = min(MOST_ESTIMATED, len(alone) + others)
                yield SourceReading(
                    prefix, book.handshakes(), book.cohorts(now_ns), sources_estimated=estimated
                )

    def _sources_estimated(self, listener: Listener) -> tuple[int, int]:
        """Count the sources of the current and the last second, and those that came once."""
        second = self.now_ms // 1000
        distinct = self._distinct[listener]
        all_of_them = once = sum(distinct[s, None] for s in (second - 1, second))
        for stream in {stream for (s, stream) in distinct if stream is not None and s >= second - 1}:
            attempts = distinct[second - 1, stream] + distinct[second, stream]
            sources = stream.sources or 1
            all_of_them += min(sources, attempts)
            once += attempts if attempts <= sources else 0
        return all_of_them, once

    def _tick(self) -> None:
        for stream in self.streams:
            if stream.start_ms <= self.now_ms < stream.stop_ms:
                self._send(stream)
        for stream, count in self._again.pop(self.now_ms, ()):
            for book in self._books(stream):
                book.counts["syn_retransmits"] += count
        for stream, attempted_ms, completed, aborted in self._due.pop(self.now_ms, ()):
            for book in self._books(stream):
                book.touch(self.now_ms)
                book.complete(BOOT_NS + attempted_ms * MS, completed, stream.rtt_ms)
                book.counts["aborted"] += aborted
                if stream.ttl is not None:
                    book.completed_ttl[stream.ttl // 8] += completed

    def _books(self, stream: Stream) -> list[Book]:
        books = [self._listeners[stream.listener]] if stream.probes is None else []
        if stream.watched is not None:
            books.append(self._sources[stream.watched])
            self._targets[stream.watched] = max(self._targets[stream.watched], stream.targets)
        if stream.probes is None and stream.counted_prefix is not None:
            books.append(self._prefixes[stream.counted_prefix])
        return books

    def _due_of(self, stream: Stream, what: str, amount: float) -> int:
        """Return the whole number that is due of an amount; fractions carry over."""
        owed = self._owed.setdefault(stream, {})
        owed[what] = owed.get(what, 0.0) + amount
        whole = int(owed[what] + 1e-9)
        owed[what] -= whole
        return whole

    def _send(self, stream: Stream) -> None:
        count = self._due_of(stream, "attempts", stream.per_ms(self.now_ms) * self.tick_ms)
        if count == 0:
            return
        books = self._books(stream)
        for book in books:
            book.touch(self.now_ms)
        if stream.probes is not None:
            for book in books:
                book.marks[stream.probes] += count
            return
        silent = stream.silent_from_ms is not None and self.now_ms >= stream.silent_from_ms
        self._attempt(stream, count, books, silent=silent)
        completing = 0 if silent else self._due_of(stream, "completed", count * (1.0 - stream.lost))
        aborting = 0 if silent else self._due_of(stream, "aborted", count * stream.aborted)
        if completing or aborting:
            self._due[self.now_ms + stream.rtt_ms].append((stream, self.now_ms, completing, aborting))
        if silent and stream.retries:
            self._again[self.now_ms + 1000].append((stream, count))

    def _attempt(self, stream: Stream, count: int, books: list[Book], *, silent: bool) -> None:
        """Book attempts of this moment, with what their SYNs bear, to everybody concerned."""
        bogon = self._due_of(stream, "bogon", count * stream.bogon)
        patterned = self._due_of(stream, "patterned", count * stream.patterned)
        for book in books:
            book.attempt(BOOT_NS + self.now_ms * MS, count)
            if not silent:
                book.counts["refused" if stream.refused else "answered"] += count
            book.marks["bare"] += count if stream.bare else 0
            book.marks["bogon"] += bogon
            book.marks["patterned"] += patterned
            if stream.ttl is not None:
                book.syn_ttl[stream.ttl // 8] += count
        if stream.counted_prefix is not None:
            self._of_prefix[stream.counted_prefix][stream] += count
        one = stream.sources is not None or stream.watched is not None
        self._distinct[stream.listener][self.now_ms // 1000, stream if one else None] += count

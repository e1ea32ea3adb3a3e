"""The simulated world with our own responses in it, counted as the probe counts them.

A SYN that a block drops is an attempt, and ``dropped_by_us``. So is a greylisted one; when its retransmission
is let through, its attempt counts as completed, and one more in the present slice. A cookie's completion is
booked to the slice in which its ACK comes; of more than a slice has attempts older ones get the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from synguard.detect import Detector
from synguard.endpoint import Listener, Network
from synguard.model import (
    Action,
    AlertClosed,
    AlertOpened,
    Cohort,
    ListenerReading,
    Snapshot,
    SourceReading,
)
from tests.unit.detect.books import MS, Book
from tests.unit.detect.simulation import BOOT_NS, World
from tests.unit.detect.streams import Stream

#: Real clients send a SYN again after a second, and after two more; their timers are late by a tenth of one.
AGAIN_MS = (1100, 3100)
#: A response begins so long after its alert was opened.
DELAY_MS = 50
FOREVER_MS = 1_000_000_000


class How(Enum):
    """What is done with a SYN."""

    DROP = auto()
    GREYLIST = auto()
    COOKIE = auto()


@dataclass
class Rule:
    """A response to a listener, a source or a prefix, for a time."""

    how: How
    target: Listener | Network
    start_ms: int = 0
    stop_ms: int = FOREVER_MS

    def meets(self, stream: Stream, now_ms: int) -> bool:
        """Tell whether it is for the SYNs that a stream sends now."""
        if not self.start_ms <= now_ms < self.stop_ms:
            return False
        if isinstance(self.target, Listener):
            return stream.listener == self.target
        from_ = stream.watched or stream.prefix
        return from_ is not None and from_.subnet_of(self.target)  # type: ignore[arg-type]


class Responding(World):
    """A world in which rules are in force, and more come with each alert where ``respond`` says how.

    ``loss`` is the share (0..1) of real clients' segments that are lost. Of a stream of which nothing is
    ``lost`` all are real clients; of any other, what is lost never comes again, unless it has ``retries``.
    """

    def __init__(
        self,
        detector: Detector,
        *streams: Stream,
        rules: tuple[Rule, ...] = (),
        respond: How | None = None,
        loss: float = 0.01,
        tick_ms: int = 10,
        again_ms: tuple[int, int] = AGAIN_MS,
    ) -> None:
        super().__init__(detector, *streams, tick_ms=tick_ms)
        self.rules = list(rules)
        self.respond = respond
        self.loss = loss
        self.again_ms = again_ms
        self._later: dict[int, list[Callable[[], None]]] = defaultdict(list)
        self._of_alert: dict[int, list[Rule]] = {}

    def observe(self) -> tuple[Action, ...]:
        """Show the detector a snapshot of this moment, and respond to what it says."""
        done = super().observe()
        for action in done:
            alert = action.alert
            if isinstance(action, AlertOpened) and self.respond is not None:
                targets = [alert.source] if alert.source is not None else alert.listeners
                rules = [Rule(self.respond, target, self.now_ms + DELAY_MS) for target in targets]
                self._of_alert[alert.id] = rules
                self.rules += rules
            if isinstance(action, AlertClosed):
                for rule in self._of_alert.pop(alert.id, ()):
                    rule.stop_ms = self.now_ms + DELAY_MS
        return done

    def snapshot(self) -> Snapshot:
        """Return what the probe would read now."""
        sent = sum(book.marks["cookies_sent"] for book in self._listeners.values())
        return replace(super().snapshot(), totals={"cookies_sent": sent})

    def _listener_readings(self, now_ns: int) -> Iterator[ListenerReading]:
        for reading in super()._listener_readings(now_ns):
            marks = self._listeners[reading.listener].marks
            yield replace(
                reading,
                cohorts=carried(reading.cohorts),
                greylisted=marks["greylisted"],
                cookies_sent=marks["cookies_sent"],
                cookies_valid=marks["cookies_valid"],
            )

    def _source_readings(self, now_ns: int) -> Iterator[SourceReading]:
        for reading in super()._source_readings(now_ns):
            yield replace(reading, cohorts=carried(reading.cohorts))

    def _prefix_readings(self, now_ns: int) -> Iterator[SourceReading]:
        for reading in super()._prefix_readings(now_ns):
            yield replace(reading, cohorts=carried(reading.cohorts))

    def _tick(self) -> None:
        for happen in self._later.pop(self.now_ms, ()):
            happen()
        super()._tick()

    def _after(self, delay_ms: int, happen: Callable[[], None]) -> None:
        at_ms = self.now_ms + max(self.tick_ms, round(delay_ms / self.tick_ms) * self.tick_ms)
        self._later[at_ms].append(happen)

    def _send(self, stream: Stream) -> None:
        rule = next((rule for rule in self.rules if rule.meets(stream, self.now_ms)), None)
        if rule is None and (stream.lost or stream.probes):
            super()._send(stream)
            return
        count = self._due_of(stream, "attempts", stream.per_ms(self.now_ms) * self.tick_ms)
        if count == 0:
            return
        books = self._books(stream)
        self._attempt(stream, count, books, silent=True)
        for book in books:
            book.touch(self.now_ms)
        real = count - self._due_of(stream, "unreal", count * stream.lost)
        if rule is None:
            self._served(stream, books, count, real)
        elif rule.how is How.COOKIE:
            self._send_cookies(stream, books, count, real)
        else:
            self._drop(stream, books, count, real if rule.how is How.GREYLIST else 0)

    def _served(self, stream: Stream, books: list[Book], count: int, real: int) -> None:
        """Have the stack answer, and real clients complete, some of them only after a lost segment."""
        at_ms = self.now_ms
        for book in books:
            book.counts["answered"] += count
        late = self._due_of(stream, "late", real * self.loss)

        def complete(number: int) -> None:
            for book in books:
                book.touch(self.now_ms)
                book.complete(BOOT_NS + at_ms * MS, number, stream.rtt_ms)

        self._after(stream.rtt_ms, lambda: complete(real - late))
        self._after(stream.rtt_ms + AGAIN_MS[0], lambda: complete(late))

    def _drop(self, stream: Stream, books: list[Book], count: int, real: int) -> None:
        """Drop SYNs, to let the retransmissions of the real ones pass if it is a greylist that does."""
        for book in books:
            book.counts["dropped_by_us"] += count
        if not real and not stream.retries:
            return
        books[0].marks["greylisted"] += count
        late = self._due_of(stream, "again late", real * self.loss)
        at_ms = self.now_ms
        self._after(self.again_ms[0], lambda: self._admit(stream, books, real - late, at_ms, real - late))
        self._after(self.again_ms[1], lambda: self._admit(stream, books, late, at_ms, late))
        if stream.retries:
            unreal = count - real
            self._after(self.again_ms[0], lambda: self._admit(stream, books, unreal, at_ms, 0))

    def _admit(self, stream: Stream, books: list[Book], count: int, first_ms: int, real: int) -> None:
        """Let retransmissions pass: each attempt moves from its slice to the present one."""
        if not count:
            return
        for book in books:
            book.touch(self.now_ms)
            book.counts["syn_retransmits"] += count
            first_ns = BOOT_NS + first_ms * MS
            book.ring[first_ns // book.slice_ns * book.slice_ns][1] += count
            now_ns = BOOT_NS + self.now_ms * MS
            book.ring.setdefault(now_ns // book.slice_ns * book.slice_ns, [0, 0])[0] += count
        self._served(stream, books, count, real)

    def _send_cookies(self, stream: Stream, books: list[Book], count: int, real: int) -> None:
        for book in books:
            book.counts["answered"] += count
        books[0].marks["cookies_sent"] += count

        def complete(number: int) -> None:
            for book in books:
                book.touch(self.now_ms)
                now_ns = BOOT_NS + self.now_ms * MS
                book.ring.setdefault(now_ns // book.slice_ns * book.slice_ns, [0, 0])[1] += number
                book.counts["completed"] += number
            books[0].marks["cookies_valid"] += number

        late = self._due_of(stream, "late", real * self.loss)
        self._after(stream.rtt_ms, lambda: complete(real - late))
        self._after(stream.rtt_ms + AGAIN_MS[0], lambda: complete(late))


def carried(cohorts: tuple[Cohort, ...]) -> tuple[Cohort, ...]:
    """Return cohorts with completions beyond a slice's attempts carried to older ones."""
    found: list[Cohort] = []
    over = 0
    for start_ns, attempts, completed in reversed(cohorts):
        done = min(attempts, completed + over)
        over += completed - done
        if attempts:
            found.append(Cohort(start_ns, attempts, done))
    return tuple(reversed(found))

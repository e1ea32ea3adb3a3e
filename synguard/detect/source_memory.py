"""What the detector remembers of one watched source, or prefix of sources, between snapshots."""

from __future__ import annotations

from dataclasses import dataclass, replace

from synguard.detect.counts import Counted, CountHistory, has_unheard, rise, unheard
from synguard.detect.listener_memory import counted_from_zero
from synguard.detect.responses import Rising
from synguard.detect.thresholds import NS_PER_MS, NS_PER_S
from synguard.detect.windows import RING_NS, unfinished
from synguard.model import AlertClass, HandshakeCounts, Snapshot, SourceReading

#: A source's unanswered attempts are looked at over this long.
WAITING_SPAN_NS = 3 * NS_PER_S
#: By this age an unanswered SYN has been sent again: a second, and what slices and timers are apart.
RETRIED_AFTER_NS = 1200 * NS_PER_MS
#: The share (0..1) of such SYNs that a real client sends again; many give up soon after.
RETRIED = 0.3
#: So many must be that old before they tell anything.
LEAST_TELLING = 20
#: A source that completed this share (0..1) of all its attempts is a client, whatever goes unanswered now.
KNOWN_CLIENT = 0.2
#: So many handshakes completed, the last of them not longer ago, show that somebody lives at an address.
LIVE_COMPLETED = 2
LIVE_NS = 10 * NS_PER_S
#: A client whose connections are refused, for its server is away, is known as one for so long.
REMEMBERED_CLIENT_NS = 600 * NS_PER_S
REMEMBERED_COMPLETED = 20
#: What a source asked of late is what it asked since one to two of these ago.
STRETCH_NS = 120 * NS_PER_S
#: Of fewer attempts than this all count as late, however old they are.
FEW_ATTEMPTS = 256
#: What a prefix did over a minute is remembered at moments this far apart.
PREFIX_SPACING_NS = 5 * NS_PER_S
PREFIX_REACH_NS = 75 * NS_PER_S
MINUTE_NS = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Asked:
    """What a source did since one to two stretches of two minutes ago."""

    counts: HandshakeCounts
    fin_probes: int
    null_probes: int
    xmas_probes: int

    def probes(self, alert_class: AlertClass) -> int:
        """Return how many segments of a scan's kind, ``fin``, ``null`` or ``xmas``, it sent."""
        return {
            AlertClass.FIN: self.fin_probes,
            AlertClass.NULL: self.null_probes,
            AlertClass.XMAS: self.xmas_probes,
        }[alert_class]

    @property
    def unheard(self) -> int:
        """Return how many attempts nobody answered or refused, and we did not drop."""
        return unheard(self.counts)


class SourceMemory:
    """One watched source's latest counts."""

    def __init__(self, reading: SourceReading) -> None:
        self.reading = reading
        self.history = CountHistory(NS_PER_S, RING_NS)
        #: Its unfinished attempts in the ring, young ones included.
        self.unfinished = 0
        self.met_ns = 0
        self._bases = (reading, reading)
        self._stretch_ns = 0
        #: What it had done when its last scan of a kind was over, of which people were told.
        self._told: dict[str, SourceReading] = {}
        #: When it last completed a handshake, as far as that is known.
        self.completed_ns = -LIVE_NS
        self._dropped = Rising()
        #: Whether somebody lived there when we began to drop its SYNs.
        self._was_live = False

    def meet(self, reading: SourceReading, snapshot: Snapshot) -> None:
        """Take in a new reading."""
        first = self.met_ns == 0
        if not self.is_dropped:
            self._was_live = self._completes
        if first:
            self.completed_ns = _last_completed_ns(reading)
        elif reading.counts.completed > self.reading.counts.completed:
            self.completed_ns = snapshot.time_ns
        from_zero = first and counted_from_zero(reading.counts.attempts, reading.cohorts)
        if first:
            base = _first_base(reading, from_zero=from_zero)
            self._bases, self._stretch_ns = (base, base), snapshot.time_ns
        elif snapshot.time_ns - self._stretch_ns >= STRETCH_NS:
            older = self.reading if snapshot.time_ns - self.met_ns >= STRETCH_NS else self._bases[1]
            self._bases, self._stretch_ns = (older, self.reading), snapshot.time_ns
        if reading.counts.attempts < self.reading.counts.attempts:
            self._told.clear()
        self.reading, self.met_ns = reading, snapshot.time_ns
        self._dropped.take(reading.counts.dropped_by_us, snapshot.time_ns)
        self.unfinished = unfinished(reading.cohorts)
        self.history.add(Counted(snapshot.time_ns, reading.counts), counted_from_zero=from_zero)

    def rest(self) -> None:
        """Keep of its latest counts no more than the newest."""
        self.history.rest()

    @property
    def asked(self) -> Asked:
        """Return what it did in the last two to four minutes."""
        return self._asked_since(self._bases[0])

    def asked_untold(self, scan: str) -> Asked:
        """Return the same, less what belongs to a scan of that kind that is over."""
        return self._asked_since(self._untold_base(scan))

    def untold_counts(self, scan: str) -> HandshakeCounts:
        """Return its counts from which on :meth:`asked_untold` counts."""
        return self._untold_base(scan).counts

    def end_scan(self, scan: str) -> None:
        """Note that people were told of all that it did so far as a scan of that kind."""
        self._told[scan] = self.reading

    def _untold_base(self, scan: str) -> SourceReading:
        return max(self._bases[0], self._told.get(scan, self._bases[0]), key=_segments)

    def _asked_since(self, base: SourceReading) -> Asked:
        reading = self.reading
        return Asked(
            rise(base.counts, reading.counts),
            _probes(base.fin_probes, reading.fin_probes),
            _probes(base.null_probes, reading.null_probes),
            _probes(base.xmas_probes, reading.xmas_probes),
        )

    @property
    def is_live(self) -> bool:
        """Tell whether somebody at this address completes handshakes, so that its SYNs may be another's.

        Whoever did when we began to drop its SYNs lives there still: nothing tells of it any more.
        """
        return self._completes or (self.is_dropped and self._was_live)

    @property
    def is_dropped(self) -> bool:
        """Tell whether we dropped some of its SYNs lately."""
        return self._dropped.shows(self.met_ns)

    @property
    def _completes(self) -> bool:
        is_recent = self.met_ns - self.completed_ns <= LIVE_NS
        return is_recent and self.asked.counts.completed >= LIVE_COMPLETED

    def is_refused_client(self, now_ns: int) -> bool:
        """Tell whether it is a client of a server that is away for some minutes: a restart, an upgrade.

        It completed what was not refused, and did so not long ago.
        """
        counts = self.reading.counts
        heard = max(1, counts.attempts - counts.refused)
        is_known = counts.completed >= max(REMEMBERED_COMPLETED, KNOWN_CLIENT * heard)
        return is_known and now_ns - self.completed_ns <= REMEMBERED_CLIENT_NS

    def is_waiting(self, now_ns: int) -> bool:
        """Tell whether a source is a client of a server that does not answer, rather than its flooder.

        While somebody else's flood fills a SYN queue, or a slow application its accept queue, real clients'
        SYNs go unanswered, and so stay unfinished. Those clients are known by what they completed before,
        or by sending each SYN again after a second, as every stack does (RFC 6298: one second at first).
        Before that second is over nothing tells them from a flood, so nobody is blamed yet.
        """
        before = self.history.before(now_ns - WAITING_SPAN_NS).counts
        if not has_unheard(before, self.reading.counts):
            return False
        lately = rise(before, self.reading.counts)
        waiting = unheard(lately)
        if waiting == 0 or 2 * waiting < lately.attempts - lately.completed:
            return False
        counts = self.reading.counts
        if counts.completed >= KNOWN_CLIENT * counts.attempts:
            return True
        old = sum(
            cohort.attempts - cohort.completed
            for cohort in self.reading.cohorts
            if now_ns - WAITING_SPAN_NS <= cohort.start_ns < now_ns - RETRIED_AFTER_NS
        )
        return old < LEAST_TELLING or lately.syn_retransmits >= RETRIED * old


class PrefixMemory:
    """One watched prefix's counts over a minute and more."""

    def __init__(self, reading: SourceReading) -> None:
        self.reading = reading
        self.minute = CountHistory(PREFIX_SPACING_NS, PREFIX_REACH_NS)
        self.met_ns = 0
        self._dropped = Rising()
        #: How many of its SYNs we dropped since it was met before.
        self.newly_dropped = 0

    @property
    def minute_ago(self) -> Counted:
        """Return its counts of a minute before it was last met."""
        return self.minute.before(self.met_ns - MINUTE_NS)

    @property
    def is_dropped(self) -> bool:
        """Tell whether we dropped some of its SYNs lately."""
        return self._dropped.shows(self.met_ns)

    def meet(self, reading: SourceReading, snapshot: Snapshot) -> None:
        """Take in a new reading."""
        first = self.met_ns == 0
        from_zero = first and counted_from_zero(reading.counts.attempts, reading.cohorts)
        self.newly_dropped = rise(self.reading.counts, reading.counts).dropped_by_us
        self._dropped.take(reading.counts.dropped_by_us, snapshot.time_ns)
        self.reading, self.met_ns = reading, snapshot.time_ns
        self.minute.add(Counted(snapshot.time_ns, reading.counts), counted_from_zero=from_zero)

    def rest(self) -> None:
        """Keep everything: a minute is looked back on, whoever is silent in it."""


def _first_base(reading: SourceReading, *, from_zero: bool) -> SourceReading:
    """Return from where on a source's counts are late ones when it is met first.

    Of one with a long history only what the ring still has counts; that what came before was answered is
    an assumption in its favour.
    """
    zero = replace(reading, counts=HandshakeCounts(), fin_probes=0, null_probes=0, xmas_probes=0)
    counts = reading.counts
    if from_zero or counts.attempts <= FEW_ATTEMPTS:
        return zero
    old = max(0, counts.attempts - sum(cohort.attempts for cohort in reading.cohorts))
    completed = max(0, counts.completed - sum(cohort.completed for cohort in reading.cohorts))
    answered = min(counts.answered, old)
    before = HandshakeCounts(attempts=old, completed=completed, answered=answered)
    return replace(zero, counts=before)


def _last_completed_ns(reading: SourceReading) -> int:
    """Return when the newest attempt began that its ring shows completed; long ago where there is none."""
    return max((cohort.start_ns for cohort in reading.cohorts if cohort.completed), default=-LIVE_NS)


def _segments(reading: SourceReading) -> int:
    return reading.counts.attempts + reading.fin_probes + reading.null_probes + reading.xmas_probes


def _probes(before: int, after: int) -> int:
    return after - before if after >= before else after

"""What our own responses do to the figures of a listener or source, and what makes up for that.

=========  =================================================  ===============================================
response   what the probe counts                              what is made of it
=========  =================================================  ===============================================
drop       each SYN is an attempt that never completes, so    nothing: it is a flood that goes on
           its alert lasts while the flood does
greylist   a first SYN likewise; when it comes again, after   attempts may be called half-open once they had
           a second as a rule (RFC 6298), its attempt         time for that retransmission and a handshake;
           counts as completed, and one more in the slice     and those counted in two slices are taken out
           of the present                                     of one again (:func:`counted_once`)
cookie     a completion is booked to the slice in which       completions are moved back by what explains them
           it comes, for nothing remembers that of its        best (:func:`booked_back`), and attempts have a
           attempt                                            second's time for them
=========  =================================================  ===============================================

So it is for as long as there are such slices in the ring, also when the response is over. What is usual is
not learned meanwhile. A flood that begins under a greylist is seen when its SYNs did not come again, after
some 1.6 s and the time for a sample; without that patience every good client would be one for a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from synguard.detect.thresholds import NS_PER_MS, NS_PER_S
from synguard.detect.windows import RING_NS
from synguard.model import Cohort, ListenerReading

#: By this age a real client's SYN has come again.
SENT_AGAIN_NS = 1500 * NS_PER_MS
#: The completion of a cookie is one of an attempt that is no older than this, or than is usual.
BOOKED_BACK_NS = NS_PER_S
#: About so many delays are tried.
DELAYS = 16
#: No attempt is given more time than this: the ring holds little more.
MOST_PATIENCE_NS = 3 * NS_PER_S
#: For so long after a response was last seen its traces are in the ring.
TRACES_NS = RING_NS


def greylist_patience_ns(allowance_ns: int) -> int:
    """Return how long a greylisted attempt is given where a handshake is given ``allowance_ns``."""
    return max(allowance_ns, min(SENT_AGAIN_NS + allowance_ns, MOST_PATIENCE_NS))


class Late(NamedTuple):
    """How late completions may be booked, and since when they are."""

    back_ns: int = BOOKED_BACK_NS
    since_ns: int = 0


ALWAYS_LATE = Late()


class Rising:
    """When a cumulative count rose last: it tells whether a response is, or was just now, in place."""

    def __init__(self) -> None:
        self._count = 0
        self._rose_ns = -TRACES_NS

    def take(self, count: int, now_ns: int) -> None:
        """Take in the count of a moment; one that began anew has risen unless it is zero."""
        if count != self._count:
            self._rose_ns = now_ns if count else -TRACES_NS
            self._count = count

    def shows(self, now_ns: int) -> bool:
        """Tell whether traces of what was counted are in the ring."""
        return now_ns - self._rose_ns < TRACES_NS


class OwnResponses:
    """Which responses of ours a listener's figures bear the traces of."""

    def __init__(self) -> None:
        self._greylisted = Rising()
        self._cookies = Rising()
        self._now_ns = 0
        self._cookies_sent = self._attempts = 0
        self._mostly_cookies = False
        #: How much older than a completion its attempt may be, and since when most are answered with cookies.
        self.late = ALWAYS_LATE

    def meet(self, reading: ListenerReading, now_ns: int, usual_ns: int) -> None:
        """Take in a new reading of a listener whose handshakes take ``usual_ns`` at most, as a rule."""
        self._follow_cookies(reading, usual_ns)
        self._now_ns = now_ns
        self._greylisted.take(reading.greylisted, now_ns)
        self._cookies.take(reading.cookies_sent + reading.cookies_valid, now_ns)

    def _follow_cookies(self, reading: ListenerReading, usual_ns: int) -> None:
        attempts, sent = reading.counts.attempts - self._attempts, reading.cookies_sent - self._cookies_sent
        self._attempts, self._cookies_sent = reading.counts.attempts, reading.cookies_sent
        mostly = 2 * sent >= attempts if attempts > 0 else self._mostly_cookies
        # What came since the last reading may have been answered in either way.
        since_ns = self._now_ns if mostly and not self._mostly_cookies else self.late.since_ns
        self._mostly_cookies = mostly
        self.late = Late(max(BOOKED_BACK_NS, min(usual_ns, MOST_PATIENCE_NS)), since_ns)

    @property
    def greylist_shows(self) -> bool:
        """Whether some of its SYNs were greylisted lately."""
        return self._greylisted.shows(self._now_ns)

    @property
    def cookies_show(self) -> bool:
        """Whether some of its SYNs were answered with cookies lately."""
        return self._cookies.shows(self._now_ns)

    @property
    def show(self) -> bool:
        """Whether its figures bear traces of either."""
        return self.greylist_shows or self.cookies_show

    def patience_ns(self, allowance_ns: int) -> int:
        """Return how old an attempt must be to be half-open, where a handshake is given ``allowance_ns``."""
        if self.greylist_shows:
            allowance_ns = greylist_patience_ns(allowance_ns)
        return max(allowance_ns, self.late.back_ns) if self.cookies_show else allowance_ns


def booked_back(
    cohorts: Sequence[Cohort], slice_ns: int, now_ns: int, late: Late = ALWAYS_LATE
) -> tuple[Cohort, ...]:
    """Return cohorts with completions that were booked late where their attempts are.

    How late they are is not known. As long as the number of clients stays the same it makes no difference;
    while that rises one delay explains most completions: the one that leaves fewest attempts half-open of
    those old enough to tell. A flood is left half-open by all of them.
    """
    if not any(one.completed for one in cohorts):
        return tuple(cohorts)
    first_ns = cohorts[0].start_ns
    places = [(one.start_ns - first_ns) // slice_ns for one in cohorts]
    attempts, completed = [0] * (places[-1] + 1), [0] * (places[-1] + 1)
    for place, one in zip(places, cohorts, strict=True):
        attempts[place], completed[place] = one.attempts, one.completed
    old = max(0, (now_ns - late.back_ns - first_ns) // slice_ns)
    step = max(1, round(late.back_ns / slice_ns / DELAYS))
    since = -(-(late.since_ns - first_ns) // slice_ns)
    best = min(
        (
            _left_open(attempts, _earlier(completed, delay, since), step)
            for delay in range(0, late.back_ns // slice_ns + 1, step)
        ),
        key=lambda open_: sum(open_[:old]),
    )
    return tuple(
        Cohort(one.start_ns, one.attempts, one.attempts - best[place])
        for place, one in zip(places, cohorts, strict=True)
    )


def _earlier(completed: Sequence[int], delay: int, since: int) -> list[int]:
    """Return completions ``delay`` slices earlier ``since`` a slice; before it they are in their place."""
    if since <= 0:
        return [*completed[delay:]]
    moved = [*completed[:since], *completed[since + delay :]]
    moved += [0] * (len(completed) - len(moved))
    for place in range(since, min(since + delay, len(completed))):
        moved[place] += completed[place]
    return moved


def _left_open(attempts: Sequence[int], completed: Sequence[int], reach: int) -> list[int]:
    """Return what is left open, slice by slice, if each completion is of the oldest in ``reach`` slices."""
    open_ = list(attempts)
    oldest = 0
    for place, count in enumerate(completed):
        left = count
        oldest = max(oldest, place - reach)
        while left > 0:
            taken = min(left, open_[oldest])
            open_[oldest] -= taken
            left -= taken
            if left <= 0 or oldest == place:
                break
            oldest += 1
    return open_


def counted_once(cohorts: Sequence[Cohort], twice: int, since_ns: int) -> tuple[Cohort, ...]:
    """Return cohorts less ``twice`` completed attempts for all that are in those since a moment.

    Which slices have them is not known: they are taken out in equal shares, and nothing half-open with them.
    """
    done = sum([min(one.attempts, one.completed) for one in cohorts if one.start_ns >= since_ns])
    if twice <= 0 or done <= 0:
        return tuple(cohorts)
    share = min(1.0, twice / done)
    owed, once = 0.0, []
    for start_ns, attempts, completed in cohorts:
        owed += share * min(attempts, completed)
        gone = min(int(owed), attempts, completed)
        owed -= gone
        once.append(Cohort(start_ns, attempts - gone, completed - gone))
    return tuple(once)

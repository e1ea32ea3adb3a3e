"""Judges what an attack does to the stack that answers: no more than its queues and counters prove.

A listener's queues are its own. The counters are the whole namespace's: that cookies were sent, or SYNs
dropped, is laid to a listener only if its own queue was full meanwhile, and drops only if its own sockets
dropped, too.

=================  ====================================================================================
accept-queue-full  its accept queue was full; or SYNs met a full one, its sockets dropped as many and more,
                   and its queue was seen half full: the application is slow, whoever asks. Nobody gets in.
dropping           its SYN queue was full, cookies are off, and SYNs were dropped
cookies            its SYN queue was full, and the stack sent cookies meanwhile. With ``tcp_syncookies`` =
                   2 every SYN gets one and no queue fills, so that is no impact; those of our own cookie
                   program are not the stack's, which ``SyncookiesSent`` counts alone
none               its sockets are here, and none of that shows
unknown            no socket of this namespace answers it, or none was looked at lately
=================  ====================================================================================

A SYN queue counts as full from nine tenths on: the kernel takes old handshakes out while a flood fills it up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from synguard.detect.thresholds import NS_PER_MS, NS_PER_S
from synguard.endpoint import Listener
from synguard.model import Measurement
from synguard.server import ListenerQueues, ServerReading

#: What rose is what rose in this time, or since the alert began.
WINDOW_NS = 5 * NS_PER_S
#: Readings are kept for so long, so far apart: a hundred of them, whatever comes.
KEPT_NS = 10 * NS_PER_S
APART_NS = 100 * NS_PER_MS
#: While nothing moves nothing is read: what rose between two readings further apart rose nobody knows when.
BEFORE_NS = NS_PER_S
#: Queues are looked at once a second; older ones say nothing of now.
FRESH_NS = 3 * NS_PER_S
NEAR_FULL = 0.9
HALF_FULL = 0.5
#: So many unfinished handshakes that no queue holds are held by somebody else.
LEAST_UNFINISHED = 20

#: Rises with each cookie sent for want of room, and with each that our own program makes.
FULL_QUEUE_COOKIES = "TCPReqQFullDoCookies"
_FORCED_COOKIES = 2


@dataclass(frozen=True, slots=True)
class ImpactFinding:
    """What is known of the impact on one listener."""

    #: ``none``, ``cookies``, ``dropping``, ``accept-queue-full`` or ``unknown``.
    impact: str
    measurements: tuple[Measurement, ...] = ()
    accept_queue_full: bool = False
    #: SYNs and last ACKs that met a full accept queue, of those the listener's own as far as that is known.
    overflows: int = 0
    syn_queue_full: bool = False


class Impact:
    """Keeps the last seconds of readings, and says what they mean for a listener."""

    def __init__(self) -> None:
        self._readings: deque[ServerReading] = deque()

    def take(self, reading: ServerReading, own_cookies: int = 0) -> None:
        """Take the reading of a snapshot. One older than the last says that the clock is another one now.

        Args:
            reading: what the stack counts.
            own_cookies: how many cookies our own program has sent since it was attached; the helper that
                makes them has the stack count a full SYN queue for each.

        """
        for_want_of_room = reading.counters.get(FULL_QUEUE_COOKIES)
        if own_cookies and for_want_of_room is not None:
            # Below zero for what our program sent before: only what it rises by counts.
            counters = {**reading.counters, FULL_QUEUE_COOKIES: for_want_of_room - own_cookies}
            reading = replace(reading, counters=counters)
        kept = self._readings
        if kept and reading.read_ns < kept[-1].read_ns:
            kept.clear()
        if len(kept) > 1 and kept[-1].read_ns - kept[-2].read_ns < APART_NS:
            kept.pop()
        kept.append(reading)
        while reading.read_ns - kept[0].read_ns > KEPT_NS:
            kept.popleft()

    def of(self, listener: Listener, since_ns: int, unfinished: int | None = None) -> ImpactFinding:
        """Return the impact on a listener now.

        Args:
            listener: the one that is under attack.
            since_ns: when the attack began; what rose in the last five seconds, but not before, is looked at.
            unfinished: its handshakes that were answered in the last second by others than us, and neither
                completed nor reset by the peer. If those are many, and neither its SYN queue nor a cookie
                shows any, then whoever answers is not the socket that listens here (a container's port,
                whose proxy gets nothing).

        """
        if not self._readings:
            return ImpactFinding("unknown")
        window = self._window(since_ns)
        if not window:  # the stack could not be read since
            return ImpactFinding("unknown")
        conntrack = tuple(_conntrack(window[-1]))
        looks = _looks(window, listener)
        if not looks:
            return ImpactFinding("unknown", conntrack)
        seen = _Seen(window, looks)
        measurements = (*seen.measurements(), *conntrack)
        if (unfinished or 0) >= LEAST_UNFINISHED and seen.is_bypassed(since_ns):
            return ImpactFinding("unknown", measurements)
        return ImpactFinding(
            seen.impact(), measurements, seen.accept_queue_full, seen.overflows, seen.syn_queue_full
        )

    def now(self, listener: Listener, now_ns: int) -> str | None:
        """Return what the last seconds did to a listener, attacked or not; None where that is not known.

        Stacks are looked at while handshakes move, and queues while their listeners are suspected.
        """
        if not self._readings or now_ns - self._readings[-1].read_ns > FRESH_NS:
            return None
        if listener not in self._readings[-1].queues:
            return None
        impact = self.of(listener, self._readings[-1].read_ns - WINDOW_NS).impact
        return None if impact == "unknown" else impact

    @property
    def strained(self) -> bool:
        """Whether any queue of this namespace was full in the last seconds, so that it is time to look whose.

        A slow application shows in no count of handshakes: without this nobody would suspect its listener.
        """
        if not self._readings:
            return False
        window = self._window(0)
        cookies_mean_it = window[-1].syncookies < _FORCED_COOKIES
        return _rise(window, "ListenDrops") > 0 or (cookies_mean_it and _rise(window, "SyncookiesSent") > 0)

    def _window(self, since_ns: int) -> list[ServerReading]:
        """Return the readings that tell of the last seconds, from the one at whose end they begin."""
        from_ns = max(since_ns, self._readings[-1].read_ns - WINDOW_NS)
        before = [reading for reading in self._readings if 0 <= from_ns - reading.read_ns <= BEFORE_NS]
        return [*before[-1:], *(reading for reading in self._readings if reading.read_ns > from_ns)]


class _Seen:
    """What one window of readings shows of a listener whose sockets are here."""

    def __init__(self, window: Sequence[ServerReading], looks: Sequence[ListenerQueues]) -> None:
        self._window = window
        self._looks = looks
        self.syn_fill = max(look.syn_queue_worst for look in looks)
        self.accept_fill = max(look.accept_queue_worst for look in looks)
        self.syn_queue_full = self.syn_fill >= NEAR_FULL
        self.overflows = self._overflows()
        self.accept_queue_full = self.accept_fill >= 1 or (
            self.overflows > 0 and self.accept_fill >= HALF_FULL
        )

    def impact(self) -> str:
        """Return the worst that is proven."""
        syncookies = self._window[-1].syncookies
        if self.accept_queue_full:
            return "accept-queue-full"
        if self.syn_queue_full and not syncookies and self._syn_drops() and self._own_drops() != 0:
            return "dropping"
        cookies_mean_it = 0 < syncookies < _FORCED_COOKIES
        if self.syn_queue_full and cookies_mean_it and self._rise("SyncookiesSent"):
            return "cookies"
        return "none"

    def is_bypassed(self, since_ns: int) -> bool:
        """Tell whether no handshake reached these sockets, looked at a second after the attack began."""
        newest_ns = self._window[-1].queues_read_ns
        was_looked_at = newest_ns is not None and newest_ns - since_ns >= NS_PER_S
        return was_looked_at and self.syn_fill == 0 and not self._rise("SyncookiesSent")

    def measurements(self) -> tuple[Measurement, ...]:
        """Return the figures, each with the bound above which it counts, where there is one."""
        return (
            Measurement("syn_queue_fill", round(self.syn_fill, 3), NEAR_FULL, "ratio"),
            Measurement("accept_queue_fill", round(self.accept_fill, 3), 1.0, "ratio"),
            Measurement("listen_overflows_per_s", self._per_s(self._rise("ListenOverflows")), 0.0, "1/s"),
            Measurement("syn_drops_per_s", self._per_s(self._syn_drops()), None, "1/s"),
            Measurement("full_queue_cookies_per_s", self._per_s(self._rise(FULL_QUEUE_COOKIES)), None, "1/s"),
        )

    def _overflows(self) -> int:
        overflows, own = self._rise("ListenOverflows"), self._own_drops()
        if own is not None:
            return min(overflows, own)
        return overflows if self.accept_fill >= 1 else 0

    def _own_drops(self) -> int | None:
        """Return how many packets the listener's own sockets dropped between looks, None if not known."""
        first, last = self._looks[0], self._looks[-1]
        if first is last or first.drops is None or last.drops is None or first.sockets != last.sockets:
            return None
        return max(0, last.drops - first.drops)

    def _syn_drops(self) -> int:
        """Return how many SYNs were dropped, in the whole namespace, but for a full accept queue."""
        return max(0, self._rise("ListenDrops") - self._rise("ListenOverflows"))

    def _rise(self, counter: str) -> int:
        return _rise(self._window, counter)

    def _per_s(self, count: int) -> float:
        length_ns = self._window[-1].read_ns - self._window[0].read_ns
        return round(count * NS_PER_S / length_ns, 1) if length_ns else 0.0


def _rise(window: Sequence[ServerReading], counter: str) -> int:
    first, last = window[0].counters, window[-1].counters
    return max(0, last.get(counter, 0) - first.get(counter, 0))


def _looks(window: Sequence[ServerReading], listener: Listener) -> list[ListenerQueues]:
    """Return the listener's queues in each look at sockets within the window; none if the last is too old."""
    last = window[-1]
    if last.queues_read_ns is None or last.read_ns - last.queues_read_ns > FRESH_NS:
        return []
    if listener not in last.queues:
        return []
    looks = {
        reading.queues_read_ns: reading.queues[listener] for reading in window if listener in reading.queues
    }
    return list(looks.values())


def _conntrack(reading: ServerReading) -> Sequence[Measurement]:
    """Return how full the table of connections is, if it has any."""
    entries, limit = reading.conntrack_entries, reading.conntrack_limit
    if not entries or not limit:
        return ()
    return (Measurement("conntrack_fill", round(entries / limit, 3), NEAR_FULL, "ratio"),)

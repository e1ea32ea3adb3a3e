"""A slow application, which is no flood: clients who wait for a server that does not take them.

While an application does not accept, its accept queue fills, and the kernel answers no SYN any more.
Clients send theirs again after a second, as every stack does, and what they sent stays unfinished: it
looks like a flood, but for those retransmissions. A flood's SYNs are each their first. So as many
unfinished attempts as were sent again are left out of what makes a flood, within bounds: only where
nobody is answered at all, or where the kernel says that the SYN queue has room, and no more
than a multiple of who was served lately, unless the accept queue is full.
"""

from __future__ import annotations

from dataclasses import dataclass

from synguard.detect.impact import Impact, ImpactFinding
from synguard.detect.listener_memory import ListenerMemory
from synguard.detect.source_memory import RETRIED_AFTER_NS
from synguard.detect.thresholds import NS_PER_S
from synguard.detect.windows import Window, measure
from synguard.model import Evidence, Measurement, Snapshot

#: Clients are known by what they did in so long a time.
SPAN_NS = 3 * NS_PER_S
#: The share (0..1) of unanswered SYNs that clients have sent again by then; some have given up.
RETRIED_SHARE = 0.5
#: Nobody is answered where no more than this share (0..1) of the last second's attempts is.
NOBODY_ANSWERED = 0.02
#: Where no full accept queue shows, waiting clients are at most so many a second, or so many times those that
#: were served in the best second lately.
WAITING_PER_S = 100.0
TIMES_SERVED = 3.0
#: A full accept queue is an overload from so many connections on that are turned away in the span.
LEAST_OVERFLOWS = 3
#: The share (0..1) of a listener's unfinished attempts that clients account for, from which on it is they.
CLIENTS_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Overload:
    """A listener whose application does not keep up."""

    memory: ListenerMemory
    #: Connections turned away per second.
    overflows_per_s: float
    impact: ImpactFinding
    evidence: tuple[Evidence, ...]
    measurements: tuple[Measurement, ...]


def waiting_clients(memory: ListenerMemory, impact: Impact, snapshot: Snapshot, window: Window) -> int:
    """Return how many half-open attempts of ``window`` are those of clients whom nobody answers.

    Once the application goes on, those who asked before still wait, until it is time to ask again.
    """
    if not window.half_open:
        return 0
    now_ns = snapshot.time_ns
    finding = impact.of(memory.reading.listener, now_ns - SPAN_NS)
    share = _waiting_share(memory, finding, snapshot)
    if share >= CLIENTS_SHARE:
        memory.stalled_until_ns = now_ns
    cohorts, slice_ns = memory.reading.cohorts, snapshot.listener_cohort_ns
    waiting = window.half_open * share
    if memory.stalled_until_ns > window.start_ns:
        before = measure(cohorts, slice_ns, window.start_ns, min(window.end_ns, memory.stalled_until_ns))
        waiting = max(waiting, float(before.half_open))
    if finding.accept_queue_full:
        return round(waiting)
    most_per_s = max(WAITING_PER_S, TIMES_SERVED * memory.served_per_s)
    return round(min(waiting, most_per_s * window.length_s))


def _waiting_share(memory: ListenerMemory, finding: ImpactFinding, snapshot: Snapshot) -> float:
    """Return the share (0..1) of the last seconds' unfinished attempts that wait for an answer."""
    if snapshot.one_way:
        return 0.0  # no answer can be seen: that none comes tells nothing
    now_ns = snapshot.time_ns
    lately = memory.lately(now_ns - SPAN_NS)
    unheard, counts = lately.unheard, lately.counts
    slice_ns = snapshot.listener_cohort_ns
    old = measure(memory.reading.cohorts, slice_ns, now_ns - SPAN_NS, now_ns - RETRIED_AFTER_NS).half_open
    if not unheard or counts.syn_retransmits < max(1.0, RETRIED_SHARE * min(old, unheard)):
        return 0.0
    last = memory.lately(now_ns - NS_PER_S).counts
    if finding.impact == "unknown" and last.answered > NOBODY_ANSWERED * last.attempts:
        return 0.0
    if finding.syn_queue_full and not finding.accept_queue_full:
        return 0.0
    return min(1.0, unheard / max(1, counts.attempts - counts.completed))


def judge_overload(memory: ListenerMemory, impact: Impact, snapshot: Snapshot) -> Overload | None:
    """Tell whether a listener's application is too slow for its clients, and what shows it."""
    since_ns = snapshot.time_ns - SPAN_NS
    finding = impact.of(memory.reading.listener, since_ns)
    if not finding.accept_queue_full or finding.overflows < LEAST_OVERFLOWS:
        return None
    if not impact.of(memory.reading.listener, snapshot.time_ns - NS_PER_S).accept_queue_full:
        return None  # it was full, and has room again
    counts = memory.lately(since_ns).counts
    unfinished = max(0, counts.attempts - counts.completed)
    clients = counts.completed + counts.syn_retransmits
    if clients < CLIENTS_SHARE * unfinished:
        return None
    overflows_per_s = finding.overflows * NS_PER_S / SPAN_NS
    evidence = (
        Evidence("accept_queue_full", "the application does not accept", 0.6),
        Evidence("clients_complete", counts.completed, 0.2 if counts.completed else 0.0),
        Evidence("clients_send_again", counts.syn_retransmits, 0.2 if counts.syn_retransmits else 0.0),
    )
    told = Measurement("turned_away_per_s", round(overflows_per_s, 1), LEAST_OVERFLOWS / 3, "1/s")
    return Overload(memory, overflows_per_s, finding, evidence, (told, *finding.measurements))

"""Finds out whether what leaves can be seen at all, and falls back to one direction where it cannot.

Two counters tell cheaply when to look: where many acknowledgements come in and hardly a TCP segment leaves,
the answers may take another way. They prove nothing: a firewalled host under a storm of ACKs looks the same,
and a server of large files sends one merged segment for twenty acknowledgements. So the probe is asked for
live flows then, for two and a half seconds (see ``detect.senses``)::

    BOTH WAYS ──few segments leave──► look at flows ──hidden──► ONE WAY
       ▲ ▲                                  │ ▲                   │ │
       │ └──────────shown, or none──────────┘ └────some leave─────┘ │
       └───────────────────────an answer───────────────────────────┘

What comes in proves nothing: whoever spoofs can make flows that seem alive, and new clients too. But he
cannot keep this host from answering. So a SYN-ACK or a refusal that egress shows outweighs all flows:

* A look in which one was seen says nothing of hidden egress, and one that comes later takes back at once what
  was said, alert and counting alike. Where answers show in part, counting stays two-way.
* The alert is words, and flows are enough for it. It is taken back, too, when for a minute no look finds it.
* Counting changes only if new attempts came as well during the look, and not one was answered. Fewer than
  ``LEAST_ATTEMPTS`` never look like a flood, so that nothing is lost by leaving those as they are; and not
  within a minute of an answer's taking it back, or every answer could buy another change, with its doubt.

Someone who feigns all of that on a host where nobody connects gets one direction, until the next answer.
It hides no flood of a listener or a closed port, which answers, refuses, or repeats its SYN-ACKs; only SYNs
that a firewall swallows. (A completion is no such sign: a slow client's may come seconds after its answer was
seen, when nothing is any more.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from structlog.typing import FilteringBoundLogger

from synguard.detect.senses import egress_hidden
from synguard.sight import FlowReading

Visibility = Literal["auto", "both", "ingress"]

_NS_PER_S = 10**9
#: Counters are compared over this long, for connections that say little. With a look at flows after it,
#: hidden egress is found in 4 s.
WINDOW_NS = 3 * _NS_PER_S // 2
#: And over this long, so that where many are alive a doubt comes before unanswered SYNs look like a flood.
SHORT_WINDOW_NS = 2 * _NS_PER_S // 5
SAMPLE_NS = _NS_PER_S // 10
FLOWS_NS = 5 * _NS_PER_S // 2
#: Fewer acknowledgements in a window than this may be of fewer connections than it takes.
LEAST_ACKS = 20
#: Fewer segments leaving, for each acknowledgement, than this call for a look.
USUAL_SHARE = 1 / 8
#: A share that was looked into, and found to be usual here, must fall by this much to call for a look again.
FALL = 8
#: But never below this, or a look that came just as everything stopped leaving would be the last one.
LEAST_SHARE = 1 / 1024
#: While egress is hidden, so many segments leaving in a window call for a look, but not all the time.
LEAST_SEGMENTS = 5
LOOK_AGAIN_NS = 5 * _NS_PER_S
#: Whoever has looked in vain is in doubt again only after so long without a reason for it. Words that no look
#: finds true for so long are taken back, and after an answer counting stays two-way for so long.
CALM_NS = 60 * _NS_PER_S
#: So many new attempts, none of them answered, in a look that changes the way of counting.
LEAST_ATTEMPTS = 10
#: What nobody sees if egress is hidden.
ANSWERS = ("answered", "refused", "synack_retransmits")
#: After a change of direction the probe's rings hold attempts of before for so long: their completions could
#: not be seen, or are no longer inferred.
RINGS_NS = 9 * _NS_PER_S // 2


class _Sample(NamedTuple):
    time_ns: int
    ack_segments: int
    egress_tcp: int


class Egress:
    """Watches the totals, asks for flows when they seem odd, and keeps what those told.

    Args:
        visibility: ``auto``; ``both`` never falls back; ``ingress`` never looks, for so it is meant to be.
        watch_flows: lets the probe collect live flows, anew each time, or stop it.
        flows: returns the live flows collected, and how many of them egress showed.
        set_one_way: tells the probe to make do with one direction, or not.
        log: where a change of this is told.

    """

    def __init__(
        self,
        visibility: Visibility,
        watch_flows: Callable[[bool], None],
        flows: Callable[[], tuple[int, int]],
        set_one_way: Callable[[bool], None],
        log: FilteringBoundLogger,
    ) -> None:
        self.visibility = visibility
        #: The last look at flows that told anything, unless an answer has refuted it.
        self.flows: FlowReading | None = None
        self._watch_flows = watch_flows
        self._read_flows = flows
        self._set_one_way = set_one_way
        self._log = log
        self._hidden = False
        self._samples: deque[_Sample] = deque()
        self._usual_share = USUAL_SHARE
        self._looking_since_ns: int | None = None
        self._looked_ns = -LOOK_AGAIN_NS
        self._odd_ns = -CALM_NS
        self._doubts = False
        self._now_ns = 0
        self._found_ns = 0
        self._settled_ns = 0
        self._answers = 0
        self._answers_seen = False
        self._attempts = 0
        self._attempts_before = 0
        self._returned_ns = -CALM_NS
        set_one_way(visibility == "ingress")

    @property
    def in_doubt(self) -> bool:
        """Whether unanswered SYNs say nothing now.

        So it is while it is looked into, for the first time in a while, why none is answered, and for as long
        after a change as there are attempts of before it.
        """
        looks_into_it = self._looking_since_ns is not None and self._doubts and not self._answers_seen
        return looks_into_it or self._now_ns < self._settled_ns

    @property
    def one_way(self) -> bool:
        """Whether the probe makes do with one direction."""
        return self.visibility == "ingress" or (self._hidden and self.visibility == "auto")

    def look(self, now_ns: int, totals: Mapping[str, int]) -> None:
        """Take the probe's totals of a moment, and begin or end a look at flows where that is due."""
        if self.visibility == "ingress":
            return
        self._now_ns = now_ns
        self._sample(_Sample(now_ns, totals["ack_segments"], totals["egress_tcp"]))
        # What we drop has no answer, and what our cookies answer does not pass egress.
        self._attempts = totals["attempts"] - totals.get("dropped_by_us", 0)
        answers = sum(totals[name] for name in ANSWERS) - totals.get("cookies_sent", 0)
        if answers != self._answers:
            self._answers = answers
            self._hear_answer(now_ns)
        self._take_back_words(now_ns)
        if self._looking_since_ns is None:
            if self._is_due(now_ns):
                self._begin(now_ns)
        elif now_ns - self._looking_since_ns >= FLOWS_NS:
            self._end(now_ns, self._looking_since_ns)

    def _hear_answer(self, now_ns: int) -> None:
        """Believe what egress shows of handshakes, whatever flows seem to say."""
        self._answers_seen = True
        if self._hidden:
            self._returned_ns = now_ns
            self._turn(None, hidden=False)
        elif self.flows is not None and egress_hidden(self.flows):
            self.flows = None

    def _take_back_words(self, now_ns: int) -> None:
        """Forget hidden flows that changed nothing, if no look has found them for a minute."""
        is_old = now_ns - self._found_ns >= CALM_NS
        if is_old and not self._hidden and self.flows is not None and egress_hidden(self.flows):
            self.flows = None

    def _sample(self, sample: _Sample) -> None:
        samples = self._samples
        if not samples or sample.time_ns - samples[-1].time_ns >= SAMPLE_NS:
            samples.append(sample)
        while len(samples) > 1 and samples[1].time_ns <= sample.time_ns - WINDOW_NS:
            samples.popleft()

    def _rise(self, length_ns: int = WINDOW_NS) -> tuple[int, int]:
        """Return the acknowledgements in, and the TCP segments out, of the last so many nanoseconds."""
        last = self._samples[-1]
        within = [one for one in self._samples if last.time_ns - one.time_ns <= length_ns + SAMPLE_NS]
        return last.ack_segments - within[0].ack_segments, last.egress_tcp - within[0].egress_tcp

    def _is_odd(self, acks: int, segments: int) -> bool:
        return acks >= LEAST_ACKS and segments < self._usual_share * acks

    def _is_due(self, now_ns: int) -> bool:
        acks, segments = self._rise()
        if self._hidden:
            return segments >= LEAST_SEGMENTS and now_ns - self._looked_ns >= LOOK_AGAIN_NS
        if acks >= LEAST_ACKS and segments >= USUAL_SHARE * acks:
            self._usual_share = USUAL_SHARE
        is_odd = self._is_odd(acks, segments) or self._is_odd(*self._rise(SHORT_WINDOW_NS))
        if is_odd:
            self._doubts |= now_ns - self._odd_ns >= CALM_NS
            self._odd_ns = now_ns
        return is_odd

    def _begin(self, now_ns: int) -> None:
        self._watch_flows(True)
        self._looking_since_ns = now_ns
        self._answers_seen = False
        self._attempts_before = self._attempts

    def _end(self, now_ns: int, since_ns: int) -> None:
        live, shown = self._read_flows()
        self._watch_flows(False)
        self._looking_since_ns, self._looked_ns, self._doubts = None, now_ns, False
        found = FlowReading(since_ns, live, shown)
        if egress_hidden(found):
            if not self._answers_seen:
                self._find_hidden(found)
        elif live and 2 * shown >= live:
            acks, segments = self._rise()
            self._usual_share = min(USUAL_SHARE, max(LEAST_SHARE, segments / max(1, acks) / FALL))
            self._turn(found, hidden=False)

    def _find_hidden(self, found: FlowReading) -> None:
        """Say that egress is hidden, and count by one direction where new attempts go unanswered, too."""
        unanswered = self._attempts - self._attempts_before
        is_calm = self._now_ns - self._returned_ns >= CALM_NS
        self._turn(found, hidden=self._hidden or (unanswered >= LEAST_ATTEMPTS and is_calm))

    def _turn(self, found: FlowReading | None, *, hidden: bool) -> None:
        """Take over what was found, and change the way of counting if ``hidden`` is news."""
        self.flows, self._found_ns = found, self._now_ns
        if hidden == self._hidden:
            return
        self._hidden = hidden
        if self.visibility == "auto":
            self._set_one_way(hidden)
            self._settled_ns = self._now_ns + RINGS_NS
        tell = self._log.warning if hidden else self._log.info
        tell(
            "egress.hidden" if hidden else "egress.shown",
            live_flows=found.live if found else None,
            shown_on_egress=found.shown_on_egress if found else None,
            one_way=self.one_way,
        )

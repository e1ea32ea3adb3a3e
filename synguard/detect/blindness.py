"""Alerts of kind ``blind``: what the probe cannot see, since when, and what to do about it.

A silent probe looks exactly like safety, so blindness is an incident like a flood: one for each cause and
interface, with the numbers, phases and actions that floods have. What is not seen is found in ``senses``;
here it opens, goes on and closes. It closes once it has been over for 5 s (for ``close_after_s`` where that
is shorter), so that somebody who takes the probe away every second makes one alert and not a hundred.

What a person wants to hear of at three in the morning
------------------------------------------------------
* Whatever the daemon mends by itself is told all the same, and closes by itself: for up to a second, which is
  how often it looks, nobody saw anything. The alert begins when that was noticed.
* Displaced by somebody else's XDP program, the probe observes from tc. Then it is blind no more, and the
  alert closes; that nothing can be dropped any more is in that alert, and stays in ``status`` as a note.
* An interface that vanishes is told of: it may be back under another name, with all the traffic on it. One
  that was not there when the daemon started, or that is administratively down, is no news at night, for
  somebody wanted it so and nothing passes there: ``status`` has it as a note.
* Hidden egress is told of on the word of packets that come in, which somebody may have feigned; what
  keeps that from doing more than it should is told in ``daemon.egress``.
* A quiet interface is not blind, nor is one that answers nobody, nor one that by the operator's word
  (``probe.visibility = "ingress"``) shows one direction only.

======================================  ========  ==========================================================
cause                                   severity  because
======================================  ========  ==========================================================
detached, replaced, stalled,            high      floods may pass without a word, or good clients be taken
egress-hidden                                     for one
missing, updates-failing,               medium    what is left unseen is bounded, or nothing may pass there
reader-behind                                     at all
======================================  ========  ==========================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from synguard.detect.incidents import wall_s
from synguard.detect.lifecycle import UPDATE_EVERY_NS, Phase, Word, moved
from synguard.detect.senses import Finding, Key, Senses
from synguard.detect.thresholds import NS_PER_S
from synguard.detect.timeline import Timeline
from synguard.model import (
    Action,
    Alert,
    AlertClosed,
    AlertKind,
    AlertOpened,
    AlertState,
    AlertUpdated,
    ClosedBecause,
    Evidence,
    Severity,
    Snapshot,
)
from synguard.sight import BlindCause

#: An incident closes after it has been over for so long, at most.
SETTLED_NS = 5 * NS_PER_S

SEVERITIES = {
    BlindCause.DETACHED: Severity.HIGH,
    BlindCause.REPLACED: Severity.HIGH,
    BlindCause.STALLED: Severity.HIGH,
    BlindCause.EGRESS_HIDDEN: Severity.HIGH,
    BlindCause.MISSING: Severity.MEDIUM,
    BlindCause.UPDATES_FAILING: Severity.MEDIUM,
    BlindCause.READER_BEHIND: Severity.MEDIUM,
}


@dataclass(slots=True, eq=False)
class BlindIncident:
    """One thing that is not seen, from when it was found until it is over for good."""

    id: int
    #: What was found last; told of as long as nothing newer is.
    finding: Finding
    started_at_s: float
    #: Until when it was not seen, so far.
    blind_until_ns: int
    last_blind_s: float
    phase: Phase = Phase.OPEN
    #: How often it began anew.
    times: int = 1
    told_ns: int = 0
    told: Alert | None = None
    timeline: Timeline = field(default_factory=Timeline)

    def hear(self, word: Word) -> None:
        """Move to the phase that ``word`` leads to; KeyError where none does, which is our own fault."""
        self.phase = moved(self.phase, word)

    def take(self, finding: Finding, snapshot: Snapshot) -> None:
        """Note what a snapshot found: that it goes on, has come again, or is over since a moment.

        A moment that is yet to come is one of a clock that is gone: what ended then has ended by now.
        """
        is_over = finding.until_ns is not None
        is_known = self.told is not None and finding.times == self.finding.times
        if finding.since_ns != self.finding.since_ns and (is_over or self.phase is Phase.CLOSING):
            self.times += 1
        self.finding = finding
        until_ns = snapshot.time_ns
        if finding.until_ns is not None:
            until_ns = self.blind_until_ns if is_known else min(finding.until_ns, until_ns)
        if until_ns > self.blind_until_ns:
            self.blind_until_ns = until_ns
            self.last_blind_s = max(self.started_at_s, wall_s(until_ns, snapshot))
        self.hear(Word.QUIET if is_over else Word.SEEN)

    def alert(self, because: ClosedBecause | None = None, ended_at_s: float | None = None) -> Alert:
        """Return the incident's alert as it stands: closed where it is said why."""
        return Alert(
            id=self.id,
            kind=AlertKind.BLIND,
            alert_class=None,
            severity=SEVERITIES[self.finding.cause],
            state=AlertState.OPEN if because is None else AlertState.CLOSED,
            started_at_s=self.started_at_s,
            listener=None,
            source=None,
            closed_because=because,
            ended_at_s=ended_at_s,
            evidence=tuple(self._evidence()),
            measurements=self.finding.measurements,
            timeline=self.timeline.changes(),
        )

    def _evidence(self) -> Iterator[Evidence]:
        words = self.finding.words
        yield Evidence("cause", str(self.finding.cause), 0.0)
        if self.finding.interface is not None:
            yield Evidence("interface", self.finding.interface, 0.0)
        yield Evidence("not_seen", words.not_seen, 1.0)
        yield Evidence("since", _moment(self.started_at_s), 0.0)
        if self.phase is not Phase.OPEN:
            yield Evidence("until", _moment(self.last_blind_s), 0.0)
        if self.times > 1:
            yield Evidence("times", self.times, 0.0)
        if words.outcome:
            yield Evidence("outcome", words.outcome, 0.0)
        yield Evidence("to_do", words.to_do, 0.0)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


class Blindness:
    """Turns what snapshots say of the probe's sight into openings, updates and closings of alerts."""

    def __init__(self, close_after_s: float, take_id: Callable[[], int]) -> None:
        self.adjust(close_after_s)
        self._take_id = take_id
        self._senses = Senses()
        self._incidents: dict[Key, BlindIncident] = {}
        #: When what was told of last began, by key; a finding that is over stays in the snapshots.
        self._told_since_ns: dict[Key, int] = {}

    def adjust(self, close_after_s: float) -> None:
        """Close by this from now on."""
        self._settled_ns = min(SETTLED_NS, round(close_after_s * NS_PER_S))

    def observe(self, snapshot: Snapshot) -> tuple[Action, ...]:
        """Return what a snapshot changes, in this order: openings, updates, closings."""
        opened = []
        seen = set()
        for finding in self._senses.findings(snapshot):
            seen.add(finding.key)
            if finding.key in self._incidents:
                self._incidents[finding.key].take(finding, snapshot)
            elif finding.since_ns != self._told_since_ns.get(finding.key):
                opened.append(AlertOpened(self._open(finding, snapshot)))
            self._told_since_ns[finding.key] = finding.since_ns
        for key, incident in self._incidents.items():
            if key not in seen:
                incident.hear(Word.QUIET)
        return (*opened, *self._updates(snapshot), *self._closings(snapshot))

    def rewind(self, now_ns: int) -> None:
        """Forget what belongs to a clock that is gone; what is open stays so, and may close in its time."""
        self._senses = Senses()
        for incident in self._incidents.values():
            incident.blind_until_ns = incident.told_ns = now_ns

    def stop(self, ended_at_s: float) -> tuple[AlertClosed, ...]:
        """Close everything because the daemon stops."""
        closed = []
        for incident in self._incidents.values():
            incident.hear(Word.STOPPED)
            ended_at_s = max(ended_at_s, incident.started_at_s)
            incident.timeline.note(
                ended_at_s, "state", AlertState.OPEN, AlertState.CLOSED, "synguard was stopped"
            )
            closed.append(AlertClosed(incident.alert(ClosedBecause.STOPPED, ended_at_s)))
        self._incidents.clear()
        return tuple(closed)

    def open_alerts(self) -> tuple[Alert, ...]:
        """Return the open alerts as they stand, the oldest first."""
        return tuple(incident.alert() for incident in self._incidents.values())

    def _open(self, finding: Finding, snapshot: Snapshot) -> Alert:
        since_ns = min(finding.since_ns, snapshot.time_ns)
        started_at_s = wall_s(since_ns, snapshot)
        begun = BlindIncident(self._take_id(), finding, started_at_s, since_ns, started_at_s)
        begun.take(finding, snapshot)
        begun.timeline.note(snapshot.wall_s, "state", None, AlertState.OPEN)
        begun.told_ns, begun.told = snapshot.time_ns, begun.alert()
        self._incidents[finding.key] = begun
        return begun.told

    def _updates(self, snapshot: Snapshot) -> Iterator[AlertUpdated]:
        for incident in self._incidents.values():
            alert = incident.alert()
            if snapshot.time_ns - incident.told_ns >= UPDATE_EVERY_NS and alert != incident.told:
                incident.told_ns, incident.told = snapshot.time_ns, alert
                yield AlertUpdated(alert)

    def _closings(self, snapshot: Snapshot) -> Iterator[AlertClosed]:
        for key, incident in list(self._incidents.items()):
            over_ns = snapshot.time_ns - incident.blind_until_ns
            if incident.phase is Phase.CLOSING and over_ns >= self._settled_ns:
                incident.hear(Word.EXPIRED)
                incident.timeline.note(
                    snapshot.wall_s, "state", AlertState.OPEN, AlertState.CLOSED, "it ended"
                )
                del self._incidents[key]
                yield AlertClosed(incident.alert(ClosedBecause.ENDED, incident.last_blind_s))

"""Finds SYN floods in snapshots of what the probe counted.

How it thinks
-------------
Every SYN that opens a handshake is an *attempt*. Most complete within a round trip; those of a flood never
do. But an unfinished attempt may also be just young: a crowd from 200 ms away has completed nothing in
its first 200 ms. So nothing is called *half-open* before it is older than handshakes take here, and
what is judged is not a difference of counters but *cohorts*: the attempts that began in one slice of time,
with the completions of those very attempts. A cohort that is old enough has its final figures, whatever the
traffic does meanwhile.

One snapshot passes through these steps, a module each:

1. ``memory``: who was named is remembered; how long a listener's handshakes take is learned
   (``allowance``), unless an alert is open on it, since what a flood leaves is not usual. Sources that
   merely wait for an answer, as clients of a server under somebody else's flood do, are left out of the rest.
2. ``listeners`` and ``sources``: each is held against the thresholds, on windows of matured cohorts
   (``windows``) and beyond statistical doubt (``statistics``). A source that asks many targets a few
   times each is a scan, and raises nothing here.
3. ``attribution``: the probe counts sources and listeners apart; cohort by cohort it is found out
   which source explains whose half-open attempts.
4. ``classify``: a listener's flood is called after the one source that makes half of it, or else
   spoofed if the evidence says so, or else distributed.
5. ``lifecycle``: an incident opens, is refined while it lasts, pauses, and closes.

Beside them ``blindness`` says what the probe cannot see. While it is being found out whether answers show at
all, no flood is opened: clients whose answers leave another way look just like one.

A source's flood inside a listener's is the same incident. A source is named on its own only where no
listener's window shows the flood: a busy listener hides it among its good traffic.

There is no clock here. Time is what the snapshots say, and the same snapshots give the same actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from synguard.detect.allowance import HandshakeTimes
from synguard.detect.blindness import Blindness
from synguard.detect.classify import Verdict, classify
from synguard.detect.incidents import (
    begin_on_listener,
    begin_on_source,
    follow_listener,
    follow_source,
    refine,
)
from synguard.detect.lifecycle import Incident, Phase, Word
from synguard.detect.listeners import MAIN_SHARE, main_source
from synguard.detect.memory import ListenerMemory, ListenerView, Memory
from synguard.detect.scene import Scene
from synguard.detect.sources import SourceJudgement
from synguard.detect.thresholds import NS_PER_MS, NS_PER_S, Thresholds
from synguard.detect.windows import Window, half_open_within
from synguard.endpoint import Listener, Network
from synguard.model import (
    Action,
    Alert,
    AlertClass,
    AlertClosed,
    AlertOpened,
    AlertUpdated,
    ClosedBecause,
    Snapshot,
)

#: An alert is told of again after this long, and at once when its class changes.
UPDATE_EVERY_NS = NS_PER_S
#: A flood that seems distributed waits this long for the probe to name the one source that it may have.
WAIT_FOR_SOURCE_NS = 150 * NS_PER_MS

_ORDER = (AlertOpened, AlertUpdated, AlertClosed)


class Detector:
    """Turns snapshots into the openings, updates and closings of alerts."""

    def __init__(self, thresholds: Thresholds, next_alert_id: int) -> None:
        self._thresholds = thresholds
        self._next_id = next_alert_id
        self._memory = Memory()
        self._incidents: dict[Listener | Network, Incident] = {}
        self._now_ns = 0
        self._slice_ns = 1
        self._not_opened = 0
        self._blindness = Blindness(thresholds.close_after_s, self._take_id)

    def observe(self, snapshot: Snapshot) -> tuple[Action, ...]:
        """Return what a snapshot changes, in this order: openings, updates, closings.

        A snapshot older than the one before says that the kernel's clock is another one now: everything
        learned is forgotten, open alerts stay, and the closing time of those starts anew.
        """
        rewound = snapshot.time_ns < self._now_ns
        self._now_ns, self._slice_ns = snapshot.time_ns, snapshot.listener_cohort_ns
        if rewound:
            self._rewind()
            return ()
        alarmed = self.suspects()
        self._memory.meet(snapshot, alarmed)
        snapshot = self._without_waiting(snapshot)
        scene = Scene(snapshot, self._memory, self._thresholds)
        for memory in scene.calm_listeners(alarmed):
            memory.learn_usual(snapshot, max(NS_PER_S, memory.times.allowance_ns(self._thresholds)))
        refined = self._follow(scene)
        actions = [*self._blindness.observe(snapshot)]
        if not snapshot.sight.egress_in_doubt:
            actions += [*self._open_on_listeners(scene), *self._open_on_sources(scene)]
        actions += [*self._updates(refined), *self._closings()]
        return tuple(sorted(actions, key=lambda action: _ORDER.index(type(action))))

    def stop(self, wall_s: float) -> tuple[AlertClosed, ...]:
        """Close all open alerts because the daemon stops, at wall-clock time ``wall_s``."""
        closed = list(self._blindness.stop(wall_s))
        for incident in self._incidents.values():
            incident.hear(Word.STOPPED)
            ended_at_s = max(wall_s, incident.started_at_s)
            closed.append(AlertClosed(incident.alert(ClosedBecause.STOPPED, ended_at_s)))
        self._incidents.clear()
        return tuple(closed)

    def open_alerts(self) -> tuple[Alert, ...]:
        """Return the open alerts as they stand, the oldest first."""
        alerts = [incident.alert() for incident in self._incidents.values()]
        return tuple(sorted([*self._blindness.open_alerts(), *alerts], key=lambda alert: alert.id))

    def suspects(self) -> frozenset[Listener]:
        """Return the listeners whose queues should be read: those of open incidents."""
        return frozenset(incident.listener for incident in self._incidents.values() if incident.listener)

    def listener_view(self, listener: Listener) -> ListenerView:
        """Return what is known of a listener beyond its counts; what is not known of it is None."""
        memory = self._memory.listeners.get(listener)
        if memory is None:
            allowance_ms = HandshakeTimes().allowance_ns(self._thresholds) / NS_PER_MS
            return ListenerView(allowance_ms, None, None, None, 0.0)
        return memory.view(self._thresholds, self._now_ns, self._slice_ns)

    @property
    def losses(self) -> Mapping[str, int]:
        """Return what the detector's own bounds kept it from doing, as counts by name."""
        return {"alerts_not_opened": self._not_opened}

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _rewind(self) -> None:
        self._memory.clear()
        self._blindness.rewind(self._now_ns)
        for incident in self._incidents.values():
            incident.seen_until_ns = incident.looked_ns = incident.judged_until_ns = self._now_ns
            incident.told_ns = self._now_ns
            incident.other_class = None

    def _without_waiting(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot less the sources that merely wait for an answer: they are nobody's flooders.

        One that is named already fills queues itself, and so gets no answer any more.
        """
        named = {name for incident in self._incidents.values() for name in (incident.basis, incident.source)}
        sources = tuple(
            reading
            for reading in snapshot.sources
            if reading.source in named
            or not self._memory.sources[reading.source].is_waiting(snapshot.time_ns)
        )
        return replace(snapshot, sources=sources)

    def _follow(self, scene: Scene) -> list[Incident]:
        """Take a snapshot's word on every open incident; return those that got another class."""
        refined = []
        for incident in self._incidents.values():
            seen_until_ns = incident.seen_until_ns
            if isinstance(incident.basis, Listener):
                if self._follow_on_listener(incident, incident.basis, scene):
                    refined.append(incident)
            else:
                self._follow_on_source(incident, incident.basis, scene)
            if incident.seen_until_ns == seen_until_ns < self._now_ns:
                incident.hear(Word.QUIET)
        return refined

    def _follow_on_listener(self, incident: Incident, listener: Listener, scene: Scene) -> bool:
        memory = self._memory.listeners.get(listener)
        if memory is None or memory.met_ns != self._now_ns:
            return False
        judgement = scene.listeners.get(listener)
        allowance_ns = memory.times.allowance_ns(self._thresholds)
        follow_listener(incident, memory, judgement, scene.snapshot, allowance_ns)
        if judgement is None or judgement.holding is None:
            return False
        return refine(incident, judgement, scene.snapshot, scene.attribution, self._memory)

    def _follow_on_source(self, incident: Incident, source: Network, scene: Scene) -> None:
        memory = self._memory.sources.get(source)
        if memory is None or memory.met_ns != self._now_ns:
            return
        follow_source(incident, memory, scene.sources.get(source), scene.snapshot, scene.source_allowance_ns)

    def _open_on_listeners(self, scene: Scene) -> Iterator[AlertOpened]:
        """Open an incident for each listener that is under a flood, unless one tells of it already."""
        for judgement, window in scene.raised_listeners():
            listener = judgement.reading.listener
            if listener in self._incidents:
                continue
            verdict = classify(judgement, scene.snapshot, scene.attribution.sources_of(listener))
            known = self._incident_of_source(listener, verdict.source, window, scene)
            if known is not None:
                known.listener = known.listener or listener
            elif not self._is_worth_waiting(verdict, window, judgement.memory):
                begun = begin_on_listener(
                    self._next_id, judgement, window, verdict, scene.snapshot, self._thresholds
                )
                yield from self._open(begun, scene, judgement.allowance_ns)

    def _incident_of_source(
        self, listener: Listener, source: Network | None, window: Window, scene: Scene
    ) -> Incident | None:
        """Return the incident of a source that tells of a listener's flood already, if one does."""
        for incident in self._incidents.values():
            if isinstance(incident.basis, Listener):
                continue
            if incident.basis == source:
                return incident
            memory = self._memory.sources.get(incident.basis)
            if incident.listener == listener and memory is not None:
                half_open = half_open_within(memory.reading.cohorts, window, scene.snapshot.source_cohort_ns)
                if half_open >= MAIN_SHARE * window.half_open:
                    return incident
        return None

    def _is_worth_waiting(self, verdict: Verdict, window: Window, memory: ListenerMemory) -> bool:
        """Tell whether a flood that seems to come from some real sources may yet turn out to be one's."""
        is_young = self._now_ns - window.busy_from_ns < NS_PER_S
        if verdict.alert_class is not AlertClass.DISTRIBUTED or not is_young:
            return False
        if memory.suspected_ns is None:
            memory.suspected_ns = self._now_ns
        return self._now_ns - memory.suspected_ns < WAIT_FOR_SOURCE_NS

    def _open_on_sources(self, scene: Scene) -> Iterator[AlertOpened]:
        """Open an incident for each source that floods, unless it has part in one already."""
        for judgement, window in scene.raised_sources():
            if not self._is_told_of(judgement, scene):
                main = main_source(list(scene.attribution.homes(judgement.reading)))
                listener, number = main.listener if main else None, self._next_id
                begun = begin_on_source(number, judgement, window, listener, scene.snapshot, self._thresholds)
                yield from self._open(begun, scene, judgement.allowance_ns)

    def _is_told_of(self, judgement: SourceJudgement, scene: Scene) -> bool:
        """Tell whether a source's flood is part of an incident, or is about to be."""
        source = judgement.reading.source
        if any(source in (incident.basis, incident.source) for incident in self._incidents.values()):
            return True
        homes = scene.attribution.homes(judgement.reading)
        return any(self._is_suspected_or_open(share.listener) for share in homes)

    def _is_suspected_or_open(self, listener: Listener) -> bool:
        """Tell whether a listener's flood is seen now; one that pauses tells of no other."""
        incident = self._incidents.get(listener)
        if incident is not None:
            return incident.phase is Phase.OPEN
        return self._memory.listeners[listener].suspected_ns is not None

    def _open(self, incident: Incident, scene: Scene, allowance_ns: int) -> Iterator[AlertOpened]:
        if len(self._incidents) >= self._thresholds.max_open_alerts:
            self._not_opened += 1
            return
        self._next_id += 1
        self._incidents[incident.basis] = incident
        if isinstance(incident.basis, Listener):
            self._follow_on_listener(incident, incident.basis, scene)
        else:
            self._follow_on_source(incident, incident.basis, scene)
        # Its attempts may be younger than what keeps an incident open looks at: it is not quiet till then.
        incident.seen_until_ns = self._now_ns + max(NS_PER_S, allowance_ns)
        incident.told_ns, incident.told = self._now_ns, incident.alert()
        yield AlertOpened(incident.told)

    def _updates(self, refined: list[Incident]) -> Iterator[AlertUpdated]:
        for incident in self._incidents.values():
            if self._now_ns - incident.told_ns < UPDATE_EVERY_NS and incident not in refined:
                continue
            alert = incident.alert()
            if alert != incident.told:
                incident.told_ns, incident.told = self._now_ns, alert
                yield AlertUpdated(alert)

    def _closings(self) -> Iterator[AlertClosed]:
        close_after_ns = round(self._thresholds.close_after_s * NS_PER_S)
        for basis, incident in list(self._incidents.items()):
            quiet_ns = self._now_ns - incident.seen_until_ns
            if incident.phase is Phase.CLOSING and quiet_ns >= close_after_ns:
                incident.hear(Word.EXPIRED)
                del self._incidents[basis]
                yield AlertClosed(incident.alert(ClosedBecause.ENDED, incident.last_seen_s))

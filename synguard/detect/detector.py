"""Snapshots in, actions out: the detection core.

A client's handshake completes within what is usual at its listener, or in a round trip; those of a flood
never do. But an unfinished attempt may also be just young: a crowd from 200 ms away has completed nothing
in its first 200 ms. So nothing is called *half-open* before it is older than handshakes take here, and
what is judged is not a difference of counters but *cohorts*: the attempts that began in one slice of
time, with the completions of those very attempts. A cohort that is old enough has its final figures,
whatever the traffic does meanwhile.

One snapshot passes through these steps, a module each:

1. ``memory``: who was named is remembered; how long a listener's handshakes take is learned
   (``allowance``), and what is usual there (``baseline``), unless an alert is open on it, since what a
   flood leaves is not usual.
2. ``scene``: ``listeners``, ``sources`` and ``prefixes`` are held against the thresholds, on windows of
   matured cohorts (``windows``) and beyond statistical doubt (``statistics``), and listeners against what
   is usual (``shift``). Who merely waits for an answer, as clients of a slow server do, is left out
   (``overload``).
3. ``attribution``: the probe counts sources and listeners apart; cohort by cohort it is found out
   which source explains whose half-open attempts.
4. ``opening`` and ``classify``: a flood is called after the one source or prefix that makes half of it,
   or else spoofed if the ``evidence`` says so, or else distributed. Listeners that are attacked alike are
   one incident.
5. ``incident`` and ``lifecycle``: an incident opens, is refined while it lasts, pauses, and closes. How much
   it matters is told by ``severity``, from its margin and its ``impact``.
6. ``others``: what is no flood (``scans``, ``overload``, ``reflection``) goes its own way to an alert
   (``occurrences``).

Beside them ``blindness`` says what the probe cannot see. While it is being found out whether answers show at
all, no flood is opened: clients whose answers leave another way look just like one.

A source's flood inside a listener's is the same incident. A source is named on its own only where no
listener's window shows the flood: a busy listener hides it among its good traffic.

There is no clock here. Time is what the snapshots say, and the same snapshots give the same actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synguard.detect.blindness import Blindness
from synguard.detect.impact import Impact
from synguard.detect.incident import Basis, Incident, distinct
from synguard.detect.incidents import follow, refine, spare_live_source
from synguard.detect.lifecycle import UPDATE_EVERY_NS, Phase, Word
from synguard.detect.listener_memory import ListenerView
from synguard.detect.memory import Memory
from synguard.detect.occurrences import Occurrences
from synguard.detect.opening import Opening
from synguard.detect.others import Others
from synguard.detect.scans import what_is_scanned
from synguard.detect.scene import Scene, without_trusted
from synguard.detect.thresholds import NS_PER_S, Thresholds
from synguard.detect.view import Views
from synguard.endpoint import Listener, Network
from synguard.model import (
    Action,
    Alert,
    AlertClosed,
    AlertKind,
    AlertOpened,
    AlertState,
    AlertUpdated,
    ClosedBecause,
    Snapshot,
)

#: Listeners whose queues are asked for, at most.
MOST_SUSPECTS = 64

_ORDER = (AlertOpened, AlertUpdated, AlertClosed)


class Detector:
    """Turns snapshots into the openings, updates and closings of alerts."""

    def __init__(
        self,
        thresholds: Thresholds,
        next_alert_id: int,
        baselines: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Begin with nothing but what earlier detectors learned, as :meth:`baselines` returned it."""
        self._thresholds = thresholds
        self._next_id = next_alert_id
        self._memory = Memory(baselines or {})
        self._impact = Impact()
        #: Each incident under everybody whom it is on.
        self._incidents: dict[Basis, Incident] = {}
        self._opening = Opening()
        self._others = Others()
        self._occurrences = Occurrences(thresholds, self._take_id_if_room)
        self._blindness = Blindness(thresholds.close_after_s, self._take_id)
        self._now_ns = 0
        self._slice_ns = 1
        self._not_opened = 0
        self._suspects: frozenset[Listener] = frozenset()
        self._hurries = False

    def adjust(self, thresholds: Thresholds) -> None:
        """Judge by these from the next snapshot on; what is open and what was learned stays."""
        self._thresholds = thresholds
        self._occurrences.adjust(thresholds)
        self._blindness.adjust(thresholds.close_after_s)

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
        if snapshot.server is not None:
            self._impact.take(snapshot.server, snapshot.totals.get("cookies_sent", 0))
        snapshot = without_trusted(snapshot, self._thresholds)
        alarmed = self._alarmed()
        self._memory.meet(snapshot, alarmed)
        scene = Scene(snapshot, self._memory, self._thresholds, self._impact, self._named())
        self._learn(scene, alarmed)
        refined = self._follow(scene)
        actions = [*self._blindness.observe(snapshot)]
        if not snapshot.sight.egress_in_doubt:
            actions += self._open(scene)
        happened = self._occurrences.observe(self._others.find(scene), snapshot)
        self._end_scans(happened)
        actions += happened
        actions += [*self._updates(refined), *self._closings()]
        self._suspects = self._find_suspects(scene)
        self._hurries = any(
            judged.is_pressed for key, judged in scene.listeners.items() if key not in alarmed
        )
        return tuple(sorted(actions, key=lambda action: _ORDER.index(type(action))))

    def stop(self, wall_s: float) -> tuple[AlertClosed, ...]:
        """Close all open alerts because the daemon stops, at wall-clock time ``wall_s``."""
        closed = [*self._blindness.stop(wall_s), *self._occurrences.stop(wall_s)]
        for incident in distinct(self._incidents.values()):
            incident.hear(Word.STOPPED)
            incident.timeline.note(
                wall_s, "state", AlertState.OPEN, AlertState.CLOSED, "synguard was stopped"
            )
            ended_at_s = max(wall_s, incident.started_at_s)
            closed.append(AlertClosed(incident.alert(ClosedBecause.STOPPED, ended_at_s)))
        self._incidents.clear()
        return tuple(closed)

    def open_alerts(self) -> tuple[Alert, ...]:
        """Return the open alerts as they stand, the oldest first."""
        alerts = [incident.alert() for incident in distinct(self._incidents.values())]
        alerts += [*self._blindness.open_alerts(), *self._occurrences.open_alerts()]
        return tuple(sorted(alerts, key=lambda alert: alert.id))

    def suspects(self) -> frozenset[Listener]:
        """Return the listeners whose queues are worth a look now, at most 64."""
        return self._suspects

    @property
    def hurries(self) -> bool:
        """Tell whether a flood may be beginning, so that the next snapshot is worth having soon."""
        return self._hurries

    def baselines(self) -> dict[str, dict[str, Any]]:
        """Return what was learned of each listener, by its text, ready for JSON."""
        return self._memory.baselines()

    def listener_view(self, listener: Listener) -> ListenerView:
        """Return what is known of a listener beyond its counts; what is not known of it is None."""
        return self.views().listener(listener)

    def views(self) -> Views:
        """Return what people may look at, as of the last snapshot."""
        return Views(self._memory, self._impact, self._thresholds, (self._now_ns, self._slice_ns))

    @property
    def losses(self) -> Mapping[str, int]:
        """Return what the detector's own bounds kept it from doing, as counts by name."""
        return {
            "alerts_not_opened": self._not_opened + self._occurrences.not_opened,
            "baselines_unreadable": self._memory.unreadable,
        }

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _take_id_if_room(self) -> int | None:
        """Return the next alert's id; None, and count it, where too many are open."""
        open_alerts = len(distinct(self._incidents.values())) + self._occurrences.count()
        if open_alerts >= self._thresholds.max_open_alerts:
            self._not_opened += 1
            return None
        return self._take_id()

    def _rewind(self) -> None:
        self._memory.clear()
        self._opening.clear()
        self._occurrences.rewind(self._now_ns)
        self._blindness.rewind(self._now_ns)
        for incident in distinct(self._incidents.values()):
            incident.opened_ns = incident.seen_until_ns = incident.told_ns = self._now_ns
            incident.other_class = None
            for member in incident.members.values():
                member.looked_ns = member.judged_until_ns = self._now_ns

    def _alarmed(self) -> frozenset[Listener]:
        """Return the listeners that an open incident is on: what comes to them is not usual."""
        incidents = distinct(self._incidents.values())
        return frozenset(listener for incident in incidents for listener in incident.listeners())

    def _named(self) -> frozenset[Network]:
        """Return the sources that open incidents name: whoever floods waits for answers, too."""
        bases = (basis for basis in self._incidents if not isinstance(basis, Listener))
        named = (incident.source for incident in self._incidents.values() if incident.source is not None)
        return frozenset([*bases, *named])

    def _learn(self, scene: Scene, alarmed: frozenset[Listener]) -> None:
        calm = {id(memory) for memory in scene.calm_listeners(alarmed)}
        for reading in scene.snapshot.listeners:
            memory = self._memory.listeners[reading.listener]
            memory.take_second(scene.snapshot, calm=id(memory) in calm)

    def _end_scans(self, actions: tuple[Action, ...]) -> None:
        """Let what a scan that is over has done make no second one."""
        for alert in (action.alert for action in actions if isinstance(action, AlertClosed)):
            source = self._memory.sources.get(alert.source) if alert.source is not None else None
            if alert.kind is AlertKind.SCAN and source is not None:
                source.end_scan(what_is_scanned(alert.alert_class))

    def _find_suspects(self, scene: Scene) -> frozenset[Listener]:
        judged = sorted(
            (listener for listener in scene.listeners if listener.port != 0),
            key=lambda listener: (-scene.listeners[listener].reading.counts.attempts, str(listener)),
        )
        wanted = [*self._alarmed(), *self._opening.suspected(), *judged]
        if self._impact.strained:
            wanted += [reading.listener for reading in scene.snapshot.listeners if reading.listener.port != 0]
        return frozenset(wanted[:MOST_SUSPECTS])

    def _follow(self, scene: Scene) -> list[Incident]:
        """Take a snapshot's word on every open incident; return those that got another class."""
        refined = []
        incidents = distinct(self._incidents.values())
        for incident in incidents:
            follow(incident, scene)
            told = [other.source for other in incidents if other is not incident]
            going_on = [
                judgement
                for basis in incident.members
                if isinstance(basis, Listener)
                and (judgement := scene.listeners.get(basis)) is not None
                and judgement.holding is not None
            ]
            if (going_on and refine(incident, going_on, scene, told)) or spare_live_source(incident, scene):
                refined.append(incident)
        return refined

    def _open(self, scene: Scene) -> Iterator[AlertOpened]:
        for incident in self._opening.begun(scene, self._incidents):
            number = self._take_id_if_room()
            if number is None:
                continue
            incident.id = number
            incident.hear(Word.CONFIRMED)
            for basis in incident.members:
                self._incidents[basis] = incident
            incident.timeline.note(scene.snapshot.wall_s, "state", None, AlertState.OPEN)
            incident.opened_ns = self._now_ns
            follow(incident, scene)
            incident.told_ns, incident.told = self._now_ns, incident.alert()
            yield AlertOpened(incident.told)

    def _updates(self, refined: list[Incident]) -> Iterator[AlertUpdated]:
        for incident in distinct(self._incidents.values()):
            if self._now_ns - incident.told_ns < UPDATE_EVERY_NS and incident not in refined:
                continue
            alert = incident.alert()
            if alert != incident.told:
                incident.told_ns, incident.told = self._now_ns, alert
                yield AlertUpdated(alert)

    def _closings(self) -> Iterator[AlertClosed]:
        close_after_ns = round(self._thresholds.close_after_s * NS_PER_S)
        for incident in distinct(self._incidents.values()):
            quiet_ns = self._now_ns - incident.seen_until_ns
            if incident.phase is Phase.CLOSING and quiet_ns >= close_after_ns:
                incident.hear(Word.EXPIRED)
                for basis in incident.members:
                    del self._incidents[basis]
                at_s = incident.last_seen_s
                incident.timeline.note(at_s, "state", AlertState.OPEN, AlertState.CLOSED, "it ended")
                yield AlertClosed(incident.alert(ClosedBecause.ENDED, at_s))

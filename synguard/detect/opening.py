"""Which incidents a snapshot begins: what is raised and no part of one that is open already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping

from synguard.detect.classify import Verdict, classify
from synguard.detect.incident import MOST_MEMBERS, Basis, Incident, distinct
from synguard.detect.incidents import (
    begin_on_listener,
    begin_on_prefix,
    begin_on_source,
    member_of,
)
from synguard.detect.lifecycle import Phase, Word
from synguard.detect.listeners import MAIN_SHARE, ListenerJudgement
from synguard.detect.prefixes import is_in, widest
from synguard.detect.scene import Scene
from synguard.detect.sources import SourceJudgement
from synguard.detect.thresholds import NS_PER_MS, NS_PER_S
from synguard.detect.windows import Window, half_open_within
from synguard.endpoint import Listener, Network
from synguard.model import AlertClass

#: A flood that seems distributed waits this long for the probe to name the one source that it may have.
WAIT_FOR_SOURCE_NS = 150 * NS_PER_MS
#: Most of a listener's unfinished attempts are no flood's where this share (0..1) is refused or waits.
EXCUSED_SHARE = 0.5

Incidents = MutableMapping[Basis, Incident]


class Opening:
    """Finds the incidents that begin; remembers those that are only suspected."""

    def __init__(self) -> None:
        #: Floods that may yet turn out to be one source's, with the moment since when they are suspected.
        self._suspected: dict[Listener, tuple[Incident, int]] = {}

    def suspected(self) -> Iterable[Listener]:
        """Return the listeners whose flood is seen, and not yet told of."""
        return self._suspected.keys()

    def clear(self) -> None:
        """Forget what is only suspected."""
        self._suspected.clear()

    def begun(self, scene: Scene, incidents: Incidents) -> Iterator[Incident]:
        """Yield the incidents that begin with a snapshot; what joins an open one does so.

        ``incidents`` has every one yielded before the next is asked for.
        """
        raised = scene.raised_listeners()
        self._calm({judgement.reading.listener for judgement, _ in raised})
        for judgement, window in raised:
            yield from self._on_listener(judgement, window, scene, incidents)
        for judgement_of_source, window in scene.raised_sources():
            if not self._is_told_of(judgement_of_source, scene, incidents):
                homes = scene.attribution.homes(judgement_of_source.reading)
                targets = [share.listener for share in homes if share.share >= MAIN_SHARE][:1]
                yield begin_on_source(judgement_of_source, window, targets, scene)
        for judgement_of_prefix, window in scene.raised_prefixes():
            yield from self._on_prefix(judgement_of_prefix, window, scene, incidents)

    def _calm(self, raised: set[Listener]) -> None:
        """Drop the suspicion of listeners that are not under a flood any more: nobody was told."""
        for listener in [listener for listener in self._suspected if listener not in raised]:
            incident, _ = self._suspected.pop(listener)
            incident.hear(Word.QUIET)

    def _on_listener(
        self, judgement: ListenerJudgement, window: Window, scene: Scene, incidents: Incidents
    ) -> Iterator[Incident]:
        listener = judgement.reading.listener
        if listener in incidents:
            return
        verdict = classify(judgement, scene)
        known = _incident_of_source(listener, verdict.source, window, scene, incidents)
        if known is not None:
            if listener not in known.targets and len(known.targets) < MOST_MEMBERS:
                known.targets.append(listener)
            return
        if judgement.is_slow and verdict.alert_class is AlertClass.PREFIX:
            return  # a reflection, or it will be a prefix's flood once it is above a threshold
        begun = begin_on_listener(judgement, window, verdict, scene)
        if self._is_worth_waiting(begun, window, listener, scene):
            return
        self._suspected.pop(listener, None)
        group = _group_of(verdict, judgement, incidents)
        if group is None:
            yield begun
            return
        at_s = scene.snapshot.wall_s
        group.timeline.note(at_s, "listener", None, listener, "attacked in the same way")
        group.members[listener] = member_of(judgement, window)
        incidents[listener] = group

    def _is_worth_waiting(self, begun: Incident, window: Window, listener: Listener, scene: Scene) -> bool:
        """Tell whether a flood that seems to come from some real sources may yet turn out to be one's."""
        now_ns = scene.snapshot.time_ns
        is_young = now_ns - window.busy_from_ns < NS_PER_S
        if begun.alert_class is not AlertClass.DISTRIBUTED or not is_young:
            return False
        incident, since_ns = self._suspected.setdefault(listener, (begun, now_ns))
        incident.hear(Word.SEEN)
        return now_ns - since_ns < WAIT_FOR_SOURCE_NS

    def _on_prefix(
        self, judgement: SourceJudgement, window: Window, scene: Scene, incidents: Incidents
    ) -> Iterator[Incident]:
        """Begin a prefix's flood, unless a listener's or a source's tells of it, or clients merely wait."""
        prefix = judgement.reading.source
        if widest(prefix) in incidents or any(
            incident.source is not None and is_in(incident.source, widest(prefix))
            for incident in incidents.values()
        ):
            return
        home = scene.attribution.home_of(judgement.reading)
        if home is not None:
            known = scene.listeners.get(home)
            if self._is_suspected_or_open(home, incidents):
                return
            if known is not None and known.excused_share >= EXCUSED_SHARE:
                return
        yield begin_on_prefix(judgement, window, [] if home is None else [home], scene)

    def _is_told_of(self, judgement: SourceJudgement, scene: Scene, incidents: Incidents) -> bool:
        """Tell whether a source's flood is part of an incident, or is about to be."""
        source = judgement.reading.source
        if source in incidents or any(one.source == source for one in distinct(incidents.values())):
            return True
        homes = scene.attribution.homes(judgement.reading)
        return any(self._is_suspected_or_open(share.listener, incidents) for share in homes)

    def _is_suspected_or_open(self, listener: Listener, incidents: Incidents) -> bool:
        """Tell whether a listener's flood is seen now; one that pauses tells of no other."""
        incident = incidents.get(listener)
        if incident is not None:
            return incident.phase is Phase.OPEN
        return listener in self._suspected


def _incident_of_source(
    listener: Listener, source: Network | None, window: Window, scene: Scene, incidents: Incidents
) -> Incident | None:
    """Return the incident of a source, or prefix, that tells of a listener's flood already, if one does."""
    for basis, incident in incidents.items():
        if isinstance(basis, Listener):
            continue
        if source is not None and (basis == source or is_in(source, basis)):
            return incident
        judgement = scene.sources.get(basis) or scene.prefixes.get(basis)
        if listener in incident.targets and judgement is not None:
            slice_ns = scene.snapshot.source_cohort_ns
            half_open = half_open_within(judgement.reading.cohorts, window, slice_ns)
            if half_open >= MAIN_SHARE * window.half_open:
                return incident
    return None


def _group_of(verdict: Verdict, judgement: ListenerJudgement, incidents: Incidents) -> Incident | None:
    """Return the open incident on other listeners that are attacked alike, and may take another."""
    for incident in incidents.values():
        alike = (incident.alert_class, incident.source) == (verdict.alert_class, verdict.source)
        has_room = incident.is_on_listeners and len(incident.members) < MOST_MEMBERS
        if alike and has_room and incident.phase is Phase.OPEN and not judgement.is_slow:
            return incident
    return None

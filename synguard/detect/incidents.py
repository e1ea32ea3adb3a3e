"""How an incident begins with a judgement, and follows what later snapshots say."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypedDict

from synguard.detect.classify import (
    Verdict,
    classify,
    listener_measurements,
    prefix_evidence,
    source_evidence,
    source_measurements,
)
from synguard.detect.counts import Tally
from synguard.detect.evidence import live_client
from synguard.detect.incident import Incident, Member
from synguard.detect.lifecycle import Word
from synguard.detect.listener_memory import ListenerMemory
from synguard.detect.listeners import ListenerJudgement
from synguard.detect.prefixes import widest
from synguard.detect.scene import Scene
from synguard.detect.severity import worse_impact
from synguard.detect.source_memory import SourceMemory
from synguard.detect.sources import SourceJudgement
from synguard.detect.thresholds import NS_PER_S
from synguard.detect.windows import Window, measure, peak_per_s, unfinished
from synguard.endpoint import Listener, Network
from synguard.model import AlertClass, Cohort, Snapshot

#: Another class must show for this long before an open alert takes it on.
REFINE_AFTER_NS = NS_PER_S
#: What is left of a flood below this share (0..1) of its peak tells nothing of its class any more: it may be
#: real clients whom a full queue does not answer.
FADED = 0.1
#: What tells these two apart our own responses change.
BELIEFS = {AlertClass.SPOOFED, AlertClass.DISTRIBUTED}


def begin_on_listener(
    judgement: ListenerJudgement, window: Window, verdict: Verdict, scene: Scene
) -> Incident:
    """Return the suspected incident that a listener's raised window begins."""
    return Incident(
        id=0,
        members={judgement.reading.listener: member_of(judgement, window)},
        **_times(window, scene.snapshot),
        alert_class=verdict.alert_class,
        source=verdict.source,
        evidence=verdict.evidence,
        measurements=listener_measurements(judgement, window, scene),
    )


def member_of(judgement: ListenerJudgement, window: Window) -> Member:
    """Return the listener's part in an incident, from where its window shows the flood begin."""
    base = judgement.memory.history.before(window.busy_from_ns).counts
    return Member(Tally(base), window.busy_from_ns, window.busy_from_ns, window.half_open_ratio)


def begin_on_source(
    judgement: SourceJudgement, window: Window, targets: Sequence[Listener], scene: Scene
) -> Incident:
    """Return the suspected incident that a source's raised window begins; ``targets`` where known."""
    source = judgement.reading.source
    memory = scene.source_memory(source)
    verdict = Verdict(AlertClass.SINGLE_SOURCE, source, source_evidence(judgement))
    if memory.is_live:
        alive = live_client(source, memory.asked.counts.completed)
        verdict = Verdict(AlertClass.SPOOFED, None, (*alive, *source_evidence(judgement)))
    tally = Tally(memory.history.before(window.busy_from_ns).counts)
    return _begin_on(source, tally, judgement, window, verdict, targets, scene)


def begin_on_prefix(
    judgement: SourceJudgement, window: Window, targets: Sequence[Listener], scene: Scene
) -> Incident:
    """Return the suspected incident that a prefix's raised window begins."""
    reading = judgement.reading
    evidence = prefix_evidence(reading, window.half_open_ratio)
    verdict = Verdict(AlertClass.PREFIX, reading.source, evidence)
    return _begin_on(widest(reading.source), None, judgement, window, verdict, targets, scene)


def _begin_on(
    basis: Network,
    tally: Tally | None,
    judgement: SourceJudgement,
    window: Window,
    verdict: Verdict,
    targets: Sequence[Listener],
    scene: Scene,
) -> Incident:
    member = Member(tally, window.busy_from_ns, window.busy_from_ns, window.half_open_ratio)
    member.sources_estimated = judgement.reading.sources_estimated or 1
    return Incident(
        id=0,
        members={basis: member},
        **_times(window, scene.snapshot),
        alert_class=verdict.alert_class,
        source=verdict.source,
        evidence=verdict.evidence,
        measurements=source_measurements(judgement, window, scene.thresholds, scene.snapshot.time_ns),
        targets=list(targets),
    )


class _Times(TypedDict):
    started_at_s: float
    started_ns: int
    seen_until_ns: int
    last_seen_s: float


def _times(window: Window, snapshot: Snapshot) -> _Times:
    started_at_s = wall_s(window.busy_from_ns, snapshot)
    return {
        "started_at_s": started_at_s,
        "started_ns": window.busy_from_ns,
        "seen_until_ns": snapshot.time_ns,
        "last_seen_s": max(started_at_s, wall_s(window.busy_until_ns, snapshot)),
    }


def follow_listener(incident: Incident, listener: Listener, memory: ListenerMemory, scene: Scene) -> float:
    """Take in what a snapshot says of a listener that an incident is on; return its peak SYN/s since."""
    snapshot, reading = scene.snapshot, memory.reading
    incident.one_way |= snapshot.one_way
    member = incident.members[listener]
    if member.tally is not None:
        member.tally.absorb(reading.counts)
    allowance_ns = scene.allowance_ns(listener)
    peak = _look(member, reading.cohorts, snapshot.listener_cohort_ns, snapshot.time_ns, allowance_ns)
    judgement = scene.listeners.get(listener)
    window = (judgement.holding or judgement.raised) if judgement else None
    if judgement is not None and window is not None:
        incident.see(snapshot.time_ns, wall_s(window.busy_until_ns, snapshot))
        incident.take_margin(window.intensity_per_s / judgement.threshold_per_s, snapshot.wall_s)
        member.sources_estimated = max(member.sources_estimated, reading.sources_estimated or 0)
    return peak


def _take_impact(incident: Incident, scene: Scene) -> None:
    """Take in the worst impact on any listener that an incident is on, or asks most."""
    snapshot, worst = scene.snapshot, None
    for listener in [*(one for one in incident.members if isinstance(one, Listener)), *incident.targets[:1]]:
        memory = scene.memory.listeners.get(listener)
        if memory is None or memory.met_ns != snapshot.time_ns:
            continue
        held = memory.lately(snapshot.time_ns - NS_PER_S).held
        found = scene.impact.of(listener, incident.started_ns, held)
        if worst is None or worse_impact(worst.impact, found.impact) != worst.impact:
            worst = found
    if worst is not None:
        incident.take_impact(worst.impact, worst.measurements, snapshot.wall_s)


def follow_source(incident: Incident, basis: Network, scene: Scene) -> float:
    """Take in what a snapshot says of the source, or prefix, of an incident; return its peak SYN/s."""
    snapshot = scene.snapshot
    judgement = scene.sources.get(basis) or scene.prefixes.get(basis)
    memory = scene.memory.sources.get(basis)
    reading = judgement.reading if judgement else (memory.reading if memory else None)
    if reading is None or (memory is not None and memory.met_ns != snapshot.time_ns):
        return 0.0
    incident.one_way |= snapshot.one_way
    member = incident.members[basis]
    if member.tally is not None:
        member.tally.absorb(reading.counts)
    if memory is not None:
        _count_source(incident, memory)
    else:
        member.dropped += scene.memory.newly_dropped(basis)
    allowance_ns = scene.patience_ns(basis)
    peak = _look(member, reading.cohorts, snapshot.source_cohort_ns, snapshot.time_ns, allowance_ns)
    window = (judgement.holding or judgement.raised) if judgement else None
    if judgement is not None and window is not None:
        incident.see(snapshot.time_ns, wall_s(window.busy_until_ns, snapshot))
        incident.take_margin(window.intensity_per_s / judgement.threshold_per_s, snapshot.wall_s)
        member.sources_estimated = max(member.sources_estimated, reading.sources_estimated or 1)
    return peak


def spare_live_source(incident: Incident, scene: Scene) -> bool:
    """Name the one source of an incident no more once it completes handshakes; tell whether it was."""
    source = incident.source
    if incident.alert_class is not AlertClass.SINGLE_SOURCE or source is None:
        return False
    memory = scene.memory.sources.get(source)
    if memory is None or not memory.is_live:
        return False
    evidence = live_client(source, memory.asked.counts.completed)
    incident.reclassify(AlertClass.SPOOFED, None, evidence, scene.snapshot.wall_s)
    _spare(incident, memory)
    return True


def refine(
    incident: Incident,
    judgements: Sequence[ListenerJudgement],
    scene: Scene,
    told: Collection[Network | None],
) -> bool:
    """Count the sources that have part in a flood on listeners; tell whether its class has changed.

    ``judgements`` are those of its listeners whose floods go on; the hardest hit tells the class. A source
    or prefix in ``told`` is named by another incident, and so not by this one.
    """
    _count_sources(incident, [judgement.reading.listener for judgement in judgements], scene)
    worst = max(judgements, key=lambda one: (_half_open_per_s(one), str(one.reading.listener)))
    if _half_open_per_s(worst) < FADED * incident.peak_syn_per_s / len(incident.members) or not worst.current:
        incident.other_class = None
        return False
    now_ns = scene.snapshot.time_ns
    verdict = classify(worst, scene)
    is_told = verdict.source is not None and verdict.source in told
    # Whom we do not answer resets nothing, and real clients are half-open for a second.
    is_ours = worst.memory.own.show and {verdict.alert_class, incident.alert_class} == BELIEFS
    if (
        is_told
        or is_ours
        or incident.spares(verdict.source)
        or not incident.picture(verdict.alert_class, verdict.source, now_ns, REFINE_AFTER_NS)
    ):
        return False
    incident.reclassify(verdict.alert_class, verdict.source, verdict.evidence, scene.snapshot.wall_s)
    return True


def _half_open_per_s(judgement: ListenerJudgement) -> float:
    window = judgement.holding or judgement.raised
    return window.half_open_per_s if window else 0.0


def _count_sources(incident: Incident, listeners: Sequence[Listener], scene: Scene) -> None:
    shares = [share for listener in listeners for share in scene.attribution.sources_of(listener)]
    for source, reading in {share.source.source: share.source for share in shares}.items():
        if 2 * unfinished(reading.cohorts) >= sum([attempts for _, attempts, _ in reading.cohorts]):
            _count_source(incident, scene.source_memory(source))


def _count_source(incident: Incident, memory: SourceMemory) -> None:
    """Count a source that has part in the flood, unless it is somebody's who completes handshakes."""
    if memory.is_live:
        _spare(incident, memory)
    elif not incident.spares(memory.reading.source):
        incident.count_source(memory.reading.source, memory.reading.counts, memory.history)


def _spare(incident: Incident, memory: SourceMemory) -> None:
    """Name a source no more: not in this incident, if it completed anything since that has begun."""
    lives_now = memory.completed_ns - incident.started_ns >= NS_PER_S
    incident.spare_source(memory.reading.source, for_good=lives_now)


def _look(
    member: Member, cohorts: tuple[Cohort, ...], slice_ns: int, now_ns: int, allowance_ns: int
) -> float:
    """Take in the attempts that matured, and return the peak of those that came, since the last look."""
    peak = peak_per_s(cohorts, slice_ns, member.looked_ns, now_ns)
    member.looked_ns = now_ns
    old_ns = (now_ns - max(NS_PER_S, allowance_ns)) // slice_ns * slice_ns
    if old_ns > member.judged_until_ns:
        window = measure(cohorts, slice_ns, member.judged_until_ns, old_ns)
        member.ratio_attempts += window.attempts
        member.ratio_half_open += window.half_open
        member.judged_until_ns = old_ns
    return peak


def follow(incident: Incident, scene: Scene) -> None:
    """Take in what a snapshot says of everybody whom an incident is on."""
    # Its attempts may be younger than what keeps an incident open looks at, the more so once we respond: it
    # is not quiet till then.
    patience_ns = max(NS_PER_S, *(scene.patience_ns(basis) for basis in incident.members))
    incident.seen_until_ns = max(incident.seen_until_ns, incident.opened_ns + patience_ns)
    seen_until_ns, now_ns = incident.seen_until_ns, scene.snapshot.time_ns
    _take_impact(incident, scene)
    rate = 0.0
    for basis in list(incident.members):
        if isinstance(basis, Listener):
            memory = scene.memory.listeners.get(basis)
            if memory is not None and memory.met_ns == now_ns:
                rate += follow_listener(incident, basis, memory, scene)
        else:
            rate += follow_source(incident, basis, scene)
    incident.peak_syn_per_s = max(incident.peak_syn_per_s, rate)
    if incident.seen_until_ns == seen_until_ns < now_ns:
        incident.hear(Word.QUIET)


def wall_s(time_ns: int, snapshot: Snapshot) -> float:
    """Return the wall-clock time of a moment of the kernel's clock, in seconds since the epoch."""
    return snapshot.wall_s - (snapshot.time_ns - time_ns) / NS_PER_S

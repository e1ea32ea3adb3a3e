"""How an incident begins with a judgement, and follows what later snapshots say."""

from __future__ import annotations

from synguard.detect.attribution import Attribution
from synguard.detect.classify import (
    Verdict,
    classify,
    listener_measurements,
    severity,
    source_evidence,
    source_measurements,
)
from synguard.detect.counts import Tally
from synguard.detect.lifecycle import Incident
from synguard.detect.listeners import ListenerJudgement
from synguard.detect.memory import ListenerMemory, Memory, SourceMemory
from synguard.detect.sources import SourceJudgement
from synguard.detect.thresholds import NS_PER_S, Thresholds
from synguard.detect.windows import Window, measure, peak_per_s, unfinished
from synguard.endpoint import Listener, Network
from synguard.model import Cohort, Snapshot

#: Another class must show for this long before an open alert takes it on.
REFINE_AFTER_NS = NS_PER_S

#: What is left of a flood below this share (0..1) of its peak tells nothing of its class any more: it may be
#: real clients whom a full queue does not answer.
FADED = 0.1


def begin_on_listener(
    number: int,
    judgement: ListenerJudgement,
    window: Window,
    verdict: Verdict,
    snapshot: Snapshot,
    thresholds: Thresholds,
) -> Incident:
    """Return the incident that a listener's raised window begins."""
    reading = judgement.reading
    base = judgement.memory.history.before(window.busy_from_ns).counts
    incident = _begin(number, reading.listener, window, snapshot, Tally(base))
    incident.listener = reading.listener
    incident.alert_class, incident.source = verdict.alert_class, verdict.source
    incident.evidence = verdict.evidence
    incident.severity = severity(window.intensity_per_s, judgement.threshold_per_s)
    incident.measurements = listener_measurements(judgement, window, thresholds, snapshot.time_ns)
    return incident


def begin_on_source(
    number: int,
    judgement: SourceJudgement,
    window: Window,
    listener: Listener | None,
    snapshot: Snapshot,
    thresholds: Thresholds,
) -> Incident:
    """Return the incident that a source's raised window begins; ``listener`` where its target is known."""
    reading = judgement.reading
    base = judgement.memory.history.before(window.busy_from_ns).counts
    incident = _begin(number, reading.source, window, snapshot, Tally(base))
    incident.listener, incident.source = listener, reading.source
    incident.evidence = source_evidence(judgement)
    incident.severity = severity(window.intensity_per_s, judgement.threshold_per_s)
    incident.measurements = source_measurements(judgement, window, thresholds, snapshot.time_ns)
    incident.sources_estimated = 1
    return incident


def _begin(
    number: int, basis: Listener | Network, window: Window, snapshot: Snapshot, tally: Tally
) -> Incident:
    started_at_s = wall_s(window.busy_from_ns, snapshot)
    return Incident(
        id=number,
        basis=basis,
        tally=tally,
        started_at_s=started_at_s,
        started_ns=window.busy_from_ns,
        seen_until_ns=snapshot.time_ns,
        last_seen_s=max(started_at_s, wall_s(window.busy_until_ns, snapshot)),
        judged_until_ns=window.busy_from_ns,
        looked_ns=window.busy_from_ns,
        first_ratio=window.half_open_ratio,
    )


def follow_listener(
    incident: Incident,
    memory: ListenerMemory,
    judgement: ListenerJudgement | None,
    snapshot: Snapshot,
    allowance_ns: int,
) -> None:
    """Take in what a snapshot says of the listener that an incident is on."""
    reading = memory.reading
    incident.one_way |= snapshot.one_way
    incident.tally.absorb(reading.counts)
    _look(incident, reading.cohorts, snapshot.listener_cohort_ns, snapshot.time_ns, allowance_ns)
    window = (judgement.holding or judgement.raised) if judgement else None
    if judgement is None or window is None:
        return
    incident.see(snapshot.time_ns, wall_s(window.busy_until_ns, snapshot))
    incident.raise_severity(severity(window.intensity_per_s, judgement.threshold_per_s))
    estimates = [n for n in (incident.sources_estimated, reading.sources_estimated) if n is not None]
    incident.sources_estimated = max(estimates, default=None)


def refine(
    incident: Incident,
    judgement: ListenerJudgement,
    snapshot: Snapshot,
    attribution: Attribution,
    memory: Memory,
) -> bool:
    """Count the sources that have part in a listener's flood; tell whether its class has changed."""
    shares = attribution.sources_of(judgement.reading.listener)
    for share in shares:
        source = share.source
        if 2 * unfinished(source.cohorts) >= sum(cohort.attempts for cohort in source.cohorts):
            incident.count_source(source.source, source.counts, memory.sources[source.source].history)
    window = judgement.holding or judgement.raised
    faded = window is None or window.half_open_per_s < FADED * incident.peak_syn_per_s
    if faded or not judgement.current:
        incident.other_class = None
        return False
    verdict = classify(judgement, snapshot, shares)
    if not incident.picture(verdict.alert_class, verdict.source, snapshot.time_ns, REFINE_AFTER_NS):
        return False
    incident.evidence = verdict.evidence
    return True


def follow_source(
    incident: Incident,
    memory: SourceMemory,
    judgement: SourceJudgement | None,
    snapshot: Snapshot,
    allowance_ns: int,
) -> None:
    """Take in what a snapshot says of the source whose own incident this is."""
    reading = memory.reading
    incident.one_way |= snapshot.one_way
    incident.tally.absorb(reading.counts)
    incident.count_source(reading.source, reading.counts, memory.history)
    _look(incident, reading.cohorts, snapshot.source_cohort_ns, snapshot.time_ns, allowance_ns)
    window = (judgement.holding or judgement.raised) if judgement else None
    if judgement is None or window is None:
        return
    incident.see(snapshot.time_ns, wall_s(window.busy_until_ns, snapshot))
    incident.raise_severity(severity(window.intensity_per_s, judgement.threshold_per_s))


def _look(
    incident: Incident, cohorts: tuple[Cohort, ...], slice_ns: int, now_ns: int, allowance_ns: int
) -> None:
    """Take in the attempts that came, and those that matured, since an incident was last looked at."""
    peak = peak_per_s(cohorts, slice_ns, incident.looked_ns, now_ns)
    incident.peak_syn_per_s = max(incident.peak_syn_per_s, peak)
    incident.looked_ns = now_ns
    old_ns = (now_ns - max(NS_PER_S, allowance_ns)) // slice_ns * slice_ns
    if old_ns > incident.judged_until_ns:
        window = measure(cohorts, slice_ns, incident.judged_until_ns, old_ns)
        incident.ratio_attempts += window.attempts
        incident.ratio_half_open += window.half_open
        incident.judged_until_ns = old_ns


def wall_s(time_ns: int, snapshot: Snapshot) -> float:
    """Return the wall-clock time of a moment of the kernel's clock, in seconds since the epoch."""
    return snapshot.wall_s - (snapshot.time_ns - time_ns) / NS_PER_S

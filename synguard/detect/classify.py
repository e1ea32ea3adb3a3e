"""What a flood on a listener is called, how severe it is, and what is measured of it for people.

Evidence of spoofed sources, each with its weight; from a sum of a half on the flood is called spoofed:

=====================  ======  ===================================================================
name                   weight  found when
=====================  ======  ===================================================================
syns_per_source          0.40  fewer than two half-open attempts per distinct source in 1.5 s
silent_sources           0.25  of sources beyond the usual number, over half complete nothing
bare_syn_share           0.20  half of the SYNs carry no TCP option
rst_share                0.15  1 % of the SYN-ACKs are answered with RST: live hosts that asked nothing
=====================  ======  ===================================================================

Severity goes by the margin over the threshold of half-open attempts per second; what the flood does to the
server is not known here yet (``impact`` is ``unknown``), and moves nothing:

=============================  ========
times the threshold, at least  severity
=============================  ========
1                              low
10                             medium
100                            high
1000                           critical
=============================  ========
"""

from __future__ import annotations

from dataclasses import dataclass

from synguard.detect.attribution import Share
from synguard.detect.listeners import BARE_SHARE, Lately, ListenerJudgement, lately, main_source
from synguard.detect.memory import ListenerMemory
from synguard.detect.sources import RATIO, SCAN_ATTEMPTS_PER_TARGET, SourceJudgement, is_scan
from synguard.detect.statistics import lower_bound
from synguard.detect.thresholds import NS_PER_MS, NS_PER_S, Thresholds
from synguard.detect.windows import Window, measure
from synguard.endpoint import Network
from synguard.model import AlertClass, Evidence, Measurement, Severity, Snapshot

#: From this belief on the sources of a flood are called spoofed.
SPOOFED_BELIEF = 0.5
#: The probe's estimate of distinct sources is over one to two seconds: this long in the middle.
ESTIMATE_SPAN_NS = 1_500_000_000

SEVERITIES = (
    (1000.0, Severity.CRITICAL),
    (100.0, Severity.HIGH),
    (10.0, Severity.MEDIUM),
    (0.0, Severity.LOW),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a flood is called, and why."""

    alert_class: AlertClass
    source: Network | None
    evidence: tuple[Evidence, ...]


def severity(half_open_per_s: float, threshold_per_s: float) -> Severity:
    """Return how much a flood of so many half-open attempts per second matters."""
    margin = half_open_per_s / threshold_per_s
    return next(level for least, level in SEVERITIES if margin >= least)


def classify(judgement: ListenerJudgement, snapshot: Snapshot, shares: list[Share]) -> Verdict:
    """Return what the flood on a listener is; ``shares`` are the watched sources that likely ask it."""
    reading = judgement.reading
    main = main_source(shares)
    if main is not None and not (reading.listener.port == 0 and is_scan(main.source)):
        return _single_source(main)
    slice_ns = snapshot.listener_cohort_ns
    since_ns = (snapshot.time_ns - ESTIMATE_SPAN_NS) // slice_ns * slice_ns
    window = measure(reading.cohorts, slice_ns, since_ns, snapshot.time_ns + slice_ns)
    evidence = _spoofing(judgement.memory, window, lately(judgement.memory, since_ns))
    if sum(item.weight for item in evidence) >= SPOOFED_BELIEF:
        return Verdict(AlertClass.SPOOFED, None, evidence)
    return Verdict(AlertClass.DISTRIBUTED, None, evidence)


def _single_source(main: Share) -> Verdict:
    evidence = (
        Evidence("share_of_half_open", round(main.share, 3), round(min(1.0, main.share), 2)),
        Evidence("targets", main.source.targets_estimated, 0.0),
    )
    return Verdict(AlertClass.SINGLE_SOURCE, main.source.source, evidence)


def _spoofing(memory: ListenerMemory, window: Window, recent: Lately) -> tuple[Evidence, ...]:
    found = []
    sources_estimated = memory.reading.sources_estimated
    if sources_estimated:
        syns_per_source = window.half_open / sources_estimated
        if syns_per_source < 2.0:
            found.append(Evidence("syns_per_source", round(syns_per_source, 2), 0.40))
        new_sources = sources_estimated - memory.usual.sources
        completed = window.attempts - window.half_open - memory.usual.completed_per_s * window.length_s
        if new_sources > 2 * max(0.0, completed) and new_sources >= 1.0:
            found.append(Evidence("silent_sources", round(new_sources - max(0.0, completed)), 0.25))
    if recent.bare_share >= BARE_SHARE:
        found.append(Evidence("bare_syn_share", round(recent.bare_share, 3), 0.20))
    counts = recent.counts
    if counts.answered and counts.aborted >= 0.01 * counts.answered:
        found.append(Evidence("rst_share", round(counts.aborted / counts.answered, 3), 0.15))
    return tuple(found)


def source_evidence(judgement: SourceJudgement) -> tuple[Evidence, ...]:
    """Return what speaks for a flood of one source by that source alone."""
    reading = judgement.reading
    window = judgement.raised or judgement.holding
    ratio = window.half_open_ratio if window else 0.0
    return (
        Evidence("source_half_open_ratio", round(ratio, 3), round(ratio, 2)),
        Evidence("targets", reading.targets_estimated, 0.0),
    )


def listener_measurements(
    judgement: ListenerJudgement, window: Window, thresholds: Thresholds, now_ns: int
) -> tuple[Measurement, ...]:
    """Return the figures of the window that raised a listener's alert, beside their bounds."""
    usual = judgement.memory.usual
    rate, ratio = judgement.threshold_per_s, thresholds.half_open_ratio
    surely = lower_bound(window.half_open, window.attempts)
    return (
        Measurement("half_open_per_s", round(window.half_open_per_s, 1), rate, "1/s", usual.half_open_per_s),
        Measurement(
            "half_open_ratio", round(window.half_open_ratio, 4), ratio, "ratio", usual.half_open_ratio
        ),
        Measurement("half_open_ratio_at_least", round(surely, 4), ratio, "ratio"),
        *_window_measurements(window, thresholds, now_ns, judgement.allowance_ns),
        Measurement(
            "bare_syn_share", round(lately(judgement.memory, window.start_ns).bare_share, 4), None, "ratio"
        ),
    )


def source_measurements(
    judgement: SourceJudgement, window: Window, thresholds: Thresholds, now_ns: int
) -> tuple[Measurement, ...]:
    """Return the figures of the window that raised a source's alert, beside their bounds."""
    reading = judgement.reading
    surely = lower_bound(window.half_open, window.attempts)
    per_target = reading.counts.attempts / max(1, reading.targets_estimated)
    return (
        Measurement(
            "source_half_open_per_s", round(window.half_open_per_s, 1), judgement.threshold_per_s, "1/s"
        ),
        Measurement("half_open_ratio", round(window.half_open_ratio, 4), RATIO, "ratio"),
        Measurement("half_open_ratio_at_least", round(surely, 4), RATIO, "ratio"),
        *_window_measurements(window, thresholds, now_ns, judgement.allowance_ns),
        Measurement("attempts_per_target", round(per_target, 1), float(SCAN_ATTEMPTS_PER_TARGET), "attempts"),
    )


def _window_measurements(
    window: Window, thresholds: Thresholds, now_ns: int, allowance_ns: int
) -> tuple[Measurement, ...]:
    return (
        Measurement("attempts", window.attempts, thresholds.min_attempts, "attempts"),
        Measurement("allowance_ms", round(allowance_ns / NS_PER_MS, 1), None, "ms"),
        Measurement("window_age_ms", round((now_ns - window.end_ns) / NS_PER_MS, 1), None, "ms"),
        Measurement("window_length_ms", round(window.length_s * NS_PER_S / NS_PER_MS, 1), None, "ms"),
    )

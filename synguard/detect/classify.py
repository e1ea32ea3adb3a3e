"""What a flood on a listener is called, and what is measured of it for people.

The first that matches, as the decision table has it: one source that makes half of it; one prefix that
does, of which no address is above the threshold; sources that cannot be believed (``evidence``); many
that can. One source that completes handshakes meanwhile is not named: somebody lives at that address, and
whoever floods may have written it into his SYNs.
"""

from __future__ import annotations

from dataclasses import dataclass

from synguard.detect.attribution import Share
from synguard.detect.evidence import SPOOFED_BELIEF, live_client, spoofing
from synguard.detect.listeners import MAIN_SHARE, ListenerJudgement
from synguard.detect.prefixes import LEAST_SOURCES
from synguard.detect.scans import ATTEMPTS_PER_TARGET
from synguard.detect.scene import Scene
from synguard.detect.sources import RATIO, SourceJudgement
from synguard.detect.statistics import lower_bound
from synguard.detect.thresholds import NS_PER_MS, NS_PER_S, Thresholds
from synguard.detect.windows import Window, measure
from synguard.endpoint import Listener, Network
from synguard.model import AlertClass, Evidence, Measurement, SourceReading

#: The probe's estimate of distinct sources is over one to two seconds: this long in the middle.
ESTIMATE_SPAN_NS = 1_500_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a flood is called, and why."""

    alert_class: AlertClass
    source: Network | None
    evidence: tuple[Evidence, ...]


def classify(judgement: ListenerJudgement, scene: Scene) -> Verdict:
    """Return what the flood on a listener is."""
    listener = judgement.reading.listener
    main = scene.main_source_of(listener)
    if main is not None:
        return _of_one_source(main, scene)
    prefix = _main_prefix(listener, scene)
    if prefix is not None:
        return prefix
    slice_ns, now_ns = scene.snapshot.listener_cohort_ns, scene.snapshot.time_ns
    since_ns = (now_ns - ESTIMATE_SPAN_NS) // slice_ns * slice_ns
    window = measure(judgement.reading.cohorts, slice_ns, since_ns, now_ns + slice_ns)
    evidence = spoofing(judgement.memory, window, judgement.memory.lately(since_ns))
    if sum(item.weight for item in evidence) >= SPOOFED_BELIEF:
        return Verdict(AlertClass.SPOOFED, None, evidence)
    return Verdict(AlertClass.DISTRIBUTED, None, evidence)


def _of_one_source(main: Share, scene: Scene) -> Verdict:
    memory = scene.source_memory(main.source.source)
    share = Evidence("share_of_half_open", round(main.share, 3), round(min(1.0, main.share), 2))
    targets = Evidence("targets", main.source.targets_estimated, 0.0)
    if memory.is_live:
        alive = live_client(main.source.source, memory.asked.counts.completed)
        return Verdict(AlertClass.SPOOFED, None, (*alive, Evidence(share.name, share.value, 0.0), targets))
    return Verdict(AlertClass.SINGLE_SOURCE, main.source.source, (share, targets))


def _main_prefix(listener: Listener, scene: Scene) -> Verdict | None:
    """Return the verdict that one prefix makes at least half of a listener's flood, if one does."""
    prefixes = [one for one in scene.merged_prefixes() if (one.sources_estimated or 0) >= LEAST_SOURCES]
    shares = [(scene.attribution.share_of(one, listener), str(one.source), one) for one in prefixes]
    share, _, prefix = max(shares, key=lambda item: item[:2], default=(0.0, "", None))
    if prefix is None or share < MAIN_SHARE:
        return None
    return Verdict(AlertClass.PREFIX, prefix.source, prefix_evidence(prefix, share))


def prefix_evidence(prefix: SourceReading, share: float) -> tuple[Evidence, ...]:
    """Return what speaks for the flood of a prefix; ``share`` (0..1) is what it explains."""
    return (
        Evidence("share_of_half_open", round(share, 3), round(min(1.0, share), 2)),
        Evidence("addresses", prefix.sources_estimated or 0, 0.0),
    )


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
    judgement: ListenerJudgement, window: Window, scene: Scene
) -> tuple[Measurement, ...]:
    """Return the figures of the window that raised a listener's alert, beside their bounds."""
    usual, wall_s = judgement.memory.usual, scene.snapshot.wall_s
    thresholds = scene.thresholds.for_listener(judgement.reading.listener)
    rate, ratio = judgement.threshold_per_s, thresholds.half_open_ratio
    usual_per_s = usual.half_open_per_s(wall_s)
    surely = lower_bound(window.half_open, window.attempts)
    bare_share = judgement.memory.lately(window.start_ns).bare_share
    if judgement.is_slow:
        judged: tuple[Measurement, ...] = _shift_measurements(judgement, window, usual_per_s)
        needed = None
    else:
        judged = (
            Measurement("half_open_per_s", round(window.half_open_per_s, 1), rate, "1/s", usual_per_s),
            Measurement(
                "half_open_ratio", round(window.half_open_ratio, 4), ratio, "ratio", usual.half_open_ratio
            ),
            Measurement("half_open_ratio_at_least", round(surely, 4), ratio, "ratio"),
        )
        needed = thresholds.min_attempts
    return (
        *judged,
        *_window_measurements(window, needed, scene.snapshot.time_ns, judgement.allowance_ns),
        Measurement(
            "attempts_per_s", round(window.attempts_per_s, 1), None, "1/s", usual.attempts_per_s(wall_s)
        ),
        Measurement("bare_syn_share", round(bare_share, 4), None, "ratio"),
    )


def _shift_measurements(
    judgement: ListenerJudgement, window: Window, usual_per_s: float | None
) -> tuple[Measurement, ...]:
    """Return the figures of a flood that shows only against what is usual here."""
    shift = judgement.memory.shift
    return (
        Measurement("cusum_score", round(shift.score, 1), round(shift.limit, 1), "attempts"),
        Measurement(
            "half_open_per_s",
            round(shift.half_open_per_s, 1),
            round(shift.reference_per_s, 1),
            "1/s",
            usual_per_s,
        ),
        Measurement("half_open_ratio", round(window.half_open_ratio, 4), None, "ratio"),
    )


def source_measurements(
    judgement: SourceJudgement, window: Window, thresholds: Thresholds, now_ns: int
) -> tuple[Measurement, ...]:
    """Return the figures of the window that raised a source's or a prefix's alert, beside their bounds."""
    reading = judgement.reading
    surely = lower_bound(window.half_open, window.attempts)
    per_target = reading.counts.attempts / max(1, reading.targets_estimated)
    of_prefix = reading.sources_estimated is not None
    name = "prefix_half_open_per_s" if of_prefix else "source_half_open_per_s"
    told = (
        Measurement(name, round(window.half_open_per_s, 1), judgement.threshold_per_s, "1/s"),
        Measurement("half_open_ratio", round(window.half_open_ratio, 4), RATIO, "ratio"),
        Measurement("half_open_ratio_at_least", round(surely, 4), RATIO, "ratio"),
        *_window_measurements(window, thresholds.min_attempts, now_ns, judgement.allowance_ns),
    )
    if of_prefix:
        return told
    few = float(ATTEMPTS_PER_TARGET)
    return (*told, Measurement("attempts_per_target", round(per_target, 1), few, "attempts"))


def _window_measurements(
    window: Window, min_attempts: int | None, now_ns: int, allowance_ns: int
) -> tuple[Measurement, ...]:
    return (
        Measurement("attempts", window.attempts, min_attempts, "attempts"),
        Measurement("allowance_ms", round(allowance_ns / NS_PER_MS, 1), None, "ms"),
        Measurement("window_age_ms", round((now_ns - window.end_ns) / NS_PER_MS, 1), None, "ms"),
        Measurement("window_length_ms", round(window.length_s * NS_PER_S / NS_PER_MS, 1), None, "ms"),
    )

"""What is judged of one source as a scan: whom it asks, and how little comes of it.

===============  =====================================================================================
class            when, over the last two to four minutes
===============  =====================================================================================
fin, null, xmas  so many segments of that kind (``scan_probes``): no stack sends them
half-open        so many targets answered and never completed (``scan_targets``), each asked at most
                 three times: who asks that often gets through, or floods
closed-ports     so many attempts not completed (``scan_closed_ports``), most of them refused, or not
                 answered and never sent again, each target asked at most three times. A stack sends
                 an unanswered SYN again, so the dead peers of a peer-to-peer client are none; nor is a
                 monitor, which has few targets
===============  =====================================================================================

Whoever completes more than a fifth of what it asks is a client. The rate does not matter, but one that
asks less often than every four seconds is not followed by the probe: its count begins anew each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from synguard.detect.source_memory import KNOWN_CLIENT, RETRIED, RETRIED_AFTER_NS, Asked, SourceMemory
from synguard.detect.thresholds import Thresholds
from synguard.model import AlertClass, Evidence, Measurement

#: A source that asks each target at most this often scans; who floods asks again and again.
ATTEMPTS_PER_TARGET = 3
#: From here on the probe's estimate of a source's targets is full and tells no more.
SATURATED_TARGETS = 200
#: The estimate of distinct targets may be this share (0..1) too low: of 64 bits, three standard errors.
TARGETS_LEAST = 0.6


@dataclass(frozen=True, slots=True)
class Scan:
    """A source that scans."""

    memory: SourceMemory
    alert_class: AlertClass
    evidence: tuple[Evidence, ...]
    measurements: tuple[Measurement, ...]
    #: What of it was seen so far; while that rises, the scan goes on.
    seen: int

    @property
    def what(self) -> str:
        """Return what makes two scans of a source one."""
        return what_is_scanned(self.alert_class)


def what_is_scanned(alert_class: AlertClass | None) -> str:
    """Return the kind of a scan: half-open and closed ports are one."""
    return "ports" if alert_class in (AlertClass.HALF_OPEN, AlertClass.CLOSED_PORTS) else str(alert_class)


def judge_scan(memory: SourceMemory, thresholds: Thresholds, now_ns: int, *, one_way: bool) -> Iterator[Scan]:
    """Yield the scans that a source does: of each kind of probe, and of ports."""
    reading = memory.reading
    targets = reading.targets_estimated
    for alert_class, total in (
        (AlertClass.FIN, reading.fin_probes),
        (AlertClass.NULL, reading.null_probes),
        (AlertClass.XMAS, reading.xmas_probes),
    ):
        if total < thresholds.scan_probes:
            continue
        count = memory.asked_untold(what_is_scanned(alert_class)).probes(alert_class)
        if count >= thresholds.scan_probes:
            told = Measurement(f"{alert_class}_probes", count, thresholds.scan_probes, "segments")
            evidence = (Evidence("targets", targets, 0.0), Evidence(f"{alert_class}_probes", count, 1.0))
            yield Scan(memory, alert_class, evidence, (told,), count)
    asked = memory.asked_untold(what_is_scanned(AlertClass.HALF_OPEN))
    scan = _of_ports(memory, asked, thresholds, now_ns, one_way=one_way)
    if scan is not None:
        yield scan


def _of_ports(
    memory: SourceMemory, asked: Asked, thresholds: Thresholds, now_ns: int, *, one_way: bool
) -> Scan | None:
    counts, targets = asked.counts, memory.reading.targets_estimated
    # Whoever asks again and again is no scanner later on, however little of it is news.
    few_each = targets >= SATURATED_TARGETS or memory.asked.counts.attempts <= ATTEMPTS_PER_TARGET * targets
    if not few_each or counts.completed > KNOWN_CLIENT * counts.attempts:
        return None
    unheard = _given_up(memory, asked, now_ns)
    closed = counts.refused + unheard
    open_ = 0 if one_way else max(0, counts.answered - counts.completed)
    if closed + open_ >= thresholds.scan_closed_ports and targets >= TARGETS_LEAST * min(
        thresholds.scan_closed_ports, SATURATED_TARGETS / 2
    ):
        name, found, bound = AlertClass.CLOSED_PORTS, closed + open_, thresholds.scan_closed_ports
    elif open_ >= thresholds.scan_targets and targets >= TARGETS_LEAST * min(thresholds.scan_targets, 100):
        name, found, bound = AlertClass.HALF_OPEN, open_, thresholds.scan_targets
    else:
        return None
    if open_ > closed:
        name = AlertClass.HALF_OPEN
    return Scan(
        memory,
        name,
        (
            Evidence("targets", targets, 0.4),
            Evidence("refused_or_unanswered", closed, 0.3 if closed >= open_ else 0.0),
            Evidence("answered_not_completed", open_, 0.3 if open_ > closed else 0.0),
            Evidence("completed", counts.completed, 0.0),
        ),
        (
            Measurement(
                "scanned_targets" if name is AlertClass.HALF_OPEN else "closed_targets",
                found,
                bound,
                "targets",
            ),
            Measurement("attempts_per_target", round(counts.attempts / max(1, targets), 1), None, "attempts"),
        ),
        # What we drop of it tells nothing of its targets, but that it goes on.
        closed + open_ + counts.dropped_by_us,
    )


def _given_up(memory: SourceMemory, asked: Asked, now_ns: int) -> int:
    """Return how many unanswered attempts are old enough to have been sent again, and were not."""
    since_ns = now_ns - RETRIED_AFTER_NS
    young = sum(
        max(0, cohort.attempts - cohort.completed)
        for cohort in memory.reading.cohorts
        if cohort.start_ns >= since_ns
    )
    old = max(0, asked.unheard - young)
    return 0 if asked.counts.syn_retransmits >= RETRIED * old else old

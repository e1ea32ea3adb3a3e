"""Makes a trial's figures, facts and broken premises out of what was seen; pure."""

from __future__ import annotations

from collections.abc import Iterator

from bench.measure.alerts import alert_facts, alert_figures
from bench.measure.observation import Observation
from bench.measure.statistics import quantile
from bench.peers.messages import Connection
from bench.scenario.model import Premise

#: A rate is held when it is within this of what was asked.
RATE_TOLERANCE = 0.05
#: The receiver is at its limit when its ring refused more than this share.
_LIMITED = 0.001
_MIB = 1 << 20

Figures = dict[str, float | None]


def figures_of(observed: Observation) -> Figures:
    """Return every figure that this trial has."""
    figures = _good(_during(observed)) | _load(observed) | _cost(observed)
    if any(client.kind == "keep-alive" for client in observed.scenario.clients):
        figures["good_broken"] = len(observed.broken_ns)
    if observed.counted.detects:
        figures |= alert_figures(observed)
    return figures


def facts_of(observed: Observation) -> dict[str, str | None]:
    """Return what is told in words."""
    facts: dict[str, str | None] = {"bottleneck": bottleneck(observed)}
    return facts | (alert_facts(observed) if observed.counted.detects else {})


def bottleneck(observed: Observation) -> str | None:
    """Say what limited the flood: the receiver, the generator, or nothing; None without a flood."""
    if not observed.floods:
        return None
    if _refused_share(observed) > _LIMITED:
        return "receiver"
    slow = any(flood.plan.syn_per_s is None or not flood.report.held(flood.plan) for flood in observed.floods)
    return "generator" if slow else "nothing"


def broken_premises(observed: Observation) -> Iterator[str]:
    """Yield in words which of the scenario's premises did not hold.

    A client that is not served before the flood ends its trial there; here it is about those that were.
    """
    checks = {
        Premise.ACCOUNTED: _unaccounted,
        Premise.RATE_HELD: _rates_missed,
        Premise.ALL_RECEIVED: _frames_refused,
        Premise.RECEIVER_LIMITED: _receiver_idle,
        Premise.CLIENTS_UP: lambda observed: iter(observed.hindered),
        Premise.TWO_CPUS: _cpus_shared,
    }
    for premise in observed.scenario.premises:
        if premise in checks:
            yield from (f"{premise}: {why}" for why in checks[premise](observed))


def _during(observed: Observation) -> list[Connection]:
    everyone = (connection for client in observed.connections.values() for connection in client)
    return [one for one in everyone if observed.began_ns <= one.start_ns <= observed.ended_ns]


def _good(during: list[Connection]) -> Figures:
    if not during:
        return {}
    succeeded = sum(one.succeeded for one in during)
    times_ms = sorted(one.connect_ms for one in during if one.succeeded and one.connect_ms is not None)
    return {
        "good_attempted": len(during),
        "good_succeeded": succeeded,
        "good_success": succeeded / len(during),
        "connect_p50_ms": quantile(times_ms, 0.5) if times_ms else None,
        "connect_p99_ms": quantile(times_ms, 0.99) if times_ms else None,
    }


def _load(observed: Observation) -> Figures:
    if not observed.floods:
        return {}
    # From the first SYN to the last, there are as many gaps as SYNs less one.
    offered_per_s = sum(flood.report.syn_per_s for flood in observed.floods)
    refused = observed.wire.refused_frames
    asked = [flood.plan.syn_per_s for flood in observed.floods]
    busy_ns = [flood.report.busy_ns for flood in observed.floods]
    figures: Figures = {
        "asked_syn_per_s": None if None in asked else sum(rate for rate in asked if rate),
        "offered_syn_per_s": offered_per_s,
        "received_syn_per_s": (observed.frames - refused) / observed.frames * offered_per_s,
        "lost_at_ring": refused,
        "unaccounted_frames": unaccounted_frames(observed),
        "uncounted_syns": uncounted_syns(observed),
        "dropped_syns": observed.counted.dropped_syns,
        "generator_busy": None
        if None in busy_ns
        else sum(ns for ns in busy_ns if ns) / 1e9 / observed.span_s,
    }
    if observed.counted.syns is not None and observed.good_syns is not None:
        counted = observed.counted.syns - observed.good_syns
        figures["processed_syn_per_s"] = counted / observed.syns * offered_per_s
    return figures


def _cost(observed: Observation) -> Figures:
    busy, counted = observed.busy, observed.counted
    figures: Figures = {"map_bytes": counted.map_bytes, "lost_updates": counted.lost_updates}
    received = observed.frames - observed.wire.refused_frames
    if busy.receiver_cpu_ns is not None:
        figures["receiver_busy"] = busy.receiver_cpu_ns / busy.span_ns
        figures["receiver_ns_per_frame"] = busy.receiver_cpu_ns / received if received > 0 else None
    if busy.detector_cpu_ns is not None:
        figures["daemon_cpu"] = busy.detector_cpu_ns / busy.span_ns
    if busy.detector_peak_rss_bytes is not None:
        figures["daemon_rss_mib"] = busy.detector_peak_rss_bytes / _MIB
    return figures


def unaccounted_frames(observed: Observation) -> int:
    """Return how many frames were sent and neither came nor were refused; below 0: came, never sent."""
    return observed.generated_frames - observed.wire.offered_frames - observed.wire.refused_frames


def uncounted_syns(observed: Observation) -> int | None:
    """Return how many SYNs came and were not counted; None where it cannot be known.

    Where the ring refused frames of a flood that is not SYNs alone, nobody knows which these were, and
    other tools than the generator do not say to the packet what they sent.
    """
    counted, good = observed.counted.syns, observed.good_syns
    refused = observed.wire.refused_frames
    if counted is None or good is None or (refused and observed.syns != observed.frames):
        return None
    if observed.generated_frames != observed.frames:
        return None
    return observed.syns - refused + good - counted


def _refused_share(observed: Observation) -> float:
    return observed.wire.refused_frames / observed.frames if observed.frames else 0.0


def _unaccounted(observed: Observation) -> Iterator[str]:
    if frames := unaccounted_frames(observed):
        yield f"{frames} of {observed.frames} frames sent were neither received nor refused"
    if syns := uncounted_syns(observed):
        yield f"{syns} SYNs received were not counted by the probe"


def _rates_missed(observed: Observation) -> Iterator[str]:
    for flood in observed.floods:
        if not flood.report.held(flood.plan, RATE_TOLERANCE):
            report, asked = flood.report, flood.plan.frame_limit
            yield f"{report.frames} frames went out in {report.span_s:.2f} s where {asked} were asked for"


def _frames_refused(observed: Observation) -> Iterator[str]:
    if refused := observed.wire.refused_frames:
        yield f"the receiver's full ring refused {refused} of {observed.frames} frames"


def _receiver_idle(observed: Observation) -> Iterator[str]:
    if observed.floods and _refused_share(observed) <= _LIMITED:
        yield "the receiver took all that came: the generator was the limit"


def _cpus_shared(observed: Observation) -> Iterator[str]:
    if observed.cpus < 2 or not observed.receiver_pinned:
        yield "generator and receiver shared a CPU"

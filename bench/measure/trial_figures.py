"""Makes a trial's figures and facts out of what was seen; pure."""

from __future__ import annotations

from collections.abc import Iterable

from bench.measure.alerts import alert_facts, alert_figures
from bench.measure.observation import Observation
from bench.measure.premises import (
    RECEIVER_BUSY,
    REFUSED_SHARE,
    refused_share,
    unaccounted_frames,
    uncounted_syns,
)
from bench.measure.statistics import quantile
from bench.peers.calls import CUT_OFF_S
from bench.peers.messages import Connection

_MIB = 1 << 20

Figures = dict[str, float | None]


def figures_of(observed: Observation) -> Figures:
    """Return every figure that this trial has."""
    figures = _good(observed) | _load(observed) | _cost(observed)
    if observed.counted.detects:
        figures |= alert_figures(observed)
    return figures


def facts_of(observed: Observation) -> dict[str, str | None]:
    """Return what is told in words."""
    facts: dict[str, str | None] = {"bottleneck": bottleneck(observed)}
    if observed.capacity_limited_by is not None:
        facts["capacity_limited_by"] = observed.capacity_limited_by
    return facts | (alert_facts(observed) if observed.counted.detects else {})


def bottleneck(observed: Observation) -> str | None:
    """Say what limited the flood; None without one.

    ``receiver``: its CPU; ``ring``: bursts that the ring did not hold while that CPU had time left;
    ``generator``: it was slower than asked, or as fast as it can; else ``nothing``.
    """
    if not observed.floods:
        return None
    if refused_share(observed) > REFUSED_SHARE:
        return "receiver" if (_receiver_busy(observed) or 0.0) >= RECEIVER_BUSY else "ring"
    slow = any(flood.plan.syn_per_s is None or not flood.report.held(flood.plan) for flood in observed.floods)
    return "generator" if slow else "nothing"


def _under_flood(observed: Observation, connections: Iterable[Connection]) -> list[Connection]:
    """Return what began while it was flooded, and could not be served by waiting for the flood's end."""
    last_ns = observed.ended_ns - (round(CUT_OFF_S * 1e9) if observed.floods else 0)
    return [one for one in connections if observed.began_ns <= one.start_ns <= last_ns]


def _good(observed: Observation) -> Figures:
    figures: Figures = {}
    connects: list[Connection] = []
    exchanges: list[Connection] = []
    times_ms: list[float] = []
    for client in observed.scenario.clients:
        begun = _under_flood(observed, observed.connections.get(client.name, ()))
        if client.kind == "keep-alive":
            exchanges += begun
            figures["good_broken"] = len(observed.broken_ns)
            continue
        connects += begun
        times_ms += [
            one.connect_ms - client.rtt_ms for one in begun if one.succeeded and one.connect_ms is not None
        ]
    if connects:
        figures |= _served(connects, ("good_attempted", "good_succeeded", "good_success"))
        figures["connect_p50_ms"] = quantile(sorted(times_ms), 0.5) if times_ms else None
        figures["connect_p99_ms"] = quantile(sorted(times_ms), 0.99) if times_ms else None
    if exchanges:
        attempted, _, share = _served(exchanges, ("attempted", "succeeded", "share")).values()
        figures |= {"exchanges_attempted": attempted, "exchange_success": share}
    return figures


def _served(begun: list[Connection], names: tuple[str, str, str]) -> Figures:
    succeeded = sum(one.succeeded for one in begun)
    return dict(zip(names, (len(begun), succeeded, succeeded / len(begun)), strict=True))


def _load(observed: Observation) -> Figures:
    if not observed.floods or not observed.syns:
        return {}
    # From the first SYN to the last, there are as many gaps as SYNs less one.
    offered_per_s = sum(flood.report.syn_per_s for flood in observed.floods)
    asked = [flood.plan.syn_per_s for flood in observed.floods]
    refused = observed.refused_frames
    figures: Figures = {
        "asked_syn_per_s": None if None in asked else sum(rate for rate in asked if rate),
        "offered_syn_per_s": offered_per_s,
        "received_syn_per_s": (observed.frames - refused) / observed.frames * offered_per_s,
        "lost_at_ring": refused,
        "other_frames_lost": observed.other_frames_lost,
        "unaccounted_frames": unaccounted_frames(observed),
        "uncounted_syns": uncounted_syns(observed),
        "dropped_syns": observed.counted.dropped_syns,
        "generator_busy": _generator_busy(observed),
    }
    if observed.capacity_per_s is not None:
        figures["capacity_syn_per_s"] = observed.capacity_per_s
    if observed.counted.detects:
        figures["time_to_drop_ms"] = _time_to_drop_ms(observed, offered_per_s)
    if observed.counted.syns is not None:
        earlier = observed.earlier.syns - observed.earlier.refused_frames
        counted = observed.counted.syns - observed.good_syns - earlier
        figures["processed_syn_per_s"] = counted / observed.syns * offered_per_s
    return figures


def _time_to_drop_ms(observed: Observation, offered_per_s: float) -> float | None:
    """Return when so many of a steady flood's SYNs had come as passed; None where none was dropped."""
    dropped = observed.counted.dropped_syns
    plans = [flood.plan for flood in observed.floods]
    if not dropped or observed.earlier.frames or len(plans) > 1 or plans[0].pattern != "steady":
        return None
    passed = max(observed.syns - observed.refused_frames - dropped, 0)
    return passed / offered_per_s * 1e3 if offered_per_s else None


def _generator_busy(observed: Observation) -> float | None:
    busy_ns = [flood.report.busy_ns for flood in observed.floods]
    if None in busy_ns or not observed.span_s:
        return None
    return sum(spent_ns for spent_ns in busy_ns if spent_ns) / 1e9 / observed.span_s


def _receiver_busy(observed: Observation) -> float | None:
    busy = observed.busy
    return None if busy.receiver_cpu_ns is None else busy.receiver_cpu_ns / busy.span_ns


def _cost(observed: Observation) -> Figures:
    busy, counted = observed.busy, observed.counted
    figures: Figures = {"map_bytes": counted.map_bytes, "lost_updates": counted.lost_updates}
    received = observed.frames - observed.refused_frames
    if busy.receiver_cpu_ns is not None:
        figures["receiver_busy"] = _receiver_busy(observed)
    if busy.receiver_cpu_ns and received > 0:
        figures["receiver_ns_per_frame"] = busy.receiver_cpu_ns / received
        figures["receiver_capacity_per_s"] = received / busy.receiver_cpu_ns * 1e9
    if busy.detector_cpu_ns is not None:
        figures["daemon_cpu"] = busy.detector_cpu_ns / busy.span_ns
    if busy.detector_peak_rss_bytes is not None:
        figures["daemon_rss_mib"] = busy.detector_peak_rss_bytes / _MIB
    return figures

"""The rows that ``status`` and ``top`` show of listeners, sources, blocks and blind spots, ready for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from synguard.block import Block
from synguard.detect import ListenerView
from synguard.endpoint import Listener, source_text, target_text
from synguard.history.records import time_to_json
from synguard.model import Alert, AlertKind, ListenerReading, Snapshot, SourceReading
from synguard.probe.totals import UNKNOWN_ONE_WAY

QUEUES = ("syn_queue", "syn_queue_limit", "accept_queue", "accept_queue_limit")
#: What a listener's row leaves open where only ingress is seen.
LISTENER_UNKNOWN_ONE_WAY = (
    *(*UNKNOWN_ONE_WAY, "half_open", "half_open_ratio"),
    *("handshake_p50_ms", "handshake_p99_ms"),
)


def listener_row(reading: ListenerReading, view: ListenerView, snapshot: Snapshot | None) -> dict[str, Any]:
    """Return what is known of a listener, its queues included."""
    counts = reading.counts
    closed_ports = reading.listener.port == 0
    row = {
        "listener": str(reading.listener),
        "closed_ports": closed_ports,
        # What a closed bucket calls answered moved to its listener, and counts there.
        "attempts": counts.attempts - counts.answered if closed_ports else counts.attempts,
        "answered": 0 if closed_ports else counts.answered,
        "completed": counts.completed,
        "aborted": counts.aborted,
        "refused": counts.refused,
        "dropped_by_us": counts.dropped_by_us,
        "greylisted": reading.greylisted,
        "cookies_sent": reading.cookies_sent,
        "cookies_valid": reading.cookies_valid,
        "cookies_connected": reading.cookies_connected,
        "half_open": view.half_open,
        "half_open_ratio": view.half_open_ratio,
        "attempts_per_s": view.attempts_per_s,
        "handshake_p50_ms": view.handshake_p50_ms,
        "handshake_p99_ms": view.handshake_p99_ms,
        "allowance_ms": view.allowance_ms,
        "sources_estimated": reading.sources_estimated,
        **_queues(reading.listener, snapshot),
    }
    one_way = snapshot is not None and snapshot.one_way
    return {**row, **dict.fromkeys(LISTENER_UNKNOWN_ONE_WAY)} if one_way else row


def _queues(listener: Listener, snapshot: Snapshot | None) -> dict[str, int | None]:
    """Return a listener's queues, which are read while it is suspected, and only if its sockets are here."""
    server = snapshot.server if snapshot else None
    queues = server.queues.get(listener) if server else None
    return {name: getattr(queues, name) if queues else None for name in QUEUES}


def source_row(reading: SourceReading, snapshot: Snapshot) -> dict[str, Any]:
    """Return what a snapshot counts of a source."""
    return {
        "source": source_text(reading.source),
        "attempts": reading.counts.attempts,
        "completed": None if snapshot.one_way else reading.counts.completed,
        "targets_estimated": reading.targets_estimated,
    }


def block_row(block: Block, *, suspended: bool = False, missing: bool = False) -> dict[str, Any]:
    """Return a block, with whether it waits for responses to be on, or was removed from the kernel."""
    return {
        "response": block.response,
        "target": target_text(block.target),
        "until": time_to_json(block.until_s),
        "hits": block.hits,
        "reason": block.reason,
        "asked_by": block.asked_by,
        "alert_id": block.alert_id,
        "created_at": time_to_json(block.created_at_s),
        "suspended": suspended,
        "missing": missing,
    }


def blind_rows(alerts: Iterable[Alert]) -> Iterator[dict[str, Any]]:
    """Yield what is not seen now; an alert that merely waits for its close is left out."""
    for alert in alerts:
        found = {item.name: item.value for item in alert.evidence}
        if alert.kind is AlertKind.BLIND and "until" not in found:
            told = {name: found.get(name) for name in ("cause", "interface", "not_seen", "since", "to_do")}
            yield {"alert_id": alert.id, **told}


def interface_row(described: dict[str, Any], blind: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return how the probe sits on an interface, and why it does not see there."""
    return {**described, "blind": [one["cause"] for one in blind if one["interface"] == described["name"]]}

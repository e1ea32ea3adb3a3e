"""Says what ``synguard status`` shows: attachment, counts, losses, responses, history."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synguard import __version__
from synguard.daemon.watch import Watch
from synguard.detect import Detector
from synguard.endpoint import Listener, source_text
from synguard.history.records import alert_to_json, time_to_json
from synguard.history.store import HistoryStore
from synguard.model import AlertKind, ListenerReading
from synguard.probe import loss
from synguard.probe.totals import UNKNOWN_ONE_WAY, losses_to_json, totals_to_json, unparsed_to_json
from synguard.respond.responder import Responder

#: What a listener's row leaves open where only ingress is seen.
_UNKNOWN_ONE_WAY = (*UNKNOWN_ONE_WAY, "half_open_ratio", "handshake_p50_ms", "handshake_p99_ms")


def describe(watch: Watch, responder: Responder, history: HistoryStore, database: str) -> dict[str, Any]:
    """Return the whole status, ready for JSON."""
    totals = watch.reader.totals()
    blind = list(_blind(watch))
    listeners = list(_listeners(watch))
    return {
        "version": __version__,
        "pid": os.getpid(),
        "started_at": time_to_json(watch.started_at_s),
        "uptime_s": round(time.time() - watch.started_at_s, 3),
        "respond": str(responder.rules.mode),
        "drop": responder.rules.drop,
        "interfaces": [_interface(described, blind) for described in watch.guard.describe()],
        "blind": blind,
        "one_way": _one_way(watch),
        "totals": totals_to_json(totals, one_way=_one_way(watch)),
        "unparsed": unparsed_to_json(totals),
        "listeners": listeners,
        "stack": _stack(watch),
        "sources": _sources(watch),
        "open_alerts": [alert_to_json(alert) for alert in watch.cases.open_alerts()],
        "losses": {
            **losses_to_json(totals),
            "sources_unwatched": watch.reader.losses.sources_unwatched,
            "late_reads": watch.reader.losses.late_reads,
            **watch.detector.losses,
        },
        "expected_losses": list(_expected_losses(listeners)),
        "responses": {
            "mode": str(responder.rules.mode),
            "blocks": len(responder.blocks),
            "actions": responder.actions,
            "refused": responder.refusals,
        },
        "silences": len(watch.cases.silences.held(time.time())),
        "history": {"database": database, **_health(history)},
    }


def _one_way(watch: Watch) -> bool:
    """Tell whether only ingress is seen: what was answered is unknown then, and what completed inferred."""
    return watch.snapshot is not None and watch.snapshot.one_way


def _blind(watch: Watch) -> Iterator[dict[str, Any]]:
    """Yield what is not seen now; an alert that merely waits for its close is left out."""
    for alert in watch.cases.open_alerts():
        found = {item.name: item.value for item in alert.evidence}
        if alert.kind is AlertKind.BLIND and "until" not in found:
            told = {name: found.get(name) for name in ("cause", "interface", "not_seen", "since", "to_do")}
            yield {"alert_id": alert.id, **told}


def _interface(described: dict[str, Any], blind: list[dict[str, Any]]) -> dict[str, Any]:
    return {**described, "blind": [one["cause"] for one in blind if one["interface"] == described["name"]]}


def _listeners(watch: Watch) -> Iterator[dict[str, Any]]:
    readings = sorted(
        watch.reader.listeners(time.monotonic_ns()), key=lambda reading: reading.counts.attempts, reverse=True
    )
    for reading in readings:
        row = {**_listener(reading, watch.detector), **_queues(reading.listener, watch)}
        if row["attempts"]:
            yield {**row, **dict.fromkeys(_UNKNOWN_ONE_WAY)} if _one_way(watch) else row


def _listener(reading: ListenerReading, detector: Detector) -> dict[str, Any]:
    view = detector.listener_view(reading.listener)
    counts = reading.counts
    closed_ports = reading.listener.port == 0
    return {
        "listener": str(reading.listener),
        "closed_ports": closed_ports,
        # What a closed bucket calls answered moved to its listener, and counts there.
        "attempts": counts.attempts - counts.answered if closed_ports else counts.attempts,
        "answered": 0 if closed_ports else counts.answered,
        "completed": counts.completed,
        "aborted": counts.aborted,
        "refused": counts.refused,
        "dropped_by_us": counts.dropped_by_us,
        "half_open_ratio": view.half_open_ratio,
        "attempts_per_s": view.attempts_per_s,
        "handshake_p50_ms": view.handshake_p50_ms,
        "handshake_p99_ms": view.handshake_p99_ms,
        "allowance_ms": view.allowance_ms,
        "sources_estimated": reading.sources_estimated,
    }


def _queues(listener: Listener, watch: Watch) -> dict[str, int | None]:
    """Return a listener's queues, which are read while it is suspected, and only if its sockets are here."""
    server = watch.snapshot.server if watch.snapshot else None
    queues = server.queues.get(listener) if server else None
    names = ("syn_queue", "syn_queue_limit", "accept_queue", "accept_queue_limit")
    return {name: getattr(queues, name) if queues else None for name in names}


def _stack(watch: Watch) -> dict[str, Any]:
    """Return what the stack says of itself; while nothing moves it is not asked."""
    server = watch.snapshot.server if watch.snapshot else None
    return {
        "syncookies": server.syncookies if server else None,
        "counters": dict(server.counters) if server else None,
        "conntrack_entries": server.conntrack_entries if server else None,
        "conntrack_limit": server.conntrack_limit if server else None,
        "unreadable": dict(watch.server.problems),
    }


def _expected_losses(listeners: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what the probe's bounded tables are stated to lose: at the present rate, and in floods."""
    now_per_s = round(sum(row["attempts_per_s"] or 0.0 for row in listeners), 1)
    for rate in (now_per_s, *loss.TOLD_ATTEMPTS_PER_S):
        yield {
            "attempts_per_s": rate,
            "handshakes": [
                {"hold_s": hold_s, "lost_share": loss.handshake_loss(rate, hold_s)}
                for hold_s in loss.TOLD_HOLD_S
            ],
            "sources_known_from_syn_per_s": loss.known_from_syn_per_s(rate),
        }


def _sources(watch: Watch) -> list[dict[str, Any]]:
    sources = watch.snapshot.sources if watch.snapshot else ()
    return [
        {
            "source": source_text(reading.source),
            "attempts": reading.counts.attempts,
            "completed": None if _one_way(watch) else reading.counts.completed,
            "targets_estimated": reading.targets_estimated,
        }
        for reading in sorted(sources, key=lambda reading: reading.counts.attempts, reverse=True)
    ]


def _health(history: HistoryStore) -> dict[str, Any]:
    health = history.health()
    return {
        "state": health.state,
        "error": health.error,
        "queued": health.queued,
        "lost": health.lost,
        "moved_aside": health.moved_aside,
    }

"""Alerts and blocks as rows of the database, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_network
from typing import Any, Protocol

from synguard.block import Block
from synguard.endpoint import Listener, Network, source_text
from synguard.history.records import measurement_to_json, response_from_json, response_to_json
from synguard.model import (
    Alert,
    AlertClass,
    AlertKind,
    AlertState,
    ClosedBecause,
    Evidence,
    Measurement,
    Severity,
    TopSource,
)

MAX_TOP_SOURCES = 50

#: RFC 4291 section 2.5.5.2: IPv4 as ``::ffff:a.b.c.d``.
_MAPPED = int(IPv6Address("::ffff:0:0"))
MAPPED_FIRST = _MAPPED.to_bytes(16, "big")
MAPPED_LAST = (_MAPPED | 0xFFFFFFFF).to_bytes(16, "big")

_SAME = (
    "sources_estimated",
    "attempts",
    "answered",
    "completed",
    "aborted",
    "refused",
    "dropped_by_us",
    "half_open_ratio",
    "peak_syn_per_s",
    "impact",
    "decision",
)


class Row(Protocol):
    """A row as sqlite3 gives it, or a dict with the same names."""

    def __getitem__(self, column: str, /) -> Any:
        """Return the value of a column."""


def to_ms(wall_s: float) -> int:
    """Return seconds as the database keeps them: whole milliseconds."""
    return round(wall_s * 1000)


def address_range(network: Network) -> tuple[bytes, bytes]:
    """Return a network's first and last address as 16 bytes each, IPv4 mapped."""
    base = _MAPPED if network.version == 4 else 0
    first, last = int(network.network_address), int(network.broadcast_address)
    return (base + first).to_bytes(16, "big"), (base + last).to_bytes(16, "big")


def alert_to_row(alert: Alert, updated_at_ms: int) -> dict[str, Any]:
    """Return the row of ``alerts`` for an alert."""
    first, last = (None, None) if alert.source is None else address_range(alert.source)
    response = response_to_json(alert.response)
    return {
        "id": alert.id,
        "kind": alert.kind.value,
        "class": None if alert.alert_class is None else alert.alert_class.value,
        "severity": alert.severity.value,
        "state": alert.state.value,
        "closed_because": None if alert.closed_because is None else alert.closed_because.value,
        "started_at_ms": to_ms(alert.started_at_s),
        "ended_at_ms": None if alert.ended_at_s is None else to_ms(alert.ended_at_s),
        "updated_at_ms": updated_at_ms,
        "listener": None if alert.listener is None else str(alert.listener),
        "source": None if alert.source is None else source_text(alert.source),
        "source_first": first,
        "source_last": last,
        **{name: getattr(alert, name) for name in _SAME},
        "evidence": json.dumps(
            [{"name": e.name, "value": e.value, "weight": e.weight} for e in alert.evidence]
        ),
        "measurements": json.dumps([measurement_to_json(m) for m in alert.measurements]),
        "response": None if response is None else json.dumps(response),
    }


def source_rows(alert: Alert) -> list[dict[str, Any]]:
    """Return the rows of ``alert_sources`` for an alert: its first 50 top sources."""
    rows = []
    for rank, top in enumerate(alert.top_sources[:MAX_TOP_SOURCES]):
        first, last = address_range(top.source)
        rows.append(
            {
                "alert_id": alert.id,
                "rank": rank,
                "source": source_text(top.source),
                "source_first": first,
                "source_last": last,
                "attempts": top.attempts,
                "completed": top.completed,
            }
        )
    return rows


def alert_from_rows(row: Row, sources: Iterable[Row] = ()) -> Alert:
    """Return the alert of a row of ``alerts`` and its rows of ``alert_sources``, in rank order."""
    return Alert(
        id=row["id"],
        kind=AlertKind(row["kind"]),
        alert_class=None if row["class"] is None else AlertClass(row["class"]),
        severity=Severity(row["severity"]),
        state=AlertState(row["state"]),
        closed_because=None if row["closed_because"] is None else ClosedBecause(row["closed_because"]),
        started_at_s=row["started_at_ms"] / 1000,
        ended_at_s=None if row["ended_at_ms"] is None else row["ended_at_ms"] / 1000,
        listener=None if row["listener"] is None else Listener.parse(row["listener"]),
        source=None if row["source"] is None else ip_network(row["source"]),
        **{name: row[name] for name in _SAME},
        evidence=tuple(Evidence(**item) for item in json.loads(row["evidence"])),
        measurements=tuple(Measurement(**item) for item in json.loads(row["measurements"])),
        response=None if row["response"] is None else response_from_json(json.loads(row["response"])),
        top_sources=tuple(TopSource(ip_network(s["source"]), s["attempts"], s["completed"]) for s in sources),
    )


def block_to_row(block: Block) -> dict[str, Any]:
    """Return the row of ``blocks`` for a block; its hits are the kernel's and are not kept."""
    return {
        "target": source_text(block.target),
        "until_ms": to_ms(block.until_s),
        "reason": block.reason,
        "asked_by": block.asked_by,
        "alert_id": block.alert_id,
        "created_at_ms": to_ms(block.created_at_s),
    }


def block_from_row(row: Row) -> Block:
    """Return the block of a row of ``blocks``."""
    return Block(
        target=ip_network(row["target"]),
        until_s=row["until_ms"] / 1000,
        reason=row["reason"],
        asked_by=row["asked_by"],
        alert_id=row["alert_id"],
        created_at_s=row["created_at_ms"] / 1000,
    )

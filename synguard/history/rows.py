"""Alerts, blocks, silences and baselines as rows of the database, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, ip_network
from typing import Any, Protocol

from synguard.block import Block
from synguard.endpoint import Listener, Network, Target, parse_target, source_text, target_text
from synguard.errors import UsageError
from synguard.history.records import measurement_to_json, response_from_json, response_to_json
from synguard.model import (
    Alert,
    AlertClass,
    AlertKind,
    AlertState,
    Change,
    ClosedBecause,
    Evidence,
    Measurement,
    Severity,
    TopSource,
)
from synguard.silence import Silence

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

    def keys(self) -> Iterable[str]:
        """Return the names of the columns there are."""


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
        "silenced": int(alert.silenced),
    }


def source_to_row(top: TopSource) -> tuple[str, bytes, bytes, int, int]:
    """Return what a row of ``alert_sources`` says of a source: its name, its range, its counts."""
    return source_text(top.source), *address_range(top.source), top.attempts, top.completed


def listener_to_row(listener: Listener) -> tuple[str]:
    """Return what a row of ``alert_listeners`` says of a listener."""
    return (str(listener),)


def change_to_row(change: Change) -> tuple[int, str, str | None, str | None, str]:
    """Return what a row of ``alert_timeline`` says of a change: when, what, before, after, because."""
    return to_ms(change.at_s), change.what, change.before, change.after, change.because


def alert_from_rows(row: Row, parts: Mapping[str, Iterable[Row]]) -> Alert:
    """Return the alert of a row of ``alerts`` and its rows of the tables beside it, each in order."""
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
        top_sources=tuple(
            TopSource(ip_network(one["source"]), one["attempts"], one["completed"])
            for one in parts["alert_sources"]
        ),
        listeners=tuple(Listener.parse(one["listener"]) for one in parts["alert_listeners"]),
        timeline=tuple(
            Change(one["at_ms"] / 1000, one["what"], one["before"], one["after"], one["because"])
            for one in parts["alert_timeline"]
        ),
        silenced=bool(row["silenced"]),
    )


def block_to_row(block: Block) -> dict[str, Any]:
    """Return the row of ``blocks`` for a block; its hits are the kernel's and are not kept."""
    return {
        "target": target_text(block.target),
        "until_ms": to_ms(block.until_s),
        "reason": block.reason,
        "asked_by": block.asked_by,
        "alert_id": block.alert_id,
        "created_at_ms": to_ms(block.created_at_s),
        "response": block.response,
    }


def block_from_row(row: Row) -> Block:
    """Return the block of a row of ``blocks``; one of an earlier schema drops.

    Raises ValueError if it is none.
    """
    return Block(
        target=_target(row),
        until_s=row["until_ms"] / 1000,
        reason=row["reason"],
        asked_by=row["asked_by"],
        alert_id=row["alert_id"],
        created_at_s=row["created_at_ms"] / 1000,
        response=row["response"] if "response" in row.keys() else "drop",  # noqa: SIM118
    )


def _target(row: Row) -> Target:
    try:
        return parse_target(row["target"])
    except UsageError as error:
        raise ValueError(str(error)) from error


def silence_to_row(silence: Silence) -> dict[str, Any]:
    """Return the row of ``silences`` for a silence."""
    return {
        "target": target_text(silence.target),
        "until_ms": to_ms(silence.until_s),
        "reason": silence.reason,
        "asked_by": silence.asked_by,
        "created_at_ms": to_ms(silence.created_at_s),
    }


def silence_from_row(row: Row) -> Silence:
    """Return the silence of a row of ``silences``. Raises ValueError if it is none."""
    return Silence(
        target=_target(row),
        until_s=row["until_ms"] / 1000,
        reason=row["reason"],
        asked_by=row["asked_by"],
        created_at_s=row["created_at_ms"] / 1000,
    )


def baseline_from_row(row: Row) -> tuple[str, dict[str, Any]]:
    """Return the listener and the state of a row of ``baselines``. Raises ValueError if it is none."""
    listener, state = row["listener"], json.loads(row["state"])
    Listener.parse(listener)
    if not isinstance(state, dict):
        raise ValueError(f"the baseline of {listener} is a {type(state).__name__}")
    return listener, state

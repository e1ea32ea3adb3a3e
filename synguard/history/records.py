"""Alerts as JSON: the one shape that the commands print and the control socket carries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

from synguard.endpoint import Listener, source_text
from synguard.model import (
    Alert,
    AlertClass,
    AlertKind,
    AlertState,
    Change,
    ClosedBecause,
    Evidence,
    Measurement,
    RespondMode,
    Response,
    Severity,
    TopSource,
)

#: What has the same name and form in the record and in JSON.
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
)


def alert_to_json(alert: Alert) -> dict[str, Any]:
    """Return the alert as plain data; times are ISO 8601 in UTC to the millisecond, unknown is None."""
    return {
        "id": alert.id,
        "kind": alert.kind.value,
        "class": _text(alert.alert_class),
        "severity": alert.severity.value,
        "state": alert.state.value,
        "closed_because": _text(alert.closed_because),
        "started_at": time_to_json(alert.started_at_s),
        "ended_at": time_to_json(alert.ended_at_s),
        "listener": _text(alert.listener),
        "listeners": [str(listener) for listener in alert.listeners],
        "source": None if alert.source is None else source_text(alert.source),
        **{name: getattr(alert, name) for name in _SAME},
        "evidence": [{"name": e.name, "value": e.value, "weight": e.weight} for e in alert.evidence],
        "action": response_to_json(alert.response),
        "decision": alert.decision,
        "silenced": alert.silenced,
        "measurements": [measurement_to_json(m) for m in alert.measurements],
        "top_sources": [
            {"source": source_text(t.source), "attempts": t.attempts, "completed": t.completed}
            for t in alert.top_sources
        ],
        "timeline": [change_to_json(change) for change in alert.timeline],
    }


def alert_from_json(data: Mapping[str, Any]) -> Alert:
    """Return the alert that :func:`alert_to_json` wrote. Raises ValueError if it is none."""
    try:
        return Alert(
            id=int(data["id"]),
            kind=AlertKind(data["kind"]),
            alert_class=None if data["class"] is None else AlertClass(data["class"]),
            severity=Severity(data["severity"]),
            state=AlertState(data["state"]),
            closed_because=None if data["closed_because"] is None else ClosedBecause(data["closed_because"]),
            started_at_s=time_from_json(data["started_at"]),
            ended_at_s=None if data["ended_at"] is None else time_from_json(data["ended_at"]),
            listener=None if data["listener"] is None else Listener.parse(data["listener"]),
            listeners=tuple(map(Listener.parse, data["listeners"])),
            source=None if data["source"] is None else ip_network(data["source"]),
            **{name: data[name] for name in _SAME},
            evidence=tuple(Evidence(**e) for e in data["evidence"]),
            response=response_from_json(data["action"]),
            decision=data["decision"],
            silenced=bool(data["silenced"]),
            measurements=tuple(Measurement(**m) for m in data["measurements"]),
            top_sources=tuple(
                TopSource(ip_network(t["source"]), t["attempts"], t["completed"]) for t in data["top_sources"]
            ),
            timeline=tuple(map(change_from_json, data["timeline"])),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an alert: {error!r}") from error


def change_to_json(change: Change) -> dict[str, Any]:
    """Return an entry of a timeline as plain data: ``{at, what, before, after, because}``."""
    return {
        "at": time_to_json(change.at_s),
        "what": change.what,
        "before": change.before,
        "after": change.after,
        "because": change.because,
    }


def change_from_json(data: Mapping[str, Any]) -> Change:
    """Return what :func:`change_to_json` wrote. Raises KeyError or ValueError if it is none."""
    return Change(time_from_json(data["at"]), data["what"], data["before"], data["after"], data["because"])


def measurement_to_json(measurement: Measurement) -> dict[str, Any]:
    """Return a measurement as plain data."""
    return {
        "name": measurement.name,
        "observed": measurement.observed,
        "threshold": measurement.threshold,
        "unit": measurement.unit,
        "baseline": measurement.baseline,
    }


def response_to_json(response: Response | None) -> dict[str, Any] | None:
    """Return what was done as plain data: ``{response, mode, target, reason, until}``."""
    if response is None:
        return None
    return {
        "response": response.response,
        "mode": response.mode.value,
        "target": response.target,
        "reason": response.reason,
        "until": time_to_json(response.until_s),
    }


def response_from_json(data: Mapping[str, Any] | None) -> Response | None:
    """Return what :func:`response_to_json` wrote. Raises KeyError or ValueError if it is none."""
    if data is None:
        return None
    return Response(
        response=data["response"],
        mode=RespondMode(data["mode"]),
        target=data["target"],
        reason=data["reason"],
        until_s=None if data["until"] is None else time_from_json(data["until"]),
    )


def time_to_json(wall_s: float | None) -> str | None:
    """Return seconds since the Unix epoch as ``2026-11-22T10:00:00.000Z``."""
    if wall_s is None:
        return None
    # Rounded once, here and in the database alike, so that both show the same millisecond.
    moment = datetime.fromtimestamp(round(wall_s * 1000) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_from_json(text: str) -> float:
    """Return the seconds since the Unix epoch that ``text`` means. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)

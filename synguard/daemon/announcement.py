"""What the log tells of an alert, and which of its changes are worth another line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synguard.endpoint import source_text
from synguard.model import Alert, AlertKind


def described(alert: Alert) -> dict[str, Any]:
    """Return what the log tells of an alert: what, how bad, whom it is on, who it comes from, and why."""
    told = {"alert_id": alert.id, "kind": str(alert.kind), "severity": str(alert.severity)}
    if alert.kind is AlertKind.BLIND:
        return told | {item.name: item.value for item in alert.evidence}
    names = {"listener": str(alert.listener) if alert.listener else None}
    several = {"listeners": [str(listener) for listener in alert.listeners]}
    return {
        **told,
        "class": str(alert.alert_class) if alert.alert_class else None,
        "impact": alert.impact,
        **(names | several if len(alert.listeners) > 1 else names),
        "source": source_text(alert.source) if alert.source else None,
        "sources_estimated": alert.sources_estimated,
        "attempts": alert.attempts,
        "half_open_ratio": alert.half_open_ratio,
        "peak_syn_per_s": round(alert.peak_syn_per_s, 1),
        "evidence": ", ".join(f"{item.name} {item.value}" for item in alert.evidence if item.weight),
    }


def picture(alert: Alert) -> dict[str, object]:
    """Return what of an alert is told anew where it changes; figures that merely move are not.

    An impact is news when it hurts; whether it is known that nothing does may change by the second.
    """
    return {
        "class": alert.alert_class,
        "source": alert.source,
        "listeners": frozenset(alert.listeners),
        "severity": alert.severity,
        "impact": None if alert.impact in ("none", "unknown") else alert.impact,
    }


def changed(before: Mapping[str, object], alert: Alert) -> list[str]:
    """Return the names of what has changed since ``before``, which :func:`picture` told then."""
    return [name for name, value in picture(alert).items() if before[name] != value]

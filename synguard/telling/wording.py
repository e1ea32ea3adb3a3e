"""What an alert is called where there is room for a few words only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synguard.model import AlertClass, AlertKind
from synguard.telling.figures import duration, figure, seconds_between


def is_blind(alert: Mapping[str, Any]) -> bool:
    """Tell whether an alert is about what is not seen; such a one counts no handshakes."""
    return bool(alert["kind"] == AlertKind.BLIND)


def evidence_by_name(alert: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of an alert's evidence."""
    return {one["name"]: one["value"] for one in alert["evidence"]}


def what(alert: Mapping[str, Any]) -> str:
    """Return ``syn-flood single-source``, or ``blind detached eth0``."""
    if not is_blind(alert):
        return " ".join(filter(None, (alert["kind"], alert["class"])))
    found = evidence_by_name(alert)
    return " ".join(str(part) for part in (alert["kind"], found.get("cause"), found.get("interface")) if part)


def on_whom(alert: Mapping[str, Any]) -> str | None:
    """Return ``203.0.113.5:443 +4`` where four more are hit by the same; None where no listener is named."""
    more = len(alert.get("listeners") or ()) - 1
    listener: str | None = alert["listener"]
    return f"{listener} +{more}" if more > 0 else listener


def by_whom(alert: Mapping[str, Any]) -> str | None:
    """Return the source, or how many there are; None where neither is known."""
    source: str | None = alert["source"]
    count = alert["sources_estimated"]
    if source is None:
        return None if count is None else f"~{figure(count)} sources"
    if alert["kind"] == AlertKind.REFLECTION:
        return f"to {source}"
    return f"{source} ~{figure(count)}" if alert["class"] == AlertClass.PREFIX and count else source


def lasted(alert: Mapping[str, Any]) -> str:
    """Return how long a closed alert lasted, or ``open``."""
    if alert["ended_at"] is None:
        return str(alert["state"])
    return duration(seconds_between(alert["started_at"], alert["ended_at"]))

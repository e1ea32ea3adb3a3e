"""What an alert is called where there is room for a few words only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synguard.model import AlertKind


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

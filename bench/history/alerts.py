"""Alerts of a made-up history that come while it is asked."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network

from bench.history.fill import BUSY_LISTENER, NEWEST_MS, SOURCES_EACH
from synguard.model import Alert, AlertClass, AlertKind, AlertState, Severity, TopSource


def open_alert(alert_id: int) -> Alert:
    """Return an alert that has opened, with as many sources as one may have."""
    first = IPv4Address("203.0.113.0")
    return Alert(
        id=alert_id,
        kind=AlertKind.SYN_FLOOD,
        alert_class=AlertClass.DISTRIBUTED,
        severity=Severity.HIGH,
        state=AlertState.OPEN,
        started_at_s=NEWEST_MS / 1000 + alert_id,
        listener=BUSY_LISTENER,
        source=None,
        listeners=(BUSY_LISTENER,),
        attempts=5000,
        top_sources=tuple(TopSource(ip_network(first + number), 100, 0) for number in range(SOURCES_EACH)),
    )

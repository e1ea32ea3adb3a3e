"""A history of made-up alerts and figures, which remembers how much it was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

from synguard.endpoint import Listener
from synguard.history.filter import AlertFilter
from synguard.history.questions import Rows
from synguard.history.records import alert_to_json, time_from_json, time_to_json
from synguard.model import Alert, AlertClass, AlertKind, Change, Severity, TopSource
from tests.unit.cli.conftest import BLIND, FLOOD, SCAN, SPOOFED, STARTED_AT_S

NOW_S = STARTED_AT_S + 3000.0

SOURCES = tuple(TopSource(ip_network(f"198.51.{n // 200}.{n % 200}"), 900 - n, 0) for n in range(50))
WITH_TIMELINE = replace(
    FLOOD,
    top_sources=(*FLOOD.top_sources, *SOURCES[:49]),
    timeline=(
        Change(STARTED_AT_S, "state", None, "open"),
        Change(STARTED_AT_S + 20.0, "impact", "cookies", "dropping", "SYNs were dropped"),
        Change(STARTED_AT_S + 40.0, "response", None, "drop 198.51.100.7 (enforce)", "one source"),
        Change(STARTED_AT_S + 72.0, "state", "open", "closed", "it ended"),
    ),
)
DISTRIBUTED = replace(
    FLOOD,
    id=27,
    alert_class=AlertClass.DISTRIBUTED,
    source=None,
    sources_estimated=1500,
    top_sources=SOURCES,
)
PREFIX = replace(
    FLOOD, id=28, alert_class=AlertClass.PREFIX, source=ip_network("198.51.0.0/24"), top_sources=SOURCES
)
REFLECTION = replace(
    FLOOD, id=29, kind=AlertKind.REFLECTION, alert_class=None, source=ip_network("192.0.2.0/24"),
    severity=Severity.LOW,
)  # fmt: skip
OVERLOAD = replace(
    FLOOD,
    id=30,
    kind=AlertKind.OVERLOAD,
    alert_class=None,
    source=None,
    sources_estimated=None,
    attempts=0,
    answered=None,
    completed=None,
    half_open_ratio=None,
    peak_syn_per_s=0.0,
    impact="accept-queue-full",
    top_sources=(),
    response=None,
)
EVERY_KIND = (WITH_TIMELINE, SPOOFED, SCAN, BLIND, DISTRIBUTED, PREFIX, REFLECTION, OVERLOAD)

_STEP: dict[str, Any] = {
    "attempts": 0, "answered": 0, "completed": 0, "aborted": 0, "refused": 0, "dropped_by_us": 0,
    "syn_retransmits": 0, "syn_duplicates": 0, "fin_probes": 0, "null_probes": 0, "xmas_probes": 0,
    "unparsed": 0, "peak_attempts_per_s": 0.0, "kernel_cookies": 0, "kernel_drops": 0, "accept_overflows": 0,
    "handshake_p50_ms": None, "handshake_p99_ms": None, "sources_estimated": None, "syn_queue": None,
    "syn_queue_limit": None, "accept_queue": None, "accept_queue_limit": None,
}  # fmt: skip


def step(at_s: float, step_s: int = 1, **figures: Any) -> dict[str, Any]:
    """Return a step as the history gives it."""
    return {"at": time_to_json(at_s), "step_s": step_s, **_STEP, **figures}


def flood_steps(at_s: float = STARTED_AT_S, length_s: int = 72) -> Rows:
    """Return a flood of so many seconds, with some quiet seconds around it, in which clients come."""
    quiet = [step(at_s - 30 + n, attempts=40, completed=40, peak_attempts_per_s=40.0) for n in range(30)]
    loud = [
        step(
            at_s + n,
            attempts=50_000 + 40 * n,
            completed=20,
            dropped_by_us=30_000 if n > 40 else 0,
            kernel_cookies=9000,
            kernel_drops=600,
            peak_attempts_per_s=50_000.0 + 40 * n,
            syn_queue=1000,
            syn_queue_limit=1024,
            accept_queue=3,
            accept_queue_limit=1024,
        )
        for n in range(length_s)
    ]
    return quiet + loud


def run(**changes: Any) -> dict[str, Any]:
    """Return a run of the daemon that began before everything and goes on."""
    return {
        "id": 1,
        "version": "0.1.0",
        "kernel": "6.1.0-31-amd64",
        "interfaces": ["eth0"],
        "mode": "enforce",
        "settings_hash": "abc",
        "started_at": time_to_json(STARTED_AT_S - 7200),
        "last_seen_at": time_to_json(NOW_S),
        "ended_at": None,
        "ended_because": None,
        **changes,
    }


def response(**changes: Any) -> dict[str, Any]:
    """Return a response that was taken during the flood, and has ended."""
    return {
        "id": 1,
        "alert_id": 23,
        "response": "drop",
        "mode": "enforce",
        "target": "198.51.100.7",
        "reason": "one source above the threshold",
        "asked_by": "alert",
        "started_at": time_to_json(STARTED_AT_S + 40.0),
        "until": time_to_json(STARTED_AT_S + 640.0),
        "ended_at": time_to_json(STARTED_AT_S + 640.0),
        "ended_because": "its time is over",
        "hits": 960_000,
        **changes,
    }


def as_json(*alerts: Alert) -> Rows:
    """Return alerts as the commands get them."""
    return [alert_to_json(alert) for alert in alerts]


@dataclass
class MadeUp:
    """Answers what a report asks."""

    alerts: Rows
    steps: Rows = field(default_factory=flood_steps)
    taken: Rows = field(default_factory=lambda: [response()])
    ran: Rows = field(default_factory=lambda: [run()])
    #: How many rows each question asked for at most.
    limits: list[int | None] = field(default_factory=list)

    def find(self, alert_filter: AlertFilter) -> Rows:
        """Return the alerts of a kind in their order here."""
        self.limits.append(alert_filter.limit)
        kind = alert_filter.kind
        return [one for one in self.alerts if kind in {None, one["kind"]}][: alert_filter.limit]

    def get(self, alert_id: int) -> dict[str, Any] | None:
        """Return an alert."""
        return next((one for one in self.alerts if one["id"] == alert_id), None)

    def totals(self, since_s: float, until_s: float, most_steps: int) -> Rows:
        """Return the steps of a time."""
        self.limits.append(most_steps)
        return [one for one in self.steps if since_s <= time_from_json(one["at"]) < until_s]

    def listener_series(
        self, listeners: Sequence[str], since_s: float, until_s: float, most_steps: int
    ) -> Rows:
        """Return the same, whichever the listeners."""
        assert all(Listener.parse(name) for name in listeners)
        return self.totals(since_s, until_s, most_steps)

    def responses(self, since_s: float, until_s: float, alert_id: int | None = None) -> Rows:  # noqa: ARG002
        """Return the responses of an alert."""
        return [one for one in self.taken if alert_id in {None, one["alert_id"]}]

    def runs(self, since_s: float, until_s: float) -> Rows:  # noqa: ARG002
        """Return all runs."""
        return self.ran


def with_ids(alerts: Iterable[dict[str, Any]]) -> Rows:
    """Return alerts that are numbered from 1."""
    return [{**alert, "id": number} for number, alert in enumerate(alerts, start=1)]

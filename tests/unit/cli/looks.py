"""Made-up answers to ``top``, as many rows as are wanted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from synguard.history.records import alert_to_json
from tests.unit.cli.conftest import SPOOFED

AT = "2026-11-22T10:10:05.000Z"
COUNTS = ("attempts", "answered", "completed", "aborted", "refused", "dropped_by_us")


def listener(number: int, **figures: Any) -> dict[str, Any]:
    """Return a listener's row; every other one is IPv6."""
    name = f"203.0.113.5:{number}" if number % 2 else f"[2001:db8:1:2:3:4:5:6]:{number}"
    return {
        "listener": name, "closed_ports": False, "attempts": 1000 + number, "answered": 9, "completed": 8,
        "aborted": 0, "refused": 0, "dropped_by_us": 0, "half_open": number, "half_open_ratio": 0.25,
        "attempts_per_s": 1000.0 - number, "handshake_p50_ms": 1.05, "handshake_p99_ms": 33.6,
        "allowance_ms": 50.0, "sources_estimated": 40 + number, "syn_queue": None, "syn_queue_limit": None,
        "accept_queue": None, "accept_queue_limit": None, "syn_queue_fill": None, "accept_queue_fill": None,
        "impact": None, "alert_id": None, "response": None, **figures,
    }  # fmt: skip


def source(name: str, **figures: Any) -> dict[str, Any]:
    """Return a source's row, or a prefix's."""
    return {
        "source": name, "attempts": 900, "completed": 0, "targets_estimated": 1, "sources_estimated": None,
        "attempts_per_s": 123.4, "half_open": 300, "half_open_ratio": 1.0, "dropped_by_us": 5, "probes": 2,
        **figures,
    }  # fmt: skip


ALERT = {**alert_to_json(SPOOFED), "listeners_known": 3, "evidence": [], "severity_rank": 3}
BLOCK = {
    "response": "drop", "target": "198.51.100.7", "until": "2026-11-22T10:12:05.000Z", "hits": 4321,
    "reason": "by \x1b]0;hand\x07", "asked_by": "manual", "alert_id": None, "created_at": AT,
    "suspended": True, "missing": False,
}  # fmt: skip
FLOODED = listener(
    443,
    syn_queue_fill=1.0,
    accept_queue_fill=0.5,
    impact="cookies",
    alert_id=24,
    half_open_ratio=1.0,
    response="cookie",
)


def answer(rows: int = 64, listeners: int = 512, **differing: Any) -> dict[str, Any]:
    """Return an answer, the first there was; ``listeners`` are known, of which ``rows`` are told."""
    known = [FLOODED, *(listener(number) for number in range(1, listeners))][:listeners]
    tables = {
        "listeners": known[:rows],
        "sources": [source("2001:db8:7::/64"), source("198.51.100.7")],
        "prefixes": [source("198.51.100.0/24", sources_estimated=250)],
        "alerts": [ALERT],
        "blocks": [BLOCK],
    }
    interface = {"name": "eth0", "index": 2, "attached": True, "ingress": "xdp-native", "egress": "tc-clsact",
                 "note": None, "blind": []}  # fmt: skip
    return {
        "at": AT, "monotonic_s": 100.0, "version": "0.1.0", "pid": 4242, "uptime_s": 605.0,
        "started_at": "2026-11-22T10:00:00.000Z", "respond": "enforce", "drop": "proven",
        "interfaces": [interface], "blind": [], "one_way": False, "totals": dict.fromkeys(COUNTS, 0),
        "losses": {"late_reads": 0, "candidates_lost": 0}, "actions": 1, "refused": 0, "silences": 0,
        "history": {"state": "ok", "error": None, "queued": 0},
        "rows_known": {**{name: len(rows) for name, rows in tables.items()}, "listeners": len(known)},
        **tables, **differing,
    }  # fmt: skip


def answering(**differing: Any) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return what answers each question with a second and a thousand attempts more."""
    numbers = itertools.count()

    def told(arguments: Mapping[str, Any]) -> dict[str, Any]:
        number = next(numbers)
        totals = {**dict.fromkeys(COUNTS, 0), "attempts": 5000 + 1000 * number}
        rows = arguments.get("rows", 64)
        return answer(rows, **{"monotonic_s": 100.0 + number, "totals": totals, **differing})

    return told

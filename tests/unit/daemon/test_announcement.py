"""What the log tells of alerts: when they are raised, and when the picture changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from synguard.daemon.announcement import described
from synguard.endpoint import Listener
from synguard.model import Alert, AlertClass, AlertKind, AlertOpened, AlertUpdated, Evidence, Severity
from tests.unit.daemon.staging import FLOOD, NOTHING, Stage

WEB, TLS = Listener.parse("203.0.113.5:80"), Listener.parse("203.0.113.5:443")
SPOOFED = replace(
    FLOOD,
    alert_class=AlertClass.SPOOFED,
    source=None,
    listeners=(TLS,),
    impact="cookies",
    attempts=6000,
    sources_estimated=5900,
    half_open_ratio=0.98,
    peak_syn_per_s=20_000.04,
    evidence=(Evidence("bogon_share", 0.13, 0.5), Evidence("targets", 1, 0.0)),
)


def test_a_flood_is_told_with_what_it_does_and_why_it_is_called_so() -> None:
    """Its class, its impact, how many sources it has, and the evidence that weighs are in one line."""
    assert described(SPOOFED) == {
        "alert_id": 1,
        "kind": "syn-flood",
        "class": "spoofed",
        "severity": "high",
        "impact": "cookies",
        "listener": "203.0.113.5:443",
        "source": None,
        "sources_estimated": 5900,
        "attempts": 6000,
        "half_open_ratio": 0.98,
        "peak_syn_per_s": 20_000.0,
        "evidence": "bogon_share 0.13",
    }


def test_every_listener_of_a_grouped_attack_is_told() -> None:
    """An attack on two listeners names both, the hardest hit first."""
    assert described(replace(SPOOFED, listeners=(TLS, WEB)))["listeners"] == [
        "203.0.113.5:443",
        "203.0.113.5:80",
    ]


@pytest.mark.parametrize(
    ("alert", "told"),
    [
        (
            replace(
                FLOOD,
                kind=AlertKind.SCAN,
                alert_class=AlertClass.FIN,
                listener=None,
                evidence=(Evidence("targets", 40, 0.0), Evidence("fin_probes", 40, 1.0)),
            ),
            {
                "kind": "scan",
                "class": "fin",
                "listener": None,
                "source": "198.51.100.7",
                "evidence": "fin_probes 40",
            },
        ),
        (
            replace(FLOOD, kind=AlertKind.OVERLOAD, alert_class=None, source=None),
            {"kind": "overload", "class": None, "listener": "203.0.113.5:443", "source": None},
        ),
        (
            replace(
                FLOOD,
                kind=AlertKind.REFLECTION,
                alert_class=None,
                source=ip_network("198.51.100.0/24"),
            ),
            {"kind": "reflection", "class": None, "source": "198.51.100.0/24"},
        ),
        (
            replace(FLOOD, alert_class=AlertClass.PREFIX, source=ip_network("198.51.100.0/22")),
            {"kind": "syn-flood", "class": "prefix", "source": "198.51.100.0/22"},
        ),
    ],
)
def test_each_kind_is_told_by_what_it_names(alert: Alert, told: dict[str, Any]) -> None:
    """A scan is told with its source, an overload with its listener, a prefix as one."""
    assert told.items() <= described(alert).items()


def test_blindness_is_told_in_its_own_words() -> None:
    """What is not seen has no figures of handshakes, but a cause and what to do."""
    evidence = (Evidence("not_seen", "eth0: its XDP program is gone", 1.0), Evidence("to_do", "nothing", 0.0))
    blind = replace(FLOOD, kind=AlertKind.BLIND, alert_class=None, evidence=evidence)
    assert described(blind) == {
        "alert_id": 1,
        "kind": "blind",
        "severity": "high",
        "not_seen": "eth0: its XDP program is gone",
        "to_do": "nothing",
    }


@pytest.mark.parametrize(
    ("changes", "news"),
    [
        ({"alert_class": AlertClass.DISTRIBUTED}, "class"),
        ({"source": ip_network("198.51.100.7"), "alert_class": AlertClass.SINGLE_SOURCE}, "class, source"),
        ({"listeners": (TLS, WEB)}, "listeners"),
        ({"severity": Severity.CRITICAL}, "severity"),
        ({"impact": "dropping"}, "impact"),
    ],
)
def test_another_picture_is_told_once_with_what_changed(changes: dict[str, Any], news: str) -> None:
    """A class, source, listener, severity or impact that is new is one line, not one for every update."""
    stage = Stage(NOTHING, NOTHING)
    asyncio.run(stage.play(AlertOpened(SPOOFED), *[AlertUpdated(replace(SPOOFED, **changes))] * 3))
    assert [entry["changed"] for entry in stage.entries("alert.refined")] == [news]


def test_figures_that_move_are_no_news() -> None:
    """More attempts, listeners that merely change places, and a doubt whether it hurts are only recorded."""
    grouped = replace(SPOOFED, listeners=(TLS, WEB), impact="none")
    moved = replace(grouped, listeners=(WEB, TLS), attempts=9000, peak_syn_per_s=30_000.0, impact="unknown")
    stage = Stage(NOTHING)
    saved = asyncio.run(stage.play(AlertOpened(grouped), AlertUpdated(moved)))
    assert saved.attempts == 9000
    assert stage.entries("alert.refined") == []

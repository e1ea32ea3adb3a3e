"""What goes to an upstream provider: facts, and never a wish that cuts off whose address was forged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.model import Alert
from synguard.report.asking import alert_facts
from synguard.report.provider import provider_lines
from tests.unit.cli.conftest import BLIND, FLOOD, SCAN, SPOOFED

from .reading import DISTRIBUTED, NOW_S, OVERLOAD, PREFIX, REFLECTION, SOURCES, MadeUp, as_json


def told(alert: Alert) -> str:
    """Return the text."""
    reading = MadeUp(as_json(alert))
    return "\n".join(provider_lines(alert_facts(reading, reading.alerts[0], NOW_S)))


def test_facts_of_a_flood() -> None:
    """Target, protocol, class, times in UTC, peak, counts, source, and who measured."""
    text = told(FLOOD)
    for fact in (
        "203.0.113.5:443 (TCP)",
        "syn-flood single-source",
        "2026-11-22 10:00:00 UTC",
        "2026-11-22 10:01:12 UTC, after 1 m 12 s",
        "51,234 SYNs per second",
        "210,000 SYNs, 3 handshakes completed",
        "198.51.100.7 (as observed at the target; a SYN's source can be forged)",
        "synguard 0.1.0",
    ):
        assert fact in text


@pytest.mark.parametrize("alert_class", [SPOOFED.alert_class, None])
def test_forged_sources_are_neither_named_nor_to_be_blocked(alert_class: None) -> None:
    """Of a spoofed flood, and of one that has no class, no source is named: whoever blocks it hits others."""
    text = told(replace(SPOOFED, alert_class=alert_class, top_sources=SOURCES, source=FLOOD.source))
    assert "Do not block by source" in text
    assert "198.51." not in text
    assert "filter that source" not in text
    assert "still going on" in text


def test_a_distributed_flood_names_its_sources_and_their_networks() -> None:
    """Ten sources, and the networks from which several come."""
    text = told(DISTRIBUTED)
    assert text.count(" SYNs\n") == 10
    assert "198.51.0.0/24" in text
    assert "50 sources" in text
    assert "about 1,500" in text


def test_a_reflections_victim_is_not_to_be_blocked() -> None:
    """Who is named in a reflection is its victim."""
    text = told(REFLECTION)
    assert text.startswith("TCP SYNs in the name of 192.0.2.0/24, reflected at ")
    assert "Victim:     192.0.2.0/24, which asked for nothing: do not block it" in text
    assert "BCP 38" in text


def test_a_prefix_and_a_scan_are_told() -> None:
    """Both name whom they are from."""
    assert "198.51.0.0/24" in told(PREFIX)
    assert told(SCAN).startswith("TCP port scan from 2001:db8:7::/64\n")
    assert "\nSource:     2001:db8:7::/64 (" in told(SCAN)


@pytest.mark.parametrize("alert", [BLIND, OVERLOAD], ids=["blind", "overload"])
def test_what_no_provider_can_help_with_has_no_text(alert: Alert) -> None:
    """A slow application and a blind spot are one's own."""
    assert told(alert) == ""


def test_many_listeners_are_counted() -> None:
    """Ten are named, the rest are counted."""
    listeners = tuple(replace(FLOOD.listener, port=port) for port in range(1, 31)) if FLOOD.listener else ()
    assert "203.0.113.5:10, and 20 more" in told(replace(FLOOD, listeners=listeners))

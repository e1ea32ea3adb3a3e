"""What passes a filter as it comes by is what the filter's SQL would have found."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from synguard.endpoint import Listener
from synguard.history.filter import AlertFilter
from synguard.history.matching import matcher
from synguard.history.query import find_alerts
from synguard.model import Alert, AlertClass, AlertKind, AlertState, ClosedBecause, TopSource
from tests.unit.cli.conftest import write_history
from tests.unit.history.helpers import STARTED_AT_S, MakeAlert

_SOURCES = ("198.51.100.7", "198.51.100.0/24", "203.0.113.0/25", "2001:db8:7::/64", "::ffff:0:0/96", None)
_LISTENERS = (
    "203.0.113.5:443",
    "203.0.113.5:80",
    "203.0.113.5",
    "203.0.113.55:443",
    "[2001:db8::5]:443",
    None,
)

FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"state": "open"},
    {"state": "closed"},
    {"kind": "scan"},
    {"alert_class": "spoofed"},
    {"kind": "syn-flood", "state": "open"},
    {"since_s": STARTED_AT_S + 240.0},
    {"since_s": STARTED_AT_S + 240.001},
    {"until_s": STARTED_AT_S},
    {"until_s": STARTED_AT_S - 0.001},
    {"after_id": 10},
    {"listener": "203.0.113.5:443"},
    {"listener": "203.0.113.5"},
    {"listener": "[2001:db8::5]:443"},
    {"listener": "2001:db8::5"},
    {"source": "198.51.100.7"},
    {"source": "198.51.100.128/25"},
    {"source": "203.0.113.77"},
    {"source": "0.0.0.0/0"},
    {"source": "::/0"},
    {"source": "2001:db8::/32"},
    {"source": "2001:db8:7:0:1::/80"},
    {"source": "192.0.2.9"},
)


def _variety(make_alert: MakeAlert) -> list[Alert]:
    """Return alerts that differ in all that can be filtered by."""
    alerts = []
    for number, listener in enumerate(_LISTENERS * 2, 1):
        source = _SOURCES[number % len(_SOURCES)]
        alert = make_alert(
            number,
            started_at_s=STARTED_AT_S + number % 2,
            kind=(AlertKind.SYN_FLOOD, AlertKind.SCAN, AlertKind.REFLECTION)[number % 3],
            alert_class=(AlertClass.SPOOFED, None)[number % 2],
            listener=None if listener is None else Listener.parse(listener),
            source=None if source is None else ip_network(source),
        )
        if number % 4 == 0:
            alert = replace(
                alert,
                state=AlertState.CLOSED,
                closed_because=ClosedBecause.ENDED,
                ended_at_s=STARTED_AT_S + 60.0 * (number % 8),
            )
        if number % 5 == 0:
            several = tuple(map(Listener.parse, ("203.0.113.5:443", "192.0.2.1:1")))
            alert = replace(alert, listener=several[0], listeners=several)
        if number % 3 == 0:
            alert = replace(alert, top_sources=(TopSource(ip_network("192.0.2.9"), 5, 0),))
        alerts.append(alert)
    return alerts


@pytest.mark.parametrize("restrictions", FILTERS, ids=str)
def test_matching_agrees_with_sql(
    make_alert: MakeAlert, tmp_path: Path, restrictions: dict[str, Any]
) -> None:
    """Of alerts that differ in everything, the ones that pass are those that the database would give."""
    alerts, wanted = _variety(make_alert), AlertFilter(**restrictions)
    passes = matcher(wanted)
    write_history(tmp_path / "synguard.db", *alerts)
    found = find_alerts(tmp_path / "synguard.db", wanted)
    assert {alert.id for alert in alerts if passes(alert)} == {alert.id for alert in found}


def test_every_filter_lets_something_through_and_something_not(make_alert: MakeAlert) -> None:
    """The alerts above are various enough to tell right from wrong."""
    alerts = _variety(make_alert)
    for restrictions in FILTERS[1:]:
        passing = [*filter(matcher(AlertFilter(**restrictions)), alerts)]
        assert len(passing) < len(alerts), restrictions
        assert passing or restrictions.get("until_s"), restrictions

"""One line of status for each open alert: what, on whom, by whom, how bad, and what is done about it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.endpoint import Listener
from synguard.history.records import alert_to_json
from synguard.model import Alert, AlertClass, AlertKind, RespondMode, Severity
from tests.unit.cli.conftest import BLIND, FLOOD, SCAN, SPOOFED, Cli, FakeDaemon
from tests.unit.cli.test_control_commands import STATUS

WEB = Listener.parse("203.0.113.5:443")


@pytest.mark.parametrize(
    ("alert", "line"),
    [
        (
            replace(SPOOFED, listeners=tuple(replace(WEB, port=port) for port in range(443, 448))),
            "24: syn-flood spoofed [2001:db8::5]:443 +4 from ~65,000 sources (high, impact cookies)",
        ),
        (
            FLOOD,
            "23: syn-flood single-source 203.0.113.5:443 from 198.51.100.7 "
            "(high, impact cookies, drop, dry-run)",
        ),
        (
            replace(
                FLOOD,
                alert_class=AlertClass.PREFIX,
                source=ip_network("198.51.100.0/22"),
                sources_estimated=97,
                response=None,
                impact="none",
                severity=Severity.LOW,
            ),
            "23: syn-flood prefix 203.0.113.5:443 from 198.51.100.0/22 ~97 (low)",
        ),
        (
            replace(SPOOFED, kind=AlertKind.REFLECTION, alert_class=None, source=ip_network("192.0.2.0/24")),
            "24: reflection [2001:db8::5]:443 to 192.0.2.0/24 (high, impact cookies)",
        ),
        (
            replace(SPOOFED, kind=AlertKind.OVERLOAD, alert_class=None, impact="accept-queue-full"),
            "24: overload [2001:db8::5]:443 from ~65,000 sources (high, impact accept-queue-full)",
        ),
        (replace(SCAN, impact="unknown"), "25: scan fin from 2001:db8:7::/64 (low)"),
        (BLIND, "26: blind detached eth1 (high)"),
    ],
)
def test_each_kind_is_one_line(run_cli: Cli, daemon: FakeDaemon, alert: Alert, line: str) -> None:
    """Whoever looks at status learns of every kind of alert whom it is on, and how bad it is."""
    daemon.answers["status"] = {**STATUS, "open_alerts": [alert_to_json(alert)]}
    assert f"\n  {line}\n" in run_cli("status").stdout


def test_what_is_enforced_is_told(run_cli: Cli, daemon: FakeDaemon) -> None:
    """A block that is really there reads otherwise than one that dry-run would have set."""
    assert FLOOD.response is not None
    enforced = replace(FLOOD, response=replace(FLOOD.response, mode=RespondMode.ENFORCE))
    daemon.answers["status"] = {**STATUS, "open_alerts": [alert_to_json(enforced)]}
    assert "(high, impact cookies, drop, enforce)" in run_cli("status").stdout

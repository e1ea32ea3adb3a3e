"""``synguard explain``: what a person on call needs to believe an alert."""

import json

import pytest

from synguard.history.records import alert_to_json
from tests.unit.cli.conftest import BLIND, FLOOD, SPOOFED, Cli, FakeDaemon


def test_text_says_why(run_cli: Cli) -> None:
    """The text has the observed figures beside threshold and baseline, evidence, action and its reason."""
    result = run_cli("explain", "23")
    assert result.exit_code == 0
    for said in (
        "Alert 23: syn-flood single-source, severity high, closed (ended)",
        "203.0.113.5:443",
        "2026-11-22T10:01:12.000Z, after 1m 12s",
        "cookies",
        "50,812 1/s",
        "50 1/s",
        "2 1/s",
        "never-completes",
        "0.60",
        "all 64",
        "would drop 198.51.100.7 until 2026-11-22T10:10:00.000Z (mode dry-run): one source above",
        "because drop = always",
        "209,000",
    ):
        assert said in result.stdout
    assert "\x1b" not in result.stdout


def test_text_of_an_alert_without_answers(run_cli: Cli) -> None:
    """An open alert about which nothing was done says that, and leaves out what it has not."""
    output = run_cli("explain", "24").stdout
    assert "nothing was done" in output
    assert "Top sources" not in output
    assert "65,000" in output


def test_blindness_is_told_in_sentences(run_cli: Cli, daemon: FakeDaemon) -> None:
    """What is not seen, since when, what came of it and what to do; no figures of a flood."""
    daemon.answers["alert"] = alert_to_json(BLIND)
    output = run_cli("explain", "26").stdout
    assert output.splitlines()[0] == "Alert 26: blind detached eth1, severity high, closed (ended)"
    assert (
        """
What is not seen
  not seen  eth1: what comes in: somebody took the XDP program off
  since     2026-11-22T10:00:00Z
  until     2026-11-22T10:01:00Z
  times     3
  so far    put back as xdp-native
  to do     nothing now

Observed
"""
        in output
    )
    assert "received_unseen" in output
    for unsaid in ("attempts", "listener", "source", "impact", "Evidence", "half-open", "Action"):
        assert unsaid not in output


def test_json_is_the_alert(run_cli: Cli) -> None:
    """JSON is the whole alert."""
    assert json.loads(run_cli("explain", "24", "--format", "json").stdout) == alert_to_json(SPOOFED)


def test_daemon_is_asked_first(run_cli: Cli, daemon: FakeDaemon) -> None:
    """A running daemon answers, unless the file is wanted."""
    daemon.answers["alert"] = alert_to_json(FLOOD) | {"attempts": 7_654_321}
    assert "7,654,321" in run_cli("explain", "23").stdout
    assert daemon.asked == [("alert", {"id": 23})]
    assert "210,000" in run_cli("explain", "23", "--local").stdout


@pytest.mark.parametrize("running", [True, False])
def test_unknown_id(run_cli: Cli, request: pytest.FixtureRequest, running: bool) -> None:
    """An id that does not exist is exit 1 with the command that lists those that do."""
    if running:
        request.getfixturevalue("daemon").answers["alert"] = None
    result = run_cli("explain", "4711")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no alert 4711" in result.stderr
    assert "synguard alerts" in result.stderr


@pytest.mark.parametrize("bad", ["latest", "0", "-3"])
def test_bad_id(run_cli: Cli, bad: str) -> None:
    """What cannot be an id is wrong usage."""
    assert run_cli("explain", "--", bad).exit_code == 2

"""``synguard explain``: what a person on call needs to believe an alert."""

import json
import re
import time
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from synguard.endpoint import Listener
from synguard.history.records import alert_to_json
from synguard.model import AlertClass, Change, Evidence, Measurement, RespondMode, Response, TopSource
from tests.unit.cli.conftest import (
    BLIND,
    FLOOD,
    SPOOFED,
    STARTED_AT_S,
    Cli,
    FakeDaemon,
    on_terminal,
    write_history,
)


def test_text_says_why(run_cli: Cli) -> None:
    """The text has the observed figures beside threshold and baseline, evidence, action and its reason."""
    result = run_cli("explain", "23")
    assert result.exit_code == 0
    for said in (
        "Alert 23: syn-flood single-source, severity high, closed (ended)",
        "203.0.113.5:443",
        "2026-11-22T10:01:12Z, after 1m 12s",
        "cookies",
        "198.51.100.7 floods 203.0.113.5:443 with SYNs",
        "50,812/s",
        "50/s",
        "1,016×",
        "2/s",
        "25,406×",
        "high: 1,016 times the threshold",
        "never completes",
        "0.60",
        "all 64",
        "would drop 198.51.100.7 until 2026-11-22T10:10:00Z (mode dry-run): one source above",
        "because drop = always",
        "synguard respond enforce",
        "attempts 210,000, answered 2,000, completed 3",
        "209,000",
    ):
        assert said in result.stdout
    assert "\x1b" not in result.stdout


def test_text_of_an_alert_without_answers(run_cli: Cli) -> None:
    """An open alert about which nothing was done says that, and leaves out what it has not."""
    output = run_cli("explain", "24").stdout
    assert "nothing was done" in output
    assert "Top sources" not in output
    assert "Timeline" not in output
    assert "silenced" not in output
    assert "  sources   about 65,000" in output


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
    assert "packets received and not seen" in output
    assert "is no sign of safety" in output
    for unsaid in ("attempts", "listener", "source", "mpact", "Evidence", "half-open", "Action"):
        assert unsaid not in output


def test_json_is_the_alert_and_the_reasoning(run_cli: Cli) -> None:
    """JSON is the whole alert, with the reasoning of the text as data."""
    told = json.loads(run_cli("explain", "24", "--format", "json").stdout)
    why = told.pop("reasoning")
    assert told == {**alert_to_json(SPOOFED), "series": [], "responses": []}
    assert why["summary"].startswith(
        "[2001:db8::5]:443 is flooded with SYNs whose sources cannot be believed"
    )
    assert why["belief"] == {"sum": 1.0, "needed": 0.5}
    assert why["measurements"][0]["times_threshold"] == pytest.approx(1016.24)


#: What came together in ten minutes: three listeners, five changes, a silence.
GROUPED = replace(
    SPOOFED,
    listener=Listener.parse("203.0.113.5:443"),
    listeners=tuple(Listener.parse(f"203.0.113.5:{port}") for port in (443, 80, 25)),
    silenced=True,
    decision="a spoofed flood has no source that could be dropped",
    evidence=(Evidence("syns_per_source", 1.02, 0.4), Evidence("bare_syn_share", 0.983, 0.2)),
    measurements=(
        *SPOOFED.measurements,
        Measurement("half_open_ratio", 0.9876, 0.1, "ratio", 0.004),
        Measurement("new_thing_fill", 0.5, 0.9, "ratio"),
        Measurement("window_length_ms", 201.3, None, "ms"),
        Measurement("window_age_ms", 62.1, None, "ms"),
        Measurement("allowance_ms", 500.0, None, "ms"),
    ),
    timeline=(
        Change(SPOOFED.started_at_s, "state", None, "open", "above the threshold"),
        Change(SPOOFED.started_at_s + 1.2, "class", "distributed", "spoofed", "the evidence adds up to 0.60"),
        Change(SPOOFED.started_at_s + 61.0, "impact", "none", "cookies"),
        Change(SPOOFED.started_at_s + 62.0, "response", "cookie", None, "the flood is over"),
    ),
)


def test_text_has_the_whole_reasoning(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Window, factors, belief, impact, why nothing was done, changes and silence are all said."""
    daemon.answers["alert"] = alert_to_json(GROUPED)
    output = run_cli("explain", "24").stdout
    for said in (
        "203.0.113.5:443 and 2 more listeners are flooded",
        "  listener  203.0.113.5:443, 203.0.113.5:80, 203.0.113.5:25\n",
        "  silenced  it is recorded, and neither announced nor answered",
        "Observed over 201 ms, which ended 62.1 ms before the alert, each handshake being given 500 ms\n",
        "98.8%      10.0%    9.9×   0.4%         247×\n",
        "Evidence that the sources are spoofed: 0.60 in all, above the 0.50 needed\n",
        "98.3%    0.20\n",
        "Impact\n  the SYN queue is full and the kernel answers with SYN cookies",
        "new thing     50.0%      90.0%  0.56×\n",
        "nothing was done: a spoofed flood has no source",
        "+1.2s  class     distributed → spoofed  the evidence adds up to 0.60\n",
        "+0.0s  state     open",
        "+1m 1s  impact    none → cookies\n",
        "cookie → -",
    ):
        assert said in output
    assert output.index("Observed") < output.index("Evidence") < output.index("Impact")
    assert output.index("Impact") < output.index("Action") < output.index("Timeline")


def test_too_little_evidence_is_said(run_cli: Cli, daemon: FakeDaemon) -> None:
    """A distributed flood says how much is missing to call its sources spoofed."""
    distributed = replace(GROUPED, alert_class=AlertClass.DISTRIBUTED, evidence=GROUPED.evidence[:1])
    daemon.answers["alert"] = alert_to_json(distributed)
    assert "0.40 in all, below the 0.50 needed" in run_cli("explain", "24").stdout


def test_long_lists_are_cut_and_said_to_be(run_cli: Cli, daemon: FakeDaemon) -> None:
    """One screen is enough: of many listeners, changes and sources some are shown, the rest counted."""
    crowded = replace(
        GROUPED,
        listeners=tuple(Listener.parse(f"203.0.113.5:{port}") for port in range(1, 10)),
        timeline=tuple(
            Change(SPOOFED.started_at_s + n, "severity", "low", "high", f"reason {n}") for n in range(20)
        ),
        top_sources=tuple(TopSource(ip_network(f"198.51.100.{n}"), 9, 0) for n in range(7)),
    )
    daemon.answers["alert"] = alert_to_json(crowded)
    output = run_cli("explain", "24").stdout
    assert "203.0.113.5:5 and 4 more\n" in output
    assert "Timeline (8 earlier changes: --format json)\n" in output
    assert "reason 19\n" in output
    assert "reason 7\n" not in output
    assert "198.51.100.4 " in output
    assert "198.51.100.5 " not in output
    assert "  and 2 more: --format json\n" in output


def test_an_alert_of_an_earlier_daemon(run_cli: Cli, daemon: FakeDaemon) -> None:
    """What an earlier daemon does not tell is left out, not missed."""
    told = alert_to_json(FLOOD)
    daemon.answers["alert"] = {
        k: v for k, v in told.items() if k not in ("listeners", "timeline", "silenced")
    }
    assert "  listener  203.0.113.5:443\n" in run_cli("explain", "23").stdout


def test_times_of_this_machine(run_cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--local`` every time is this machine's, with its distance from UTC; JSON stays UTC."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        output = run_cli("explain", "23", "--local").stdout
        assert "started   2026-11-22T15:30:00+05:30" in output
        assert "until 2026-11-22T15:40:00+05:30" in output
        assert "T10:0" not in output
        daemon.answers["alert"] = alert_to_json(BLIND)
        blind = run_cli("explain", "26", "--local").stdout
        assert "  since     2026-11-22T15:30:00+05:30" in blind
        assert "T10:0" not in blind
        assert "+05:30" not in run_cli("explain", "26", "--local", "--format", "json").stdout
        daemon.answers["alerts"] = [alert_to_json(FLOOD)]
        assert "2026-11-22T15:30:00+05:30" in run_cli("alerts", "--local").stdout
        assert "+05:30" not in run_cli("alerts", "--local", "--format", "csv").stdout
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("width", [60, 80, 100])
def test_text_fits_a_terminal(config_file: Path, database: Path, width: int) -> None:
    """On a terminal no line is wider than it, and no word of the prose is lost."""
    write_history(database, replace(GROUPED, id=30))
    lines, errors = on_terminal(config_file, width, "explain", "30")
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert errors == ""
    assert max(map(len, plain)) <= width
    assert "block none of them by hand." in " ".join(" ".join(plain).split())


def test_hostile_text_moves_no_cursor(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Control characters in an alert are spelled out wherever they are told."""
    change = {
        "at": "2026-11-22T10:00:00.000Z",
        "what": "state",
        "before": None,
        "after": "\x1b[2J",
        "because": "\x07",
    }
    hostile = {"listener": "\x1b[2Jgone", "listeners": [], "decision": "\x1b]0;", "timeline": [change]}
    daemon.answers["alert"] = alert_to_json(FLOOD) | hostile
    output = run_cli("explain", "23").stdout
    assert not [letter for letter in output if not letter.isprintable() and letter != "\n"]
    assert output.count(r"\x1b[2Jgone") == 2


def test_daemon_is_asked_first(run_cli: Cli, daemon: FakeDaemon) -> None:
    """A running daemon answers, unless the file is wanted."""
    daemon.answers["alert"] = alert_to_json(FLOOD) | {"attempts": 7_654_321}
    assert "7,654,321" in run_cli("explain", "23").stdout
    assert daemon.asked == [("alert", {"id": 23})]
    assert "210,000" in run_cli("explain", "23", "--offline").stdout


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


def test_several_responses_are_told_without_repeating(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Of a flood on several listeners the first answer stands with its reason, then what else was decided."""
    reason = "203.0.113.5:443 answers with SYN cookies, since no source can be blamed"
    taken = Response("cookie", RespondMode.ENFORCE, "203.0.113.5:443", reason, STARTED_AT_S + 600)
    decision = f"{reason}; greylist for 2 more listeners; nothing for 1 of closed ports"
    daemon.answers["alert"] = alert_to_json(replace(GROUPED, response=taken, decision=decision))
    output = run_cli("explain", "24").stdout
    assert "answered 203.0.113.5:443 with SYN cookies until 2026-11-22T10:10:00Z (mode enforce): " in output
    assert output.count("since no source can be blamed") == 1
    assert "  also: greylist for 2 more listeners; nothing for 1 of closed ports\n" in output
    assert "Meanwhile synguard answers with SYN cookies" in " ".join(output.split())

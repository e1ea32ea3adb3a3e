"""What status tells of responses: what is in force, listeners' cookies, who is spared, what was mended."""

from __future__ import annotations

import re
from typing import Any

from tests.unit.cli.conftest import Cli, FakeDaemon
from tests.unit.cli.test_control_commands import BLOCK, STATUS

COOKIES: list[dict[str, Any]] = [
    {"listener": "203.0.113.5:443", "state": "on", "since": "2026-11-22T10:00:02.500Z", "why": None},
    {"listener": "203.0.113.5:80", "state": "canary", "since": "2026-11-22T10:00:03.500Z", "why": ""},
    {"listener": "203.0.113.5:25", "state": "withdrawn", "since": "2026-11-22T10:00:04.500Z",
     "why": "of 16 valid ACKs none \x1b[31mbecame a connection"},
]  # fmt: skip
RESPONSES: dict[str, Any] = {
    "mode": "enforce", "blocks": 5, "by_response": {"drop": 1, "greylist": 2, "cookie": 2}, "actions": 8,
    "refused": 1, "spared_networks": 7, "spared_unknown": None, "suspended": 0, "missing": 0, "mended": 3,
    "restored": 2, "unknown_ended": 1, "cookies": COOKIES,
    "in_force": [BLOCK, {**BLOCK, "target": "203.0.113.5:443", "response": "cookie", "missing": True}],
}  # fmt: skip


def lines_of(run_cli: Cli, daemon: FakeDaemon, **responses: Any) -> list[str]:
    """Return what status tells while responses are so."""
    daemon.answers["status"] = {**STATUS, "responses": {**RESPONSES, **responses}}
    return run_cli("status").stdout.splitlines()


def test_responses_are_told_as_they_stand(run_cli: Cli, daemon: FakeDaemon) -> None:
    """How many of which kind are in force, who is spared, what was mended, and what somebody took away."""
    lines = lines_of(run_cli, daemon)
    for line in (
        "responses: 5 in force: 1 drop, 2 greylist, 2 cookie",
        "spared by every response: 7 networks of the never-touch list",
        "rules mended in the kernel: 2 put back, 1 of nobody's ended",
        "and 3 more, see `synguard block list`",
    ):
        assert line in lines
    assert not [line for line in lines if "suspended" in line or "removed" in line]


def test_what_somebody_removed_is_told(run_cli: Cli, daemon: FakeDaemon) -> None:
    """What is gone from the kernel does not count as in force, and is marked where it is listed."""
    lines = lines_of(run_cli, daemon, missing=1)
    assert "responses: 4 in force; 1 removed from the kernel by somebody" in lines
    assert any("respond.when_flushed" in line for line in lines)
    cookie = next(line for line in lines if line.startswith("203.0.113.5:443 ") and "cookie" in line)
    assert cookie.split()[2:4] == ["12,345", "gone"]


def test_a_never_touch_list_that_cannot_be_read_is_told(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Nobody may believe that gateways and resolvers are spared while they are not known."""
    lines = lines_of(run_cli, daemon, spared_unknown="\x1b[2Jno netlink")
    assert r"whom to spare is NOT KNOWN: \x1b[2Jno netlink" in lines
    assert not [line for line in lines if line.startswith("spared by")]


def test_each_listeners_cookies_are_told(run_cli: Cli, daemon: FakeDaemon) -> None:
    """At which stage they are, since when, and why they were withdrawn, with no escape obeyed."""
    lines = lines_of(run_cli, daemon)
    begin = next(number for number, line in enumerate(lines) if line.startswith("COOKIES AT"))
    assert [re.split(r" {2,}", line) for line in lines[begin : begin + 4]] == [
        ["COOKIES AT", "STATE", "SINCE", "WHY"],
        ["203.0.113.5:443", "for everybody", "2026-11-22T10:00:02Z"],
        ["203.0.113.5:80", "canary: a few real clients first", "2026-11-22T10:00:03Z"],
        ["203.0.113.5:25", "withdrawn", "2026-11-22T10:00:04Z",
         r"of 16 valid ACKs none \x1b[31mbecame a connection"],
    ]  # fmt: skip


def test_figures_of_cookies_and_many_listeners(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Figures stand where the daemon has them, and of very many listeners the first are shown."""
    counted = [{**COOKIES[0], "sent": 12_345, "valid": 17, "connected": 16}] * 12
    lines = lines_of(run_cli, daemon, cookies=counted)
    begin = next(number for number, line in enumerate(lines) if line.startswith("COOKIES AT"))
    assert lines[begin].split()[-4:] == ["SENT", "VALID", "CONNECTED", "WHY"]
    assert lines[begin + 1].split()[-3:] == ["12,345", "17", "16"]
    assert lines[begin + 11] == "and 2 more, see --format json"


def test_what_waits_while_responses_are_off(run_cli: Cli, daemon: FakeDaemon) -> None:
    """People's blocks are listed as suspended, and counted, while nothing is in force."""
    waiting = [{**BLOCK, "suspended": True}]
    lines = lines_of(
        run_cli,
        daemon,
        mode="off",
        blocks=4,
        by_response={"drop": 4},
        suspended=4,
        cookies=[],
        in_force=waiting,
    )
    assert "responses: 0 in force; 4 of people's suspended" in lines
    assert any("`synguard respond dry-run`" in line for line in lines)
    assert next(line for line in lines if line.startswith("198.51.100.7  drop")).split()[3] == "suspended"
    assert "and 3 more, see `synguard block list`" in lines


def test_without_responses_nothing_is_said_of_them(run_cli: Cli, daemon: FakeDaemon) -> None:
    """A quiet daemon, and one of an earlier release, need no such lines."""
    daemon.answers["status"] = {**STATUS, "responses": {"blocks": 0, "actions": 0, "refused": 0}}
    output = run_cli("status").stdout
    assert not re.search(r"^(responses|spared|rules|what|whom|COOKIES)", output, re.M)
    assert "greylisted" not in output


def test_what_our_responses_did_is_among_the_totals(run_cli: Cli, daemon: FakeDaemon) -> None:
    """SYNs greylisted and cookies sent are shown from the first one on."""
    totals = {**STATUS["totals"], "greylisted": 23, "greylist_admitted": 5, "cookies_sent": 0}
    daemon.answers["status"] = {**STATUS, "totals": totals}
    lines = [line.split() for line in run_cli("status").stdout.splitlines()]
    assert ["greylisted", "23"] in lines
    assert ["greylist_admitted", "5"] in lines
    assert "cookies_sent" not in {line[0] for line in lines if line}

"""``synguard silence``: what the daemon is asked, what is made of its answers, and which targets are none."""

import json
from typing import Any

import pytest

from synguard.errors import SynguardError
from synguard.history.records import alert_to_json
from tests.unit.cli.conftest import SPOOFED, Cli, FakeDaemon
from tests.unit.cli.test_control_commands import STATUS

SILENCE = {
    "target": "203.0.113.5:443",
    "of": "listener",
    "until": "2026-11-22T11:00:00.123Z",
    "reason": "new \x1b[31mdisks",
    "asked_by": "uid 1000",
    "created_at": "2026-11-22T10:00:00.123Z",
}


def test_silences_are_listed(run_cli: Cli, daemon: FakeDaemon) -> None:
    """The list says what is silenced, until when, by whom and why, without obeying the reason's escapes."""
    daemon.answers["silence_list"] = [SILENCE, {**SILENCE, "target": "198.51.100.0/24", "of": "source"}]
    lines = run_cli("silence", "list").stdout.splitlines()
    assert lines[0].split() == ["TARGET", "UNTIL", "BY", "REASON"]
    assert lines[1].split() == [
        "203.0.113.5:443", "2026-11-22T11:00:00Z", "uid", "1000", "new", r"\x1b[31mdisks"
    ]  # fmt: skip
    assert lines[2].startswith("198.51.100.0/24 ")
    assert json.loads(run_cli("silence", "list", "--format", "json").stdout)[0] == SILENCE


def test_no_silences(run_cli: Cli, daemon: FakeDaemon) -> None:
    """An empty list is no failure."""
    daemon.answers["silence_list"] = []
    result = run_cli("silence", "list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no silences\n")
    assert run_cli("silence", "list", "--format", "json").stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["192.0.2.1:443"], {"target": "192.0.2.1:443", "for_s": 3600.0, "reason": ""}),
        (["[2001:DB8::5]:25"], {"target": "[2001:db8::5]:25", "for_s": 3600.0, "reason": ""}),
        (["[2001:db8::5]"], {"target": "2001:db8::5", "for_s": 3600.0, "reason": ""}),
        (["::ffff:192.0.2.1"], {"target": "192.0.2.1", "for_s": 3600.0, "reason": ""}),
        (["[::ffff:192.0.2.1]:80"], {"target": "192.0.2.1:80", "for_s": 3600.0, "reason": ""}),
        (
            ["198.51.100.0/24", "--for", "1h30m", "--reason", "our own scan"],
            {"target": "198.51.100.0/24", "for_s": 5400.0, "reason": "our own scan"},
        ),
    ],
)
def test_silence_add(run_cli: Cli, daemon: FakeDaemon, arguments: list[str], asked: dict[str, Any]) -> None:
    """A target goes to the daemon in its one form; the answer says until when it is silenced."""
    daemon.answers["silence_add"] = SILENCE
    result = run_cli("silence", "add", *arguments)
    assert result.stdout == "silenced 203.0.113.5:443 until 2026-11-22T11:00:00Z\n"
    assert daemon.asked == [("silence_add", asked)]
    assert json.loads(run_cli("silence", "add", *arguments, "--format", "json").stdout) == SILENCE


@pytest.mark.parametrize("command", ["add", "remove"])
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("everyone", "198.51.100.0/24 for a source"),
        ("web:443", "names are not looked up"),
        ("192.0.2.1/24", "did you mean 192.0.2.0/24?"),
        ("192.0.2.0/24:80", "a prefix has no port"),
        ("192.0.2.1:https", "a port is 1 to 65535"),
        ("192.0.2.1:0", "for all ports of it write 192.0.2.1"),
        ("192.0.2.1:65536", "a port is 1 to 65535"),
        ("[2001:db8::5]:", "for all ports of it write 2001:db8::5"),
        ("[2001:db8::5", "[2001:db8::5]:443 for a listener"),
        ("[2001:db8::5]443", "[2001:db8::5]:443 for a listener"),
        ("fe80::1%eth0", "leave out what follows the %: fe80::1"),
        ("", "192.0.2.7:443"),
    ],
)
def test_bad_targets(run_cli: Cli, daemon: FakeDaemon, command: str, target: str, said: str) -> None:
    """What is no target is exit 2 with the nearest right form, and the daemon is not bothered."""
    result = run_cli("silence", command, target)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not daemon.asked


@pytest.mark.parametrize("lasting", ["soon", "0s", "1y"])
def test_bad_durations(run_cli: Cli, daemon: FakeDaemon, lasting: str) -> None:
    """What is no duration is exit 2 with the forms."""
    result = run_cli("silence", "add", "192.0.2.1", "--for", lasting)
    assert result.exit_code == 2
    assert "1h30m" in result.stderr
    assert not daemon.asked


def test_the_daemons_refusal_keeps_its_words(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Too many silences are said as the daemon says it, with its exit code."""
    daemon.answers["silence_add"] = SynguardError("there are 1000 silences, the most allowed")
    result = run_cli("silence", "add", "192.0.2.1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "synguard: error: there are 1000 silences" in result.stderr


def test_silence_remove(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Removing says what was removed; what is not silenced cannot be, and says where to look."""
    daemon.answers["silence_remove"] = {"removed": 1}
    assert run_cli("silence", "remove", "192.0.2.1:443").stdout == "192.0.2.1:443 is silenced no more\n"
    assert json.loads(run_cli("silence", "remove", "192.0.2.1", "--format", "json").stdout) == {"removed": 1}
    daemon.answers["silence_remove"] = {"removed": 0}
    result = run_cli("silence", "remove", "192.0.2.1:443")
    assert result.exit_code == 1
    assert "silence list" in result.stderr


def test_status_says_how_many_silences_are_in_force(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Who wonders why no alert came learns it from status, and which open ones are silenced."""
    silenced = {**alert_to_json(SPOOFED), "silenced": True}
    daemon.answers["status"] = {**STATUS, "silences": 2, "open_alerts": [silenced]}
    output = run_cli("status").stdout
    assert "silences in force: 2 (`synguard silence list` shows them)" in output
    assert (
        "24: syn-flood spoofed [2001:db8::5]:443 from ~65,000 sources (high, impact cookies, silenced)"
        in output
    )
    daemon.answers["status"] = STATUS
    assert "silence" not in run_cli("status").stdout

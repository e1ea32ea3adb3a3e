"""``synguard block``: what is in force, and what people add and end by hand."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from synguard.cli import cli
from synguard.errors import UsageError
from synguard.history.records import time_to_json
from tests.unit.cli.conftest import Cli, FakeDaemon, on_terminal
from tests.unit.cli.test_control_commands import BLOCK

GREYLIST = {
    **BLOCK, "response": "greylist", "target": "2001:db8::/48", "alert_id": 23, "asked_by": "alert",
    "hits": 7, "reason": "no proof", "suspended": False, "missing": True,
}  # fmt: skip
COOKIE = {
    **GREYLIST, "response": "cookie", "target": "203.0.113.5:443", "hits": 99, "missing": False,
    "until": "2026-11-22T10:05:00.000Z",
}  # fmt: skip
SUSPENDED = {**BLOCK, "target": "9.9.9.9", "suspended": True, "hits": 0}
BLOCKS = [GREYLIST, COOKIE, BLOCK, SUSPENDED]


def test_blocks_are_listed(run_cli: Cli, daemon: FakeDaemon) -> None:
    """The list says what is done to whom, until when, by whom and why, and obeys no reason's escapes."""
    daemon.answers["block_list"] = BLOCKS
    headings, *lines = run_cli("block", "list").stdout.splitlines()
    assert " ".join(headings.split()) == "RESPONSE TARGET HITS ENDS ALERT ASKED BY STATE REASON"
    at, sooner = "2026-11-22T10:10:00Z", "2026-11-22T10:05:00Z"
    assert [re.split(r" {2,}", line) for line in lines] == [
        ["drop", "9.9.9.9", "0", at, "-", "manual", "suspended", r"seen \x1b[31mred"],
        ["drop", "198.51.100.7", "12,345", at, "-", "manual", "in force", r"seen \x1b[31mred"],
        ["greylist", "2001:db8::/48", "7", at, "23", "alert", "gone", "no proof"],
        ["cookie", "203.0.113.5:443", "99", sooner, "23", "alert", "in force", "no proof"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("order", "targets"),
    [
        ("target", ["9.9.9.9", "198.51.100.7", "2001:db8::/48", "203.0.113.5:443"]),
        ("-target", ["203.0.113.5:443", "2001:db8::/48", "198.51.100.7", "9.9.9.9"]),
        ("hits", ["9.9.9.9", "2001:db8::/48", "203.0.113.5:443", "198.51.100.7"]),
        ("-hits", ["198.51.100.7", "203.0.113.5:443", "2001:db8::/48", "9.9.9.9"]),
        ("until", ["203.0.113.5:443", "9.9.9.9", "198.51.100.7", "2001:db8::/48"]),
    ],
)
def test_the_list_is_sorted(run_cli: Cli, daemon: FakeDaemon, order: str, targets: list[str]) -> None:
    """Targets stand by their numbers, sources before listeners; else by hits, or by what ends next."""
    daemon.answers["block_list"] = BLOCKS
    found = json.loads(run_cli("block", "list", "--sort", order, "--format", "json").stdout)
    assert [one["target"] for one in found] == targets


def test_programs_get_all_of_a_block(run_cli: Cli, daemon: FakeDaemon) -> None:
    """JSON is the daemon's word, one document or a line each; CSV has one row each, and no escapes either."""
    daemon.answers["block_list"] = BLOCKS
    assert json.loads(run_cli("block", "list", "--format", "json").stdout)[1] == BLOCK
    lines = run_cli("block", "list", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines][2] == GREYLIST
    rows = list(csv.DictReader(io.StringIO(run_cli("block", "list", "--format", "csv").stdout)))
    assert [row["suspended"] for row in rows] == ["yes", "no", "no", "no"]
    assert rows[1]["reason"] == r"seen \x1b[31mred"
    assert (rows[2]["alert_id"], rows[2]["missing"], rows[1]["alert_id"]) == ("23", "yes", "")


def test_a_terminal_shows_how_long_is_left(config_file: Path, daemon: FakeDaemon) -> None:
    """A person reads `in 9m`, and on a narrow terminal who asked and for which alert goes first."""
    daemon.answers["block_list"] = [{**COOKIE, "until": time_to_json(time.time() + 3590)}]
    lines, errors = on_terminal(config_file, 60, "block", "list")
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert re.search(r"in 59m \d+s", " ".join(plain))
    assert max(map(len, plain)) <= 60
    assert "203.0.113.5:443" in plain[1]
    assert "ASKED BY" in errors
    assert "STATE" not in plain[0]
    daemon.answers["block_list"] = [COOKIE, SUSPENDED]
    assert "STATE" in on_terminal(config_file, 100, "block", "list")[0][0]
    daemon.answers["block_list"] = [{**COOKIE, "until": "2020-01-01T00:00:00.000Z"}]
    assert "in 0.0s" in " ".join(on_terminal(config_file, 100, "block", "list")[0])


def test_no_blocks(run_cli: Cli, daemon: FakeDaemon) -> None:
    """No rows are no error, and JSON stays a list."""
    daemon.answers["block_list"] = []
    result = run_cli("block", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert run_cli("block", "list", "--format", "json").stdout == "[]\n"
    assert run_cli("block", "list", "--format", "csv").stdout.startswith("response,target,")


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["192.0.2.1"], {"target": "192.0.2.1", "ttl_s": 600.0, "reason": ""}),
        (
            ["2001:db8::/48", "--ttl", "1h30m", "--reason", "abuse report"],
            {"target": "2001:db8::/48", "ttl_s": 5400.0, "reason": "abuse report"},
        ),
    ],
)
def test_block_add(run_cli: Cli, daemon: FakeDaemon, arguments: list[str], asked: dict[str, Any]) -> None:
    """A block goes to the daemon with its duration in seconds; the answer says until when it lasts."""
    daemon.answers["block_add"] = BLOCK
    result = run_cli("block", "add", *arguments)
    assert result.stdout == "blocked 198.51.100.7 until 2026-11-22T10:10:00Z\n"
    assert daemon.asked == [("block_add", asked)]
    assert json.loads(run_cli("block", "add", *arguments, "--format", "json").stdout) == BLOCK


LISTED = """# seen on Monday
198.51.100.7      # the loudest
 2001:db8::/48

192.0.2.1
198.51.100.7
"""
ADDED = {"added": 4, "until": "2026-11-22T10:10:00.123Z"}


def test_many_are_blocked_at_once(run_cli: Cli, daemon: FakeDaemon, tmp_path: Path) -> None:
    """What is named and what a file lists is one request, each target once, comments left out."""
    daemon.answers["block_add"] = ADDED
    path = tmp_path / "list.txt"
    path.write_text(LISTED)
    result = run_cli("block", "add", "203.0.113.9", "192.0.2.1", "--file", str(path), "--ttl", "1h")
    assert result.stdout == "blocked 4 targets until 2026-11-22T10:10:00Z\n"
    targets = ["203.0.113.9", "192.0.2.1", "198.51.100.7", "2001:db8::/48"]
    assert daemon.asked == [("block_add", {"targets": targets, "ttl_s": 3600.0, "reason": ""})]


def _from_standard_input(config_file: Path, text: str | bytes) -> Result:
    words = ["block", "add", "--file", "-", "--format", "json", "--config", str(config_file)]
    return CliRunner().invoke(cli, words, input=text, prog_name="synguard")


def test_a_list_comes_through_a_pipe(config_file: Path, daemon: FakeDaemon) -> None:
    """The standard input is read as a file is, and the answer is the daemon's."""
    daemon.answers["block_add"] = ADDED
    result = _from_standard_input(config_file, LISTED)
    assert json.loads(result.stdout) == ADDED
    assert daemon.asked[0][1]["targets"] == ["198.51.100.7", "2001:db8::/48", "192.0.2.1"]


def test_ten_thousand_fit_one_request(config_file: Path, daemon: FakeDaemon) -> None:
    """A long list of the longest addresses is one request; one that is too long is refused as a whole."""
    daemon.answers["block_add"] = ADDED
    many = [f"2001:db8:ffff:ffff:ffff:ffff:{n // 65000 + 4096:x}:{n % 65000:x}" for n in range(16_385)]
    result = _from_standard_input(config_file, "\n".join(many[:10_000]))
    assert (result.exit_code, len(daemon.asked[0][1]["targets"])) == (0, 10_000)
    result = _from_standard_input(config_file, "\n".join(many))
    assert (result.exit_code, len(daemon.asked)) == (2, 1)
    assert "16,385 targets are more than the 16,384" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.1/24\nfine\n192.0.2.2\nx", ["line 1: ", "192.0.2.0/24", "line 2: 'fine'", "line 4: 'x'"]),
        ("\n".join(["x"] * 25), ["line 10: 'x'", "and 15 more lines are wrong"]),
        ("\x1b[2J", [r"line 1: '\x1b[2J'"]),
        ("# nobody\n\n", ["--file"]),
        ("1" * 2000, ["line 1 is beyond what a list may have"]),
        (b"192.0.2.1\n\xff\xfe", ["cannot be read as text"]),
    ],
)  # fmt: skip
def test_a_list_with_a_wrong_line_blocks_nobody(
    config_file: Path, daemon: FakeDaemon, text: str | bytes, said: list[str]
) -> None:
    """Each line that names no target is told with its number, and the daemon is not bothered."""
    result = _from_standard_input(config_file, text)
    assert (result.exit_code, daemon.asked) == (2, [])
    for words in said:
        assert words in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["everyone"], "198.51.100.0/24"),
        (["192.0.2.7", "192.0.2.1/24"], "did you mean 192.0.2.0/24"),
        (["192.0.2.1", "--ttl", "soon"], "10m"),
        (["192.0.2.1", "--ttl", "0s"], "10m"),
        (["203.0.113.5:443"], "a port does not belong here"),
        (["--file", "/nowhere/list"], "/nowhere/list"),
        ([], "ADDR|PREFIX"),
    ],
)
def test_bad_block(run_cli: Cli, daemon: FakeDaemon, arguments: list[str], said: str) -> None:
    """A target or time that makes no sense is exit 2 with what does, and the daemon is not bothered."""
    result = run_cli("block", "add", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not daemon.asked


def test_protected_address(run_cli: Cli, daemon: FakeDaemon) -> None:
    """The daemon's refusal keeps its words and its exit code."""
    daemon.answers["block_add"] = UsageError("192.0.2.1 is this machine's gateway, which is never blocked")
    result = run_cli("block", "add", "192.0.2.1")
    assert result.exit_code == 2
    assert "synguard: error: 192.0.2.1 is this machine's gateway" in result.stderr


def test_block_remove(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Removing says what was removed; what is not blocked cannot be, and says where to look."""
    daemon.answers["block_remove"] = {"removed": 1}
    assert run_cli("block", "remove", "192.0.2.1").stdout == "unblocked 192.0.2.1\n"
    daemon.answers["block_remove"] = {"removed": 0}
    result = run_cli("block", "remove", "192.0.2.1")
    assert result.exit_code == 1
    assert "block list" in result.stderr


def test_several_are_removed(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Sources and listeners go as they are listed; one that is not blocked is told, and the others go."""
    answers = iter([{"removed": 1}, {"removed": 0}, {"removed": 1}])
    daemon.answers["block_remove"] = lambda: next(answers)
    targets = ["2001:db8::/48", "192.0.2.1", "[2001:db8::5]:443"]
    result = run_cli("block", "remove", *targets, targets[0])
    assert result.stdout == "unblocked 2001:db8::/48\nunblocked [2001:db8::5]:443\n"
    assert (result.exit_code, [asked["target"] for _, asked in daemon.asked]) == (1, targets)
    assert "192.0.2.1 is not blocked" in result.stderr
    daemon.answers["block_remove"] = {"removed": 1}
    told = run_cli("block", "remove", *targets, "--format", "json").stdout
    assert json.loads(told) == {"removed": 3}
    assert run_cli("block", "remove", "203.0.113.5:99999").exit_code == 2


def test_block_clear(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Clearing says how many blocks it ended."""
    daemon.answers["block_clear"] = {"removed": 23}
    assert run_cli("block", "clear").stdout == "blocks ended: 23\n"
    assert json.loads(run_cli("block", "clear", "--format", "json").stdout) == {"removed": 23}

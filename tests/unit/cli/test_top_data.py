"""What top asks, and what two answers make."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from synguard.cli.top.data import SORTS, Asker, Feed, Look, Trouble, rates
from synguard.cli.top.tables import KINDS, fitted, head, matching
from synguard.client import NotAnsweringError, NotRunningError
from synguard.daemon import live
from tests.unit.cli.conftest import Cli
from tests.unit.cli.looks import AT, answer, answering, listener
from tests.unit.cli.screen import synguard
from tests.unit.serving import serving


def test_both_sides_sort_by_the_same() -> None:
    """What the command offers to sort by is what the daemon can sort by, and each column's is among it."""
    assert SORTS == live.SORTS
    columns = [column for kind in KINDS.values() for column in kind.columns if column.sort]
    assert {column.sort for column in columns} <= set(SORTS)


def test_rates_are_by_how_much_totals_rose() -> None:
    """A second, whatever the interval was; what is unknown or has fallen has none."""
    before = answer(totals={"attempts": 100, "completed": None, "refused": 9, "aborted": 5})
    after = answer(totals={"attempts": 350, "completed": None, "refused": 3, "new": 1}, monotonic_s=102.5)
    assert rates(before, after) == {
        "attempts_per_s": 100.0, "completed_per_s": None, "refused_per_s": None, "new_per_s": None,
    }  # fmt: skip


def test_another_daemon_has_no_rates_yet() -> None:
    """Its totals began anew, or were taken over: what rose between the two rose nobody knows when."""
    assert rates(answer(), answer(started_at=AT, monotonic_s=101.0)) is None
    assert rates(None, answer()) is None
    assert rates(answer(), answer()) is None


def test_a_shared_answer_keeps_its_rates(tmp_path: Path) -> None:
    """Whoever asks so soon that the answer is the same one is shown the same rates, not none."""
    told = [answer(totals={"attempts": 0}), answer(totals={"attempts": 7}, monotonic_s=101.0)]
    told.append(told[-1])
    answers = iter(told)
    with serving(tmp_path / "control.sock", {"top": lambda _arguments, _peer: next(answers)}):
        asker = Asker(tmp_path / "control.sock")
        looks = [asker.look() for _ in told]
    assert looks[0].rates is None
    assert looks[1].rates == looks[2].rates == {"attempts_per_s": 7.0}


@pytest.mark.parametrize("strange", [[], {"totals": {}}, "no"])
def test_what_is_not_understood_is_said(tmp_path: Path, strange: Any) -> None:
    """A daemon of another version may answer otherwise, which is words and no traceback."""
    with (
        serving(tmp_path / "control.sock", {"top": lambda _arguments, _peer: strange}),
        pytest.raises(NotAnsweringError, match="another version"),
    ):
        Asker(tmp_path / "control.sock").look()


def test_a_feed_goes_on_by_itself(tmp_path: Path) -> None:
    """While nobody answers it tells since when, and looks again as soon as somebody does."""
    heard: list[Look | Trouble] = []
    came = threading.Condition()

    def take(told: Look | Trouble) -> None:
        with came:
            heard.append(told)
            came.notify()

    feed = Feed(Asker(tmp_path / "control.sock"), 0.01, take)
    feed.start()
    with came:
        assert came.wait_for(lambda: len(heard) >= 2, 30)
    first, second = heard[:2]
    assert isinstance(first, Trouble)
    assert isinstance(second, Trouble)
    assert first.since == second.since
    assert "no daemon answers" in second.why
    with serving(tmp_path / "control.sock", {"top": lambda _arguments, _peer: answer()}), came:
        assert came.wait_for(lambda: isinstance(heard[-1], Look), 30)
        feed.end()
    feed.join(30)
    assert not feed.is_alive()


def test_columns_go_by_their_worth_on_a_narrow_terminal() -> None:
    """Who, how fast and how much of it is half-open stay to the last; with room nothing goes."""
    kind, rows = KINDS["listeners"], [listener(1)]
    assert len(fitted(kind, rows, AT).columns) == len(kind.columns)
    for width in range(200, 10, -1):
        shown = fitted(kind, rows, AT, width)
        headings = [column.heading for column in shown.columns]
        assert {"LISTENER", "ATTEMPTS/S"} <= set(headings)
        widths = [
            max(len(heading), len(cell)) + 2 for heading, cell in zip(headings, shown.cells[0], strict=True)
        ]
        assert sum(widths) <= width or len(headings) == 2


def test_a_filter_looks_at_what_is_shown() -> None:
    """In any column and in whatever case, with the figures as they stand there."""
    kind = KINDS["listeners"]
    rows = [listener(1, impact="cookies"), listener(2), listener(3, sources_estimated=12_345)]
    assert matching(kind, rows, AT, "COOK") == rows[:1]
    assert matching(kind, rows, AT, "db8") == rows[1:2]
    assert matching(kind, rows, AT, "12,345") == rows[2:]
    assert matching(kind, rows, AT, "") == rows


def test_the_head_says_what_is_wrong() -> None:
    """Blindness, what is lost, a history in trouble and silences; of all that is well it says nothing."""
    assert len(head(answer(), None)) == 2
    blind = {"alert_id": 7, "cause": "stalled", "interface": "eth0", "not_seen": "eth0: all \x1b[31m",
             "since": AT, "to_do": "restart"}  # fmt: skip
    interface = {**answer()["interfaces"][0], "blind": ["stalled"]}
    trouble: Mapping[str, Any] = {
        "blind": [blind], "one_way": True, "silences": 2, "losses": {"late_reads": 3},
        "interfaces": [interface], "history": {"state": "degraded", "error": "disk full", "queued": 9},
    }  # fmt: skip
    text = "\n".join(head(answer(**trouble), {"attempts_per_s": 1234.5}))
    for said in (
        "eth0 BLIND", "BLIND: stalled: eth0: all", "only what comes in is seen", "lost: late_reads 3",
        "history: degraded (disk full), 9 wait", "silences: 2", "a second: attempts 1,234, answered -",
    ):  # fmt: skip
        assert said in text
    assert "\x1b" not in text


def test_one_picture_as_text(run_cli: Cli, socket_path: Path) -> None:
    """Every table has its rows, those that are left out are counted, and nothing can reach the terminal."""
    told = answering()
    with serving(socket_path, {"top": lambda arguments, _peer: told(arguments)}):
        result = run_cli("top", "--once", "--rows", "3")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "a second: attempts 1,000, answered 0, completed 0, aborted 0, refused 0, dropped by us 0" in lines
    flooded = next(line for line in lines if line.startswith("203.0.113.5:443")).split()
    assert flooded[:4] == ["203.0.113.5:443", "557", "443", "100.0%"]
    assert flooded[4:] == ["1.05", "ms", "33.6", "ms", "100.0%", "50.0%", "483", "cookies", "24", "cookie"]
    assert "and 509 more" in lines
    assert [line for line in lines if line in [kind.title for kind in KINDS.values()]] == [
        kind.title for kind in KINDS.values()
    ]
    (alert,) = (line for line in lines if line.startswith("24  "))
    assert "syn-flood spoofed  [2001:db8::5]:443 +2  ~65,000 sources" in alert
    (blocked,) = (line for line in lines if line.split()[1:3] == ["drop", "4,321"])
    assert "2m 0s" in blocked
    assert "suspended" in blocked
    assert "\x1b" not in result.stdout


def test_one_picture_as_json(run_cli: Cli, socket_path: Path) -> None:
    """It is the daemon's answer with the rates; order and rows are asked of the daemon."""
    asked, told = [], answering()

    def handle(arguments: Mapping[str, Any], _peer: object) -> dict[str, Any]:
        asked.append(arguments)
        return told(arguments)

    with serving(socket_path, {"top": handle}):
        result = run_cli("top", "--once", "--format", "json", "--rows", "2", "--sort", "-half_open_ratio")
    look = json.loads(result.stdout)
    assert look["rates"]["attempts_per_s"] == 1000.0
    assert len(look["listeners"]) == 2
    assert asked == [{"sort": "-half_open_ratio", "rows": 2}] * 2


def test_json_without_an_end_goes_on_over_a_restart(tmp_path: Path) -> None:
    """One line for each interval; a daemon that is away is told of once on standard error, and waited for."""
    path = tmp_path / "control.sock"
    command = synguard("top", "--format", "json", "--socket", str(path))
    told = answering()
    with serving(path, {"top": lambda arguments, _peer: told(arguments)}):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["rates"]["attempts_per_s"] == 1000.0
    assert "going on when it answers" in process.stderr.readline()
    with serving(path, {"top": lambda arguments, _peer: told(arguments)}):
        assert json.loads(process.stdout.readline())["version"] == "0.1.0"
        process.terminate()
        process.communicate(timeout=30)


def test_without_a_terminal_a_view_is_refused(run_cli: Cli) -> None:
    """It is wrong usage, and the words say what to do instead."""
    result = run_cli("top")
    assert result.exit_code == 2
    assert "--once" in result.stderr
    assert "--format json" in result.stderr


@pytest.mark.parametrize("interval", ["0s", "2h", "500ms", "often"])
def test_intervals_are_a_second_to_an_hour(run_cli: Cli, interval: str) -> None:
    """Nobody asks more often than the daemon is to be asked."""
    assert run_cli("top", "--once", "--interval", interval).exit_code == 2


def test_nobody_to_ask(run_cli: Cli, socket_path: Path) -> None:
    """One picture of a daemon that does not run is a failure, in words."""
    result = run_cli("top", "--once")
    assert result.exit_code == 1
    assert f"no daemon answers on {socket_path}" in result.stderr
    with pytest.raises(NotRunningError):
        Asker(socket_path).look()


def test_one_picture_waits_for_nothing_that_draws() -> None:
    """What a live view needs takes half a second to load, which no other use of the command pays for."""
    code = "import sys, synguard.cli.top, synguard.cli.top.once; print('textual' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "False\n"

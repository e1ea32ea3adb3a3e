"""TAB in real shells, and what it offers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import FakeDaemon
from tests.unit.cli.shells import PATIENCE_S, Shell
from tests.unit.cli.test_control_commands import BLOCK, STATUS

SHELLS = ("bash", "zsh", "fish")
#: What must not be loaded for a TAB: it would take longer than a person waits.
HEAVY = {"bcc", "jinja2", "matplotlib", "pyroute2", "rich.live", "scapy", "selenium", "textual"}
SILENCE = {"target": "[2001:db8::5]:443", "until": "2026-11-22T10:10:00Z", "asked_by": "uid 0", "reason": ""}

Start = Callable[[str], Shell]
Offered = Callable[..., list[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a shell, which ends with the test."""
    shells: list[Shell] = []

    def starting(name: str) -> Shell:
        shells.append(Shell(name, tmp_path))
        return shells[-1]

    yield starting
    for shell in shells:
        shell.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_command_is_completed(start: Start, shell: str) -> None:
    """The one command that begins so is put in."""
    assert "rts" in start(shell).offers("synguard ale", "rts")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_commands_of_a_group_are_listed(start: Start, shell: str) -> None:
    """Where several fit, all are shown."""
    names = ("add", "clear", "list", "remove")
    shown = start(shell).offers("synguard block ", *names)
    assert all(name in shown for name in names)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_values_of_an_option_are_listed(start: Start, shell: str) -> None:
    """An option's choices are shown, and one that is begun behind ``=`` is completed."""
    shown = start(shell).offers("synguard alerts --kind ", "syn-flood", "reflection")
    assert "reflection" in shown
    assert "ver" in start(shell).offers("synguard alerts --kind=o", "ver")


@pytest.mark.parametrize("shell", SHELLS)
def test_files_are_completed(start: Start, shell: str, tmp_path: Path) -> None:
    """Where a file is wanted the shell's own completion of files goes on, behind ``=``, too."""
    (tmp_path / "quite-odd.toml").touch()
    assert "odd.toml" in start(shell).offers("synguard status --config quite-", "odd.toml")
    assert "odd.toml" in start(shell).offers("synguard run --database=quite-", "odd.toml")


def asked_of(daemon: FakeDaemon, command: str) -> Any:
    """Wait until the daemon is asked to do something, and return the arguments."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        for asked, arguments in daemon.asked:
            if asked == command:
                return arguments
        time.sleep(0.02)
    raise AssertionError(f"nobody asked for {command}: {daemon.asked}")


@pytest.mark.parametrize("shell", SHELLS)
def test_an_alert_is_completed_by_its_id(
    start: Start, shell: str, config_file: Path, daemon: FakeDaemon
) -> None:
    """The id that is put in behind what was typed is the alert's."""
    running = start(shell)
    running.offers(f"synguard explain --config {config_file} 2", "3")
    running.enter()
    assert asked_of(daemon, "alert") == {"id": 23}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "shown", "target"),
    [
        ("203.0.113.5:4", "43", "203.0.113.5:443"),
        ("203.0.", "113.5:443", "203.0.113.5:443"),
        ("'[2001:db8::5", "]:443", "[2001:db8::5]:443"),
    ],
)
def test_an_address_is_completed_behind_its_colons(
    start: Start, shell: str, config_file: Path, daemon: FakeDaemon, typed: str, shown: str, target: str
) -> None:
    """The line that TAB completed means the listener in the list, though bash takes words apart at colons."""
    daemon.answers["silence_list"] = [SILENCE, {**SILENCE, "target": "203.0.113.5:443"}]
    running = start(shell)
    running.offers(f"synguard silence remove --config {config_file} {typed}", shown)
    running.enter()
    assert asked_of(daemon, "silence_remove") == {"target": target}


@pytest.fixture
def offered(config_file: Path) -> Offered:
    """Return what asks for the words that may follow a line, as the shells' scripts do."""

    def offering(*words: str, last: str = "", shell: str = "fish") -> list[str]:
        line = " ".join(["synguard", *words, "--config", str(config_file), last])
        result = subprocess.run(
            [sys.executable, "-m", "synguard"],
            env={**os.environ, "_SYNGUARD_COMPLETE": f"{shell}_complete", "COMP_LINE": line},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert result.stderr == ""
        return [line.split("\t")[1] for line in result.stdout.splitlines() if line]

    return offering


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["explain"], ["23"]),
        (["block", "remove"], ["198.51.100.7"]),
        (["block", "add"], ["198.51.100.7"]),
        (["silence", "remove"], ["[2001:db8::5]:443"]),
        (["silence", "add"], [f"203.0.113.5:{port}" for port in range(12)]),
        (["respond"], ["off", "dry-run", "enforce"]),
        (["completion"], ["bash", "zsh", "fish"]),
    ],
)
def test_what_is_offered(offered: Offered, daemon: FakeDaemon, words: list[str], values: list[str]) -> None:
    """Each argument gets what it may be now, by what the daemon knows."""
    daemon.answers |= {"block_list": [BLOCK], "silence_list": [SILENCE], "status": STATUS}
    config = ["--config"] if words == ["completion"] else []
    if not config:
        assert offered(*words) == values


def test_interfaces_are_offered(offered: Offered) -> None:
    """The interfaces of this machine, wherever one is wanted."""
    for command in ("run", "detach", "doctor"):
        assert "lo" in offered(command, last="--interface ")


def test_without_a_daemon_the_history_is_asked(offered: Offered) -> None:
    """Alerts are offered from the file, and what only a daemon knows is not offered."""
    assert offered("explain") == ["25", "24", "23"]
    assert offered("block", "remove") == []


def test_trouble_is_not_told_at_a_tab(offered: Offered, config_file: Path) -> None:
    """Settings that are wrong, or a history that is none, offer nothing and say nothing."""
    config_file.write_text("[history]\ndatabase = 3\n")
    assert offered("explain") == []
    config_file.write_text(f'[history]\ndatabase = "{config_file}"\n[control]\nsocket = "/none"\n')
    assert offered("explain") == []


def test_a_daemon_that_hangs_is_given_up(offered: Offered, daemon: FakeDaemon) -> None:
    """A daemon that does not answer keeps nobody from typing on."""
    is_over = threading.Event()

    def late() -> Any:
        is_over.wait(30)
        return [BLOCK]

    daemon.answers["block_list"] = late
    assert offered("block", "remove") == []
    is_over.set()


def test_what_the_daemon_says_does_not_reach_the_terminal_raw(offered: Offered, daemon: FakeDaemon) -> None:
    """Escapes and line ends in what is offered are shown as what they are."""
    daemon.answers["block_list"] = [{**BLOCK, "target": "a\x1b[31m\nb", "reason": "\tc\nd"}]
    assert offered("block", "remove") == [r"a\x1b[31m\nb"]


@pytest.mark.parametrize("words", [[], ["alerts"], ["explain"], ["block", "remove"], ["top"], ["report"]])
def test_a_tab_loads_nothing_heavy(words: list[str]) -> None:
    """What takes long to load is loaded by the commands that need it, not by completing their words."""
    code = (
        "import sys, synguard.cli\nfrom json import dumps\n"
        "try: synguard.cli.main()\nfinally: print(dumps(sorted(sys.modules)))"
    )
    line = " ".join(["synguard", *words, ""])
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "_SYNGUARD_COMPLETE": "bash_complete", "COMP_LINE": line},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded: list[Any] = json.loads(result.stdout.splitlines()[-1])
    assert HEAVY & set(loaded) == set()

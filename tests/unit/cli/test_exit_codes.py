"""Every command's exit code: 0 done, 1 failed, 2 wrong usage, 3 not permitted, 130 after Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from synguard.cli import cli
from synguard.cli.reference import helps
from tests.unit.cli.conftest import ALERTS, Cli, FakeDaemon, write_history
from tests.unit.cli.test_control_commands import BLOCK, STATUS
from tests.unit.public import python_as_nobody

COMMANDS = [path.split()[1:] for path, _ in helps()]
SILENCE = {"target": "203.0.113.5:443", "until": "2026-11-22T10:10:00Z", "asked_by": "uid 0", "reason": ""}


def synguard(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "synguard", *arguments],
        text=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, timeout=60,
        **{"stdout": subprocess.PIPE, **options},
    )  # fmt: skip


def leaves() -> Iterator[tuple[list[str], click.Command]]:
    """Yield every command that is no group."""
    root = click.Context(cli, info_name="synguard")
    for path in COMMANDS:
        found: click.Command | None = cli
        for name in path:
            assert isinstance(found, click.Group)
            found = found.get_command(root, name)
        if found is not None and not isinstance(found, click.Group):
            yield path, found


def wrong_options() -> Iterator[list[str]]:
    """Yield each option of each command with a value that it cannot take, as far as there is one."""
    for path, command in leaves():
        for parameter in command.params:
            kind = parameter.type
            takes_all = isinstance(kind, click.types.StringParamType | click.Path) or kind.name == "interface"
            if isinstance(parameter, click.Option) and not parameter.is_flag and not takes_all:
                yield [*path, parameter.opts[0], "!"]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_is_done(path: list[str]) -> None:
    """Every command tells what it does with 0, and has two to four examples of it, which name it."""
    result = synguard(*path, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    examples = result.stdout.partition("Examples:\n")[2].splitlines()
    lines = [line.strip() for line in examples if line.startswith("  ") and not line.startswith("   ")]
    assert 2 <= len(lines) <= 4
    assert all(" ".join(["synguard", *path[:1]]) in line for line in lines)
    assert max(map(len, examples)) <= 80


@pytest.mark.parametrize("words", list(wrong_options()), ids=" ".join)
def test_a_wrong_value_is_2(words: list[str]) -> None:
    """Whatever an option cannot take is refused in one line that names the option, with 2."""
    result = synguard(*words)
    assert (result.returncode, result.stdout) == (2, "")
    error, usage = result.stderr.splitlines()
    assert error.startswith("synguard: error: ")
    assert words[-2] in error
    assert usage.startswith("Usage: synguard ")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_an_unknown_option_is_2(path: list[str]) -> None:
    """A misspelt option is refused with the right one."""
    result = synguard(*path, "--hepl")
    assert (result.returncode, result.stdout) == (2, "")
    assert "did you mean --help?" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["alets"], "did you mean alerts?"),
        (["block", "lits"], "did you mean list?"),
        (["help", "explian"], "did you mean explain?"),
        (["help", "block", "ad"], "did you mean add?"),
        (["alerts", "--sinse", "1h"], "did you mean --since?"),
        (["alerts", "--since", "1hr"], "did you mean 1h?"),
        (["alerts", "--since", "2026-11-22", "10:00"], "one word, 2026-11-22T10:00Z"),
        (["alerts", "--since", "9999-01-01"], "is still to come"),
        (["alerts", "--since", "1h", "--until", "2h"], "earlier than --since"),
        (["alerts", "--until", "2h", "--since", "1h"], "later than --until"),
        (["alerts", "--source", "10.0.0/8"], "did you mean 10.0.0.0/8?"),
        (["alerts", "--listener", "::1:443"], "did you mean [::1]:443?"),
        (["alerts", "--format", "jsno"], "did you mean json?"),
        (["alerts", "--class", "spofed"], "did you mean spoofed?"),
        (["alerts", "--kind", "synflood"], "did you mean syn-flood?"),
        (["alerts", "--sort", "attemps"], "did you mean attempts?"),
        (["alerts", "--limit", "x"], "write a whole number"),
        (["explain", "abc"], "`synguard alerts` lists the ids"),
        (["explain", "0"], "integer from 1"),
        (["explain", "9" * 25], "integer from 1"),
        (["alerts", "--limit", "9" * 25], "the largest number there is"),
        (["explain"], "Missing argument 'ID'"),
        (["block", "add", "192.0.2.1", "--ttl", "10"], "did you mean 10s or 10m?"),
        (["block", "add", "192.0.2.1/24"], "did you mean 192.0.2.0/24?"),
        (["silence", "add", "2001:db8::5:443"], "did you mean [2001:db8::5]:443?"),
        (["silence", "add", "192.0.2.1", "--for", "1hour"], "did you mean 1h?"),
        (["respond", "enforec"], "did you mean enforce?"),
        (["run", "--respond", "dryrun"], "did you mean dry-run?"),
        (["replay", "x.pcap", "--protect", "10.0.0"], "did you mean 10.0.0.0/24?"),
        (["completion", "bsh"], "did you mean bash?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_slip_is_2_with_the_nearest_right_form(words: list[str], said: str) -> None:
    """Who mistypes is told what was probably meant."""
    result = synguard(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr.splitlines()[0]


def test_settings_that_are_wrong_are_2(tmp_path: Path) -> None:
    """A misspelt setting is refused with its line and the right name, by whatever reads the file."""
    path = tmp_path / "synguard.toml"
    path.write_text("[respond]\nblock_tll_s = 3\n")
    for words in (["config", "check", str(path)], ["status", "--config", str(path)]):
        result = synguard(*words)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"{path}: line 2" in result.stderr
        assert "did you mean respond.block_ttl_s?" in result.stderr


#: Commands that need the daemon, and what it answers.
ASKING: dict[str, Any] = {
    "status": STATUS,
    "block list": [BLOCK],
    "block add 192.0.2.1": BLOCK,
    "block remove 192.0.2.1": {"removed": 1},
    "block clear": {"removed": 1},
    "silence list": [SILENCE],
    "silence add 203.0.113.5:443": SILENCE,
    "silence remove 203.0.113.5:443": {"removed": 1},
    "respond off": {"mode": "off"},
}
#: Commands that read the history when no daemon answers, and print.
READING = ["alerts", "explain 23", "explain 23 --format json", "report 23 --output -"]
#: Commands that print and ask nobody.
PRINTING = [
    "config default",
    "completion bash",
    "completion fish",
    "help",
    "help block add",
    "--help",
    "--version",
]


@pytest.mark.parametrize("words", ASKING)
def test_with_a_daemon_it_is_done(run_cli: Cli, daemon: FakeDaemon, words: str) -> None:
    """What the daemon answers is 0."""
    path = words.split()
    daemon.answers["_".join(path[:2]) if path[0] in ("block", "silence") else path[0]] = ASKING[words]
    result = run_cli(*path)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("words", [*ASKING, "top --once", "top --format json"])
def test_without_a_daemon_it_is_1(run_cli: Cli, words: str) -> None:
    """What needs a daemon and finds none has failed, and says how to start one."""
    result = run_cli(*words.split())
    assert (result.exit_code, result.stdout) == (1, "")
    assert "systemctl start synguard" in result.stderr


@pytest.mark.parametrize("words", READING)
def test_the_history_is_read_without_a_daemon(config_file: Path, words: str) -> None:
    """A history that is there is read, with 0."""
    assert synguard(*words.split(), "--config", str(config_file)).returncode == 0


@pytest.mark.parametrize("words", READING)
def test_no_history_is_1(run_cli: Cli, tmp_path: Path, words: str) -> None:
    """A history that is not there, or is none, has no answer: 1, and its name."""
    (tmp_path / "no.db").write_text("this is no database\n" * 100)
    for name in ("missing.db", "no.db"):
        result = run_cli(*words.split(), "--database", str(tmp_path / name))
        assert (result.exit_code, result.stdout) == (1, "")
        assert name in result.stderr
        assert "Traceback" not in result.stderr


def test_what_is_not_there_is_1(run_cli: Cli, daemon: FakeDaemon) -> None:
    """An alert, a block or a silence of which there is none: 1, and where to look."""
    daemon.answers |= {"alert": None, "block_remove": {"removed": 0}, "silence_remove": {"removed": 0}}
    for words, said in (
        (["explain", "9999"], "`synguard alerts`"),
        (["block", "remove", "192.0.2.1"], "`synguard block list`"),
        (["silence", "remove", "192.0.2.1"], "`synguard silence list`"),
    ):
        result = run_cli(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert said in result.stderr


@pytest.mark.root
@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("words", [*ASKING, "top --once", "run --interface lo", "detach"])
def test_without_permission_it_is_3(socket_path: Path, words: str) -> None:
    """Who is neither root nor in the group is told so, with 3, and not that no daemon runs."""
    socket_path.parent.chmod(0o700)
    place = ["--socket", str(socket_path)] if words not in ("run --interface lo", "detach") else []
    result = python_as_nobody("-m", "synguard", *words.split(), *place)
    assert (result.returncode, result.stdout) == (3, ""), result.stderr
    assert "root" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.root
@pytest.mark.parametrize("words", READING)
def test_a_history_that_may_not_be_read_is_3(database: Path, words: str) -> None:
    """Whose history it is not is told how to ask all the same."""
    result = python_as_nobody("-m", "synguard", *words.split(), "--database", str(database))
    assert (result.returncode, result.stdout) == (3, ""), result.stderr
    assert "ask as root" in result.stderr


@pytest.mark.parametrize("words", [*PRINTING, *READING])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_1(config_file: Path, words: str, unbuffered: str) -> None:
    """A full disk is said once, with 1; nobody is to trust half a file."""
    place = ["--config", str(config_file)] if words in READING else []
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        result = synguard(*words.split(), *place, stdout=full, env=environment)
    said = "synguard: error: cannot write the output: No space left on device\n"
    assert (result.returncode, result.stderr) == (1, said)


@pytest.mark.parametrize("words", [*PRINTING, *READING])
def test_a_reader_that_has_seen_enough_is_0(config_file: Path, words: str) -> None:
    """``| head`` ends the command quietly."""
    place = ["--config", str(config_file)] if words in READING else []
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = synguard(*words.split(), *place, stdout=writing)
    finally:
        os.close(writing)
    assert (result.returncode, result.stderr) == (0, "")


def test_ctrl_c_is_130(tmp_path: Path) -> None:
    """Ctrl-C ends what goes on for ever, without a word, with 130."""
    database = tmp_path / "state" / "synguard.db"
    write_history(database, *ALERTS)
    with subprocess.Popen(
        [sys.executable, "-m", "synguard", "alerts", "--follow", "--database", str(database)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")

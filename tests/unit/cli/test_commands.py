"""The command line as a whole: exit codes, pipes, and the commands that need no daemon."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import synguard
from synguard.cli import cli
from synguard.cli.lazy import COMMANDS
from synguard.commit import commit_of
from synguard.config import Settings
from synguard.errors import SynguardError, UnsupportedError, UsageError
from synguard.probe.detaching import Detached
from synguard.telling.figures import duration, figure, percent
from tests.unit.cli.conftest import Cli
from tests.unit.public import python_as_nobody


def _process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "synguard", *arguments],
        text=True, stderr=subprocess.PIPE, check=False, timeout=30,
        **{"stdout": subprocess.PIPE, **options},
    )  # fmt: skip


def test_version() -> None:
    """``--version`` names the program, its version, its commit and the layout of its maps."""
    said = _process("--version").stdout
    version, commit = re.escape(synguard.__version__), commit_of() or "unknown"
    assert re.fullmatch(rf"synguard {version} \(commit {commit}, layout [0-9a-f]{{12}}\)\n", said)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["block", "add"]])
def test_help(command: list[str]) -> None:
    """Every command explains itself, and a stranger to it can ask with -h too."""
    assert "Usage: synguard" in CliRunner().invoke(cli, [*command, "-h"], prog_name="synguard").stdout


@pytest.mark.parametrize("arguments", [["guard"], ["status", "--colour"], ["explain"], ["block", "ban", "x"]])
def test_wrong_usage(arguments: list[str]) -> None:
    """A command line that cannot be understood is exit 2, said on standard error."""
    result = _process(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Usage:" in result.stderr


def test_wrong_setting_names_the_line(tmp_path: Path) -> None:
    """A wrong setting is exit 2 with file, line, value and what is allowed; a right file is in order."""
    path = tmp_path / "synguard.toml"
    path.write_text('[respond]\nmode = "ban"\n')
    for command in (["config", "check", str(path)], ["status", "--config", str(path)]):
        result = _process(*command)
        assert result.returncode == 2
        for said in (f"synguard: error: {path}: line 2", "ban", "dry-run"):
            assert said in result.stderr
    path.write_text('[respond]\nmode = "off"\n')
    assert _process("config", "check", str(path)).stdout == f"{path}: in order\n"


def test_missing_settings_file(tmp_path: Path) -> None:
    """A settings file that is not there is exit 2."""
    result = _process("run", "--config", str(tmp_path / "none.toml"))
    assert result.returncode == 2
    assert "none.toml" in result.stderr


def test_default_settings_are_valid(tmp_path: Path) -> None:
    """The default file is TOML that ``config check`` accepts."""
    text = _process("config", "default").stdout
    assert tomllib.loads(text)["respond"]["mode"] == "dry-run"
    path = tmp_path / "synguard.toml"
    path.write_text(text)
    assert _process("config", "check", str(path)).returncode == 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Return the settings that ``synguard run`` started the daemon with."""
    settings: list[Settings] = []

    def run(read: Callable[[], Settings], *_where: object) -> int:
        settings.append(read())
        return 0

    monkeypatch.setattr("synguard.daemon.run", run)
    return settings


def test_run_passes_its_options_on(run_cli: Cli, started: list[Settings]) -> None:
    """The command line overrules the file."""
    result = run_cli(
        "run", "--interface", "eth1", "--interface", "eth2", "--respond", "enforce", "--drop", "always",
        "--database", "/srv/a.db", "--socket", "/run/a.sock",
    )  # fmt: skip
    assert result.exit_code == 0
    (settings,) = started
    assert settings.probe.interfaces == ("eth1", "eth2")
    assert (settings.respond.mode, settings.respond.drop) == ("enforce", "always")
    assert (settings.history.database, settings.control.socket) == ("/srv/a.db", "/run/a.sock")


def test_run_keeps_the_files_settings(run_cli: Cli, started: list[Settings], database: Path) -> None:
    """Without options the file counts."""
    run_cli("run")
    assert started[0].history.database == str(database)
    assert started[0].respond.mode == "dry-run"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--respond", "ban"], "dry-run"),
        (["--drop", "never"], "proven"),
        (["--interface", "no/such"], "--interface"),
        (["--socket", "x" * 200], "--socket"),
    ],
)
def test_run_refuses_bad_options(
    run_cli: Cli, started: list[Settings], options: list[str], said: str
) -> None:
    """A wrong option of ``run`` is exit 2, named, before anything starts."""
    result = run_cli("run", *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not started


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (SynguardError("first\nsecond"), 1),
        (UsageError("first\nsecond"), 2),
        (UnsupportedError("first\nsecond"), 3),
    ],
)
def test_errors_become_words_and_exit_codes(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch, error: SynguardError, exit_code: int
) -> None:
    """Our errors come line by line on standard error, without a traceback, under their exit code."""

    def run(*_given: object) -> int:
        raise error

    monkeypatch.setattr("synguard.daemon.run", run)
    result = run_cli("run")
    assert result.exit_code == exit_code
    assert result.stderr == "synguard: error: first\nsynguard: error: second\n"


def test_a_bug_keeps_its_traceback(run_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no error of ours is not disguised as one."""

    def run(*_given: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("synguard.daemon.run", run)
    assert isinstance(run_cli("run").exception, ZeroDivisionError)


@pytest.mark.root
@pytest.mark.parametrize("command", [["run", "--interface", "lo"], ["detach", "--interface", "lo"]])
def test_without_root(command: Sequence[str]) -> None:
    """What needs root says so, with exit code 3."""
    result = python_as_nobody("-m", "synguard", *command)
    assert (result.returncode, result.stdout) == (3, "")
    assert "root" in result.stderr
    assert "Traceback" not in result.stderr


def test_detach_names_what_it_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detaching says what it removed, or that there was nothing."""
    asked: list[Sequence[str] | None] = []
    removed = ["eth1: XDP program"]

    def detach_all(interfaces: Sequence[str] | None, _pin_directory: Path) -> Detached:
        asked.append(interfaces)
        return Detached(removed, [])

    monkeypatch.setattr("synguard.cli.detach.detach_all", detach_all)
    assert CliRunner().invoke(cli, ["detach"]).stdout == "removed eth1: XDP program\n"
    removed.clear()
    assert "nothing of ours" in CliRunner().invoke(cli, ["detach", "--interface", "eth1"]).stdout
    assert asked == [None, ("eth1",)]


def test_doctor_finds_what_is_missing() -> None:
    """An interface that does not exist is an error with a remedy, and exit 1; JSON says the same."""
    result = _process("doctor", "--interface", "no-such-if")
    assert result.returncode == 1
    assert "error    interface            no-such-if does not exist" in result.stdout
    assert "mend: compare `ip link`" in result.stdout
    findings = json.loads(_process("doctor", "--interface", "no-such-if", "--format", "json").stdout)
    (interface,) = (finding for finding in findings if finding["name"] == "interface")
    assert set(interface) == {"name", "status", "what", "why", "remedy"}
    assert interface["status"] == "error"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_reader_that_leaves_early_is_no_error(config_file: Path, unbuffered: str) -> None:
    """``synguard alerts | true`` says nothing on standard error."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = _process("alerts", "--config", str(config_file), stdout=writing, env=environment)
    finally:
        os.close(writing)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_disk_is_an_error(config_file: Path, unbuffered: str) -> None:
    """Output that could not be written is said once and exit 1, so that a script does not trust it."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        result = _process("alerts", "--config", str(config_file), stdout=full, env=environment)
    said = "synguard: error: cannot write the output: No space left on device\n"
    assert (result.returncode, result.stderr) == (1, said)


def test_the_daemon_loads_no_tables() -> None:
    """``synguard run`` does not load what renders tables, nor the compiler."""
    code = (
        "import sys, synguard.daemon\nsynguard.daemon.run = lambda *given: 0\n"
        "sys.argv = ['synguard', 'run']\nfrom synguard.cli import main\n"
        "try: main()\nfinally: print({'synguard.cli.output', 'bcc'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (2.54, "2.5s"), (59, "59s"), (72, "1m 12s"), (3600, "1h 0m"), (90_000, "1d 1h")],
)
def test_durations(seconds: float, text: str) -> None:
    """Durations are shown in their two largest units."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (7, "7"), (0.1234, "0.123"), (51234.5, "51,234"), (12.5, "12.5")],
)
def test_figures(value: float | None, text: str) -> None:
    """Figures are shown with three significant digits, large ones whole; an unknown is a dash."""
    assert figure(value) == text


def test_percentages() -> None:
    """A ratio is shown as a percentage, an unknown one as a dash."""
    assert (percent(0.9876), percent(0), percent(None)) == ("98.8%", "0.0%", "-")

"""What ``make fuzz`` says, and how it ends."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.build import altered_headers, build_target


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Path:
    """Let the command work in a folder of the test's own; return that."""
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "WORK", tmp_path / "build" / "fuzz")
    capfd.readouterr()
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command with these arguments; return its exit code."""
    monkeypatch.setattr("sys.argv", ["fuzz", *arguments])
    return command.main()


def test_nothing_found_is_said_with_what_was_done(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It ends with 0, the number of executions and the share of the parser's lines that they ran."""
    assert run(monkeypatch, "--seconds", "1") == 0
    said = capfd.readouterr().out
    executions = re.search(r"nothing found: ([\d,]+) executions", said)
    assert executions is not None
    assert int(executions[1].replace(",", "")) > 1000
    assert re.search(r"coverage: (\d+) of \1 lines of packet.h", said)
    assert list((place / "build" / "fuzz" / "findings").iterdir()) == []


def test_a_finding_is_kept_and_can_be_seen_again(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It ends with 1, names what is wrong and the input, and the command that it prints shows it again."""
    headers = altered_headers(place, "packet->bare = tcp->doff == 5;", "")
    monkeypatch.setattr(command, "build_target", lambda folder: build_target(folder, headers))
    assert run(monkeypatch, "--seconds", "30") == 1
    said = capfd.readouterr().out
    assert "finding: bare is another" in said
    again = re.search(r"python3 -m tests\.fuzz (--replay) (.*)$", said, re.MULTILINE)
    assert again is not None
    assert run(monkeypatch, again[1], str(place / again[2])) == 1
    assert "finding: bare is another" in capfd.readouterr().err

"""``synguard alerts --follow``: what a watcher sees, and when it ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synguard.cli.following import Follower
from synguard.history.records import alert_to_json
from synguard.model import Severity
from tests.unit.cli.conftest import ALERTS, SPOOFED, write_history


@contextmanager
def _following(config_file: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "synguard", "alerts", "--follow", "--config", str(config_file), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_follow_prints_new_and_changed_alerts_until_interrupted(config_file: Path, database: Path) -> None:
    """Following prints what there is, oldest first, then what comes and what changes; Ctrl-C ends it."""
    with _following(config_file, "--format", "jsonl") as process:
        assert [json.loads(_line(process))["id"] for _ in ALERTS] == [23, 24, 25]
        write_history(database, replace(SPOOFED, severity=Severity.CRITICAL))
        assert json.loads(_line(process)) == alert_to_json(replace(SPOOFED, severity=Severity.CRITICAL))
        write_history(database, replace(SPOOFED, id=26))
        assert json.loads(_line(process))["id"] == 26
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert errors == ""


@pytest.mark.parametrize("output_format", ["table", "csv"])
def test_follow_heads_its_columns(config_file: Path, output_format: str) -> None:
    """Followed tables and CSV begin with their headings, and each alert is one line."""
    with _following(config_file, "--format", output_format) as process:
        lines = [_line(process) for _ in range(1 + len(ALERTS))]
    assert lines[0].lower().lstrip().startswith("id")
    assert ["23" in lines[1], "24" in lines[2], "25" in lines[3]] == [True] * 3


def test_follow_ends_quietly_when_its_reader_leaves(config_file: Path, database: Path) -> None:
    """A reader that has seen enough ends the command without a word."""
    with _following(config_file, "--format", "jsonl") as process:
        for _ in ALERTS:
            _line(process)
        assert process.stdout is not None
        process.stdout.close()
        write_history(database, replace(SPOOFED, id=26))
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def _news(follower: Follower, now_s: float, **changes: Any) -> int:
    return len(list(follower.news([{**alert_to_json(SPOOFED), **changes}], now_s)))


def test_moving_figures_are_shown_once_a_second() -> None:
    """A watcher sees a new severity at once, and figures that only move at most once a second."""
    follower = Follower()
    assert _news(follower, 0.0) == 1
    assert _news(follower, 5.0) == 0
    assert _news(follower, 5.0, attempts=1) == 1
    assert _news(follower, 5.5, attempts=2) == 0
    assert _news(follower, 5.6, attempts=2, severity="critical") == 1
    assert _news(follower, 6.7, attempts=3, severity="critical") == 1

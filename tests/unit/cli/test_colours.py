"""Bold letters and colours: on terminals alone, and no colours where somebody asked for none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.cli.conftest import on_terminal

ESCAPE = "\x1b["


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)]
)
def test_on_a_terminal(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], coloured: bool
) -> None:
    """A terminal gets bold headings and coloured severities; with NO_COLOR no sequence has a colour in it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    lines, _ = on_terminal(config_file, 200, "alerts")
    assert "STARTED" in lines[0]
    assert bool(re.search(r"\x1b\[[0-9;]*[349][0-7]m", "".join(lines))) == coloured


def test_on_a_terminal_that_knows_nothing(config_file: Path) -> None:
    """TERM=dumb is a terminal that would show escape sequences as rubbish, so it gets none."""
    lines, _ = on_terminal(config_file, 200, "alerts", TERM="dumb")
    assert "STARTED" in lines[0]
    assert ESCAPE not in "".join(lines)


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm"}, False),
        ({"FORCE_COLOR": "1"}, True),
    ],
)
def test_in_a_pipe(config_file: Path, environment: Mapping[str, str], coloured: bool) -> None:
    """A pipe gets none, unless FORCE_COLOR asks for them, as ``less -R`` likes them."""
    result = subprocess.run(
        [sys.executable, "-m", "synguard", "alerts", "--config", str(config_file)],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (ESCAPE in result.stdout) == coloured

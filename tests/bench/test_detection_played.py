"""Cases of detection, played: real hosts, the real daemon, and what is said of a wrong name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.detection.case import HOST, NOTHING, Case
from bench.detection.cases import case_of
from bench.detection.flooded import flooded
from bench.detection.stage import Stage
from bench.detection.trial import play_case
from bench.net.enter import child_environment
from bench.net.namespaces import namespaces_of
from bench.results.store import read_result
from bench.run.arena import Arena
from bench.scenario.model import FloodSpec

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

OWN = """
kind = "detection"
purpose = "One."
plays = ["one address, hping3", "one address"]
repetitions = 1
"""


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    """Build the hosts of most cases."""
    with Arena(HOST) as arena:
        yield arena


def test_a_run_prints_and_keeps_what_cases_were_called(tmp_path: Path) -> None:
    """A scenario of one's own plays the cases asked for; the matrix is printed, and in the result."""
    scenario, kept = tmp_path / "own.toml", tmp_path / "own.json"
    scenario.write_text(OWN, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        str(scenario),
        "--case",
        "one address",
        "--json",
        str(kept),
    ]
    with subprocess.Popen(command, env=child_environment(), stdout=subprocess.PIPE, text=True) as process:
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    (done,) = read_result(kept).scenarios
    assert done.confusion == {"single-source": {"single-source": 1}}
    assert [verdict.held for verdict in done.verdicts] == [True]
    (trial,) = done.trials
    assert (trial.figures["alerts"], trial.figures["missed"], trial.figures["false_alarms"]) == (1, 0, 0)
    assert 0 < (trial.figures["time_to_alert_ms"] or 0) < 3000
    assert 0 < (trial.figures["time_to_close_ms"] or 0) <= 30_000
    assert "played ↓ · called →" in printed
    assert namespaces_of(process.pid) == []


def test_an_alert_where_none_should_be_is_told_with_its_figures(arena: Arena, tmp_path: Path) -> None:
    """A flood that is played as if it were nothing is seen: the trial says what was raised and why."""
    case = Case(
        name="a lie",
        purpose="A flood that should raise nothing.",
        expected=NOTHING,
        play=flooded(FloodSpec(syn_per_s=5_000), seconds=1.5),
    )
    seen = play_case(case, arena, tmp_path, 1)
    assert seen["invalid_because"] == []
    assert (seen["facts"]["expected_class"], seen["facts"]["class"]) == ("(none)", "single-source")
    assert seen["facts"]["wrong"].startswith("should be (none), is single-source. Raised: #1 syn-flood")
    assert "198.18.66.13" in seen["facts"]["wrong"]
    assert seen["figures"]["false_alarms"] == 1


def test_a_flood_that_was_not_sent_is_missed(arena: Arena, tmp_path: Path) -> None:
    """A case that plays nothing, though an alert is expected, is missed; nothing is left behind it."""

    def nothing(stage: Stage) -> None:
        stage.serve()
        stage.learn(0.3)

    told = case_of("one address")
    case = Case(name="a lie", purpose="Nothing.", expected=told.expected, play=nothing, settle_s=0.2)
    seen = play_case(case, arena, tmp_path, 2)
    assert seen["figures"]["missed"] == 1
    assert seen["facts"]["class"] == "(none)"
    assert seen["facts"]["wrong"] == "should be single-source, is (none). Raised: nothing"

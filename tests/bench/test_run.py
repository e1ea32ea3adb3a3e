"""Running scenarios as a person would: what is kept, what is no result, and what the exit code says."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.net.enter import child_environment
from bench.net.namespaces import namespaces_of
from bench.results.model import Result, ScenarioResult
from bench.results.store import read_result
from bench.scenario.load import find, load, names
from tests.unit.public import python_as_nobody

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

#: A flood of a fifth of a second, at a server that has nothing to say.
SMALL = """
kind = "flood"
purpose = "A small one."
premises = ["accounted", "rate-held"]
server = { kind = "none" }
clients = []
learn_s = 0.0
flood_s = 0.2
repetitions = 1

[[floods]]
syn_per_s = 1000
"""


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start the bench."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def play(folder: Path, text: str, exit_code: int = 0) -> tuple[ScenarioResult, str]:
    """Run a scenario with that text; return its result and what was said on standard error."""
    scenario, result = folder / "small.toml", folder / "result.json"
    scenario.write_text(text, encoding="utf-8")
    with start("run", scenario, "--json", result) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == exit_code, said
    (done,) = read_result(result).scenarios
    return done, said


@pytest.mark.timeout(300)
def test_everything_in_its_small_form_keeps_every_promise(tmp_path: Path) -> None:
    """``run all --quick`` plays each scenario that has a small form, and ends with 0."""
    file = tmp_path / "quick.json"
    with start("run", "all", "--quick", "--json", file) as process:
        _, said = process.communicate(timeout=280)
    assert process.returncode == 0, said
    result = read_result(file)
    played = {done.scenario for done in result.scenarios}
    assert played == {name for name in names() if load(find(name), quick=True)}
    for done in result.scenarios:
        assert done.complete
        assert done.quick
        assert all(verdict.held for verdict in done.verdicts)
    assert_agreement(result)
    assert namespaces_of(process.pid) == []


def assert_agreement(result: Result) -> None:
    """Assert that generator, interface and probe agree to the packet in every trial that counts."""
    trials = [trial for done in result.scenarios for trial in done.trials if trial.valid]
    accounted = [trial.figures["unaccounted_frames"] for trial in trials if "lost_at_ring" in trial.figures]
    assert len(accounted) >= 5
    assert set(accounted) == {0}
    uncounted = [trial.figures.get("uncounted_syns") for trial in trials]
    assert len([syns for syns in uncounted if syns == 0]) >= 5
    assert {syns for syns in uncounted if syns is not None} == {0}


def test_a_scenario_of_ones_own_needs_only_its_file(tmp_path: Path) -> None:
    """A file anywhere is played by its path, and its result says what was sent."""
    done, said = play(tmp_path, SMALL)
    (trial,) = done.trials
    assert (done.scenario, done.complete, trial.valid) == ("small", True, True)
    assert trial.figures["unaccounted_frames"] == 0
    assert trial.figures["offered_syn_per_s"] == pytest.approx(1000, rel=0.1)
    assert "A small one." in said


def test_a_rate_that_was_not_reached_is_no_result(tmp_path: Path) -> None:
    """A premise that did not hold makes every try invalid, says so, and fails the run."""
    done, said = play(tmp_path, SMALL.replace("1000", "5_000_000"), exit_code=1)
    assert [trial.valid for trial in done.trials] == [False] * 3
    assert all("rate-held" in trial.invalid_because[0] for trial in done.trials)
    assert "no valid trial of defence none: rate-held" in said


def test_a_client_that_never_gets_through_is_no_result(tmp_path: Path) -> None:
    """Success under a flood means nothing for a client that was down before."""
    text = SMALL.replace("clients = []", 'clients = [{ name = "lost" }]').replace(
        "learn_s = 0.0", "learn_s = 0.1"
    )
    text = text.replace('"accounted", "rate-held"', '"clients-up"')
    done, _ = play(tmp_path, text + "[quick]\n", exit_code=1)
    assert "clients-up: the good client 'lost' was not ready" in done.trials[0].invalid_because[0]


def test_a_daemon_that_will_not_start_is_not_tried_again(tmp_path: Path) -> None:
    """What no other try can mend fails the run at once, in the daemon's own words."""
    text = SMALL.replace(
        "repetitions", 'defence = "synguard-off"\nsettings = { detect = { nonsense = 1 } }\nrepetitions'
    )
    done, said = play(tmp_path, text, exit_code=1)
    (trial,) = done.trials
    assert "nonsense" in trial.invalid_because[0]
    assert "nonsense" in said


def test_a_broken_promise_fails_the_run(tmp_path: Path) -> None:
    """A valid trial that breaks a promise ends the run with 1 and the promise in words."""
    text = SMALL + '[[promises]]\nfigure = "lost_at_ring"\nat_least = 1\n'
    done, said = play(tmp_path, text, exit_code=1)
    assert [verdict.held for verdict in done.verdicts] == [False]
    assert "error: small: lost_at_ring" in said


def test_a_missing_tool_is_named_and_no_result(tmp_path: Path) -> None:
    """Without hping3 the trial is invalid, and says which package has it."""
    text = SMALL.replace("[[floods]]", '[[floods]]\ntool = "hping3"')
    scenario, result = tmp_path / "small.toml", tmp_path / "result.json"
    scenario.write_text(text, encoding="utf-8")
    # In a mount namespace of its own, a file that cannot be run lies over the tool.
    hidden = 'mount --bind /dev/null "$(command -v hping3)" && exec "$@"'
    bench = [sys.executable, "-m", "bench", "run", str(scenario), "--json", str(result)]
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hidden, "sh", *bench],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "install Debian's package hping3" in ran.stderr
    (done,) = read_result(result).scenarios
    assert [trial.valid for trial in done.trials] == [False] * len(done.trials)


def test_an_interrupted_run_keeps_what_is_done(tmp_path: Path) -> None:
    """After Ctrl-C the trials that had ended are on disk, and nothing is left behind."""
    file, scenario = tmp_path / "cut.json", tmp_path / "long.toml"
    scenario.write_text(SMALL.replace("repetitions = 1", "repetitions = 100"), encoding="utf-8")
    with start("run", scenario, "--json", file) as process:
        deadline_s = time.monotonic() + 30
        while not (file.exists() and read_result(file).scenarios) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    (done,) = read_result(file).scenarios
    assert process.returncode == 130
    assert (done.complete, len(done.trials) >= 1) == (False, True)
    assert namespaces_of(process.pid) == []


def test_without_root_it_lists_but_does_not_run(tmp_path: Path) -> None:
    """Anybody may look at the scenarios; running one needs root, and says so with exit code 3."""
    listed = python_as_nobody("-m", "bench", "list")
    assert "single-source" in listed.stdout
    ran = python_as_nobody("-m", "bench", "run", "single-source", "--json", str(tmp_path / "no.json"))
    assert ran.returncode == 3
    assert "sudo" in ran.stderr

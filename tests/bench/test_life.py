"""The life scenario: hours in a minute through the real daemon, and that what would grow in them is seen."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from bench.life.day import Sample
from bench.life.life import _faults, play
from bench.net.namespaces import namespaces_of
from bench.results.model import Trial
from bench.results.verdicts import judge
from bench.scenario.load import find, load
from bench.scenario.model import LifeScenario

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.netns, pytest.mark.timeout(600)]

#: Some two hours and a half; a day is played by ``make bench ARGS="run lifetime"``.
SNAPSHOTS = 20_000

LEAK = """
from bench.life.clock import DrivenClock
clock = DrivenClock()
clock.install()
from bench.life.day import live
from synguard.daemon import watch
read, kept = watch.Watch._read, []
def leak(self, *arguments):
    kept.append({leaked})
    read(self, *arguments)
watch.Watch._read = leak
live(clock)
"""


def lived(snapshots: int, *program: str) -> Trial:
    """Play one life and return its trial."""
    scenario = LifeScenario(purpose="A test.", snapshots=snapshots)
    told = {"program": program} if program else {}
    (trial,) = play(scenario, lambda _line: None, **told)
    return trial


def test_hours_leave_nothing_behind() -> None:
    """Each flood has its alert, which closes; nothing grows beyond what the scenario promises of a day."""
    trial = lived(SNAPSHOTS)
    assert trial.invalid_because == []
    assert trial.figures["snapshots"] == SNAPSHOTS
    assert (trial.figures["hours"] or 0) > 2
    assert trial.figures["floods"] == 15
    plan = load(find("lifetime"), quick=False)
    assert plan is not None
    promises = [one for one in plan.scenario.promises if one.figure != "hours"]
    verdicts = judge(promises, [trial], quick=False)
    assert [verdict.promise for verdict in verdicts if verdict.held is not True] == []
    assert namespaces_of(os.getpid()) == []


@pytest.mark.parametrize(
    ("leaked", "figure", "at_least"),
    [
        ("b'x' * 4000 + str(len(kept)).encode()", "rss_growth_mib", 5),
        ("open('/dev/null')", "descriptors_growth", 500),
    ],
    ids=["memory", "descriptors"],
)
def test_a_leak_is_seen(leaked: str, figure: str, at_least: float, tmp_path: Path) -> None:
    """What a daemon keeps of each snapshot, a few thousand times, is more than the scenario allows."""
    program = tmp_path / "leaking.py"
    program.write_text(LEAK.format(leaked=leaked), encoding="utf-8")
    trial = lived(5000, str(program))
    assert (trial.figures[figure] or 0) > at_least


LIVED = Sample(
    hours=2.0,
    snapshots=500,
    resident_bytes=1,
    descriptors=1,
    threads=1,
    database_bytes=1,
    syns=10_000,
    attempts=9_990,
    floods=1,
    answers=200,
    last=True,
)


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (LIVED, ""),
        (msgspec.structs.replace(LIVED, attempts=9_989), "10000 SYNs were sent"),
        (msgspec.structs.replace(LIVED, attempts=10_001), "10000 SYNs were sent"),
        (msgspec.structs.replace(LIVED, answers=199), "answered 199 times"),
        (msgspec.structs.replace(LIVED, last=False), "ended after 500"),
    ],
    ids=["all is well", "uncounted", "counted twice", "unanswered", "ended early"],
)
def test_what_makes_no_result_is_said(sample: Sample, said: str) -> None:
    """A day whose packets or questions went astray proves nothing."""
    faults = list(_faults(LifeScenario(purpose="A test.", snapshots=500), [sample]))
    assert len(faults) == (said != "")
    assert said in "".join(faults)

"""What one read takes: that it is one of what was meant, before strangers and after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from bench.cost.resident import resident
from bench.cost.rungs import load_probe
from bench.cost.writer import Writer
from bench.reading.reading import AFTER, BEFORE, _Kernel, play
from bench.scenario.load import find, load
from bench.scenario.model import ReadingScenario
from synguard.probe.probe import Probe

SCENARIO = ReadingScenario(purpose="A test.", strangers=30_000, reads=5, repetitions=2)


@pytest.mark.root
@pytest.mark.kernel
def test_it_is_read_before_and_after_the_strangers() -> None:
    """Each repetition has both, each read shows all sources, and the process is as free as before."""
    before = os.sched_getaffinity(0), os.sched_getscheduler(0)
    trials = list(play(SCENARIO, lambda _line: None))
    assert [(trial.repetition, trial.labels["known"]) for trial in trials] == [
        (repetition, known) for repetition in (1, 2) for known in (BEFORE, AFTER)
    ]
    assert all(trial.valid and trial.figures["read_us"] for trial in trials)
    assert len({trial.figures["map_bytes"] for trial in trials}) == 1
    assert (os.sched_getaffinity(0), os.sched_getscheduler(0)) == before


@pytest.fixture(scope="module")
def loaded() -> Iterator[tuple[Probe, Writer]]:
    """Yield a probe and what writes packets for it."""
    with (
        closing(load_probe(1)) as probe,
        closing(Writer.load()) as writer,
        resident([writer.programs["write_xdp"]]),
    ):
        yield probe, writer


@pytest.mark.root
@pytest.mark.kernel
def test_a_read_that_shows_something_else_is_no_result(loaded: tuple[Probe, Writer]) -> None:
    """Sources that are not all there, no listener, and SYNs that nobody sent are said."""
    probe, writer = loaded
    nobody = _Kernel(SCENARIO, probe, writer).trial(BEFORE, 1)
    assert nobody.invalid_because == ["0 sources were read, not 10", "no listener was read"]
    kernel = _Kernel(msgspec.structs.replace(SCENARIO, sources=3), probe, writer)
    kernel.sources()
    assert kernel.trial(BEFORE, 1).valid
    unsent = _Kernel(msgspec.structs.replace(SCENARIO, sources=2), probe, writer).trial(AFTER, 1)
    assert "192 SYNs were counted, not 0" in unsent.invalid_because


def test_the_scenario_promises_that_strangers_do_not_matter() -> None:
    """Ten sources against ten million; promises compare both."""
    plan = load(find("read-cost"), quick=False)
    assert plan is not None
    scenario = plan.scenario
    assert isinstance(scenario, ReadingScenario)
    assert (scenario.sources, scenario.strangers) == (10, 10_000_000)
    (time, memory) = scenario.promises
    assert (time.where, time.over) == ({"known": AFTER}, {"known": BEFORE})
    assert memory.equals == 1.0

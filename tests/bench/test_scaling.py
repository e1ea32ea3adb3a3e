"""Two CPUs at once: what they share, that every packet is counted, and what makes no result."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from bench.cost.frames import Segment
from bench.cost.rungs import FULL, PARSE, Rung, load_probe, probe_rung
from bench.cost.writer import Stream
from bench.results.model import Trial
from bench.scaling.pair import Pair, Turn, pair
from bench.scaling.scaling import _Arena, _count_faults, _figures, _Tally, play
from bench.scaling.sharing import SHARINGS, chosen
from bench.scenario.load import find, load
from bench.scenario.model import ScalingScenario
from synguard.errors import UnsupportedError, UsageError
from synguard.probe import layout

SCENARIO = ScalingScenario(
    purpose="A test.",
    programs=("parse", "full"),
    sharings=tuple(sharing.name for sharing in SHARINGS),
    flows=2000,
    turns=2,
    packets_per_turn=2000,
    repetitions=1,
)
BY_NAME = {sharing.name: sharing for sharing in SHARINGS}


def moved(**counts: int) -> dict[str, int]:
    """Return how far each total moved: only those that are named."""
    return dict.fromkeys(layout.TOTAL_COUNTERS, 0) | {"packets": 1000} | counts


def test_packets_that_were_counted_as_what_they_are_make_a_result() -> None:
    """SYNs are attempts, ACKs of established flows are nothing."""
    assert not list(_count_faults(moved(attempts=1000), 1000, "attempts"))
    assert not list(_count_faults(moved(), 1000, None))


@pytest.mark.parametrize(
    ("counts", "counted_as", "said"),
    [
        ({"packets": 999}, None, "packets moved by 999, not by 1000"),
        ({"attempts": 980}, "attempts", "attempts moved by 980, not by 1000"),
        ({"attempts": 20}, None, "attempts moved by 20, not by 0"),
        ({"completed": 20}, None, "completed moved by 20, not by 0"),
    ],
)
def test_packets_that_were_counted_otherwise_make_none(
    counts: dict[str, int], counted_as: str | None, said: str
) -> None:
    """A packet that nobody saw, and more than one of a hundred astray, are told by their counter."""
    assert list(_count_faults(moved(**counts), 1000, counted_as)) == [said]


def test_what_cpus_cost_each_other_is_the_difference_to_one_alone() -> None:
    """The median over turns of both at once, less that of one while the other rests."""
    tally = _Tally(Rung("full", 1, None))
    tally.turns[1] = [Turn(100, 1), Turn(300, 1), Turn(110, 1)]
    tally.turns[2] = [Turn(150, 1), Turn(170, 1), Turn(160, 1), Turn(900, 1)]
    assert _figures(tally, 1) == {"ns_per_packet": 110}
    assert _figures(tally, 2) == {"ns_per_packet": 165, "ns_over_alone": 55}


def streams(name: str) -> tuple[Stream, Stream]:
    """Return both CPUs' streams of a kind."""
    first, second = (BY_NAME[name].stream(cpu, 4, 100) for cpu in (0, 1))
    return first, second


def test_each_kind_shares_what_it_says() -> None:
    """From the same packets over the same source down to nothing at all."""
    assert streams("one-handshake")[0] == streams("one-handshake")[1]
    first, second = streams("one-source")
    assert (first.first_client, first.clients) == (second.first_client, second.clients)
    assert first.start != second.start
    first, second = streams("one-prefix")
    assert second.first_client - first.first_client == 1
    assert first.first_client // 256 == second.first_client // 256
    first, second = streams("own-source")
    assert first.first_client // 256 != second.first_client // 256
    assert streams("strangers")[1].start - streams("strangers")[0].start > 10**9
    assert {stream.segment for stream in streams("acks")} == {Segment.ACK}


@pytest.mark.parametrize("quick", [False, True])
def test_the_scenario_measures_every_kind(quick: bool) -> None:
    """In full and in short, with the program that writes nothing beside the probe."""
    plan = load(find("scaling"), quick=quick)
    assert plan is not None
    assert isinstance(plan.scenario, ScalingScenario)
    assert chosen(plan.scenario.sharings) == list(SHARINGS)
    assert plan.scenario.programs == (PARSE, FULL)


def test_unknown_names_are_refused() -> None:
    """A slip in a scenario file is told, with what there is."""
    with pytest.raises(UsageError, match="no sharing everything; there are one-handshake, "):
        chosen(("acks", "everything"))
    with pytest.raises(UsageError, match="no program naive; there are parse, full"):
        next(play(msgspec.structs.replace(SCENARIO, programs=("naive",)), lambda _line: None))


def test_one_cpu_is_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is loaded where there is nobody to share with."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    with pytest.raises(UnsupportedError, match="only one"):
        next(play(SCENARIO, lambda _line: None))


@pytest.mark.root
@pytest.mark.kernel
def test_every_packet_of_both_cpus_is_counted() -> None:
    """By the probe's own counters each trial is one of what it was meant to be, alone and together."""
    before = os.sched_getaffinity(0)
    trials = list(play(SCENARIO, lambda _line: None))
    assert [(trial.labels, trial.invalid_because) for trial in trials if not trial.valid] == []
    cells = {(*trial.labels.values(),) for trial in trials}
    names = [sharing.name for sharing in SHARINGS]
    assert cells == {(p, n, f, c) for p in (PARSE, FULL) for n in names for f in (4, 6) for c in (1, 2)}
    assert os.sched_getaffinity(0) == before


@pytest.fixture(scope="module")
def cpus() -> Iterator[Pair]:
    """Yield two CPUs with a writer each."""
    with pair() as two:
        yield two


def of(arena: _Arena, name: str, **changes: object) -> list[Trial]:
    """Return the trials of a kind of packets that is changed."""
    return list(arena.trials(replace(BY_NAME[name], **changes), 1))  # type: ignore[arg-type]


@pytest.mark.root
@pytest.mark.kernel
def test_a_kind_that_is_not_what_was_meant_makes_no_result(cpus: Pair) -> None:
    """SYNs that should have been ACKs void the probe's trials; where nothing is counted nothing is told."""
    probe = load_probe(2)
    rungs = [Rung(PARSE, cpus.writers[0].programs["parse_xdp"], None), probe_rung(probe, 2)]
    try:
        trials = of(_Arena(SCENARIO, cpus, rungs), "strangers", counted_as=None)
    finally:
        probe.close()
    assert all(trial.valid for trial in trials if trial.labels["program"] == PARSE)
    assert all(
        "attempts moved by" in trial.invalid_because[0] for trial in trials if trial.labels["program"] == FULL
    )


@pytest.mark.root
@pytest.mark.kernel
def test_both_cpus_write_their_own_packets(cpus: Pair) -> None:
    """Each CPU's writer counts as many as were asked for, alone and together."""
    program = cpus.writers[0].programs["empty_xdp"]
    first, second = streams("strangers")
    assert [turn.written for turn in cpus.run(program, (first, second), 1000)] == [1000, 1000]
    assert [turn.written for turn in cpus.run(program, (None, second), 500)] == [500]

"""Many blocks at once: that they were added and drop what they should, before any time counts."""

from __future__ import annotations

from contextlib import closing

import pytest

from bench.blocks.adding import ADDING, blocked
from bench.blocks.blocks import OF_BLOCKED, STRANGER, _Beside, play
from bench.cost.resident import resident
from bench.cost.rungs import load_probe
from bench.cost.writer import Writer
from bench.scenario.load import find, load
from bench.scenario.model import BlocksScenario
from synguard.probe.programs import XDP_PROGRAM

SCENARIO = BlocksScenario(purpose="A test.", blocks=100, packets_per_turn=2000, repetitions=1)


def test_half_of_the_blocked_are_ipv4_addresses_and_half_ipv6_networks() -> None:
    """Of an odd number one more is IPv4, and none is there twice."""
    sources = blocked(7)
    assert len(set(sources)) == 7
    assert [(one.version, one.prefixlen) for one in sources] == [(4, 32)] * 4 + [(6, 64)] * 3


def test_the_scenario_promises_a_second_and_a_fifth() -> None:
    """Ten thousand blocks are added within a second, and cost a SYN at most a fifth more than one."""
    plan = load(find("blocks"), quick=False)
    assert plan is not None
    assert isinstance(plan.scenario, BlocksScenario)
    assert plan.scenario.blocks == 10_000
    added, beside = plan.scenario.promises
    assert (added.figure, added.at_most) == ("add_ms", 1000)
    assert (beside.where["blocks"], beside.over, beside.at_most) == (10_000, {"blocks": 1}, 1.2)


@pytest.mark.root
@pytest.mark.netns
@pytest.mark.kernel
def test_blocks_are_added_by_a_person_and_measured_beside_packets() -> None:
    """Every trial counts: all blocks are listed and in force, strangers pass and the blocked do not."""
    trials = list(play(SCENARIO, lambda _line: None))
    assert [trial.invalid_because for trial in trials] == [[]] * 9
    assert trials[0].labels == {"blocks": 100, "measured": ADDING}
    assert (trials[0].figures["add_ms"] or 0) > 0
    assert [(trial.labels["measured"], trial.labels["blocks"]) for trial in trials[1:]] == [
        (packet, blocks) for _ in (4, 6) for packet in (STRANGER, OF_BLOCKED) for blocks in (1, 100)
    ]
    assert all((trial.figures["ns_over_empty"] or 0) > 0 for trial in trials[1:])


@pytest.mark.root
@pytest.mark.kernel
def test_packets_that_are_not_dropped_are_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where other sources are blocked than send, the trial says how many SYNs were dropped."""
    monkeypatch.setattr("bench.blocks.blocks.FIRST_BLOCKED", 0)
    with (
        closing(load_probe(100)) as probe,
        closing(Writer.load()) as writer,
        resident([writer.programs["write_xdp"], probe.programs[XDP_PROGRAM]]),
    ):
        trials = list(_Beside(SCENARIO, probe, writer, 4, OF_BLOCKED).trials(1))
    assert [trial.invalid_because for trial in trials] == [["0 SYNs were dropped, not 16000"]] * 2

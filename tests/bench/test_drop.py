"""SYNs given to an interface's driver hook: each defence drops all, and one that does not is no result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from bench.defences.registry import Target, deploy
from bench.drop import drop
from bench.drop.giving import giver, load_givers, syn_frame
from bench.net import links
from bench.net.counters import tcp_counters
from bench.net.namespaces import SILENT_IPV4, SILENT_IPV6, Topology
from bench.scenario.load import find, load
from bench.scenario.model import DropScenario
from synguard.errors import UsageError
from synguard.probe.compiler import LoadedObject

_NEEDS_KERNEL = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]


def scenario(*defences: str) -> DropScenario:
    """Return a small one."""
    return DropScenario(purpose="Drops.", defences=defences, turns=2, syns_per_turn=2300, repetitions=1)


def test_a_defence_that_does_not_exist_is_refused_first() -> None:
    """Nothing is built for a scenario that names an unknown defence."""
    with pytest.raises(UsageError, match="moat"):
        next(drop.play(scenario("sink", "moat"), lambda _line: None))


def test_the_scenario_compares_synguards_block_with_every_firewall() -> None:
    """What comes with the bench promises that the block is ahead of each of them."""
    plan = load(find("drop-cost"), quick=False)
    assert plan is not None
    assert isinstance(plan.scenario, DropScenario)
    beaten = {promise.over["defence"] for promise in plan.scenario.promises}
    assert beaten == set(plan.scenario.defences) - {"sink", "synguard-block"}


@pytest.fixture(scope="module")
def loaded() -> Iterator[LoadedObject]:
    """Programs that give frames."""
    with contextlib.closing(load_givers()) as programs:
        yield programs


class TestInTheKernel:
    """SYNs in a namespace of their own."""

    pytestmark = _NEEDS_KERNEL

    def test_what_is_dropped_is_a_result_and_what_passes_is_not(self) -> None:
        """A block list's trials are valid, in both families; without any defence nothing was dropped."""
        trials = list(drop.play(scenario("nft-raw-set", "none"), lambda _line: None))
        assert [(trial.labels["defence"], trial.labels["family"]) for trial in trials] == [
            ("nft-raw-set", 4),
            ("nft-raw-set", 6),
            ("none", 4),
            ("none", 6),
        ]
        assert [trial.invalid_because for trial in trials] == [
            [],
            [],
            ["0 of 4600 SYNs were dropped"],
            ["0 of 4600 SYNs were dropped"],
        ]
        for trial in trials:
            assert trial.figures["absorbed_syn_per_s"] == pytest.approx(
                1e9 / (trial.figures["ns_per_packet"] or 0)
            )

    @pytest.mark.parametrize("source", [str(SILENT_IPV4), str(SILENT_IPV6)])
    def test_every_syn_reaches_the_program_that_is_attached(
        self, topology: Topology, loaded: LoadedObject, source: str, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """The sink counts each SYN given, as it would from a wire, and no program of ours stays."""
        guarded = topology.guarded
        target = Target(guarded, (), drop.PORT, "host", tmp_path_factory.mktemp("sink"))
        with deploy("sink", target) as sink:
            with giver(topology, loaded, 0) as given:
                assert given.give(syn_frame(topology, source, drop.PORT), 2300) > 0
            assert sink.dropped_syns() == 2300
        assert not links.read_link(guarded.namespace, guarded.interface).xdp_attached

    def test_what_passes_goes_up_the_stack(self, topology: Topology, loaded: LoadedObject) -> None:
        """Without a program the server's own TCP sees each, and finds its checksum wrong, not its header."""
        before = tcp_counters(topology.server)
        with giver(topology, loaded, 0) as given:
            given.give(syn_frame(topology, str(SILENT_IPV4), drop.PORT), 2300)
        after = tcp_counters(topology.server)
        assert after["IpInHdrErrors"] == before["IpInHdrErrors"]
        assert after["TcpInCsumErrors"] - before["TcpInCsumErrors"] == 2300

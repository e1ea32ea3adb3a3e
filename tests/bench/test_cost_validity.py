"""What makes a measurement of cost no result, and what the ladder refuses to begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cost import validity
from bench.cost.measurement import _empty_ns, _figures, _Tally
from bench.cost.packets import PACKETS, Temperature, chosen
from bench.cost.rungs import NAMES, Rung, check_names
from bench.scenario.load import find, load
from bench.scenario.model import CostScenario
from synguard.errors import UsageError
from synguard.probe import layout

SENT = 10_000
BY_NAME = {packet.name: packet for packet in PACKETS}


def faults(name: str, moved: dict[str, int], temperature: Temperature = "cold") -> list[str]:
    """Return what is wrong when 10,000 packets of a kind moved these counters, and no others."""
    outgoing = name == "synack"
    seen = {"egress_packets" if outgoing else "packets": SENT}
    counts = dict.fromkeys(layout.TOTAL_COUNTERS, 0) | seen | moved
    return list(validity.count_faults(counts, SENT, BY_NAME[name], temperature, outgoing=outgoing))


def test_packets_that_were_counted_as_what_they_are_make_a_result() -> None:
    """Every kind has its own counters, and the probe's bounded losses are no fault."""
    lost = {"sources_not_admitted": SENT, "handshakes_overwritten": 4_000}
    assert not faults("ack", {"ack_segments": SENT})
    assert not faults("udp", {"not_tcp": SENT}, "hot")
    assert not faults("syn-random", {"attempts": SENT} | lost)
    assert not faults("syn-blocked", {"attempts": SENT, "dropped_by_us": SENT})
    again = {"egress_tcp": SENT, "synack_retransmits": SENT - 1, "answered": 1}
    assert not faults("synack", again, "hot")
    assert not faults("synack", {"egress_tcp": SENT, "answered": SENT - 100})


@pytest.mark.parametrize(
    ("name", "moved", "said"),
    [
        ("ack", {"completed": 101}, "completed moved by 101, and should not have"),
        ("ack", {"truncated_tcp": SENT}, "truncated_tcp moved by 10000, and should not have"),
        ("ack", {"packets": SENT - 1}, "packets moved by 9999, not by 10000"),
        ("syn-random", {"attempts": SENT - 101}, "attempts moved by 9899, not by 10000"),
        ("syn-random", {"attempts": SENT + 101}, "attempts moved by 10101, not by 10000"),
        ("syn-known", {"attempts": SENT, "sources_not_admitted": 101}, "sources_not_admitted moved by 101"),
        ("syn-blocked", {"attempts": SENT}, "dropped_by_us moved by 0, not by 10000"),
        ("synack", {"synack_retransmits": SENT}, "answered moved by 0, not by 10000"),
    ],
)
def test_packets_that_were_counted_otherwise_make_none(name: str, moved: dict[str, int], said: str) -> None:
    """More than one of a hundred astray, or a single packet unseen, and the reason says which counter."""
    assert any(fault.startswith(said) for fault in faults(name, moved))


def test_a_program_must_answer_as_meant() -> None:
    """A blocked SYN is dropped, all else passes, and what leaves goes on to the next filter."""
    assert validity.verdict_fault(2, outgoing=False, dropped=False) is None
    assert validity.verdict_fault(1, outgoing=False, dropped=True) is None
    assert validity.verdict_fault(0xFFFFFFFF, outgoing=True, dropped=False) is None
    assert validity.verdict_fault(2, outgoing=False, dropped=True) == "the program returned 2, not 1"
    assert validity.verdict_fault(0, outgoing=False, dropped=False) == "the program returned 0, not 2"


def test_the_kernels_settings_can_make_every_time_worthless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BPF statistics, and a kernel that interprets, are named with what to do; kernels may lack both."""
    statistics, jit = tmp_path / "bpf_stats_enabled", tmp_path / "bpf_jit_enable"
    monkeypatch.setattr(validity, "STATISTICS", statistics)
    monkeypatch.setattr(validity, "JIT", jit)
    assert not list(validity.kernel_faults())
    statistics.write_text("0\n", encoding="ascii")
    jit.write_text("1\n", encoding="ascii")
    assert not list(validity.kernel_faults())
    statistics.write_text("1\n", encoding="ascii")
    jit.write_text("0\n", encoding="ascii")
    named = [fault.split()[0] for fault in validity.kernel_faults()]
    assert named == ["kernel.bpf_stats_enabled", "net.core.bpf_jit_enable"]


def test_unknown_programs_and_packets_are_refused_by_name() -> None:
    """A slip in a scenario file is told, with what there is."""
    with pytest.raises(UsageError, match="no program fulll; there are empty, parse, full, naive"):
        check_names(("empty", "fulll"))
    with pytest.raises(UsageError, match="lack 'empty'"):
        check_names(("parse", "full"))
    with pytest.raises(UsageError, match="no packet syn; there are udp, ack, "):
        chosen(("ack", "syn"))


@pytest.mark.parametrize("quick", [False, True])
def test_the_scenario_climbs_the_whole_ladder(quick: bool) -> None:
    """In full and in short it names every program and every packet, and the short one is smaller."""
    plan = load(find("probe-cost"), quick=quick)
    assert plan is not None
    scenario = plan.scenario
    assert isinstance(scenario, CostScenario)
    assert scenario.programs == NAMES
    assert chosen(scenario.packets) == list(PACKETS)
    assert (scenario.flows < 100_000, scenario.blocks < 10_000) == (quick, quick)


def _tally(name: str, ns_per_packet: int) -> _Tally:
    return _Tally(Rung(name, 1, None), 1, {}, [ns_per_packet] * 8)


def test_nothing_stands_on_an_empty_program_that_is_no_result() -> None:
    """Where the empty program's own trial is invalid, so are those beside it, and they are over nothing."""
    empty, full = _tally("empty", 20), _tally("full", 90)
    assert _figures(full, _empty_ns([empty, full]))["ns_over_empty"] == 70
    assert not full.faults
    empty.blame("7 packets were written, not 8")
    assert _figures(full, _empty_ns([empty, full]))["ns_over_empty"] is None
    assert full.faults == ["the empty program beside it: 7 packets were written, not 8"]
    assert empty.faults == ["7 packets were written, not 8"]


def test_a_fault_of_all_is_told_once() -> None:
    """What voids every trial, such as a setting of the kernel's, does not come back by the empty program."""
    empty, full = _tally("empty", 20), _tally("full", 90)
    for tally in (empty, full):
        tally.blame("set it to 0")
    _empty_ns([empty, full])
    assert full.faults == ["set it to 0"]

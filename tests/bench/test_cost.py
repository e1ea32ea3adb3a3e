"""The ladder of cost: every cell is measured, in the right order of magnitude, and only as what it is."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Dissected

from bench.cost import validity
from bench.cost.frames import Segment
from bench.cost.ladder import climb, play
from bench.cost.measurement import Measurement
from bench.cost.packets import PACKETS, Packet
from bench.cost.rungs import NAMES, Ladder, ladder
from bench.cost.stage import Stage
from bench.cost.writer import Stream
from bench.results.model import Trial
from bench.scenario.model import CostScenario, Family

pytestmark = [pytest.mark.root, pytest.mark.kernel]

SCENARIO = CostScenario(
    purpose="a short climb",
    programs=NAMES,
    packets=tuple(packet.name for packet in PACKETS),
    flows=5_000,
    blocks=100,
    packets_per_trial=4_000,
    repetitions=2,
)
BY_NAME = {packet.name: packet for packet in PACKETS}
#: Times on a shared machine are compared only where they differ by far; ns.
SLACK_NS = 15

#: What this process may use before anything is measured.
CPUS = os.sched_getaffinity(0)
#: Where the packets of one stage begin: no two stages have a client in common.
NUMBERS = itertools.count(1 << 48, 1 << 40)

Cell = tuple[object, ...]


@pytest.fixture(scope="module")
def ready() -> Iterator[Ladder]:
    """Load all programs once."""
    with ladder(SCENARIO) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def trials(ready: Ladder) -> list[Trial]:
    """Measure every packet once."""
    return list(climb(ready, SCENARIO, PACKETS, lambda _line: None))


def over_empty(trials: list[Trial], program: str) -> dict[Cell, float]:
    """Return the least figure of a program's by packet, temperature and family."""
    figures: dict[Cell, float] = {}
    for trial in trials:
        if trial.labels["program"] == program:
            cell = tuple(trial.labels[name] for name in ("packet", "temperature", "family"))
            figures[cell] = min(trial.figures["ns_over_empty"] or 0.0, figures.get(cell, 1e9))
    return figures


def test_every_cell_is_measured_in_each_repetition(trials: list[Trial]) -> None:
    """Each program meets each packet, hot and cold, in both families; the naive design sees no egress."""
    expected = {
        (repetition, program, packet.name, family, temperature)
        for repetition in (1, 2)
        for program in NAMES
        for packet in PACKETS
        for family in (4, 6)
        for temperature in packet.counted_as
        if (program, packet.name) != ("naive", "synack")
    }
    measured = [(trial.repetition, *trial.labels.values()) for trial in trials]
    assert set(measured) == expected
    assert len(measured) == len(expected)


def test_every_packet_is_counted_as_what_it_is(trials: list[Trial]) -> None:
    """The programs' own counters bear every trial out."""
    assert [(trial.labels, trial.invalid_because) for trial in trials if not trial.valid] == []


def test_the_rungs_are_in_order(trials: list[Trial]) -> None:
    """Parsing costs no less than nothing, and synguard's program costs more than parsing."""
    parse, full = over_empty(trials, "parse"), over_empty(trials, "full")
    assert min(parse.values()) > -SLACK_NS
    assert {cell for cell, ns in full.items() if ns < parse[cell]} == set()
    assert all(trial.figures["ns_per_packet"] for trial in trials)


def test_a_cold_table_costs_more_than_a_hot_one(trials: list[Trial]) -> None:
    """Other clients each time are other lines of the tables each time."""
    full = over_empty(trials, "full")
    assert full["syn-known", "cold", 4] > full["syn-known", "hot", 4]
    assert full["ack", "cold", 6] > full["ack", "hot", 6]


def test_memory_is_told_of_programs_that_have_maps(trials: list[Trial]) -> None:
    """Synguard's is bounded, and the naive design's two tables are larger."""
    told = {trial.labels["program"]: trial.figures.get("map_bytes") for trial in trials}
    assert told["empty"] is told["parse"] is None
    assert 2**20 < (told["full"] or 0) < (told["naive"] or 0)


def strangers(segment: Segment) -> Callable[[Stage], Stream]:
    """Return what stages packets of clients that nobody has seen."""
    return lambda stage: stage.strangers(SCENARIO.packets_per_trial).of(segment)


def never_pending(stage: Stage) -> Stream:
    """Stage wrong ACKs for handshakes that nobody began."""
    return replace(stage.strangers(1), segment=Segment.WRONG_ACK, clients=100)


WRONG = {
    "a datagram for an ACK": (replace(BY_NAME["ack"], stage=BY_NAME["udp"].stage), "not_tcp moved by 4000"),
    "a SYN for an ACK": (replace(BY_NAME["ack"], stage=strangers(Segment.SYN)), "attempts moved by 4000"),
    "an ACK for a SYN": (replace(BY_NAME["syn-random"], stage=Stage.established), "attempts moved by 0"),
    "flows that were never established": (BY_NAME["ack"], "0 of 5000 flows were established before"),
    "strangers for known sources": (
        replace(BY_NAME["syn-known"], stage=strangers(Segment.SYN)),
        "sources_not_admitted moved by",
    ),
    "an answer to nobody": (
        replace(BY_NAME["synack"], stage=strangers(Segment.SYN_ACK)),
        "answered moved by 0",
    ),
    "right ACKs for wrong ones": (
        replace(BY_NAME["ack-bogus"], stage=lambda stage: stage.pending(4_000)),
        "completed moved by",
    ),
    "wrong ACKs for no handshake": (
        replace(BY_NAME["ack-bogus"], stage=never_pending),
        "0 of 100 handshakes had been pending",
    ),
    "a SYN that nobody blocked": (
        replace(BY_NAME["syn-blocked"], stage=strangers(Segment.SYN)),
        "the program returned 2, not 1",
    ),
}


@pytest.mark.parametrize(("packet", "said"), WRONG.values(), ids=WRONG)
def test_a_packet_that_is_not_what_was_meant_makes_no_result(
    ready: Ladder, packet: Packet, said: str
) -> None:
    """Whatever a packet is mistaken for, synguard's trial is invalid and says by which counter."""
    stage = Stage(ready.writer, ready.rungs, SCENARIO, 4, next(NUMBERS))
    by_program = {trial.labels["program"]: trial for trial in Measurement(stage, packet, "cold").trials(1)}
    assert any(said in reason for reason in by_program["full"].invalid_because)
    assert by_program["empty"].valid


def test_statistics_in_the_kernel_void_every_trial(
    ready: Ladder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kernel.bpf_stats_enabled adds more to each program than most of them take."""
    enabled = tmp_path / "bpf_stats_enabled"
    enabled.write_text("1\n", encoding="ascii")
    monkeypatch.setattr(validity, "STATISTICS", enabled)
    stage = Stage(ready.writer, ready.rungs, SCENARIO, 6, next(NUMBERS))
    trials = Measurement(stage, BY_NAME["udp"], "hot").trials(1)
    assert len(trials) == len(NAMES)
    assert all("bpf_stats_enabled" in trial.invalid_because[0] for trial in trials)


def descriptors() -> set[Path]:
    """Return what this process has open, but for the folder that is being read."""
    return {path for path in Path("/proc/self/fd").iterdir() if path.exists()}


def test_leaving_between_two_trials_leaves_nothing_behind() -> None:
    """Descriptors, and with them programs and maps, are gone, and the process may use every CPU again."""
    before = descriptors()
    scenario = msgspec.structs.replace(SCENARIO, programs=("empty", "parse"))
    trials = play(scenario, lambda _line: None)
    assert next(trials).labels["program"] == "empty"
    assert descriptors() > before
    assert os.sched_getaffinity(0) == CPUS
    trials.close()
    assert descriptors() == before


def dissect(ready: Ladder, stream: Stream) -> tuple[Dissected, TCP]:
    """Return the network and transport headers of a stream's first packet."""
    frame = Ether(ready.writer.first_frame(stream))
    return frame.payload, frame[TCP]


@pytest.mark.parametrize("family", [4, 6])
def test_a_clients_segments_belong_to_one_handshake(ready: Ladder, family: Family) -> None:
    """SYN-ACK and ACK answer each other's numbers, the wrong ACK does not, and all are whole headers."""
    syn = Stream(Segment.SYN, family, start=23)
    network, first = dissect(ready, syn)
    back, answer = dissect(ready, syn.of(Segment.SYN_ACK))
    forth, ack = dissect(ready, syn.of(Segment.ACK))
    _, wrong = dissect(ready, syn.of(Segment.WRONG_ACK))
    assert [str(segment.flags) for segment in (first, answer, ack, wrong)] == ["S", "SA", "A", "A"]
    assert (network.src, first.sport) == (back.dst, answer.dport) == (forth.src, ack.sport)
    assert (network.dst, first.dport) == (back.src, answer.sport) == (forth.dst, ack.dport)
    assert (answer.ack, ack.seq, ack.ack) == (first.seq + 1, first.seq + 1, answer.seq + 1)
    assert wrong.ack not in range(answer.seq + 1, answer.seq + 2**16 + 1)
    assert [option[0] for option in first.options] == ["MSS", "SAckOK", "Timestamp", "NOP", "WScale"]
    lengths = network.len - 20 if family == 4 else network.plen
    assert lengths == first.dataofs * 4 == 40


@pytest.mark.parametrize(("family", "header"), [(4, IP), (6, IPv6)])
def test_streams_are_of_as_many_clients_as_they_say(
    ready: Ladder, family: Family, header: type[Dissected]
) -> None:
    """Strangers are all different, a set of clients keeps its addresses and takes new numbers."""

    def tuples(stream: Stream, packets: int) -> list[tuple[str, int, int]]:
        headers = [dissect(ready, stream.behind(number)) for number in range(packets)]
        assert all(isinstance(network, header) for network, _ in headers)
        return [(network.src, tcp.sport, tcp.seq) for network, tcp in headers]

    strangers_seen = tuples(Stream(Segment.SYN, family, scattered=True), 97)
    assert len({source for source, _, _ in strangers_seen}) == 97
    assert all(ip_address(source).is_multicast is False for source, _, _ in strangers_seen)
    known = tuples(Stream(Segment.SYN, family, clients=5, fresh_numbers=True), 97)
    assert len({source for source, _, _ in known}) == 5
    assert len(set(known)) == 97
    flows = tuples(Stream(Segment.ACK, family, clients=5), 97)
    assert len(set(flows)) == 5

"""Receiving from another CPU: what is a result, what is none, and that each packet is accounted for."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from bench.cost.frames import Segment
from bench.cost.packets import PACKETS, Packet
from bench.cost.rungs import Rung, check_names
from bench.cost.stage import Stage
from bench.cost.writer import Stream, Writer
from bench.live.live import play
from bench.live.measurement import Measurement, Paces
from bench.live.receivers import NAMES
from bench.live.receiving import REFUSED_SOUGHT, Receiver, Slice, faults, next_gap_ns
from bench.results.model import Trial
from bench.scenario.load import find, load
from bench.scenario.model import LiveScenario
from synguard.errors import UnsupportedError, UsageError

SCENARIO = LiveScenario(
    purpose="A test.",
    programs=("empty", "parse", "full"),
    packets=("udp", "ack", "syn-random"),
    flows=1000,
    blocks=100,
    slices=3,
    slice_s=0.02,
    repetitions=1,
)
BY_NAME = {packet.name: packet for packet in PACKETS}
XDP_DROP = 1
#: Of 1,000 sent each microsecond, 950 taken, by a thread that is always busy.
LIMITED = Slice(sent=10_000, offered=9_500, received=9_500, refused=500, busy_ns=9_500_000, span_s=0.01)
FROM_GENERATOR = LIMITED._replace(offered=10_000, received=10_000, refused=0, busy_ns=4_000_000)


def test_a_receiver_at_its_limit_makes_a_result() -> None:
    """Some frames refused and the thread busy all along: its time is the program's."""
    assert list(faults(LIMITED)) == []
    assert LIMITED.ns_per_packet == 1000


@pytest.mark.parametrize(
    ("slice_", "said"),
    [
        (FROM_GENERATOR, "receiver-limited: the receiver took all that came: limited by the generator"),
        (LIMITED._replace(busy_ns=5_000_000), "receiver-limited: the receiver was busy for 50% of the time"),
        (
            LIMITED._replace(offered=5000, received=5000, refused=5000),
            "receiver-limited: the full ring refused 50%",
        ),
        (
            LIMITED._replace(offered=9_400),
            "accounted: 100 of 10000 packets were neither received nor refused",
        ),
        (
            LIMITED._replace(received=9_499),
            "accounted: 1 of 9500 packets on the wire were never taken off it",
        ),
    ],
)
def test_what_makes_no_result_is_said(slice_: Slice, said: str) -> None:
    """A row that the generator limits, and any frame astray, by premise and in words."""
    assert any(fault.startswith(said) for fault in faults(slice_))


@pytest.mark.parametrize("own_ns", [60, 150, 400, 900])
def test_a_pace_is_found_at_which_the_ring_refuses_few(own_ns: float) -> None:
    """From as fast as can be, though a receiver whose ring overflows takes twice as long."""
    gap_ns, shares = 0.0, []
    for _ in range(30):
        sent_ns = max(gap_ns, 50.0)
        spent_ns = own_ns * (1 + min(max(own_ns / sent_ns - 1, 0.0) / 2, 1.0))
        sent, received = round(1e7 / sent_ns), round(1e7 / max(spent_ns, sent_ns))
        seen = Slice(sent, received, received, sent - received, round(received * spent_ns), 0.01)
        shares.append(seen.refused_share)
        gap_ns = next_gap_ns(gap_ns, seen)
    assert all(REFUSED_SOUGHT[0] <= share <= REFUSED_SOUGHT[1] for share in shares[-10:])


def test_a_pace_far_too_slow_is_left_at_once() -> None:
    """As after a slice in which pages did not go round: the thread's time tells how far off it is."""
    gap_ns = 160.0
    for _ in range(3):
        seen = Slice(1000, 1000, 1000, 0, 45 * 1000, gap_ns * 1000 / 1e9)
        gap_ns = next_gap_ns(gap_ns, seen)
    assert gap_ns < 55


class FakeReceiver:
    """Answers with prepared slices, the last of them again and again."""

    def __init__(self, **by_program: list[Slice]) -> None:
        self._left = by_program
        self.asked: list[tuple[str, float, int]] = []

    def receive(self, rung: Rung, stream: Stream, _span_s: float, gap_ns: float) -> tuple[Slice, int]:
        """Return the program's next slice."""
        self.asked.append((rung.name, gap_ns, stream.start))
        left = self._left[rung.name]
        return left.pop(0) if len(left) > 1 else left[0], 1000


def measured(packet: Packet = BY_NAME["udp"], counts: Any = None, **slices: list[Slice]) -> dict[str, Trial]:
    """Return the trials of an empty and a full program whose slices are given, by program."""
    rungs = (Rung("empty", 1, None), Rung("full", 2, None, counts))
    stage = Stage(cast(Writer, None), rungs, cast(Any, None), 4)
    staged = replace(packet, stage=lambda _stage: Stream(Segment.UDP, 4))
    receiver = cast(Receiver, FakeReceiver(**slices))
    trials = Measurement(SCENARIO, receiver, stage, staged, Paces()).trials(1)
    return {str(trial.labels["program"]): trial for trial in trials}


def slower(times: float) -> Slice:
    """Return a slice whose packets took so many times as long."""
    return LIMITED._replace(busy_ns=round(LIMITED.busy_ns * times), span_s=LIMITED.span_s * times)


def test_the_difference_to_the_empty_program_is_the_figure() -> None:
    """Each program's time is the median of its slices; what is over the empty one's is the probe's."""
    trials = measured(empty=[LIMITED], full=[slower(3), slower(2), slower(1.5)])
    assert all(trial.valid for trial in trials.values())
    assert trials["full"].figures["ns_per_packet"] == pytest.approx(2000)
    assert trials["full"].figures["ns_over_empty"] == pytest.approx(1000)


def test_slices_that_are_no_result_are_played_again() -> None:
    """A wrong pace to begin with, and a busy machine, cost time and no figure."""
    empty = [FROM_GENERATOR, LIMITED, LIMITED._replace(busy_ns=10), LIMITED, LIMITED]
    trials = measured(empty=empty, full=[slower(2)])
    assert trials["empty"].valid
    assert trials["empty"].figures["ns_per_packet"] == 1000


def test_rows_limited_by_the_generator_are_no_result() -> None:
    """After so many tries it is given up and said, also of what would stand on it."""
    trials = measured(empty=[FROM_GENERATOR], full=[slower(2)])
    said = "receiver-limited: the receiver took all that came: limited by the generator"
    assert trials["empty"].invalid_because == [said]
    assert trials["full"].invalid_because == [f"{said} (the empty program beside it)"]
    assert trials["full"].figures["ns_over_empty"] is None


def test_counters_that_tell_of_another_packet_void_the_trial() -> None:
    """What the probe counted has to be what was sent, to the packet."""
    counted = iter([{"packets": 0, "not_tcp": 0}, {"packets": 28_500, "not_tcp": 20_000}])
    trials = measured(counts=lambda: next(counted), empty=[LIMITED], full=[slower(2)])
    assert trials["full"].invalid_because == ["not_tcp moved by 20000, not by 28500"]


def test_a_frame_astray_voids_the_trial_though_others_were_well() -> None:
    """That frames vanish is no accident of timing, which another try could mend."""
    astray = LIMITED._replace(offered=9_400)
    trials = measured(empty=[astray, LIMITED], full=[slower(2)])
    assert trials["empty"].invalid_because[0].startswith("accounted: 100 of 10000 packets")


def test_what_cannot_be_received_is_refused() -> None:
    """A packet that leaves, an unknown program, and one CPU for two, each in words."""
    with pytest.raises(UsageError, match="synack leaves the server"):
        next(play(msgspec.structs.replace(SCENARIO, packets=("synack",)), lambda _line: None))
    with pytest.raises(UsageError, match="no program naive; there are empty, parse, full"):
        check_names(("empty", "naive"), NAMES)
    with pytest.raises(UsageError, match="lack 'empty'"):
        check_names(("full",), NAMES)


def test_one_cpu_is_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generator and receiver on one CPU would measure each other."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    with pytest.raises(UnsupportedError, match="a CPU each"):
        next(play(SCENARIO, lambda _line: None))


@pytest.mark.parametrize("quick", [False, True])
def test_the_scenario_compares_the_probe_with_nothing(quick: bool) -> None:
    """In full and in short it measures empty and full, with known and random SYNs, ACKs and non-TCP."""
    plan = load(find("probe-live"), quick=quick)
    assert plan is not None
    assert isinstance(plan.scenario, LiveScenario)
    assert {"empty", "full"} <= set(plan.scenario.programs)
    assert {"udp", "ack", "syn-known", "syn-random"} <= set(plan.scenario.packets)
    assert (plan.scenario.flows < 100_000) == quick

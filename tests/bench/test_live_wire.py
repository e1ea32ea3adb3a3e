"""Receiving from another CPU for real: a veth, its kernel thread, and the programs themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from bench.cost.frames import Segment
from bench.cost.rungs import Rung
from bench.cost.writer import Stream, Writer
from bench.live.live import play
from bench.live.receivers import receivers
from bench.live.receiving import Receiver
from bench.live.wire import wire_into
from bench.net.namespaces import Topology, namespaces_of
from bench.scenario.model import LiveScenario
from synguard.probe.syscall import test_run as run_program

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.netns]

SCENARIO = LiveScenario(
    purpose="A test.",
    programs=("empty", "parse", "full"),
    packets=("udp",),
    flows=1000,
    blocks=100,
    slices=3,
    slice_s=0.02,
    repetitions=1,
)
XDP_DROP = 1


@pytest.fixture(scope="module")
def rungs() -> Iterator[dict[str, Rung]]:
    """Yield the programs by name."""
    with receivers(SCENARIO.programs, SCENARIO.blocks) as loaded:
        yield {rung.name: rung for rung in loaded}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Yield a receiver on the first CPU, fed from the last."""
    cpus = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        writer = stack.enter_context(closing(Writer.load()))
        topology = stack.enter_context(Topology(receiver_cpu=cpus[0]))
        yield Receiver(topology, stack.enter_context(wire_into(topology, writer, cpus[-1])))


@pytest.mark.parametrize("segment", [Segment.SYN, Segment.ACK, Segment.UDP])
@pytest.mark.parametrize("family", [4, 6])
def test_every_program_ends_in_a_drop(
    rungs: dict[str, Rung], receiver: Receiver, segment: Segment, family: Any
) -> None:
    """Whatever comes in, nothing of it reaches the stack."""
    frame = receiver.wire.writer.first_frame(Stream(segment, family))
    verdicts = {name: run_program(rung.ingress, frame).return_value for name, rung in rungs.items()}
    assert verdicts == dict.fromkeys(SCENARIO.programs, XDP_DROP)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("gap_ns", [0, 20_000])
def test_every_packet_sent_is_received_or_refused_and_counted(
    rungs: dict[str, Rung], receiver: Receiver, family: Any, gap_ns: int
) -> None:
    """To the packet, at full speed and at a pace: each is a SYN to the probe, and nothing else."""
    full = rungs["full"]
    assert full.counts is not None
    before = full.counts()
    stream = Stream(Segment.SYN, family, start=gap_ns * 10**6, scattered=True)
    seen, written = receiver.receive(full, stream, 0.05, gap_ns)
    moved = {name: count - before[name] for name, count in full.counts().items()}
    assert 0 < seen.sent <= written
    assert seen.sent == seen.offered + seen.refused
    assert moved["packets"] == seen.received == seen.offered
    assert moved["attempts"] == pytest.approx(seen.received, rel=0.01)
    assert seen.busy_ns > 0


def test_a_pace_is_kept(rungs: dict[str, Rung], receiver: Receiver) -> None:
    """Packets come no faster than they were asked for."""
    seen, _ = receiver.receive(rungs["empty"], Stream(Segment.ACK, 4), 0.1, 10_000)
    assert seen.sent <= seen.span_s * 1e9 / 10_000 + 16


def test_leaving_between_two_trials_leaves_nothing_behind() -> None:
    """Namespaces, and with them interfaces and programs, are gone."""
    before = namespaces_of(os.getpid())
    trials = play(SCENARIO, lambda _line: None)
    assert next(trials).labels == {"program": "empty", "packet": "udp", "family": 4}
    assert set(namespaces_of(os.getpid())) > set(before)
    trials.close()
    assert namespaces_of(os.getpid()) == before

"""One measurement: all programs take turns with one packet, and tell by their counters what it was."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from bench.cost.packets import Packet, Temperature
from bench.cost.rungs import EMPTY, Rung
from bench.cost.stage import Stage
from bench.cost.validity import count_faults, kernel_faults, verdict_fault
from bench.cost.writer import Stream, repeat
from bench.results.model import Label, Trial, now

#: Turns that each program takes in one trial.
SLICES = 8


@contextmanager
def _pinned() -> Iterator[None]:
    """Keep this thread on one CPU, while the ``with`` block lasts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(slots=True)
class _Tally:
    """What one program's turns gave."""

    rung: Rung
    program: int
    counts_before: dict[str, int]
    turns_ns: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    lasted_s: float = 0.0

    @property
    def ns_per_packet(self) -> float:
        return median(self.turns_ns)

    def blame(self, *faults: str) -> None:
        """Note why this is no result, each reason once."""
        self.faults += [fault for fault in faults if fault not in self.faults]

    def moved(self) -> dict[str, int]:
        """Return how far each counter went."""
        now = self.rung.counts() if self.rung.counts else {}
        return {name: count - self.counts_before[name] for name, count in now.items()}


class Measurement:
    """All programs with one packet, once."""

    def __init__(self, stage: Stage, packet: Packet, temperature: Temperature) -> None:
        self._stage = stage
        self._packet = packet
        self._temperature = temperature
        self._turn_packets = -(-stage.scenario.packets_per_trial // SLICES)

    def trials(self, repetition: int) -> list[Trial]:
        """Measure; return a trial for each program that meets such a packet."""
        started_at = now()
        faults_before = list(kernel_faults())
        with _pinned():
            tallies = self._measure()
        for tally in tallies:
            tally.blame(*faults_before, *kernel_faults())
        empty_ns = _empty_ns(tallies)
        return [
            Trial(
                labels=self._labels(tally.rung),
                repetition=repetition,
                started_at=started_at,
                lasted_s=round(tally.lasted_s, 4),
                invalid_because=tally.faults,
                figures=_figures(tally, empty_ns),
            )
            for tally in tallies
        ]

    def _labels(self, rung: Rung) -> dict[str, Label]:
        return {
            "program": rung.name,
            "packet": self._packet.name,
            "family": self._stage.family,
            "temperature": self._temperature,
        }

    def _measure(self) -> list[_Tally]:
        self._stage.faults.clear()
        stream = self._packet.stage(self._stage)
        tallies = self._take_turns(stream)
        for tally in tallies:
            self._check_counts(tally, stream)
        self._packet.verify(self._stage, stream)
        for tally in tallies:
            tally.blame(*self._stage.faults[tally.rung.name])
        return tallies

    def _take_turns(self, stream: Stream) -> list[_Tally]:
        frame = self._stage.writer.first_frame(stream) if self._temperature == "hot" else None
        tallies = list(self._tallies(stream))
        for turn in range(SLICES):
            for tally in tallies:
                self._turn(tally, stream.behind(turn * self._turn_packets), frame)
        return tallies

    def _tallies(self, stream: Stream) -> Iterator[_Tally]:
        for rung in self._stage.rungs:
            program = rung.program(outgoing=stream.outgoing)
            if program is not None:
                yield _Tally(rung, program, rung.counts() if rung.counts else {})

    def _turn(self, tally: _Tally, stream: Stream, frame: bytes | None) -> None:
        writer, packets = self._stage.writer, self._turn_packets
        began_s = time.monotonic()
        if frame is None:
            run = writer.run(tally.program, stream, packets)
            written = writer.written(stream)
            if written != packets:
                tally.blame(f"{written} packets were written, not {packets}")
        else:
            run = repeat(tally.program, frame, packets)
        tally.lasted_s += time.monotonic() - began_s
        tally.turns_ns.append(run.ns_per_packet)
        dropped = self._packet.dropped and tally.rung.block is not None
        fault = verdict_fault(run.verdict, outgoing=stream.outgoing, dropped=dropped)
        tally.blame(*[fault] if fault else [])

    def _check_counts(self, tally: _Tally, stream: Stream) -> None:
        if tally.rung.counts is not None:
            packets = SLICES * self._turn_packets
            outgoing = stream.outgoing
            faults = count_faults(tally.moved(), packets, self._packet, self._temperature, outgoing=outgoing)
            tally.blame(*faults)


def _empty_ns(tallies: Sequence[_Tally]) -> float | None:
    """Return what the empty program took; where that is no result, blame the others, which stand on it."""
    (empty,) = (tally for tally in tallies if tally.rung.name == EMPTY)
    if not empty.faults:
        return empty.ns_per_packet
    for tally in tallies:
        if tally is not empty:
            others = [fault for fault in empty.faults if fault not in tally.faults]
            tally.blame(*(f"the empty program beside it: {fault}" for fault in others))
    return None


def _figures(tally: _Tally, empty_ns: float | None) -> dict[str, float | None]:
    figures: dict[str, float | None] = {"ns_per_packet": tally.ns_per_packet}
    if tally.rung.name != EMPTY:
        figures["ns_over_empty"] = None if empty_ns is None else tally.ns_per_packet - empty_ns
    if tally.rung.map_bytes is not None:
        figures["map_bytes"] = tally.rung.map_bytes
    return figures

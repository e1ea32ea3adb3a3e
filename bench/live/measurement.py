"""One measurement: all programs take turns at receiving one packet, and count what it was."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from bench.cost.packets import Packet, Temperature
from bench.cost.rungs import EMPTY, Rung
from bench.cost.stage import Stage
from bench.cost.validity import count_faults, kernel_faults
from bench.cost.writer import Stream
from bench.live.receiving import Receiver, Slice, faults, next_gap_ns, total
from bench.results.model import Label, Trial, now
from bench.scenario.model import Family, LiveScenario

#: Slices that were no result, for want of the right pace or of a quiet machine, are repeated so often.
_TRIES = 20

#: By program, packet and family: the gap between packets that fitted last.
Paces = dict[tuple[str, str, Family], float]


@dataclass(slots=True)
class _Tally:
    """What one program received."""

    rung: Rung
    #: Its next packets.
    stream: Stream
    counts_before: Mapping[str, int]
    good: list[Slice] = field(default_factory=list)
    bad: list[Slice] = field(default_factory=list)
    lasted_s: float = 0.0

    @property
    def slices(self) -> list[Slice]:
        return self.good + self.bad

    @property
    def ns_per_packet(self) -> float | None:
        times = [one.ns_per_packet for one in self.good if one.ns_per_packet is not None]
        return median(times) if times else None

    def moved(self) -> dict[str, int]:
        """Return how far each counter went."""
        counts = self.rung.counts() if self.rung.counts else {}
        return {name: count - self.counts_before[name] for name, count in counts.items()}


class Measurement:
    """All programs with one packet, once."""

    def __init__(
        self, scenario: LiveScenario, receiver: Receiver, stage: Stage, packet: Packet, paces: Paces
    ) -> None:
        self._scenario = scenario
        self._receiver = receiver
        self._stage = stage
        self._packet = packet
        self._paces = paces
        self._temperature: Temperature = "cold" if "cold" in packet.counted_as else "hot"

    def trials(self, repetition: int) -> list[Trial]:
        """Measure; return a trial for each program."""
        started_at = now()
        self._stage.faults.clear()
        stream = self._packet.stage(self._stage)
        tallies = self._take_turns(stream)
        reasons = {tally.rung.name: self._reasons(tally) for tally in tallies}
        empty = next(tally for tally in tallies if tally.rung.name == EMPTY)
        empty_ns = None if reasons[EMPTY] else empty.ns_per_packet
        for found in reasons.values():
            beside = [reason for reason in reasons[EMPTY] if reason not in found]
            found += [f"{reason} (the empty program beside it)" for reason in beside]
        return [
            Trial(
                labels=self._labels(tally.rung),
                repetition=repetition,
                started_at=started_at,
                lasted_s=round(tally.lasted_s, 2),
                invalid_because=reasons[tally.rung.name],
                figures=_figures(tally, empty_ns),
            )
            for tally in tallies
        ]

    def _labels(self, rung: Rung) -> dict[str, Label]:
        return {"program": rung.name, "packet": self._packet.name, "family": self._stage.family}

    def _take_turns(self, stream: Stream) -> list[_Tally]:
        tallies = [_Tally(rung, stream, rung.counts() if rung.counts else {}) for rung in self._stage.rungs]
        for _ in range(_TRIES * self._scenario.slices):
            for tally in tallies:
                if len(tally.good) < self._scenario.slices:
                    self._turn(tally)
        return tallies

    def _turn(self, tally: _Tally) -> None:
        """Let a program receive for one slice."""
        began_s = time.monotonic()
        pace = (tally.rung.name, self._packet.name, self._stage.family)
        gap_ns = self._paces.get(pace, 0.0)
        seen, written = self._receiver.receive(tally.rung, tally.stream, self._scenario.slice_s, gap_ns)
        tally.stream = tally.stream.behind(written)
        self._paces[pace] = next_gap_ns(gap_ns, seen)
        (tally.bad if any(faults(seen)) else tally.good).append(seen)
        tally.lasted_s += time.monotonic() - began_s

    def _reasons(self, tally: _Tally) -> list[str]:
        """Return why a program's trial is no result."""
        reasons = [*kernel_faults(), *self._stage.faults[tally.rung.name]]
        if len(tally.good) < self._scenario.slices:
            reasons += _commonest(reason for one in tally.bad for reason in faults(one))
        elif lost := [why for one in tally.bad for why in faults(one) if why.startswith("accounted")]:
            reasons += lost
        if tally.rung.counts is not None:
            received = total(tally.slices).received
            reasons += count_faults(tally.moved(), received, self._packet, self._temperature, outgoing=False)
        return reasons


def _commonest(reasons: Iterable[str]) -> list[str]:
    """Return the reason that was there most often, in the words it had first, by its first words."""
    said = list(reasons)
    heads = Counter(reason.split(" of ")[0] for reason in said)
    head, _ = heads.most_common(1)[0]
    return [next(reason for reason in said if reason.startswith(head))]


def _figures(tally: _Tally, empty_ns: float | None) -> dict[str, float | None]:
    whole = total(tally.good) if tally.good else None
    ns_per_packet = tally.ns_per_packet
    figures: dict[str, float | None] = {"ns_per_packet": ns_per_packet}
    if tally.rung.name != EMPTY:
        known = None not in (ns_per_packet, empty_ns)
        figures["ns_over_empty"] = (ns_per_packet or 0.0) - (empty_ns or 0.0) if known else None
    if whole is not None:
        figures["received_per_s"] = whole.received / whole.span_s
        figures["refused_share"] = whole.refused_share
        figures["receiver_busy"] = whole.busy
    return figures

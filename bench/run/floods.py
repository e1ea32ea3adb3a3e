"""Starts a scenario's floods together and waits for their ends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import msgspec

from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan, FloodReport
from bench.flood.resolve import plan_of
from bench.flood.tools import Flooder, flooder
from bench.measure.observation import Flood
from bench.run.arena import Arena
from bench.scenario.model import FloodScenario
from synguard.errors import SynguardError


class Floods:
    """All loads of one trial, while the ``with`` block lasts.

    None outlives the block, nor an error of ``start`` or ``finish``.

    Raises UsageError for loads that make no sense, UnsupportedError for tools that are missing.
    """

    def __init__(self, scenario: FloodScenario, arena: Arena) -> None:
        port, flood_s = scenario.server.port, scenario.flood_s
        self._arena = arena
        self._specs = scenario.floods
        self._plans = [plan_of(spec, arena.topology, port, flood_s) for spec in self._specs]
        self._senders: list[Flooder] = []
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        generators = iter(self._arena.generators(sum(spec.tool == "generator" for spec in self._specs)))
        with contextlib.ExitStack() as opened:
            for spec in self._specs:
                if spec.tool == "generator":
                    generator = next(generators)
                    opened.callback(_stop, generator)
                    self._senders.append(generator)
                else:
                    tool = flooder(spec.tool, self._arena.topology)
                    self._senders.append(opened.enter_context(tool))
            self._open = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    @contextlib.contextmanager
    def _ended_by_errors(self) -> Iterator[None]:
        """End all floods on an error, while the clients, the server and its defence are still there."""
        try:
            yield
        except BaseException:
            self._open.close()
            raise

    def wait_until_ready(self) -> None:
        """Wait until all may begin at once."""
        for sender in self._senders:
            sender.wait_until_ready()

    def prelude(self, plan: FloodPlan) -> FloodReport:
        """Send one flood by the first sender, before all others."""
        with self._ended_by_errors():
            self._senders[0].start(plan)
            return self._senders[0].finish(plan)

    @property
    def plans(self) -> Sequence[FloodPlan]:
        """What each is going to do."""
        return self._plans

    def know_capacity(self, syn_per_s: float) -> None:
        """Set the pace of those that are to go by what the guarded takes."""
        for index, spec in enumerate(self._specs):
            if spec.of_capacity is not None:
                pace = spec.of_capacity * syn_per_s
                self._plans[index] = msgspec.structs.replace(self._plans[index], syn_per_s=pace)

    def start(self) -> int:
        """Begin; return when the first packet of the first flood left (CLOCK_MONOTONIC, ns)."""
        began_s = time.monotonic()
        firsts: list[int] = []
        order = sorted(range(len(self._specs)), key=lambda index: self._specs[index].start_s)
        with self._ended_by_errors():
            for index in order:
                pause_s = began_s + self._specs[index].start_s - time.monotonic()
                threading.Event().wait(max(pause_s, 0.0))
                firsts.append(self._senders[index].start(self._plans[index]).first_ns)
        return min(firsts)

    def finish(self) -> list[Flood]:
        """Wait for the end of all; return what each did."""
        with self._ended_by_errors():
            reports = [sender.finish(plan) for sender, plan in zip(self._senders, self._plans, strict=True)]
        return [
            Flood(spec, plan, report)
            for spec, plan, report in zip(self._specs, self._plans, reports, strict=True)
        ]


def _stop(generator: FloodGenerator) -> None:
    # One that has ended sends no more, and whatever ended it is told elsewhere.
    with contextlib.suppress(SynguardError):
        generator.stop()


def span_ns(reports: Sequence[FloodReport]) -> tuple[int, int]:
    """Return the first and the last moment at which any of them sent."""
    return min(report.first_ns for report in reports), max(report.last_ns for report in reports)

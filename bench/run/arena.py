"""The hosts that trials play on, and the generators: kept while the next trial needs the same."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bench.flood.driver import FloodGenerator
from bench.net.far_end import far_end, load_far_end
from bench.net.line import Line
from bench.net.links import qdisc_kinds, read_link
from bench.net.namespaces import Topology
from bench.scenario.model import FloodScenario
from synguard.errors import SynguardError
from synguard.probe.compiler import LoadedObject

ARENAS_MAX = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What hosts a scenario needs; alike scenarios share an arena."""

    role: str
    lines: tuple[tuple[str, Line], ...]

    @classmethod
    def by(cls, scenario: FloodScenario) -> Self:
        """Return what a scenario needs."""
        lines = tuple((client.name, Line(client.rtt_ms, client.loss)) for client in scenario.clients)
        # A topology has a client; a scenario need not.
        return cls(scenario.role, lines or (("client", Line()),))


class Arena:
    """A topology with as many generators as were asked for, while the ``with`` block lasts."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        cpus = sorted(os.sched_getaffinity(0))
        self.cpus = len(cpus)
        lines: Mapping[str, Line] = dict(wanted.lines)
        self.topology = Topology(
            clients=lines,
            role="gateway" if wanted.role == "gateway" else "host",
            receiver_cpu=cpus[0] if self.cpus > 1 else None,
        )
        self._generators: list[FloodGenerator] = []
        self._far_end: LoadedObject | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self.topology)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def check_clean(self) -> None:
        """Raise SynguardError when the trial before left something on the guarded's interface."""
        guarded = self.topology.guarded
        left = qdisc_kinds(guarded.namespace, guarded.interface) & {"clsact"}
        if left or read_link(guarded.namespace, guarded.interface).xdp_attached:
            raise SynguardError("the trial before left a program on the guarded interface")

    def far_end(self) -> contextlib.AbstractContextManager[None]:
        """Let XDP send back from the guarded, and answers to nobody vanish, while the block lasts."""
        if self._far_end is None:
            self._far_end = load_far_end(self.topology)
            self._open.callback(self._far_end.close)
        return far_end(self.topology, self._far_end)

    def generators(self, count: int) -> list[FloodGenerator]:
        """Return so many generators; new ones begin to compile, and are not waited for."""
        while len(self._generators) < count:
            generator = FloodGenerator.between(self.topology)
            self._generators.append(self._open.enter_context(generator))
        return self._generators[:count]


class Stage:
    """The arenas that trials played on last: most scenarios want the same hosts and generator."""

    def __init__(self) -> None:
        self._arenas: dict[Wanted, Arena] = {}

    def arena(self, wanted: Wanted) -> Arena:
        """Return an arena with what is wanted; at most ``ARENAS_MAX`` are kept."""
        arena = self._arenas.pop(wanted, None)
        if arena is None:
            while len(self._arenas) >= ARENAS_MAX:
                self._close(next(iter(self._arenas)))
            arena = Arena(wanted)
            arena.__enter__()
        # The one asked for last is the last to go.
        self._arenas[wanted] = arena
        return arena

    def clear(self) -> None:
        """Remove all arenas; raises the first error once all have been tried."""
        errors: list[BaseException] = []
        for wanted in list(self._arenas):
            try:
                self._close(wanted)
            except BaseException as error:  # noqa: BLE001 - raised again when the others are closed
                errors.append(error)
        if errors:
            raise errors[0]

    def _close(self, wanted: Wanted) -> None:
        self._arenas.pop(wanted).__exit__(None, None, None)

"""The defences that detect: synguard in each of its modes, and the naive detector."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from bench.defences import xdp
from bench.defences.commands import run_command
from bench.defences.follow import Followed
from bench.defences.guard import READY_TIMEOUT_S, Guard, synguard_command
from bench.defences.held import maps_held_by
from bench.defences.model import Deployed, Target

_ANSWER_TIMEOUT_S = 10.0


class _Detector(Deployed):
    """What is known of every detector that is a process."""

    detects = True

    def __init__(self, process: Followed) -> None:
        self._process = process

    @property
    def pids(self) -> tuple[int, ...]:
        """Its one process."""
        return (self._process.pid,)

    @property
    def is_up(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_running

    def map_bytes(self) -> int:
        """Return the bytes of every eBPF map that it holds open."""
        return sum(maps_held_by(self._process.pid).values())


class SynguardRuns(_Detector):
    """A running daemon."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(guard)
        self.guard = guard

    def totals(self) -> dict[str, int]:
        """Return the ``totals`` of its status."""
        totals: dict[str, int] = self.guard.status()["totals"]
        return totals

    def counted_syns(self) -> int:
        """Return how many SYNs its probe has booked.

        Each SYN that could be parsed is exactly one of these three; one that a block drops is an attempt.
        What cannot be parsed is not known to be a SYN: a flood that the probe cannot read goes uncounted.
        """
        totals = self.totals()
        return totals["attempts"] + totals["syn_retransmits"] + totals["syn_duplicates"]

    def dropped_syns(self) -> int:
        """Return how many SYNs its blocks have dropped."""
        return self.totals()["dropped_by_us"]

    def lost_updates(self) -> int:
        """Return the sum of its losses without those of a name that ends in ``_not_admitted``.

        Those are SYNs whose source or prefix is too new for a row of its own, which is no update gone wrong:
        their attempts count in the totals and at the listener. A spoofed flood is nearly all such.
        """
        losses: dict[str, int] = self.guard.status()["losses"]
        return sum(count for name, count in losses.items() if not name.endswith("_not_admitted"))


@contextlib.contextmanager
def synguard(target: Target, respond: str, **responses: str) -> Iterator[Deployed]:
    """Guard the interface with the daemon; ``responses`` are settings of its section ``respond``."""
    settings: dict[str, Mapping[str, Any]] = dict(target.settings)
    if responses:
        settings["respond"] = {**settings.get("respond", {}), **responses}
    guarded = target.guarded
    with Guard(guarded, target.folder, respond, settings, target.heard) as guard:
        try:
            guard.wait_until_ready()
            yield SynguardRuns(guard)
        finally:
            if guard.stop() < 0:
                # It was killed, and what it attached is still there.
                run_command(guarded.namespace, synguard_command("detach", "--interface", guarded.interface))


class _NaiveRuns(_Detector):
    """A running naive detector."""

    def totals(self) -> dict[str, int]:
        """Return ``packets``, ``syns``, ``completed`` and ``dropped``, which counts SYNs alone."""
        process = self._process
        asked = len(process.named("totals.told"))
        process.tell("totals")
        process.wait_for(
            lambda: len(process.named("totals.told")) > asked, "telling its totals", _ANSWER_TIMEOUT_S
        )
        fields = process.named("totals.told")[asked].fields
        return {name: int(count) for name, count in fields.items() if name != "event"}

    def counted_syns(self) -> int:
        """Return how many SYNs its probe has seen."""
        return self.totals()["syns"]

    def dropped_syns(self) -> int:
        """Return how many SYNs it has dropped."""
        return self.totals()["dropped"]


@contextlib.contextmanager
def naive(target: Target, *, block: bool) -> Iterator[Deployed]:
    """Run the naive detector on the interface."""
    guarded = target.guarded
    argv = [sys.executable, "-m", "bench.defences.naive", guarded.interface, *(["--block"] if block else [])]
    errors = target.folder / "naive-stderr.txt"
    with Followed("the naive detector", guarded.namespace, argv, errors, target.heard) as process:
        try:
            process.wait_for(lambda: bool(process.named("daemon.ready")), "being ready", READY_TIMEOUT_S)
            yield _NaiveRuns(process)
        finally:
            if process.stop() < 0:
                xdp.detach(guarded)

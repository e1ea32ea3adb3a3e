"""Lets two CPUs meet in the probe."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial

from tests.kernel.wire import Wire

TIMEOUT_S = 60.0


def on_two_cpus(job: Callable[[int], None]) -> None:
    """Run a job at once on two CPUs; it is told which of the two it is. What it raises is raised here."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    assert len(cpus) == 2, "two CPUs are needed to let them meet"
    start = threading.Barrier(2)
    errors: list[BaseException] = []

    def pinned(index: int) -> None:
        os.sched_setaffinity(0, {cpus[index]})
        try:
            start.wait(TIMEOUT_S)
            job(index)
        except BaseException as error:  # noqa: BLE001  raised again by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=pinned, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def in_turns(wire: Wire, rounds: int, *steps: Callable[[int], object]) -> None:
    """Let each CPU do its step of each round at the same moment, ten milliseconds of the probe's later."""
    together = threading.Barrier(2, action=partial(wire.wait, 10))

    def job(index: int) -> None:
        for number in range(rounds):
            together.wait(TIMEOUT_S)
            steps[index](number)

    on_two_cpus(job)

"""Cases of applications that take connections more slowly than clients bring them: no flood."""

from __future__ import annotations

import os
import signal

from bench.detection.actors.callers import Dialled
from bench.detection.actors.slow import slow_server
from bench.detection.case import Case, Expected
from bench.detection.cases.nothing_crowds import callers
from bench.detection.stage import PORT, Stage
from bench.scenario.model import ServerSpec
from synguard.errors import SynguardError

_OVERLOAD = Expected("overload", None, "listener")
_QUEUE_ENTRIES = 128
_OVERLOADED_S = 10.0


def _check(dialled: Dialled) -> None:
    if dialled.unfinished + dialled.unserved == 0:
        raise SynguardError(f"nobody noticed the overload: {dialled}")


def _stuck(stage: Stage) -> None:
    (pid,) = stage.serve(ServerSpec(queue_entries=_QUEUE_ENTRIES))
    crowd = callers(stage, per_s=200.0, patience_s=6.0)
    stage.wait(3.0)
    os.kill(pid, signal.SIGSTOP)
    try:
        stage.truth.listeners.add(stage.listener())
        stage.truth.began()
        stage.wait(_OVERLOADED_S)
        stage.truth.ended()
        _check(crowd.so_far)
    finally:
        os.kill(pid, signal.SIGCONT)


def _slow(stage: Stage) -> None:
    address = stage.server_address()
    server = slow_server(stage.topology.server, address, PORT, queue_entries=_QUEUE_ENTRIES, service_s=0.05)
    stage.run(server)
    crowd = callers(stage, per_s=200.0, patience_s=6.0)
    stage.truth.listeners.add(stage.listener())
    stage.truth.began()
    stage.wait(_OVERLOADED_S)
    stage.truth.ended()
    _check(crowd.so_far)


CASES = (
    Case(
        name="stuck application",
        purpose="An application stops accepting, while 200 clients a second from 250 addresses go on.",
        expected=_OVERLOAD,
        play=_stuck,
    ),
    Case(
        name="slow application",
        purpose="An application that serves 20 clients a second has 200 of them from the beginning.",
        expected=_OVERLOAD,
        play=_slow,
    ),
)

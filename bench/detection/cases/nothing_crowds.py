"""Cases of crowds of real clients, each of which must raise nothing."""

from __future__ import annotations

from typing import Any

from bench.detection.actors.callers import Callers, Dialling
from bench.detection.case import NOTHING, Case
from bench.detection.stage import PORT, Stage
from bench.net.line import Line
from bench.peers.clients import source_addresses
from bench.run.arena import Wanted
from bench.scenario.model import ClientSpec, ServerSpec
from synguard.errors import SynguardError

_ADDRESSES = 250
_CROWD_S = 6.0
#: As an administrator sets it who expects a crowd.
_LARGE_QUEUE = 16_384
_LARGE_QUEUES = {"core/somaxconn": _LARGE_QUEUE, "ipv4/tcp_max_syn_backlog": _LARGE_QUEUE}
_FAR_CLIENTS = 5000


def callers(stage: Stage, client: str = "client", addresses: int = _ADDRESSES, **words: Any) -> Callers:
    """Start callers of the server's in a client's namespace, noted as users; ``words`` are a Dialling's."""
    endpoint = stage.topology.clients[client]
    stage.truth.users.add(str(endpoint.ipv4.network))
    defaults: dict[str, Any] = {
        "namespace": endpoint.namespace,
        "targets": ((stage.server_address(), PORT),),
        "sources": tuple(source_addresses(endpoint, 4, addresses)) if addresses > 1 else (),
        "per_s": 60.0,
        "patience_s": 20.0,
    }
    return stage.run(Callers(Dialling(**{**defaults, **words})))


def served(crowd: Callers, least: int) -> None:
    """Raise SynguardError unless so many calls were answered by now, and next to none failed."""
    so_far = crowd.so_far
    failed = so_far.refused + so_far.unfinished + so_far.unserved + so_far.not_begun
    if so_far.answered < least or failed > 0.01 * so_far.answered:
        raise SynguardError(f"these were no good clients: {so_far}")


def _crowd(stage: Stage) -> None:
    crowd = callers(stage, per_s=30_000.0, at_once=500, server_kind="nginx")
    stage.wait(_CROWD_S)
    served(crowd, 5000)


def _from_nothing(stage: Stage) -> None:
    stage.serve(ServerSpec(kind="nginx"))
    _crowd(stage)


def _after_quiet(stage: Stage) -> None:
    stage.serve(ServerSpec(kind="nginx"))
    stage.visit(server_kind="nginx")
    stage.wait(4.0)
    _crowd(stage)


def _one_address(stage: Stage) -> None:
    stage.serve(ServerSpec(kind="nginx"))
    crowd = callers(stage, addresses=1, per_s=30_000.0, at_once=500, server_kind="nginx")
    stage.wait(_CROWD_S)
    served(crowd, 5000)


def _from_far_away(stage: Stage) -> None:
    stage.serve(ServerSpec(queue_entries=_LARGE_QUEUE))
    stage.learn(4.0, ClientSpec(name="client", per_s=100.0))
    far = callers(stage, "far", per_s=100_000.0, most=_FAR_CLIENTS)
    far.wait_for_all(10.0)
    stage.wait(3.0)
    served(far, round(0.99 * _FAR_CLIENTS))


def _lossy_and_slow(stage: Stage) -> None:
    stage.serve()
    slow = callers(stage, "slow", per_s=400.0, patience_s=20.0)
    lossy = callers(stage, "lossy", per_s=100.0, patience_s=20.0)
    stage.wait(10.0)
    served(slow, 2000)
    served(lossy, 500)


CASES = (
    Case(
        name="flash crowd",
        purpose="250 addresses connect to nginx as fast as this machine can, where nothing was before.",
        expected=NOTHING,
        play=_from_nothing,
    ),
    Case(
        name="flash crowd after quiet",
        purpose="The same, at a listener that has learned 60 connections a second.",
        expected=NOTHING,
        play=_after_quiet,
    ),
    Case(
        name="busy proxy",
        purpose="One address connects to nginx as fast as this machine can.",
        expected=NOTHING,
        play=_one_address,
    ),
    Case(
        name="crowd from 500 ms away",
        purpose="A listener that learned 1 ms meets 5,000 clients from 500 ms away at once.",
        expected=NOTHING,
        play=_from_far_away,
        hosts=Wanted("host", (("client", Line()), ("far", Line(500.0)))),
        sysctls=_LARGE_QUEUES,
    ),
    Case(
        name="lossy and slow clients",
        purpose="400 clients a second over 300 ms and 5 % loss, 100 over 200 ms and 10 %.",
        expected=NOTHING,
        play=_lossy_and_slow,
        hosts=Wanted("host", (("slow", Line(300.0, 0.05)), ("lossy", Line(200.0, 0.1)))),
    ),
)

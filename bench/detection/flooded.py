"""How cases of floods go: a server is learned from good clients, and then flooded beside them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench.detection.actors.callers import Callers, Dialling
from bench.detection.case import Case, Expected
from bench.detection.stage import PORT, Stage
from bench.peers.clients import source_addresses
from bench.scenario.model import ClientSpec, FloodSpec, Premise, ServerSpec
from synguard.errors import SynguardError

#: Long enough for whatever is said within a second, and for a change of mind after it.
_FLOOD_S = 3.0
#: More than the hundred handshakes that make a listener a known one.
_LEARN_S = 1.6
_PER_S = 100.0
_CROWD_PER_S = 6_000.0
_CROWD_ADDRESSES = 100
_CROWD_HELD = 0.9
_PATIENCE_S = 5.0


def flooded(
    *specs: FloodSpec,
    seconds: float = _FLOOD_S,
    learn_s: float = _LEARN_S,
    server: ServerSpec | None = None,
    port: int = PORT,
    quiet_per_s: float | None = None,
) -> Callable[[Stage], None]:
    """Return a play: serve, let good clients be learned and go on, flood; ``learn_s`` 0: a cold start.

    With ``quiet_per_s`` the clients that were learned from leave before the flood; so many a second go on.
    """

    def play(stage: Stage) -> None:
        stage.serve(server)
        if learn_s:
            learned = stage.learn(learn_s, ClientSpec(name="client", per_s=_PER_S, family=specs[0].family))
            if quiet_per_s is not None:
                learned.finish()
                stage.visit(ClientSpec(name="client", per_s=quiet_per_s, family=specs[0].family))
        stage.flood(*specs, seconds=seconds, port=port)

    return play


def beside_a_crowd(spec: FloodSpec) -> Callable[[Stage], None]:
    """Return a play: the same beside 6,000 good connections a second from a hundred addresses.

    It raises SynguardError where this machine does not get nine tenths of them done.
    """

    def play(stage: Stage) -> None:
        stage.serve(ServerSpec(kind="nginx"))
        client = stage.topology.clients["client"]
        sources = source_addresses(client, 4, _CROWD_ADDRESSES)
        stage.truth.users |= set(sources)
        dialling = Dialling(
            namespace=client.namespace,
            targets=((stage.server_address(), PORT),),
            sources=tuple(sources),
            per_s=_CROWD_PER_S,
            patience_s=_PATIENCE_S,
            server_kind="nginx",
        )
        began_s = time.monotonic()
        crowd = stage.run(Callers(dialling))
        stage.wait(_LEARN_S)
        stage.flood(spec, seconds=_FLOOD_S)
        took_s = time.monotonic() - began_s
        answered_per_s = crowd.finish().answered / took_s
        if answered_per_s < _CROWD_HELD * _CROWD_PER_S:
            raise SynguardError(f"{Premise.RATE_HELD}: the crowd got {answered_per_s:.0f} answers a second")

    return play


def flood_case(name: str, purpose: str, expected: Expected, *specs: FloodSpec, **changes: Any) -> Case:
    """Return a case of that play; ``changes`` are those of :func:`flooded` and fields of :class:`Case`."""
    fields = {key: changes.pop(key) for key in list(changes) if key in Case.__dataclass_fields__}
    play = fields.pop("play", None) or flooded(*specs, **changes)
    return Case(name=name, purpose=purpose, expected=expected, play=play, **fields)

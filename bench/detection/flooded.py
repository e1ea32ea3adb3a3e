"""How cases of floods go: a server is learned from good clients, and then flooded beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.detection.case import Case, Expected
from bench.detection.stage import PORT, Stage
from bench.scenario.model import ClientSpec, FloodSpec, ServerSpec

#: Long enough for whatever is said within a second, and for a change of mind after it.
_FLOOD_S = 3.0
_LEARN_S = 1.5


def flooded(
    *specs: FloodSpec,
    seconds: float = _FLOOD_S,
    learn_s: float = _LEARN_S,
    server: ServerSpec | None = None,
    port: int = PORT,
) -> Callable[[Stage], None]:
    """Return a play: serve, let good clients be learned and go on, flood; ``learn_s`` 0: a cold start."""

    def play(stage: Stage) -> None:
        stage.serve(server)
        if learn_s:
            stage.learn(learn_s, ClientSpec(name="client", per_s=60.0, family=specs[0].family))
        stage.flood(*specs, seconds=seconds, port=port)

    return play


def flood_case(name: str, purpose: str, expected: Expected, *specs: FloodSpec, **changes: Any) -> Case:
    """Return a case of that play; ``changes`` are those of :func:`flooded` and fields of :class:`Case`."""
    fields = {key: changes.pop(key) for key in list(changes) if key in Case.__dataclass_fields__}
    play = fields.pop("play", None) or flooded(*specs, **changes)
    return Case(name=name, purpose=purpose, expected=expected, play=play, **fields)

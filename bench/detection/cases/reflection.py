"""Cases of SYNs in other people's names, whose answers are the attack."""

from __future__ import annotations

from bench.detection.actors.hearing import local_network
from bench.detection.case import Case, Expected
from bench.detection.stage import Stage
from bench.scenario.model import FloodSpec

_REFLECTION = Expected("reflection", None, "prefix")
_VICTIMS = "203.0.113.0/24"
_LASTING_S = 75.0


def _silent(stage: Stage) -> None:
    stage.serve()
    stage.learn()
    stage.flood(FloodSpec(sources=(_VICTIMS,), syn_per_s=10), seconds=_LASTING_S)


def _resetting(stage: Stage) -> None:
    # They are the attacker's for now, and its kernel knows nothing of these connections.
    stage.run(local_network(stage.topology.attacker, _VICTIMS))
    stage.serve()
    stage.learn()
    stage.flood(FloodSpec(sources=(_VICTIMS,), syn_per_s=18), seconds=_LASTING_S)


CASES = (
    Case(
        name="reflection, silent",
        purpose="10 SYN/s in the names of a /24, none of which answers the SYN-ACKs.",
        expected=_REFLECTION,
        play=_silent,
    ),
    Case(
        name="reflection, resetting",
        purpose="18 SYN/s in the names of a /24, which answers the SYN-ACKs with RST.",
        expected=_REFLECTION,
        play=_resetting,
    ),
)

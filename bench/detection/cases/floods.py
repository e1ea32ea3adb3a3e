"""Cases of SYN floods, by what can be told of their sources."""

from __future__ import annotations

from bench.detection.case import Case, Expected
from bench.detection.stage import Stage
from bench.scenario.model import FloodSpec

_SINGLE = Expected("syn-flood", "single-source", "source")
_SPOOFED = Expected("syn-flood", "spoofed", "listener")


def _one_address(stage: Stage) -> None:
    stage.serve()
    stage.learn()
    stage.flood(FloodSpec(sources=("silent",), syn_per_s=10_000))


def _any_address(stage: Stage) -> None:
    stage.serve()
    stage.learn()
    stage.flood(FloodSpec(sources=("any",), syn_per_s=20_000))


CASES = (
    Case(
        name="one address",
        purpose="10,000 SYN/s from one address that answers nothing.",
        expected=_SINGLE,
        play=_one_address,
    ),
    Case(
        name="any address",
        purpose="20,000 SYN/s, each from another address.",
        expected=_SPOOFED,
        play=_any_address,
    ),
)

"""The case in which nothing at all is out of the ordinary."""

from __future__ import annotations

from bench.detection.case import NOTHING, Case
from bench.detection.stage import Stage


def _good_clients(stage: Stage) -> None:
    stage.serve()
    stage.learn(2.0)


CASES = (
    Case(
        name="good clients",
        purpose="A server and its clients on an ordinary day.",
        expected=NOTHING,
        play=_good_clients,
    ),
)

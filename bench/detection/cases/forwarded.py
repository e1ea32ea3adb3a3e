"""Cases of a port that belongs to a container: netfilter sends it on, and no local socket knows of it."""

from __future__ import annotations

from bench.detection.actors.behind import forwarded_port, host_behind
from bench.detection.case import NOTHING, Case, Expected
from bench.detection.cases.nothing_crowds import callers, served
from bench.detection.stage import Stage
from bench.peers.listener import echo
from bench.scenario.model import FloodSpec

_PORT = 8080
_INNER_PORT = 80


def _container(stage: Stage) -> None:
    """Start a container with a server, and forward a port of the host to it."""
    server = stage.topology.server
    container = stage.run(host_behind(server, 1))
    stage.run(echo(container, [str(container.ipv4.ip)], _INNER_PORT, 4096))
    stage.run(forwarded_port(server, _PORT, container, _INNER_PORT))


def _good_clients(stage: Stage) -> None:
    _container(stage)
    good = callers(stage, targets=((stage.server_address(), _PORT),), per_s=500.0)
    stage.wait(6.0)
    served(good, 2000)


def _flood(stage: Stage) -> None:
    _container(stage)
    good = callers(stage, targets=((stage.server_address(), _PORT),))
    stage.wait(3.0)
    served(good, 100)
    stage.flood(FloodSpec(sources=("any",), syn_per_s=10_000), port=_PORT)


CASES = (
    Case(
        name="container",
        purpose="500 clients a second use a port that the guarded host forwards to a container.",
        expected=NOTHING,
        play=_good_clients,
    ),
    Case(
        name="container, any address",
        purpose="10,000 SYN/s from anywhere for such a port.",
        expected=Expected("syn-flood", "spoofed", "listener", impact="unknown"),
        play=_flood,
    ),
)

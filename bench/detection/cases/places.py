"""Addresses that belong to the server beside its own, for cases with many targets."""

from __future__ import annotations

from bench.detection.actors.hearing import local_network, route_over
from bench.detection.stage import Stage
from bench.net.layout import INNER_INTERFACE
from bench.net.line import Line
from bench.run.arena import Wanted

#: A server behind a gateway, which is the guarded one.
GATEWAY = Wanted("gateway", (("client", Line()),))

_NETWORK = "198.18.5"


def place(number: int) -> str:
    """Return the address of that number, 0 to 255, in the network of :func:`own_network`."""
    return f"{_NETWORK}.{number}"


def own_network(stage: Stage) -> str:
    """Let the server answer for a /24 beside its own, to the trial's end; return the network."""
    network = f"{_NETWORK}.0/24"
    topology = stage.topology
    stage.run(local_network(topology.server, network))
    if topology.gateway:
        hop = str(topology.server.ipv4.ip)
        stage.run(route_over(topology.gateway, network, hop, INNER_INTERFACE))
    return network

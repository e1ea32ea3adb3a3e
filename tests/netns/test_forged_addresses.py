"""Floods in the names of those whom the server needs: none of them is cut off, at any time."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Self

import pytest

from bench.flood.driver import FloodGenerator
from bench.net.links import Endpoint
from bench.net.namespaces import Topology
from bench.peers.calls import CUT_OFF_S
from bench.scenario.flood import ClientSpec
from synguard.respond.protected import resolvers
from tests.netns import good
from tests.netns.commands import run

from .conftest import StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

GATEWAY = "198.18.0.254"
SESSION = ClientSpec(name="session", kind="keep-alive", per_s=20.0, connections=1)


class Visitor:
    """Connects again and again from one address, while the ``with`` block lasts."""

    def __init__(self, endpoint: Endpoint, server: str, address: str) -> None:
        self.address = address
        self.took_s: list[float] = []
        self._going_on = True
        self._thread = threading.Thread(target=self._visit, args=[endpoint, server])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._going_on = False
        self._thread.join()

    def _visit(self, endpoint: Endpoint, server: str) -> None:
        while self._going_on:
            began_s = time.monotonic()
            succeeded = good.connects(endpoint, server, self.address)
            self.took_s.append(time.monotonic() - began_s if succeeded else float("inf"))
            time.sleep(0.02)


def resolver() -> list[str]:
    """Return a name server of this machine's, which the guarded host has too; none if they are all local."""
    afar = (str(one) for one in sorted(resolvers(), key=str) if one.version == 4 and not one.is_loopback)
    return [*afar][:1]


@pytest.mark.parametrize("listener_response", ["cookie", "greylist"])
def test_nobody_whose_address_is_forged_is_cut_off(
    topology: Topology, flood_generator: FloodGenerator, start_daemon: StartDaemon, listener_response: str
) -> None:
    """With their TTL and SYN shape, before, in and after each flood: a session, and every new connection."""
    server, near = str(topology.server.ipv4.ip), str(topology.client.ipv4.ip)
    afar = [GATEWAY, *resolver()]
    for address in afar:
        run(topology.attacker, "ip", "address", "add", f"{address}/32", "dev", "lo")
    bearers = {server: topology.server, near: topology.client, **dict.fromkeys(afar, topology.attacker)}
    guard = start_daemon("enforce", good.with_respond(good.QUICK, listener_response=listener_response))
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(good.good_clients(topology, SESSION))
        visitors = [stack.enter_context(Visitor(bearers[one], server, one)) for one in bearers]
        for address in bearers:
            flood_generator.flood(good.spoofed(topology, 3.0, address))
        exchanges = session.finish()
        assert session.broken == 0
    longest_s = {one.address: max(one.took_s) for one in visitors}
    assert {address: took_s for address, took_s in longest_s.items() if took_s > CUT_OFF_S} == {}
    assert min(len(one.took_s) for one in visitors) >= 10
    assert good.served(exchanges) == 1.0
    assert guard.named("source.blocked") == guard.named("source.greylisted") == []
    assert guard.named("listener.greylisted") or guard.named("listener.cookies_begun")

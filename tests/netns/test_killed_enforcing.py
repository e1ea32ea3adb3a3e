"""The daemon killed while it enforces: what the kernel holds goes on, and ends on time without it."""

from __future__ import annotations

import os
import signal

import pytest

from bench.flood.driver import FloodGenerator
from bench.net.namespaces import Topology, wait_until
from synguard import client
from tests.netns import good
from tests.netns.firewalls import SINGLED_OUT

from .conftest import StartDaemon
from .keeping import Keeping

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

BLOCK_TTL_S = 6.0


def stack_saw(topology: Topology) -> int:
    """Return for how many of the flood's SYNs the server's own stack had to make a cookie so far."""
    return good.stack_counter(topology.server, "SyncookiesSent")


@pytest.mark.parametrize("response", ["cookie", "greylist"])
def test_what_it_left_attached_goes_on_and_ends_by_itself(
    topology: Topology, flood_generator: FloodGenerator, keeping: Keeping, response: str
) -> None:
    """A block lasts its time and no longer, a listener's answer its lease; clients are served meanwhile."""
    guard = keeping.start("enforce", good.with_respond(good.QUICK, listener_response=response))
    server = str(topology.server.ipv4.ip)
    with good.good_clients(topology) as clients:
        flood_generator.start(good.spoofed(topology, 25.0))
        if response == "cookie":
            wait_until(lambda: good.cookies_are_on(guard), "cookies for everybody", 10.0)
        else:
            good.first(guard, "listener.greylisted")
        client.request(guard.socket, "block_add", target=SINGLED_OUT, ttl_s=BLOCK_TTL_S)
        before, killed_ns = stack_saw(topology), good.monotonic_ns()
        os.kill(guard.pid, signal.SIGKILL)
        assert not good.connects(topology.client, server, SINGLED_OUT, 2.5)
        assert stack_saw(topology) - before < 10_000
        wait_until(lambda: good.connects(topology.client, server, SINGLED_OUT, 1.5), "the block's end", 10.0)
        good.rises(lambda: stack_saw(topology), 20_000, "the lease's end", 15.0)
        good.rises(lambda: clients.succeeded, 80, "clients without any response", 5.0)
        flood_generator.stop()
        visits = clients.finish()
    assert good.served(good.begun_since(visits, killed_ns)) >= 0.99


def test_without_pins_a_block_goes_on_and_the_stack_answers_again(
    topology: Topology, flood_generator: FloodGenerator, start_daemon: StartDaemon
) -> None:
    """Cookies end with the daemon, at once, and cut nobody off; a block lasts its time all the same."""
    guard = start_daemon("enforce", good.QUICK)
    server = str(topology.server.ipv4.ip)
    with good.good_clients(topology) as clients:
        flood_generator.start(good.spoofed(topology, 15.0))
        wait_until(lambda: good.cookies_are_on(guard), "cookies for everybody", 10.0)
        client.request(guard.socket, "block_add", target=SINGLED_OUT, ttl_s=BLOCK_TTL_S)
        killed_ns = good.monotonic_ns()
        os.kill(guard.pid, signal.SIGKILL)
        good.rises(lambda: stack_saw(topology), 20_000, "the stack's own answers", 5.0)
        assert not good.connects(topology.client, server, SINGLED_OUT, 1.5)
        wait_until(lambda: good.connects(topology.client, server, SINGLED_OUT, 1.5), "the block's end", 10.0)
        flood_generator.stop()
        visits = clients.finish()
    assert good.served(good.begun_since(visits, killed_ns)) >= 0.99

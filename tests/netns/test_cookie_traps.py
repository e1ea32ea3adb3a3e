"""Where cookies would break or open something they never come on; where they begin to, they end."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from bench.flood.driver import FloodGenerator
from bench.net.namespaces import Topology, wait_until
from tests.netns import good
from tests.netns.firewalls import DIFFERENTLY, FIREWALLS, LATE_ACK, NATTED_PORT, SINGLED_OUT
from tests.netns.recording import Recorder
from tests.netns.test_firewall import put

from .conftest import OpenListener, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

#: Whoever began so long before a new rule may have met with it.
MAY_MEET_NS = 1_500_000_000

NATTED = "a DNATed port with a local listener behind it"
NO_LATE_ACK = "what is new and no SYN is dropped"
ONE_CLIENT = "one client is dropped"


def nobody_came(listener: socket.socket) -> bool:
    """Tell whether a listener has had no client at all."""
    listener.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        listener.accept()[0].close()
        return False
    return True


def answers_to(address: str, recorder: Recorder) -> int:
    """Return how many SYN-ACKs to an address were recorded."""
    frames = (Ether(one.frame) for one in recorder.packets)
    return sum(TCP in frame and frame[TCP].flags == "SA" and frame[IP].dst == address for frame in frames)


@pytest.mark.parametrize(
    ("name", "obstacle"),
    [(NATTED, "is forwarded or NATed"), (NO_LATE_ACK, LATE_ACK), (ONE_CLIENT, DIFFERENTLY)],
)
def test_behind_an_obstacle_the_greylist_serves(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
    tmp_path: Path,
    name: str,
    obstacle: str,
) -> None:
    """No cookie is sent, the alert says why, clients get in within 1.5 s, and who was kept out stays out."""
    put(topology, FIREWALLS[name], tmp_path)
    server = str(topology.server.ipv4.ip)
    hidden = open_listener(server, good.PORT) if name == NATTED else None
    guard = start_daemon("enforce", good.QUICK)
    plan = good.spoofed(topology, 5.0)
    with good.good_clients(topology, port=NATTED_PORT if hidden else good.PORT) as clients:
        flood_generator.start(plan)
        greylisted_ns = good.first(guard, "listener.greylisted")
        with Recorder(topology.client) as recorder:
            gets_in = good.connects(topology.client, server, SINGLED_OUT, timeout_s=2.5)
        flood_generator.finish(plan)
        visits = clients.finish()
    (alert,) = good.alerts(guard)
    assert obstacle in alert["decision"]
    assert guard.status()["totals"]["cookies_sent"] == 0
    assert good.served(good.begun_since(visits, greylisted_ns)) == 1.0
    assert gets_in is (name != ONE_CLIENT)
    assert (answers_to(SINGLED_OUT, recorder) > 0) is gets_in
    assert hidden is None or nobody_came(hidden)


def test_cookies_serve_until_a_firewall_drops_their_acks(
    topology: Topology, flood_generator: FloodGenerator, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """On a plain port they come on and serve; at a new rule they are withdrawn, and the greylist serves."""
    guard = start_daemon("enforce", good.QUICK)
    plan = good.spoofed(topology, 12.0)
    with good.good_clients(topology) as clients:
        began_ns = good.monotonic_ns()
        flood_generator.start(plan)
        on_ns = good.first(guard, "cookies.for_everybody")
        good.rises(lambda: clients.succeeded, 200, "clients with cookies")
        # They may come all at once, after a stall: the rule is to find some whose visit is long over.
        wait_until(lambda: good.monotonic_ns() > on_ns + 2 * MAY_MEET_NS, "visits long over")
        put(topology, FIREWALLS[NO_LATE_ACK], tmp_path)
        put_ns = good.monotonic_ns()
        withdrawn_ns = good.first(guard, "cookies.withdrawn")
        wait_until(lambda: set(good.in_force(guard).values()) == {"greylist"}, "the greylist")
        sent = guard.status()["totals"]["cookies_sent"]
        good.rises(lambda: clients.succeeded, 160, "clients through the greylist", 8.0)
        assert flood_generator.stop().syns < plan.expected_syns
        visits = clients.finish()
    for since_ns in (began_ns, on_ns):
        assert good.served(good.begun_since(visits, since_ns, put_ns - MAY_MEET_NS)) >= 0.99
    assert good.served(good.begun_since(visits, withdrawn_ns)) == 1.0
    assert guard.status()["totals"]["cookies_sent"] == sent

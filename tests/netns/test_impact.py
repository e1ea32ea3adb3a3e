"""Which sockets answer, and what waits in their queues, held against what the kernel does."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pytest

from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, run_in, wait_until
from synguard.endpoint import Listener
from synguard.impact.conntrack import read_conntrack
from synguard.impact.counters import read_settings
from synguard.impact.sockets import queues_of, read_sockets
from synguard.server import ListenerQueues

from .commands import run

pytestmark = [pytest.mark.root, pytest.mark.netns]

PORT = 8080
ANY = "0.0.0.0"  # noqa: S104 - in a namespace of the test's own
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.9", "::1")
TRACKING = "table inet tracking { chain in { type filter hook input priority 0; ct state new accept; }; }"


class Bound(NamedTuple):
    """A socket that listens on ``PORT``; nobody accepts what comes."""

    address: str
    limit: int = 64
    only: bool = False
    #: An IPv6 socket bound to a mapped IPv4 address.
    mapped: bool = False

    def open(self) -> socket.socket:
        """Listen in the calling thread's namespace; others may share the port."""
        ipv6 = self.mapped or ":" in self.address
        made = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if ipv6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, self.only)
        made.bind(("::ffff:" + self.address if self.mapped else self.address, PORT))
        made.listen(self.limit)
        return made


def listen(server: Endpoint, undo: contextlib.ExitStack, *bound: Bound) -> list[socket.socket]:
    """Open the sockets in the server's namespace."""
    return [undo.enter_context(run_in(server, one.open)) for one in bound]


def connect(server: Endpoint, undo: contextlib.ExitStack, address: str, count: int) -> None:
    """Make so many connections to an address of the server's own, which stay."""
    for _ in range(count):
        made = run_in(server, lambda: socket.create_connection((address, PORT), 5.0))
        undo.enter_context(made)


def asked(server: Endpoint, *addresses: str) -> dict[str, ListenerQueues]:
    """Return the queues of these addresses' listeners, by address, as far as sockets answer."""
    wanted = {Listener.parse(f"[{one}]:{PORT}" if ":" in one else f"{one}:{PORT}"): one for one in addresses}
    found = run_in(server, lambda: queues_of(read_sockets(), wanted, read_settings()))
    return {wanted[listener]: queues for listener, queues in found.items()}


@pytest.mark.parametrize(
    ("bound", "connects", "waiting"),
    [
        ([Bound("127.0.0.2")], {"127.0.0.2": 1}, [None, 1, None, None]),
        ([Bound("127.0.0.2"), Bound(ANY)], {"127.0.0.2": 3, "127.0.0.1": 2, "127.0.0.9": 1}, [3, 3, 3, None]),
        ([Bound("::")], {"127.0.0.1": 2, "::1": 1}, [3, 3, 3, 3]),
        ([Bound("::", only=True)], {"::1": 4}, [None, None, None, 4]),
        ([Bound("::"), Bound(ANY)], {"127.0.0.1": 2, "::1": 1}, [2, 2, 2, 1]),
        ([Bound("::"), Bound("127.0.0.1")], {"127.0.0.1": 2, "::1": 1}, [2, 1, 1, 1]),
        (
            [Bound("127.0.0.2", mapped=True), Bound(ANY)],
            {"127.0.0.2": 2, "127.0.0.1": 1},
            [1, 2, 1, None],
        ),
        (
            [Bound("127.0.0.2", mapped=True), Bound("127.0.0.2"), Bound("::")],
            {"127.0.0.2": 3, "127.0.0.1": 1, "::1": 1},
            [2, 3, 2, 2],
        ),
    ],
    ids=["exact", "wildcard", "dual", "v6only", "both", "exact and dual", "mapped", "mapped and exact"],
)
def test_connections_wait_where_the_lookup_says(
    topology: Topology,
    undo: contextlib.ExitStack,
    bound: Sequence[Bound],
    connects: Mapping[str, int],
    waiting: Sequence[int | None],
) -> None:
    """The queue shown for each address is the one that the kernel put its connections into, or none."""
    listen(topology.server, undo, *bound)
    for address, count in connects.items():
        connect(topology.server, undo, address, count)
    found = asked(topology.server, *ADDRESSES)
    assert [one in found and found[one].accept_queue for one in ADDRESSES] == [
        one or False for one in waiting
    ]


def test_sockets_that_share_a_port_are_summed(topology: Topology, undo: contextlib.ExitStack) -> None:
    """With SO_REUSEPORT the queues add up, and the fullest socket's share is shown, not the mean."""
    sockets = listen(
        topology.server, undo, Bound("127.0.0.1", 1), Bound("127.0.0.1", 8), Bound("127.0.0.1", 30)
    )

    def clients() -> None:
        for _ in range(24):
            made = undo.enter_context(socket.socket())
            made.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                made.connect(("127.0.0.1", PORT))

    run_in(topology.server, clients)
    wait_until(lambda: asked(topology.server, "127.0.0.1")["127.0.0.1"].accept_queue_worst == 1, "a full one")
    queues = asked(topology.server, "127.0.0.1")["127.0.0.1"]
    assert (queues.sockets, queues.accept_queue_limit) == (3, 39)
    accepted = 0
    for one in sockets:
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                undo.enter_context(one.accept()[0])
                accepted += 1
    assert queues.accept_queue <= accepted
    assert 2 < queues.accept_queue <= 24
    assert queues.drops


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("bound", "source"),
    [
        (Bound("::", 512), "203.0.113.0/24"),
        (Bound("::", 512), "2001:db8:7::/64"),
        (Bound(ANY, 512), "203.0.113.0/24"),
    ],
    ids=["IPv4 at ::", "IPv6 at ::", "IPv4 at 0.0.0.0"],
)
def test_half_open_handshakes_are_counted_for_the_socket_that_holds_them(
    topology: Topology,
    undo: contextlib.ExitStack,
    flood_generator: FloodGenerator,
    bound: Bound,
    source: str,
) -> None:
    """Every SYN is one handshake in the queue, and every address of the socket shows it.

    Ports are drawn, so that two of 230 SYNs may be of one connection, once in 600 runs.
    """
    server = topology.server
    listen(server, undo, bound)
    address = str(server.ipv6.ip if ":" in source else server.ipv4.ip)
    plan = FloodPlan(
        destination=address,
        destination_port=PORT,
        sources=(source,),
        syn_per_s=2000.0,
        duration_s=2.0,
        frames=230,
    )
    flood_generator.flood(plan)
    wait_until(lambda: asked(server, address)[address].syn_queue >= 229, "230 handshakes")
    found = asked(server, address, "127.0.0.1")
    assert 229 <= found["127.0.0.1"].syn_queue == found[address].syn_queue <= 230
    assert (found[address].syn_queue_limit, found[address].accept_queue) == (512, 0)


def test_other_namespaces_sockets_are_not_seen(topology: Topology, undo: contextlib.ExitStack) -> None:
    """A socket of the client's namespace answers for nothing in the server's."""
    listen(topology.client, undo, Bound(ANY))
    assert asked(topology.client, "127.0.0.1")
    assert not asked(topology.server, "127.0.0.1")


def test_conntrack_counts_the_connections_of_its_namespace(
    topology: Topology, undo: contextlib.ExitStack
) -> None:
    """Where a rule has connections tracked, each is an entry of this namespace's table."""
    server = topology.server
    if run_in(server, read_conntrack) is None:
        pytest.skip("this kernel tracks no connections")
    run(server, "nft", TRACKING)
    listen(server, undo, Bound("127.0.0.1"))
    connect(server, undo, "127.0.0.1", 7)
    entries, limit = run_in(server, read_conntrack) or (None, None)
    assert entries == 7
    assert limit is not None
    assert limit > 7

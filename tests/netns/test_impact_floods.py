"""What floods and slow applications do to real queues, and whether the impact is called what it is."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Collection
from functools import partial
from typing import Any

import pytest
import structlog

from bench.defences.sysctls import sysctls_set
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.links import Endpoint
from bench.net.namespaces import SILENT_IPV4, Topology, run_in, wait_until
from synguard.detect.impact import Impact, ImpactFinding
from synguard.endpoint import Listener
from synguard.impact.impact import ServerWatch
from synguard.impact.sockets import read_sockets
from synguard.server import ServerReading

from .commands import run
from .conftest import OpenListener, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT, OTHER_PORT = 8080, 8081
LIMIT = 64


class Observer:
    """Reads the server's stack a second apart, by a clock of its own, and judges it."""

    def __init__(self, server: Endpoint, undo: contextlib.ExitStack) -> None:
        address = server.ipv4.ip
        self.victim, self.other = Listener(address, PORT), Listener(address, OTHER_PORT)
        self.absent = Listener(address, OTHER_PORT + 1)
        self._server = server
        self._watch = ServerWatch(structlog.get_logger())
        undo.callback(self._watch.close)
        self._impact = Impact()
        self._seconds = itertools.count(100)
        self._began_ns: int | None = None

    def look(self) -> ServerReading:
        """Read counters and queues once more, as they are now."""
        now_ns = next(self._seconds) * 10**9
        wanted: Collection[Listener] = (self.victim, self.other, self.absent)

        def read(at_ns: int) -> ServerReading:
            found = self._watch.read(at_ns, wanted)
            assert found is not None
            return found

        run_in(self._server, lambda: read(now_ns))
        # The look that this began shows in a later reading, once it is done.
        shown: list[ServerReading] = []

        def is_there() -> bool:
            shown.append(run_in(self._server, lambda: read(now_ns + 1000 * (len(shown) + 1))))
            return shown[-1].queues_read_ns == now_ns

        wait_until(is_there, "a look at sockets")
        self._impact.take(shown[-1])
        self._began_ns = self._began_ns or shown[-1].read_ns
        return shown[-1]

    def of(self, listener: Listener, unfinished: int | None = None) -> ImpactFinding:
        """Return the impact since the first look."""
        assert self._began_ns is not None
        return self._impact.of(listener, self._began_ns, unfinished)


@pytest.fixture
def observer(topology: Topology, undo: contextlib.ExitStack) -> Observer:
    """Return who watches the server; a victim and another listener are there already, nobody accepts."""
    for port in (PORT, OTHER_PORT):
        made = run_in(topology.server, partial(socket.create_server, ("", port), backlog=LIMIT))
        undo.enter_context(made)
    return Observer(topology.server, undo)


def flood(topology: Topology, frames: int) -> FloodPlan:
    """Return so many SYNs to the guarded host, from one address that answers nothing."""
    return FloodPlan(
        destination=str(topology.guarded.ipv4.ip),
        destination_port=PORT,
        sources=(str(SILENT_IPV4),),
        syn_per_s=2000.0,
        duration_s=5.0,
        frames=frames,
    )


@pytest.mark.parametrize(
    ("sysctls", "impact", "queue"),
    [
        ({"ipv4/tcp_syncookies": "1"}, "cookies", (LIMIT + 1, LIMIT)),
        ({"ipv4/tcp_syncookies": "0"}, "dropping", (LIMIT + 1, LIMIT)),
        ({"ipv4/tcp_syncookies": "0", "ipv4/tcp_max_syn_backlog": "32"}, "dropping", (25, 24)),
        ({"ipv4/tcp_syncookies": "2"}, "none", (0, LIMIT)),
    ],
    ids=["cookies", "no cookies", "no cookies and a small backlog", "forced cookies"],
)
def test_a_full_syn_queue_is_called_by_what_comes_of_it(
    topology: Topology,
    undo: contextlib.ExitStack,
    observer: Observer,
    flood_generator: FloodGenerator,
    sysctls: dict[str, str],
    impact: str,
    queue: tuple[int, int],
) -> None:
    """SYNs get cookies, or are dropped where there are none; cookies that are forced mean nothing."""
    undo.enter_context(sysctls_set(topology.server.namespace, sysctls))
    observer.look()
    flood_generator.flood(flood(topology, 400))
    reading = observer.look()
    queues = reading.queues[observer.victim]
    assert (queues.syn_queue, queues.syn_queue_limit) == queue
    found = observer.of(observer.victim)
    assert (found.impact, found.syn_queue_full) == (impact, impact != "none")
    assert (found.accept_queue_full, found.overflows) == (False, 0)
    assert (reading.counters["SyncookiesSent"] > 0) is (sysctls["ipv4/tcp_syncookies"] != "0")
    assert (reading.counters["ListenDrops"] > 0) is (impact == "dropping")
    assert observer.of(observer.other).impact == "none"
    assert observer.of(observer.absent).impact == "unknown"


def test_a_queue_with_room_is_not_hurt(
    topology: Topology, observer: Observer, flood_generator: FloodGenerator
) -> None:
    """Half a queue of half-open handshakes is no impact, and its fill is shown."""
    observer.look()
    flood_generator.flood(flood(topology, 32))
    observer.look()
    found = observer.of(observer.victim)
    assert (found.impact, found.syn_queue_full) == ("none", False)
    fill = {one.name: one.observed for one in found.measurements}["syn_queue_fill"]
    assert 0.4 < fill < 0.6


def test_an_application_that_accepts_nobody_is_called_overloaded(
    topology: Topology, undo: contextlib.ExitStack, observer: Observer
) -> None:
    """Real clients fill the accept queue, and meet it full; the listener beside it is not blamed."""
    observer.look()

    def clients() -> None:
        for _ in range(LIMIT + 20):
            made = undo.enter_context(socket.socket())
            made.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                made.connect((str(topology.server.ipv4.ip), PORT))

    run_in(topology.client, clients)
    wait_until(lambda: observer.look().queues[observer.victim].accept_queue > LIMIT, "a full accept queue")
    observer.look()
    found = observer.of(observer.victim)
    assert (found.impact, found.accept_queue_full) == ("accept-queue-full", True)
    assert found.overflows > 0
    beside = observer.of(observer.other)
    assert (beside.impact, beside.accept_queue_full, beside.overflows) == ("none", False, 0)


def test_a_port_that_is_passed_on_is_unknown_though_a_proxy_listens(undo: contextlib.ExitStack) -> None:
    """Where NAT sends a container its SYNs, the socket that listens here holds none of those unfinished."""
    topology = undo.enter_context(Topology(role="gateway"))
    guarded = topology.guarded
    rule = f"ip daddr {guarded.ipv4.ip} tcp dport {PORT} dnat to {topology.server.ipv4.ip}:{OTHER_PORT}"
    hook = "type nat hook prerouting priority -100"
    run(guarded, "nft", f"table ip passing {{ chain on {{ {hook}; {rule}; }}; }}")
    for endpoint, port in ((guarded, PORT), (topology.server, OTHER_PORT)):
        undo.enter_context(run_in(endpoint, partial(socket.create_server, ("", port), backlog=LIMIT)))
    observer = Observer(guarded, undo)
    with FloodGenerator.between(topology) as generator:
        observer.look()
        generator.flood(flood(topology, 400))
    for _ in range(2):  # the second one is a whole second after the flood began
        observer.look()
    behind = run_in(topology.server, read_sockets).half_open
    assert sum(behind.values()) > LIMIT
    assert observer.of(observer.victim).impact == "none"
    assert observer.of(observer.victim, unfinished=400).impact == "unknown"


def test_the_daemon_shows_the_queues_of_who_is_flooded(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """While a listener is suspected, status has its queues, and what the stack counts."""
    plan = flood(topology, 8000)
    open_listener(plan.destination, PORT)
    guard = start_daemon()
    flood_generator.start(plan)

    shown: list[dict[str, Any]] = []

    def is_full() -> bool:
        rows = guard.status()["listeners"]
        shown.extend(one for one in rows if one["listener"] == f"{plan.destination}:{PORT}")
        return bool(shown) and (shown[-1]["syn_queue"] or 0) > 1000

    wait_until(is_full, "a full SYN queue in status", 10.0)
    assert shown[-1]["syn_queue"] <= 1025
    assert (shown[-1]["syn_queue_limit"], shown[-1]["accept_queue_limit"]) == (1024, 1024)
    stack = guard.status()["stack"]
    assert stack["unreadable"] == {}
    assert stack["counters"]["SyncookiesSent"] > 0

"""Which SYN-ACKs come from a socket of this machine that is bound to that very address and port."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from bench.net.namespaces import Topology, run_in
from synguard.endpoint import Listener
from synguard.handshake import Answer
from synguard.probe import attach, tc
from synguard.probe.claim import Claim
from synguard.probe.interfaces import find_interface
from synguard.probe.known import KnownPrograms
from synguard.probe.probe import Probe
from synguard.probe.programs import TC_EGRESS_PROGRAM, TC_INGRESS_PROGRAM
from synguard.probe.reader import ProbeReader
from tests.kernel.listening import own_address, own_namespace, set_sysctl, tcp_socket
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@contextmanager
def guarded_loopback(wire: Wire) -> Iterator[None]:
    """Let the probe see what passes the loopback interface of a namespace of our own."""
    with own_namespace():
        own_address(wire.server)
        with IPRoute() as route:
            tc.ensure_clsact(route, 1)
            for program in (TC_INGRESS_PROGRAM, TC_EGRESS_PROGRAM):
                tc.place_filter(route, find_interface("lo"), program, wire.probe.programs[program])
        yield


@pytest.fixture
def loopback(xdp_wire: Wire) -> Iterator[Wire]:
    """Yield a wire whose probe guards a loopback interface, for each IP version."""
    with guarded_loopback(xdp_wire):
        yield xdp_wire


def answers_of(wire: Wire, bound: tuple[str, int], times: int = 1) -> Answer:
    """Connect to the server's port 443 while a socket listens there, or elsewhere; return what was learnt."""
    with tcp_socket(wire) as listening:
        listening.bind(bound)
        listening.listen(8)
        for _ in range(times):
            with tcp_socket(wire) as client:
                client.settimeout(5)
                client.connect((str(wire.server), 443))
    found = wire.known_listener(wire.connection().listener).answer
    assert found is not None
    return found


def test_a_socket_of_this_machine_is_local(loopback: Wire) -> None:
    """Bound to the address, or to all of them; its options are those that Linux sends."""
    wildcard = "0.0.0.0" if loopback.version == 4 else "::"  # noqa: S104  in a namespace of its own
    assert answers_of(loopback, (str(loopback.server), 443), 3).local == 3
    found = answers_of(loopback, (wildcard, 443), 3)
    assert (found.local, found.foreign) == (6, 0)
    assert (found.ttl, found.sack, found.timestamps) == (64, True, True)


def test_a_socket_of_both_versions_is_local(ipv4_wire: Wire) -> None:
    """Bound to ::, and reached by IPv4, as most servers are."""
    with guarded_loopback(ipv4_wire):
        with socket.create_server(("::", 443), family=socket.AF_INET6, dualstack_ipv6=True):
            for _ in range(3):
                socket.create_connection((str(ipv4_wire.server), 443), timeout=5).close()
        found = ipv4_wire.known_listener(ipv4_wire.connection().listener).answer
    assert found is not None
    assert (found.local, found.foreign) == (3, 0)


def test_the_kernels_own_cookies_are_local(loopback: Wire) -> None:
    """They come from no socket."""
    set_sysctl("tcp_syncookies", 2)
    found = answers_of(loopback, (str(loopback.server), 443), 3)
    assert (found.local, found.foreign) == (3, 0)


@pytest.fixture
def guarded(probe: Probe, tmp_path: Path) -> Iterator[Topology]:
    """Yield a server whose interface the probe guards, and a client of its."""
    with (
        Topology() as topology,
        closing(Claim(tmp_path / "claim.lock", "taken by {pid}")) as claim,
        closing(KnownPrograms()) as known,
    ):
        run_in(
            topology.server,
            lambda: attach.attach(find_interface("net0"), probe.programs, "generic", claim, known),
        )
        yield topology


#: Where a connection to port 443 of the server's first address ends up, by what is translated.
TRANSLATED = {"port": (0, 8443), "address": (9, 443)}


@pytest.mark.netns
@pytest.mark.usefixtures("make_wire")
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("what", TRANSLATED)
def test_what_is_translated_is_foreign(guarded: Topology, probe: Probe, version: int, what: str) -> None:
    """A cookie for the address and port that are asked would be none for the socket that is reached."""
    server = guarded.server
    own = (server.ipv4 if version == 4 else server.ipv6).ip
    offset, port = TRANSLATED[what]
    target = f"{own + offset}:{port}" if version == 4 else f"[{own + offset}]:{port}"
    family = "ip" if version == 4 else "ip6"
    rules = (
        f"add table {family} nat; "
        f"add chain {family} nat pre {{ type nat hook prerouting priority -100; }}; "
        f"add rule {family} nat pre {family} daddr {own} tcp dport 443 dnat to {target}"
    )

    def listen() -> socket.socket:
        if offset:
            own_address(own + offset)
        subprocess.run(["nft", rules], check=True)
        return socket.create_server((str(own + offset), port), family=_FAMILIES[version])

    def connect() -> None:
        socket.create_connection((str(own), 443), timeout=5).close()

    with run_in(server, listen):
        for _ in range(3):
            run_in(guarded.client, connect)
    found = ProbeReader(probe).listener(Listener(own, 443), time.monotonic_ns())
    assert found is not None
    assert found.answer is not None
    assert (found.answer.local, found.answer.foreign) == (0, 3)
    assert found.counts.completed == 3

"""Real cookies from XDP behind real firewalls: what stands against them, and what becomes of clients."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from bench.net.namespaces import SILENT_IPV4, Topology, run_in, write_sysctls
from synguard.endpoint import Listener
from synguard.model import ListenerReading
from synguard.probe import attach
from synguard.probe.claim import Claim
from synguard.probe.interfaces import find_interface
from synguard.probe.known import KnownPrograms
from synguard.probe.listener_rules import EVERYBODY, ListenerAction, ListenerRule, ListenerRules
from synguard.probe.probe import Groups, Probe, Sizes
from synguard.probe.reader import ProbeReader
from synguard.respond.firewall import Way, cookie_answer, cookie_obstacle
from tests.netns.commands import run
from tests.netns.firewalls import FIREWALLS, NATTED_PORT, PORT, SINGLED_OUT
from tests.netns.test_firewall import put, send_segment

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

#: By which a client that got a cookie would be worse off than without.
TRAPS = (
    "a DNATed port with a local listener behind it",
    "what is new and no SYN is dropped",
    "ufw, with connections never picked up",
    "what is invalid is dropped, and connections never picked up",
)
WAY = Way("net0", "xdp-generic")
#: Of ``tcpi_options`` in include/uapi/linux/tcp.h.
_OPTIONS = {"timestamps": 1, "SACK": 2, "wscale": 4}
HARMLESS = tuple(name for name, firewall in FIREWALLS.items() if firewall.obstacle is None)


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    """Load the probe."""
    with contextlib.closing(Probe.load(Sizes(), Groups())) as loaded:
        yield loaded


@pytest.fixture
def guarded(topology: Topology, probe: Probe, tmp_path: Path) -> Iterator[Topology]:
    """Guard the server, whose stack has cookies always on.

    By generic XDP: what a native program sends back on a veth waits for a program at its other end.
    """
    write_sysctls(topology.server.namespace, {"ipv4/tcp_syncookies": 2})
    with (
        contextlib.closing(Claim(tmp_path / "claim.lock", "taken by {pid}")) as claim,
        contextlib.closing(KnownPrograms()) as known,
    ):
        run_in(
            topology.server,
            lambda: attach.attach(find_interface("net0"), probe.programs, "generic", claim, known),
        )
        yield topology


def talks(topology: Topology, source: str, *, found: set[str] | None = None) -> bool:
    """Connect from an address of the client's network; return whether the server's answer comes.

    ``found`` gets the options that both agreed on.
    """
    said = b"hello"

    def talk() -> bool:
        with contextlib.suppress(OSError), socket.socket() as client:
            client.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
            client.bind((source, 0))
            client.settimeout(1.5)
            client.connect((str(topology.server.ipv4.ip), PORT))
            if found is not None:
                (bits,) = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 6)[5:]
                found.update(name for name, bit in _OPTIONS.items() if bits & bit)
            client.sendall(said)
            return client.recv(64) == said
        return False

    return run_in(topology.client, talk)


def echo(listener: socket.socket) -> None:
    """Send back what each client says, until the listener is closed."""
    with contextlib.suppress(OSError):
        while True:
            served, _ = listener.accept()
            with served, contextlib.suppress(OSError):
                served.settimeout(1.0)
                served.sendall(served.recv(64))


@pytest.fixture
def listening(guarded: Topology) -> Iterator[socket.socket]:
    """Listen where the clients connect to."""
    with run_in(guarded.server, partial(socket.create_server, ("", PORT))) as listener:
        yield listener


@pytest.fixture
def echoing(guarded: Topology, listening: socket.socket) -> Iterator[Topology]:
    """Have the server answer on both ports."""
    with contextlib.ExitStack() as stack:
        natted = run_in(guarded.server, partial(socket.create_server, ("", NATTED_PORT)))
        for listener in (listening, stack.enter_context(natted)):
            thread = threading.Thread(target=echo, args=(listener,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
        yield guarded


def reading_of(probe: Probe, listener: Listener) -> ListenerReading:
    """Return what the probe knows of a listener."""
    found = ProbeReader(probe).listener(listener, time.monotonic_ns())
    assert found is not None
    return found


@contextlib.contextmanager
def cookies_at(topology: Topology, probe: Probe) -> Iterator[None]:
    """Answer everybody at a listener with cookies that look like its own answers."""
    rules, listener = ListenerRules(probe), listener_at(topology)
    until_ns = time.monotonic_ns() + 60 * 10**9
    answer = reading_of(probe, listener).answer
    assert answer is not None
    answer = run_in(topology.server, partial(cookie_answer, answer))
    rules.put(listener, ListenerRule(ListenerAction.COOKIE, until_ns, EVERYBODY, answer))
    try:
        yield
    finally:
        rules.end(listener)


def listener_at(topology: Topology) -> Listener:
    """Return the listener that clients talk to."""
    return Listener(ip_address(topology.server.ipv4.ip), PORT)


@pytest.mark.parametrize("name", HARMLESS)
def test_where_nothing_stands_against_cookies_clients_talk(
    echoing: Topology, probe: Probe, tmp_path: Path, name: str
) -> None:
    """Behind a firewall that is no obstacle, every client that is answered with a cookie can talk."""
    put(echoing, FIREWALLS[name], tmp_path)
    client, listener = str(echoing.client.ipv4.ip), listener_at(echoing)
    assert talks(echoing, client)
    before = reading_of(probe, listener)
    answer = before.answer
    assert run_in(echoing.server, lambda: cookie_obstacle(listener, answer, [WAY])) is None
    with cookies_at(echoing, probe):
        assert talks(echoing, client)
        assert talks(echoing, SINGLED_OUT)
    after = reading_of(probe, listener)
    assert after.cookies_sent - before.cookies_sent == 2
    assert after.cookies_connected - before.cookies_connected == 2


@pytest.mark.parametrize("name", TRAPS)
def test_cookies_in_spite_of_an_obstacle_would_break_clients(
    echoing: Topology, probe: Probe, tmp_path: Path, name: str
) -> None:
    """Where an obstacle is told, a client that talked before cannot talk by a cookie."""
    listener, client = listener_at(echoing), str(echoing.client.ipv4.ip)
    assert talks(echoing, client)
    answer = reading_of(probe, listener).answer
    put(echoing, FIREWALLS[name], tmp_path)
    assert talks(echoing, client)
    assert run_in(echoing.server, lambda: cookie_obstacle(listener, answer, [WAY])) is not None
    with cookies_at(echoing, probe):
        assert not talks(echoing, client)


def test_a_natted_port_is_known_by_its_answers(echoing: Topology, probe: Probe, tmp_path: Path) -> None:
    """SYN-ACKs of a socket of another port tell that a port is NATed, even where no rule would."""
    put(echoing, FIREWALLS["a redirected port"], tmp_path)
    # The kernel's own cookies belong to no socket, so they tell nothing of it.
    write_sysctls(echoing.server.namespace, {"ipv4/tcp_syncookies": 1})
    assert talks(echoing, str(echoing.client.ipv4.ip))
    run(echoing.server, "nft", "flush", "ruleset")
    listener = listener_at(echoing)
    answer = reading_of(probe, listener).answer
    found = run_in(echoing.server, lambda: cookie_obstacle(listener, answer, [WAY]))
    assert "is forwarded or NATed" in (found or "")


def fill_syn_queue(topology: Topology, listening: socket.socket) -> None:
    """Leave the listener room for a single handshake, and begin more, which nobody goes on with."""
    listening.listen(1)
    for port in range(2000, 2010):
        send_segment(topology, str(SILENT_IPV4), port, "S").close()


@pytest.mark.parametrize(
    ("syncookies", "is_full", "sent"), [(0, False, 0), (1, False, 0), (1, True, 1), (2, False, 1)]
)
def test_when_the_kernel_gives_out_cookies(
    echoing: Topology, listening: socket.socket, probe: Probe, syncookies: int, is_full: bool, sent: int
) -> None:
    """Never with tcp_syncookies off, at a full SYN queue with 1, at once with 2; else the stack answers."""
    assert talks(echoing, str(echoing.client.ipv4.ip))
    write_sysctls(echoing.server.namespace, {"ipv4/tcp_syncookies": syncookies})
    before = reading_of(probe, listener_at(echoing)).cookies_sent
    if is_full:
        fill_syn_queue(echoing, listening)
    with cookies_at(echoing, probe):
        assert talks(echoing, SINGLED_OUT)
    assert reading_of(probe, listener_at(echoing)).cookies_sent - before == sent


@pytest.mark.parametrize(("tcp_timestamps", "options"), [(0, set()), (1, set()), (2, set(_OPTIONS))])
def test_what_connections_by_cookies_have(
    echoing: Topology, probe: Probe, tcp_timestamps: int, options: set[str]
) -> None:
    """Each client talks, with an MSS alone, or with all options if tcp_timestamps is 2."""
    write_sysctls(echoing.server.namespace, {"ipv4/tcp_timestamps": tcp_timestamps})
    assert talks(echoing, str(echoing.client.ipv4.ip))
    with cookies_at(echoing, probe):
        for number in range(10, 22):
            found: set[str] = set()
            assert talks(echoing, f"198.19.10.{number}", found=found)
            assert found == options

"""What a daemon on a real interface counts, held against what real kernels did."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from bench.defences.guard import Guard
from bench.net.namespaces import SILENT_IPV4, Topology, run_in, wait_until

from .conftest import OpenListener, ShakeHands, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8443


def totals(guard: Guard) -> dict[str, int]:
    """Return the daemon's totals as ``synguard status`` shows them."""
    counted: dict[str, int] = guard.status()["totals"]
    return counted


def send_from_attacker(topology: Topology, segments: list[TCP]) -> None:
    """Send segments from an address that nobody owns, as whole frames."""

    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((topology.attacker.interface, 0))
            for segment in segments:
                packet = IP(src=str(SILENT_IPV4), dst=str(topology.server.ipv4.ip)) / segment
                raw.send(bytes(Ether(src=topology.attacker.mac, dst=topology.server.mac) / packet))

    run_in(topology.attacker, send)


def test_23_handshakes_of_each_family_are_counted_to_the_one(
    topology: Topology,
    open_listener: OpenListener,
    shake_hands_from_client: ShakeHands,
    start_daemon: StartDaemon,
) -> None:
    """Real handshakes of IPv4 and IPv6 give exactly as many attempts, answers and completions."""
    addresses = [str(topology.server.ipv4.ip), str(topology.server.ipv6.ip)]
    for address in addresses:
        open_listener(address, PORT)
    guard = start_daemon()
    for number, address in enumerate(addresses, start=1):
        shake_hands_from_client(address, PORT, 23)
        wait_until(lambda number=number: totals(guard)["completed"] >= 23 * number, "the last ACK")  # type: ignore[misc]
    counted = totals(guard)
    assert {name: counted[name] for name in ("attempts", "answered", "completed")} == {
        "attempts": 46,
        "answered": 46,
        "completed": 46,
    }
    assert counted["syn_retransmits"] == counted["aborted"] == counted["refused"] == counted["unparsed"] == 0
    listeners = {row["listener"]: row for row in guard.status()["listeners"] if not row["closed_ports"]}
    assert len(guard.status()["listeners"]) == 2
    for name in (f"{addresses[0]}:{PORT}", f"[{addresses[1]}]:{PORT}"):
        assert (listeners[name]["attempts"], listeners[name]["completed"]) == (23, 23)


def test_acks_that_prove_nothing_complete_nothing(
    topology: Topology, open_listener: OpenListener, start_daemon: StartDaemon
) -> None:
    """23 unfinished SYNs padded with 1,000 wrong ACKs stay 23 attempts and 0 completed."""
    open_listener(str(topology.server.ipv4.ip), PORT)
    guard = start_daemon()
    numbers = random.Random(23)  # noqa: S311 - a draw that repeats
    ports = range(20_000, 20_023)
    send_from_attacker(topology, [TCP(sport=port, dport=PORT, flags="S", seq=port) for port in ports])
    wait_until(lambda: totals(guard)["answered"] == 23, "23 SYN-ACKs")
    send_from_attacker(
        topology,
        [
            TCP(sport=numbers.choice(ports), dport=PORT, flags="A", seq=1, ack=numbers.randrange(1 << 32))
            for _ in range(1000)
        ],
    )
    wait_until(lambda: totals(guard)["packets"] >= 1023, "the last wrong ACK")
    counted = totals(guard)
    assert (counted["attempts"], counted["completed"]) == (23, 0)


def test_closed_ports_refuse_and_own_connections_are_no_attempts(
    topology: Topology, open_listener: OpenListener, start_daemon: StartDaemon
) -> None:
    """A SYN to a closed port is refused; what the machine itself opens is not counted."""
    server, client = str(topology.server.ipv4.ip), str(topology.client.ipv4.ip)
    open_listener(server, PORT)
    guard = start_daemon()

    def connect_to(host: str, port: int) -> Callable[[], int]:
        def connect() -> int:
            with socket.socket() as connection:
                return connection.connect_ex((host, port))

        return connect

    assert run_in(topology.client, connect_to(server, PORT + 1)) != 0
    assert run_in(topology.server, connect_to(client, PORT)) != 0
    wait_until(lambda: totals(guard)["refused"] == 1, "the refusal")
    assert totals(guard)["attempts"] == 1

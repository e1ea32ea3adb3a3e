"""Whether cookies would break something: asked of real firewalls, and compared with whom they let through."""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from bench.net.namespaces import Topology, run_in, write_sysctls
from synguard.endpoint import Listener
from synguard.handshake import Answer
from synguard.respond import firewall, firewall_reading
from synguard.respond.firewall import Way, cookie_answer, cookie_loss, cookie_obstacle
from tests.netns.commands import run
from tests.netns.firewalls import (
    DIFFERENTLY,
    FIREWALLS,
    NATTED_PORT,
    PORT,
    SINGLED_OUT,
    Firewall,
    table,
)

pytestmark = [pytest.mark.root, pytest.mark.netns]

ANSWER = Answer(1460, 65160, 7, sack=True, timestamps=True, ttl=64, local=5, foreign=0)
WAY = Way("net0", "xdp-native")
RESTORE = {
    "nft": ["nft", "-f"],
    "iptables-nft": ["iptables-nft-restore"],
    "iptables-legacy": ["iptables-legacy-restore"],
}

_ports = itertools.count(20_000)


@pytest.fixture
def served(topology: Topology) -> Iterator[Topology]:
    """Listen on the ports of the firewalls in the server's namespace."""
    with contextlib.ExitStack() as stack:
        for port in (PORT, NATTED_PORT):
            listener = run_in(topology.server, partial(socket.create_server, ("", port)))
            stack.enter_context(listener)
        yield topology


def put(topology: Topology, wanted: Firewall, folder: Path) -> None:
    """Make the server's namespace have a firewall."""
    file = folder / "rules"
    file.write_text(wanted.rules)
    run(topology.server, *RESTORE[wanted.tool], str(file))
    # Before any rule asks for it there is no connection tracking, nor its setting.
    picks_up = {"netfilter/nf_conntrack_tcp_loose": int(wanted.picks_up)}
    write_sysctls(topology.server.namespace, picks_up)


def listener_at(topology: Topology, port: int = PORT, *, ipv6: bool = False) -> Listener:
    """Return a listener of the server's."""
    return Listener(ip_address((topology.server.ipv6 if ipv6 else topology.server.ipv4).ip), port)


def obstacle(topology: Topology, listener: Listener | None = None, **changes: object) -> str | None:
    """Ask what stands against cookies, in the server's namespace."""
    asked = listener or listener_at(topology)
    answer, ways = changes.get("answer", ANSWER), changes.get("ways", [WAY])
    assert answer is None or isinstance(answer, Answer)
    assert isinstance(ways, list)
    return run_in(topology.server, lambda: cookie_obstacle(asked, answer, ways))


def send_segment(topology: Topology, source: str, port: int, flags: str) -> socket.socket:
    """Send one segment from the client's wire to the server; return the wire, which hears what comes."""
    client, server = topology.client, topology.server
    segment = TCP(sport=port, dport=PORT, flags=flags, seq=1000, ack=0 if flags == "S" else 2000)
    frame = Ether(src=client.mac, dst=server.mac) / IP(src=source, dst=str(server.ipv4.ip)) / segment
    wire = run_in(client, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x0800)))
    wire.bind((client.interface, 0))
    wire.settimeout(0.3)
    wire.send(bytes(frame))
    return wire


def is_answered(topology: Topology, source: str, flags: str) -> bool:
    """Send one segment of a connection that nobody has seen to the server; return whether it answers by TCP.

    The stack answers a SYN with SYN-ACK, and a late ACK, which is no valid cookie, with RST.
    """
    port = next(_ports)
    with send_segment(topology, source, port, flags) as wire, contextlib.suppress(TimeoutError):
        while True:
            answer = Ether(wire.recv(2048))
            if TCP in answer and answer[TCP].dport == port and answer[IP].dst == source:
                return True
    return False


def lets_everybody_through(topology: Topology) -> bool:
    """Try whether the SYNs and late ACKs of two clients come through to the listener."""
    sources = (str(topology.client.ipv4.ip), SINGLED_OUT)
    return all(is_answered(topology, source, flags) for source in sources for flags in "SA")


@pytest.mark.parametrize("name", FIREWALLS)
def test_firewalls_that_people_have(served: Topology, tmp_path: Path, name: str) -> None:
    """A firewall that treats all clients, and late ACKs, alike is no obstacle; any other one is named."""
    wanted = FIREWALLS[name]
    put(served, wanted, tmp_path)
    found = obstacle(served)
    if wanted.obstacle is None:
        assert found is None
        assert lets_everybody_through(served)
    else:
        assert wanted.obstacle in (found or "")
        assert wanted.where in (found or "")
        assert not (wanted.shows and lets_everybody_through(served))


def test_ipv6_has_its_own_rules(served: Topology, tmp_path: Path) -> None:
    """Rules for IPv4 do not stand in IPv6's way; firewalld's check of IPv6 routes does."""
    listener = listener_at(served, ipv6=True)
    with run_in(
        served.server, lambda: socket.create_server((str(listener.address), PORT), family=socket.AF_INET6)
    ):
        put(served, FIREWALLS["one client is dropped"], tmp_path)
        assert obstacle(served, listener) is None
        run(served.server, "nft", "flush", "ruleset")
        put(served, FIREWALLS["firewalld"], tmp_path)
        assert "fib saddr . mark . iif oif" in (obstacle(served, listener) or "")


@pytest.mark.parametrize(
    ("syncookies", "said"),
    [(0, "sysctl net.ipv4.tcp_syncookies=1, or 2"), (1, None), (2, None)],
)
def test_tcp_syncookies(served: Topology, syncookies: int, said: str | None) -> None:
    """Off, the kernel gives out no cookies, which is told with what to do; on, or always on, it does."""
    write_sysctls(served.server.namespace, {"ipv4/tcp_syncookies": syncookies})
    found = obstacle(served)
    assert said in (found or "") if said else found is None


@pytest.mark.parametrize(
    ("tcp_timestamps", "lost"),
    [
        (0, "window scaling, SACK and timestamps"),
        (1, "window scaling, SACK and timestamps"),
        (2, None),
    ],
)
def test_tcp_timestamps(served: Topology, tcp_timestamps: int, lost: str | None) -> None:
    """Only with timestamps of no offset is there room for more than an MSS, else the loss is told."""
    sysctls = {"ipv4/tcp_timestamps": tcp_timestamps, "ipv4/tcp_syncookies": 2}
    write_sysctls(served.server.namespace, sysctls)
    plain = Answer(1460, 65160, None, sack=False, timestamps=False, ttl=64, local=5, foreign=0)
    found, sent, of_plain = run_in(
        served.server, lambda: (cookie_loss(ANSWER), cookie_answer(ANSWER), cookie_loss(plain))
    )
    assert lost in (found or "") if lost else found is None
    assert sent == (plain if lost else ANSWER)
    assert of_plain is None


@pytest.mark.parametrize("tcp_syncookies", [1, 2])
def test_that_cookies_wait_for_a_full_queue_is_told(served: Topology, tcp_syncookies: int) -> None:
    """With the kernel's default clients are late while the greylist stands before the queue."""
    write_sysctls(served.server.namespace, {"ipv4/tcp_syncookies": tcp_syncookies, "ipv4/tcp_timestamps": 2})
    found = run_in(served.server, lambda: cookie_loss(ANSWER))
    assert ("tcp_syncookies=2 spares them" in (found or "")) == (tcp_syncookies == 1)


@pytest.mark.parametrize(
    ("answer", "ways", "said"),
    [
        (None, [WAY], "own SYN-ACKs have not been seen"),
        (replace(ANSWER, foreign=1), [WAY], "is forwarded or NATed"),
        (replace(ANSWER, local=0), [WAY], "is forwarded or NATed"),
        (ANSWER, [], "no interface has the probe as XDP program"),
        (ANSWER, [Way("net0", "tc-ingress")], "no interface has the probe as XDP program"),
        (ANSWER, [Way("net0", None)], "no interface has the probe as XDP program"),
        (ANSWER, [Way("net0", "xdp-native", None)], "what goes out by net0 is not seen"),
        (ANSWER, [Way("gone0", "xdp-native")], "there is no interface gone0 any more"),
        (ANSWER, [Way("net0", "tc-ingress"), WAY], None),
    ],
)
def test_what_else_stands_against_cookies(
    served: Topology, answer: Answer | None, ways: list[Way], said: str | None
) -> None:
    """An answer nobody saw, or somebody else's, or a probe that cannot answer there, is told in words."""
    found = obstacle(served, answer=answer, ways=ways)
    assert said in (found or "") if said else found is None


def test_a_listener_has_a_socket_here(served: Topology) -> None:
    """An address of somebody else's, or a port on which nothing listens, is none to answer for."""
    elsewhere = Listener(served.client.ipv4.ip, PORT)
    assert "is not an address of this machine" in (obstacle(served, elsewhere) or "")
    assert "no socket of this network namespace listens" in (
        obstacle(served, listener_at(served, 4711)) or ""
    )


def test_one_socket_listens_for_both_families(topology: Topology) -> None:
    """A socket of IPv6 for all addresses serves IPv4 as well, unless it says that it does not."""
    for shared in (True, False):
        with run_in(
            topology.server,
            partial(socket.create_server, ("", PORT), family=socket.AF_INET6, dualstack_ipv6=shared),
        ):
            assert obstacle(topology, listener_at(topology, ipv6=True)) is None
            assert (obstacle(topology) is None) == shared


def test_our_own_table_is_no_obstacle(served: Topology, tmp_path: Path) -> None:
    """What our own rules drop of blocked sources, they are meant to."""
    ours = table("inet synguard", "filter hook prerouting priority raw", f"ip saddr {SINGLED_OUT} drop")
    put(served, Firewall("nft", ours, None), tmp_path)
    assert obstacle(served) is None


def test_a_firewall_beyond_all_measure(
    served: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More rules than can be looked through in time are an obstacle, and so are rules that cannot be read."""
    put(served, FIREWALLS["verdicts by map"], tmp_path)
    monkeypatch.setattr(firewall, "STEPS_MAX", 3)
    assert "more rules and elements than are looked through" in (obstacle(served) or "")
    monkeypatch.setitem(sys.modules, "nftables", None)
    assert "install the package python3-nftables" in (obstacle(served) or "")


def test_legacy_rules_that_cannot_be_read(
    served: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables of iptables-legacy whose rules nobody tells are an obstacle, by name."""
    put(served, FIREWALLS["iptables-legacy"], tmp_path)
    monkeypatch.setattr(firewall_reading, "_PATH", str(tmp_path))
    assert "rules of iptables-legacy may be there (table filter)" in (obstacle(served) or "")


def test_iptables_nft_without_its_tool(
    served: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody explains what iptables-nft's matches ask for, they may ask for anything."""
    put(served, FIREWALLS["iptables-nft"], tmp_path)
    (tmp_path / "iptables-legacy-save").symlink_to("/usr/sbin/iptables-legacy-save")
    monkeypatch.setattr(firewall_reading, "_PATH", str(tmp_path))
    assert DIFFERENTLY in (obstacle(served) or "")
    assert "xt match conntrack" in (obstacle(served) or "")

"""Real handshakes over every kind of interface that this kernel has, counted to the one."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.net.namespaces import Topology

from .devices import (
    IFF_TAP,
    IFF_TUN,
    QUIET_PARENTS,
    Daemon,
    Way,
    Workshop,
    assert_exact,
    count_handshakes,
    shown,
)

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

NO_NATIVE = "native XDP is refused here (Underlying driver does not support XDP in native mode)"
#: What a container has of its own that matters here.
CONTAINER = (
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--mount-proc",
    "--uts",
    "--ipc",
    "--cgroup",
    "--kill-child",
)
#: How each is guarded, and why not better.
EXPECTED = {
    "veth": ("xdp-native", None),
    "jumbo": ("xdp-generic", "native XDP is refused here (veth: Peer MTU is too large to set XDP)"),
    "bridge": ("xdp-generic", NO_NATIVE),
    "bridge port": ("xdp-native", None),
    "macvlan bridge": ("xdp-generic", NO_NATIVE),
    "macvlan private": ("xdp-generic", NO_NATIVE),
    "macvlan vepa": ("xdp-generic", NO_NATIVE),
    "macvlan passthru": ("xdp-generic", NO_NATIVE),
    "macvtap": ("xdp-generic", NO_NATIVE),
    "vxlan": ("xdp-generic", NO_NATIVE),
    "tap": ("xdp-native", None),
    "tun": (
        "tc-ingress",
        "XDP is not tried without Ethernet header; tc only observes: blocks are not enforced here",
    ),
    "loopback": ("xdp-generic", NO_NATIVE),
}


def build(workshop: Workshop) -> dict[str, Way]:
    """Build one of each kind."""
    modes = ("bridge", "private", "vepa", "passthru")
    return {
        "veth": workshop.veth("veth0"),
        "jumbo": workshop.veth("jumbo0", mtu=9000),
        "bridge": workshop.bridge("br0"),
        "bridge port": workshop.bridge("br1", guard_port=True),
        **{f"macvlan {mode}": workshop.macvlan(f"m-{mode}", mode) for mode in modes},
        "macvtap": workshop.macvtap("mvt0"),
        "vxlan": workshop.vxlan("vx0"),
        "tap": workshop.tuntap("tap0", IFF_TAP),
        "tun": workshop.tuntap("tun0", IFF_TUN),
        "loopback": workshop.loopback(),
    }


@dataclass(frozen=True, slots=True)
class Arena:
    """One daemon that guards one interface of each kind."""

    ways: dict[str, Way]
    daemon: Daemon


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Build all, and start the daemon."""
    with contextlib.ExitStack() as stack:
        topology = stack.enter_context(Topology(QUIET_PARENTS))
        ways = build(stack.enter_context(Workshop(topology)))
        interfaces = [way.guarded for way in ways.values()]
        daemon = stack.enter_context(Daemon(topology.server, interfaces, tmp_path_factory.mktemp("daemon")))
        daemon.wait_until_ready()
        yield Arena(ways, daemon)
        assert daemon.stop() == 0


@pytest.mark.parametrize("kind", EXPECTED)
def test_23_handshakes_of_each_family_are_counted_to_the_one(arena: Arena, kind: str) -> None:
    """Each interface is guarded the best way it can be, and nothing is counted twice or missed."""
    way = arena.ways[kind]
    described = arena.daemon.interface(way.guarded)
    assert (described["ingress"], described["note"]) == EXPECTED[kind]
    assert described["egress"] == "tc-clsact"
    assert_exact(count_handshakes(arena.daemon, way))


def test_a_syn_that_crosses_two_guarded_interfaces_counts_once(tmp_path: Path) -> None:
    """A gateway guarded on either side counts what passes through it once."""
    with Topology(role="gateway") as topology:
        gateway = topology.guarded
        with Daemon(gateway, ["net0", "net1"], tmp_path) as daemon:
            daemon.wait_until_ready()
            server = topology.server
            addresses = (str(server.ipv4.ip), str(server.ipv6.ip))
            risen = count_handshakes(daemon, Way("net0", server, topology.client, addresses))
    # Each SYN-ACK leaves by one of the two.
    assert_exact(risen)


def test_a_daemon_in_a_container_guards_the_containers_end(topology: Topology, tmp_path: Path) -> None:
    """Namespaces of its own, all but that of the users, keep it neither from guarding nor from leaving."""
    with Workshop(topology) as workshop:
        way = workshop.veth("eth0")
        before = shown(topology.server, "eth0")
        with Daemon(topology.server, ["eth0"], tmp_path, inside=CONTAINER) as daemon:
            daemon.wait_until_ready()
            assert daemon.interface("eth0")["ingress"] == "xdp-native"
            assert_exact(count_handshakes(daemon, way))
            # unshare(1) keeps SIGTERM from itself, so tell the process inside.
            (inside,) = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
            os.kill(int(inside), signal.SIGTERM)
            assert daemon.wait() == 0
        assert shown(topology.server, "eth0") == before

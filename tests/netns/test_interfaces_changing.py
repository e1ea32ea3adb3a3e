"""Interfaces that go down, vanish, move away, grow, or are freed while they are guarded."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bench.net.links import Endpoint, attach_xdp
from bench.net.namespaces import Topology, wait_until
from synguard.probe.compiler import ProgramType, load_object

from .devices import Daemon, Way, Workshop, assert_exact, count_handshakes, ip, shown

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

#: Each test has its own.
INTERFACES = ("updown0", "gone0", "moved0", "native0", "freed0")
JUMBO = "generic0"
SOURCE = "#include <uapi/linux/bpf.h>\nint somebody_elses(struct xdp_md *frame) { return XDP_PASS; }\n"


@dataclass(frozen=True, slots=True)
class Arena:
    """One daemon, and the interfaces that it guards."""

    topology: Topology
    workshop: Workshop
    ways: dict[str, Way]
    daemon: Daemon

    def wait(self, name: str, **state: object) -> None:
        """Wait until ``synguard status`` says so of an interface."""
        wait_until(
            lambda: self.daemon.interface(name).items() >= state.items(), f"{name} as {state}", timeout_s=10.0
        )

    def attachments(self, name: str) -> int:
        """Return how often the daemon has put the probe onto an interface."""
        return sum(event.fields["interface"] == name for event in self.daemon.named("probe.attached"))

    def address(self, name: str) -> None:
        """Give an interface that came back its addresses again."""
        ipv4, ipv6 = self.ways[name].addresses
        ip(
            self.topology.server,
            f"link set {name} up",
            f"addr replace {ipv4}/24 dev {name}",
            f"addr replace {ipv6}/64 dev {name} nodad",
        )


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Build all interfaces, let somebody else have one of them, and start the daemon."""
    folder = tmp_path_factory.mktemp("changing")
    (folder / "theirs.c").write_text(SOURCE)
    theirs = load_object(folder / "theirs.c", {"somebody_elses": ProgramType.XDP})
    with contextlib.closing(theirs), Topology() as topology, Workshop(topology) as workshop:
        ways = {name: workshop.veth(name) for name in INTERFACES} | {JUMBO: workshop.veth(JUMBO, mtu=9000)}
        attach_xdp(topology.server.namespace, "freed0", theirs.programs["somebody_elses"])
        with Daemon(topology.server, list(ways), folder) as daemon:
            daemon.wait_until_ready()
            yield Arena(topology, workshop, ways, daemon)
            assert daemon.stop() == 0


def test_an_interface_that_was_down_is_guarded_on(arena: Arena) -> None:
    """Down is not gone: the probe stays, and counts as soon as it is up again."""
    ip(arena.topology.server, "link set updown0 down")
    arena.address("updown0")
    assert_exact(count_handshakes(arena.daemon, arena.ways["updown0"]))
    assert arena.attachments("updown0") == 1


def test_an_interface_that_is_made_anew_is_guarded_anew(arena: Arena) -> None:
    """Of the same name and with another index, as after an engine restarted its container."""
    index = arena.daemon.interface("gone0")["index"]
    ip(arena.topology.server, "link del gone0")
    arena.wait("gone0", attached=False)
    arena.workshop.wire("gone0")
    far = arena.ways["gone0"].addresses[0].removesuffix("1") + "2"
    ip(arena.topology.client, f"addr add {far}/24 dev gone0")
    arena.wait("gone0", attached=True, ingress="xdp-native")
    assert arena.daemon.interface("gone0")["index"] != index
    arena.address("gone0")
    far = arena.ways["gone0"].addresses[1].removesuffix("1") + "2"
    ip(arena.topology.client, f"addr add {far}/64 dev gone0 nodad")
    assert_exact(count_handshakes(arena.daemon, arena.ways["gone0"]))


def test_an_interface_that_moves_to_another_namespace_takes_nothing_along(arena: Arena) -> None:
    """The kernel would let our XDP program go with it, and run there for good."""
    server, elsewhere = arena.topology.server, arena.topology.attacker
    assert "synguard_xdp" in shown(server, "moved0")
    ip(server, f"link set moved0 netns {elsewhere.namespace} name away0")
    arena.wait("moved0", attached=False)
    wait_until(lambda: "xdp" not in shown(elsewhere, "away0"), "taking the program away")
    ip(elsewhere, f"link set away0 netns {server.namespace} name moved0")
    arena.wait("moved0", attached=True, ingress="xdp-native")
    arena.address("moved0")
    assert_exact(count_handshakes(arena.daemon, arena.ways["moved0"]))


def set_mtu(endpoint: Endpoint, interface: str, mtu: int) -> str:
    """Set an interface's MTU; return what the kernel says against it."""
    argv = ["ip", "-n", endpoint.namespace, "link", "set", interface, "mtu", str(mtu)]
    return subprocess.run(argv, check=False, capture_output=True, text=True).stderr


def test_a_larger_mtu_than_native_xdp_can_take_is_refused_by_the_kernel(arena: Arena) -> None:
    """It protects the program that is there; where frames can only be sent larger, counting goes on."""
    server, client = arena.topology.server, arena.topology.client
    assert "mtu greater than device maximum" in set_mtu(client, "native0", 9000)
    assert set_mtu(server, "native0", 9000) == ""
    assert_exact(count_handshakes(arena.daemon, arena.ways["native0"]))
    assert arena.daemon.interface("native0")["ingress"] == "xdp-native"
    assert arena.attachments("native0") == 1


def test_a_generic_program_stays_whatever_the_mtu(arena: Arena) -> None:
    """An MTU of 9000 was in the way of native XDP; 1500 and more than 9000 are in nobody's way."""
    assert "MTU is too large" in str(arena.daemon.interface(JUMBO)["note"])
    for mtu in (1500, 60000):
        for host in (arena.topology.server, arena.topology.client):
            assert set_mtu(host, JUMBO, mtu) == ""
        assert_exact(count_handshakes(arena.daemon, arena.ways[JUMBO]))
    assert arena.daemon.interface(JUMBO)["ingress"] == "xdp-generic"


def test_an_interface_that_somebody_else_leaves_is_guarded_the_best_way(arena: Arena) -> None:
    """As long as theirs is there we observe; afterwards blocks are enforced, and no SYN counts twice."""
    described = arena.daemon.interface("freed0")
    assert described["ingress"] == "tc-ingress"
    assert "somebody_elses" in str(described["note"])
    assert_exact(count_handshakes(arena.daemon, arena.ways["freed0"]))
    attach_xdp(arena.topology.server.namespace, "freed0", -1)
    arena.wait("freed0", ingress="xdp-native", note=None)
    assert "synguard_xdp" in shown(arena.topology.server, "freed0")
    assert_exact(count_handshakes(arena.daemon, arena.ways["freed0"]))

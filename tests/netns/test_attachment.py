"""The probe on its interface: beside other people's programs, on links that come and go, once each."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from bench.defences.guard import Guard, synguard_command
from bench.net.links import attach_xdp
from bench.net.namespaces import Topology, run_in, start_in, wait_until
from synguard import client
from synguard.errors import UnsupportedError
from synguard.probe.compiler import LoadedObject
from synguard.probe.interfaces import default_route_interfaces

from .commands import attached, run
from .conftest import OpenListener, ShakeHands, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]


def of_interface(guard: Guard) -> dict[str, object]:
    """Return what ``synguard status`` says of the one interface."""
    (interface,) = guard.status()["interfaces"]
    described: dict[str, object] = interface
    return described


def test_a_stopped_daemon_leaves_the_interface_as_it_was(
    topology: Topology, start_daemon: StartDaemon
) -> None:
    """After SIGTERM no program, filter, qdisc or claim of ours is left."""
    before = attached(topology.server)
    guard = start_daemon()
    assert of_interface(guard)["ingress"] == "xdp-native"
    assert of_interface(guard)["egress"] == "tc-clsact"
    assert "synguard_xdp" in attached(topology.server)
    assert guard.stop() == 0
    assert attached(topology.server) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_is_stopped_while_it_starts_leaves_nothing(
    topology: Topology, tmp_path: Path, number: signal.Signals
) -> None:
    """A signal between the first attachment and readiness is a clean stop like any other."""
    before = attached(topology.server)
    with Guard(topology.server, tmp_path, "dry-run") as guard:
        guard.wait_for(lambda: bool(guard.named("probe.attached")), "the attachment", 30.0)
        os.kill(guard.pid, number)
        guard.wait_for(lambda: len(guard.named("probe.detached")) == 1, "the end", 10.0)
        assert guard.wait() == 0  # A second signal would be another story.
    assert attached(topology.server) == before


def test_somebody_elses_xdp_program_stays_and_we_observe(
    topology: Topology,
    foreign: LoadedObject,
    open_listener: OpenListener,
    shake_hands_from_client: ShakeHands,
    start_daemon: StartDaemon,
) -> None:
    """Where XDP is taken, tc counts instead, status says so, and their program is not touched."""
    server = topology.server
    attach_xdp(server.namespace, server.interface, foreign.programs["somebody_elses"])
    before = attached(topology.server)
    open_listener(str(server.ipv4.ip), 8080)
    guard = start_daemon()
    described = of_interface(guard)
    assert described["ingress"] == "tc-ingress"
    assert "somebody else's XDP program (somebody_elses" in str(described["note"])
    with pytest.raises(UnsupportedError, match="nothing was blocked"):
        client.request(guard.socket, "block_add", target="203.0.113.7", ttl_s=60.0)
    shake_hands_from_client(str(server.ipv4.ip), 8080, 23)
    wait_until(lambda: guard.status()["totals"]["completed"] == 23, "23 completions")
    assert guard.stop() == 0
    assert "somebody_elses" in before
    assert attached(topology.server) == before


def test_other_peoples_qdiscs_and_filters_stay(
    topology: Topology, foreign: LoadedObject, start_daemon: StartDaemon
) -> None:
    """A clsact qdisc with filters that were there before us is there after us, unchanged."""

    def add_filters() -> None:
        with IPRoute() as route:
            (index,) = route.link_lookup(ifname=topology.server.interface)
            route.tc("add", "clsact", index)
            for parent in ("ffff:fff2", "ffff:fff3"):
                fd = foreign.programs["their_filter"]
                route.tc(
                    "add-filter", "bpf", index, ":1", fd=fd, name="theirs", parent=parent, prio=1,
                    direct_action=True,
                )  # fmt: skip

    run_in(topology.server, add_filters)
    before = attached(topology.server)
    assert before.count("theirs") == 2
    guard = start_daemon()
    assert "synguard_egress" in attached(topology.server)
    assert guard.stop() == 0
    assert attached(topology.server) == before


def test_a_second_daemon_is_refused_with_the_first_ones_pid(
    topology: Topology, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """Two daemons on one interface would undo each other's work."""
    guard = start_daemon()
    second = run(
        topology.server,
        *synguard_command("run", "--interface", topology.server.interface),
        *("--socket", str(tmp_path / "second.sock"), "--database", str(tmp_path / "second.db")),
        check=False,
    )
    assert second.returncode == 1
    assert str(guard.pid) in second.stderr
    assert of_interface(guard)["attached"] is True


def test_two_daemons_never_write_one_database(topology: Topology, start_daemon: StartDaemon) -> None:
    """They would give different alerts the same ids, so the second is told whose database it is."""
    guard = start_daemon()
    second = run(
        topology.server,
        *synguard_command("run", "--interface", "lo", "--database", str(guard.database)),
        *("--socket", str(guard.socket) + "2"),
        check=False,
    )
    assert second.returncode == 1
    assert str(guard.pid) in second.stderr
    assert "--database" in second.stderr


def test_without_a_default_route_the_daemon_waits_for_one(topology: Topology, tmp_path: Path) -> None:
    """At boot the network may come after the daemon: it says so, and then guards it."""
    run(topology.server, "ip", "route", "del", "default")
    run(topology.server, "ip", "-6", "route", "del", "default")
    log = tmp_path / "log"
    argv = synguard_command("run", "--database", str(tmp_path / "h.db"), "--socket", str(tmp_path / "c.sock"))
    with log.open("wb") as output, start_in(topology.server, argv, stdout=output) as daemon:
        try:
            wait_until(lambda: "route.missing" in log.read_text(), "the warning", 10.0)
            add = ("ip", "route", "add", "default", "via", "198.18.0.254", "dev", "net0", "onlink")
            run(topology.server, *add)
            wait_until(lambda: "daemon.ready" in log.read_text(), "guarding", 20.0)
            assert '"interface": "net0"' in log.read_text()
        finally:
            daemon.terminate()
        assert daemon.wait(20) == 0


def test_a_killed_daemon_blocks_no_start_and_leaves_nothing_in_the_end(
    topology: Topology, start_daemon: StartDaemon
) -> None:
    """The next daemon takes over what a killed one left, and takes it away when it stops."""
    before = attached(topology.server)
    guard = start_daemon()
    os.kill(guard.pid, signal.SIGKILL)
    guard.stop()
    assert "synguard_xdp" in attached(topology.server)
    second = start_daemon()
    assert of_interface(second)["ingress"] == "xdp-native"
    assert second.stop() == 0
    assert attached(topology.server) == before


def test_detach_removes_what_a_killed_daemon_left(topology: Topology, start_daemon: StartDaemon) -> None:
    """``synguard detach`` cleans up without a daemon, and refuses while one runs."""
    before = attached(topology.server)
    guard = start_daemon()
    refused = run(topology.server, *synguard_command("detach"), check=False)
    assert refused.returncode == 1
    assert str(guard.pid) in refused.stderr
    os.kill(guard.pid, signal.SIGKILL)
    guard.stop()
    removed = run(topology.server, *synguard_command("detach"))
    assert "XDP" in removed.stdout
    assert attached(topology.server) == before


def test_an_interface_that_vanishes_is_guarded_again_when_it_comes_back(
    topology: Topology, start_daemon: StartDaemon
) -> None:
    """A link that is renamed away is reported missing, and attached when its name is back."""
    interface = topology.server.interface
    guard = start_daemon()
    for name, new_name in ((interface, "elsewhere"), ("elsewhere", interface)):
        run(topology.server, "ip", "link", "set", "dev", name, "down")
        run(topology.server, "ip", "link", "set", "dev", name, "name", new_name)
        present = new_name == interface
        wait_until(lambda present=present: of_interface(guard)["attached"] is present, "the change", 10.0)  # type: ignore[misc]
        if not present:
            assert "not there" in str(of_interface(guard)["note"])
            wait_until(lambda: "synguard_" not in attached(topology.server, "elsewhere"), "leaving", 5.0)
    assert guard.named("interface.missing")
    assert "synguard_xdp" in attached(topology.server)


def test_a_missing_interface_is_waited_for(topology: Topology, start_daemon: StartDaemon) -> None:
    """A daemon that starts before its interface says so, and guards it once it is there."""
    guard = start_daemon(settings={"probe": {"interfaces": ["net0"]}})
    assert of_interface(guard)["attached"] is True
    interface = topology.server.interface
    run(topology.server, "ip", "link", "set", "dev", interface, "down")
    run(topology.server, "ip", "link", "set", "dev", interface, "name", "later")
    assert guard.stop() == 0
    late = start_daemon()
    assert of_interface(late)["attached"] is False
    run(topology.server, "ip", "link", "set", "dev", "later", "name", interface)
    wait_until(lambda: of_interface(late)["attached"] is True, "the attachment", 10.0)


def test_a_probe_that_somebody_removes_is_put_back(topology: Topology, start_daemon: StartDaemon) -> None:
    """A silent probe looks exactly like safety, so it is noticed, logged and mended."""
    guard = start_daemon()
    run(topology.server, "ip", "link", "set", "dev", topology.server.interface, "xdp", "off")
    guard.wait_for(lambda: bool(guard.named("probe.detached")), "noticing", 10.0)
    wait_until(lambda: "synguard_xdp" in attached(topology.server), "the mending", 10.0)


def test_the_default_interfaces_are_those_of_every_path(topology: Topology) -> None:
    """A default route over two paths names its interfaces in its hops."""
    for argv in (
        ["ip", "link", "add", "second0", "type", "veth", "peer", "name", "far0"],
        ["ip", "addr", "add", "198.18.99.1/24", "dev", "second0"],
        ["ip", "link", "set", "second0", "up"],
        ["ip", "link", "set", "far0", "up"],
        ["ip", "-6", "route", "del", "default"],
        [
            "ip",
            "route",
            "replace",
            "default",
            "nexthop",
            "via",
            "198.18.0.254",
            "nexthop",
            "via",
            "198.18.99.254",
        ],
    ):
        run(topology.server, *argv)
    assert run_in(topology.server, default_route_interfaces) == [topology.server.interface, "second0"]


def test_a_bridge_and_its_port_together_are_refused(topology: Topology, tmp_path: Path) -> None:
    """Guarding both would count each packet twice."""
    for argv in (
        ["ip", "link", "add", "br0", "type", "bridge"],
        ["ip", "link", "add", "port0", "type", "veth", "peer", "name", "far0"],
        ["ip", "link", "set", "port0", "master", "br0"],
    ):
        run(topology.server, *argv)
    refused = run(
        topology.server,
        *synguard_command("run", "--interface", "br0", "--interface", "port0"),
        *("--socket", str(tmp_path / "c.sock"), "--database", str(tmp_path / "h.db")),
        check=False,
    )
    assert refused.returncode == 3
    assert "br0" in refused.stderr
    assert "port0" in refused.stderr
    assert "synguard_xdp" not in run(topology.server, "ip", "-details", "link").stdout

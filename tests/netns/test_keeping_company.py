"""The probe between two daemons, beside others: blocks, other interfaces, other daemons, other namespaces."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.defences.guard import synguard_command
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.links import Endpoint
from bench.net.namespaces import SILENT_IPV4, Topology, run_in, start_in, wait_until
from synguard import client
from synguard.errors import SynguardError
from tests.pinning import pinned_sets, totals_of

from .commands import attached, run
from .conftest import OpenListener, ShakeHands
from .keeping import Keeping

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080
EXTRA = "extra0"


@pytest.fixture
def beside(keeping: Keeping, tmp_path: Path) -> Iterator[Keeping]:
    """Return what starts daemons that guard another interface of the server."""
    run(keeping.topology.server, "ip", "link", "add", EXTRA, "type", "veth", "peer", "name", "extra1")
    yield from elsewhere(keeping, tmp_path / "beside", replace(keeping.topology.server, interface=EXTRA))


@pytest.fixture
def apart(keeping: Keeping, tmp_path: Path) -> Iterator[Keeping]:
    """Return what starts daemons that guard the client, in its own namespace."""
    yield from elsewhere(keeping, tmp_path / "apart", keeping.topology.client)


def elsewhere(keeping: Keeping, folder: Path, endpoint: Endpoint) -> Iterator[Keeping]:
    """Yield what starts daemons that guard an endpoint, with files of their own and the same pins."""
    folder.mkdir()
    made = Keeping(keeping.topology, folder, keeping.directory, endpoint)
    yield made
    made.close()


def connects(topology: Topology) -> bool:
    """Try one connection from the client."""

    def attempt() -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((str(topology.server.ipv4.ip), PORT), 0.5),
        ):
            return True
        return False

    return run_in(topology.client, attempt)


@pytest.mark.parametrize("change", ["none", "layout"])
def test_nothing_blocked_passes_from_one_daemon_to_the_next(
    keeping: Keeping, flood_generator: FloodGenerator, change: str
) -> None:
    """Every SYN of a blocked source is dropped, by the old probe or the new one."""
    plan = FloodPlan(
        destination=str(keeping.topology.server.ipv4.ip),
        destination_port=PORT,
        sources=(str(SILENT_IPV4),),
        syn_per_s=2000.0,
        duration_s=100.0,
    )
    daemon = keeping.start()
    for target in ("203.0.113.0/24", str(SILENT_IPV4)):
        client.request(daemon.socket, "block_add", target=target, ttl_s=600.0, reason="test")
    with keeping.opened("totals") as old:
        flood_generator.start(plan)
        daemon.stop()
        daemon = keeping.start(settings={"probe": {"max_sources": 100}} if change == "layout" else None)
        sent = flood_generator.stop().frames
        keeping.wait_until_quiet()
        with keeping.opened("totals") as new:
            maps = [old, new] if change == "layout" else [new]
            assert sum(totals_of(one)["dropped_by_us"] for one in maps) == sent
    flooding, other = client.request(daemon.socket, "block_list")
    assert (flooding["target"], other["target"]) == (str(SILENT_IPV4), "203.0.113.0/24")
    assert flooding["hits"] == daemon.status()["totals"]["dropped_by_us"]


def test_a_block_ends_in_time_while_no_daemon_runs(keeping: Keeping, open_listener: OpenListener) -> None:
    """The kernel keeps the time."""
    open_listener(str(keeping.topology.server.ipv4.ip), PORT)
    daemon = keeping.start()
    blocked = str(keeping.topology.client.ipv4.ip)
    client.request(daemon.socket, "block_add", target=blocked, ttl_s=5.0, reason="test")
    assert not connects(keeping.topology)
    daemon.stop()
    assert "synguard_xdp" in attached(keeping.topology.server)
    wait_until(lambda: connects(keeping.topology), "the end of the block", 20.0)


def test_a_block_that_no_history_tells_of_is_ended(keeping: Keeping, open_listener: OpenListener) -> None:
    """Nobody is cut off by what nobody can see."""
    open_listener(str(keeping.topology.server.ipv4.ip), PORT)
    daemon = keeping.start()
    blocked = str(keeping.topology.client.ipv4.ip)
    client.request(daemon.socket, "block_add", target=blocked, ttl_s=600.0, reason="test")
    daemon.stop()
    assert not connects(keeping.topology)
    for path in daemon.database.parent.glob("synguard.db*"):
        path.unlink()
    daemon = keeping.start()
    assert [event.fields["blocks"] for event in daemon.named("block.unknown_ended")] == [1]
    assert connects(keeping.topology)


def test_an_interface_that_is_guarded_no_more_is_freed(keeping: Keeping, beside: Keeping) -> None:
    """Its packets must not go on into the counts of the others."""
    before = attached(keeping.topology.server, EXTRA)
    beside.start().stop()
    assert "synguard_xdp" in attached(keeping.topology.server, EXTRA)
    daemon = keeping.start()
    assert attached(keeping.topology.server, EXTRA) == before
    assert daemon.named("probe.taken_over")
    freed = [event.fields["removed"] for event in daemon.named("probe.detached")]
    assert freed == [f"{EXTRA}: XDP program", f"{EXTRA}: tc filter synguard_egress", f"{EXTRA}: clsact qdisc"]


def test_what_another_daemon_keeps_stays_while_that_one_restarts(keeping: Keeping, beside: Keeping) -> None:
    """Pins in another directory are another daemon's, and so is the interface that goes with them."""
    beside.directory = keeping.directory.with_name("theirs")
    keeping.start().stop()
    beside.start().stop()
    kept = attached(keeping.topology.server, EXTRA)
    assert "synguard_xdp" in kept
    daemon = keeping.start()
    assert daemon.named("probe.taken_over")
    assert not daemon.named("probe.detached")
    assert attached(keeping.topology.server, EXTRA) == kept
    assert daemon.stop() == 0
    daemon = beside.start(keep=False)
    assert daemon.named("probe.taken_over")
    assert daemon.stop() == 0
    assert "synguard_xdp" not in attached(keeping.topology.server, EXTRA)
    assert "clsact" not in attached(keeping.topology.server, EXTRA)  # by the note of who made it


def test_the_pins_go_with_the_last_interface(keeping: Keeping) -> None:
    """``synguard detach --interface`` leaves the pins while the probe is on another one."""
    keeping.start().stop()
    assert keeping.detach("--interface", "lo") == "nothing of ours was attached\n"
    keeping.only_set()
    said = keeping.detach("--interface", keeping.topology.server.interface)
    assert "XDP program" in said
    assert "pinned programs and maps" in said
    assert not keeping.directory.exists()


def test_a_second_daemon_of_the_namespace_pins_nothing(keeping: Keeping, beside: Keeping) -> None:
    """It says who does, guards its interface all the same, and takes away only what is its own."""
    first = keeping.start()
    pins = keeping.only_set()
    before = attached(keeping.topology.server, EXTRA)
    second = beside.start()
    (event,) = second.named("pins.unavailable")
    assert f"pid {first.pid} " in event.fields["problem"]
    assert second.status()["interfaces"][0]["attached"]
    assert second.stop() == 0
    assert attached(keeping.topology.server, EXTRA) == before
    assert keeping.only_set() == pins
    assert first.stop() == 0
    assert keeping.start().named("probe.taken_over")


def test_daemons_of_two_namespaces_do_not_meet(
    keeping: Keeping, apart: Keeping, open_listener: OpenListener, shake_hands_from_client: ShakeHands
) -> None:
    """Each takes over its own probe, with its own counts, from one directory."""
    address = str(keeping.topology.server.ipv4.ip)
    open_listener(address, PORT)
    for one in (keeping, apart):
        one.start().stop()
    assert len(pinned_sets(keeping.directory)) == 2
    shake_hands_from_client(address, PORT, 23)
    status = keeping.start().status()
    assert (status["totals"]["attempts"], status["totals"]["completed"]) == (23, 23)
    daemon = apart.start(keep=False)
    assert daemon.named("probe.taken_over")
    assert daemon.status()["totals"]["attempts"] == 0
    assert daemon.stop() == 0
    keeping.only_set()


def test_without_a_bpf_file_system_the_probe_is_guarded_and_not_kept(
    topology: Topology, tmp_path: Path
) -> None:
    """It says what to do, guards, and takes everything away at its end: nobody could read it later."""
    before = attached(topology.server)
    log = tmp_path / "log"
    command = synguard_command(
        *("run", "--keep-attached", "--interface", topology.server.interface),
        *("--database", str(tmp_path / "h.db"), "--socket", str(tmp_path / "c.sock")),
    )
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/fs/bpf && exec "$@"', "sh", *command]
    with log.open("wb") as output, start_in(topology.server, hide, stdout=output) as daemon:
        try:
            wait_until(lambda: "daemon.ready" in log.read_text(), "guarding", 30.0)
        finally:
            daemon.terminate()
        assert daemon.wait(20) == 0
    assert "mount -t bpf bpf /sys/fs/bpf" in log.read_text()
    assert "the probe does not stay attached when this daemon ends" in log.read_text()
    assert attached(topology.server) == before


def test_a_start_that_fails_leaves_the_kept_probe_alone(keeping: Keeping) -> None:
    """A daemon that cannot answer on its socket ends, and what was kept counts on."""
    keeping.start().stop()
    kept = attached(keeping.topology.server)
    (keeping.folder / "control.sock").mkdir()
    with pytest.raises(SynguardError, match=r"control\.sock"):
        keeping.start()
    assert attached(keeping.topology.server) == kept
    (keeping.folder / "control.sock").rmdir()
    assert keeping.start().named("probe.taken_over")

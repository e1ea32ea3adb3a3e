"""The probe between two daemons: attached, counting, and taken over or replaced without a gap."""

from __future__ import annotations

import os
import signal

import pytest

from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import SILENT_IPV4, Topology
from synguard.probe import layout
from tests.pinning import pinned_sets

from .commands import attached
from .conftest import OpenListener, ShakeHands
from .keeping import Frames, Keeping, counted

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080
#: Where among the probe's settings it says that live flows are to be noted.
WATCHES_FLOWS = 8


def long_flood(topology: Topology) -> FloodPlan:
    """Return a flood that lasts until it is stopped, and is answered with RST by a closed port."""
    return FloodPlan(
        destination=str(topology.server.ipv4.ip),
        destination_port=PORT,
        sources=(str(SILENT_IPV4),),
        syn_per_s=2000.0,
        duration_s=100.0,
    )


def test_handshakes_are_counted_while_no_daemon_runs(
    keeping: Keeping, open_listener: OpenListener, shake_hands_from_client: ShakeHands
) -> None:
    """The next daemon goes on with the counts, the listener and the secret, and compiles nothing."""
    address = str(keeping.topology.server.ipv4.ip)
    open_listener(address, PORT)
    first = keeping.start()
    shake_hands_from_client(address, PORT, 7)
    assert first.stop() == 0
    assert [event.fields["interface"] for event in first.named("probe.kept")] == ["net0"]
    sits, secret = attached(keeping.topology.server), keeping.settings()
    shake_hands_from_client(address, PORT, 23)
    second = keeping.start()
    status = second.status()
    assert status["totals"]["completed"] == 30
    assert [(row["listener"], row["completed"]) for row in status["listeners"]] == [(f"{address}:{PORT}", 30)]
    assert second.named("probe.taken_over")
    assert not second.named("probe.replaced")
    assert attached(keeping.topology.server) == sits  # with the same program ids
    assert keeping.settings() == secret


@pytest.mark.parametrize("change", ["none", "program", "layout"])
def test_no_packet_is_missed_from_one_daemon_to_the_next(
    keeping: Keeping, flood_generator: FloodGenerator, change: str
) -> None:
    """What the interface received and sent, old and new probe have counted, each frame once."""
    daemon = keeping.start()
    with keeping.opened("interfaces") as old:
        before, then = keeping.frames(old)
        flood_generator.start(long_flood(keeping.topology))
        daemon.stop()
        if change == "program":
            keeping.age_program()
        daemon = keeping.start(settings={"probe": {"max_sources": 100}} if change == "layout" else None)
        flood_generator.stop()
        with keeping.opened("interfaces") as new:
            seen, now = keeping.frames(*((old, new) if change == "layout" else (new,)))
            by_the_old = counted(old).received - before.received
    frames = Frames(now.received - then.received, now.sent - then.sent)
    assert Frames(seen.received - before.received, seen.sent - before.sent) == frames
    assert frames.received > by_the_old > 0 or change != "layout"
    assert len(daemon.named("probe.taken_over")) == (change == "none")
    replaced = daemon.named("probe.replaced")
    assert len(replaced) == (change != "none")
    assert all(0 < event.fields["gap_ms"] <= 50 for event in replaced)


def test_what_only_a_daemon_reads_is_not_collected_without_one(keeping: Keeping) -> None:
    """Live flows are noted while somebody asks for them."""
    daemon = keeping.start()
    with keeping.opened("settings") as settings:
        wanted = list(layout.SETTINGS.unpack(settings.lookup(bytes(4)) or b""))
        wanted[WATCHES_FLOWS] = 1
        settings.update(bytes(4), layout.SETTINGS.pack(*wanted))
        daemon.stop()
        left = layout.SETTINGS.unpack(settings.lookup(bytes(4)) or b"")
    assert left[WATCHES_FLOWS] == 0


def test_an_older_layout_is_replaced_in_place_and_said(keeping: Keeping) -> None:
    """The log names both versions; of the old maps and programs nothing stays."""
    keeping.start().stop()
    old = keeping.only_set()
    daemon = keeping.start(settings={"probe": {"max_sources": 100}})
    new = keeping.only_set()
    assert new.name != old.name
    (event,) = daemon.named("probe.replaced")
    assert f"layout-{event.fields['old_layout']}-program-{event.fields['old_program']}" == old.name
    assert f"layout-{event.fields['new_layout']}-program-{event.fields['new_program']}" == new.name
    assert event.fields["counts"] == "start anew"
    assert attached(keeping.topology.server).count("synguard_xdp") == 1
    assert attached(keeping.topology.server).count("handle 0x5359") == 1


def test_new_code_goes_on_with_the_counts_of_the_same_layout(
    keeping: Keeping, open_listener: OpenListener, shake_hands_from_client: ShakeHands
) -> None:
    """A daemon whose code differs puts it over the maps that are there."""
    address = str(keeping.topology.server.ipv4.ip)
    open_listener(address, PORT)
    keeping.start().stop()
    pins = keeping.age_program()
    shake_hands_from_client(address, PORT, 23)
    daemon = keeping.start()
    shake_hands_from_client(address, PORT, 7)
    assert daemon.status()["totals"]["completed"] == 30
    (event,) = daemon.named("probe.replaced")
    assert (event.fields["old_program"], event.fields["counts"]) == ("0", "go on")
    assert keeping.only_set() == pins


def test_broken_pins_are_replaced_and_said(keeping: Keeping, shake_hands_from_client: ShakeHands) -> None:
    """What is not whole is not trusted, and replaced without a gap; what is not ours stays."""
    address = str(keeping.topology.server.ipv4.ip)
    keeping.start().stop()
    pins = keeping.only_set()
    (pins / "map-settings").unlink()
    (pins.parent / "theirs").mkdir()
    with keeping.opened("interfaces") as old:
        daemon = keeping.start()
        (broken,) = daemon.named("pins.broken")
        assert (broken.fields["path"], "are missing" in broken.fields["problem"]) == (str(pins), True)
        assert [event.fields["not_ours"] for event in daemon.named("pins.left_alone")] == [["theirs"]]
        assert [event.fields["counts"] for event in daemon.named("probe.replaced")] == ["start anew"]
        then = counted(old)
        with pytest.raises(OSError, match="refused"):
            shake_hands_from_client(address, PORT, 1)
        assert daemon.status()["totals"]["refused"] == 1
        assert counted(old) == then
    assert daemon.stop() == 0
    assert keeping.start(keep=False).stop() == 0
    assert [path.name for path in pins.parent.iterdir()] == ["theirs"]


def test_a_run_by_hand_takes_over_and_leaves_nothing(
    keeping: Keeping, open_listener: OpenListener, shake_hands_from_client: ShakeHands
) -> None:
    """Without --keep-attached the counts go on, and at the end probe and pins are gone."""
    address = str(keeping.topology.server.ipv4.ip)
    before = attached(keeping.topology.server)
    open_listener(address, PORT)
    keeping.start().stop()
    shake_hands_from_client(address, PORT, 23)
    daemon = keeping.start(keep=False)
    assert daemon.status()["totals"]["completed"] == 23
    assert daemon.stop() == 0
    assert attached(keeping.topology.server) == before
    assert not keeping.directory.exists()


def test_without_keep_attached_nothing_is_pinned(keeping: Keeping) -> None:
    """A run by hand needs no BPF file system, and touches none."""
    keeping.start(keep=False)
    assert not keeping.directory.exists()


def test_detach_removes_all_after_a_kill(keeping: Keeping) -> None:
    """``synguard detach`` finds pins where the killed daemon noted them, and says what it removed."""
    before = attached(keeping.topology.server)
    daemon = keeping.start()
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.stop()
    assert "synguard_xdp" in attached(keeping.topology.server)
    folder = keeping.only_set().parent
    said = keeping.detach().splitlines()
    assert f"removed {folder}: pinned programs and maps" in said
    assert len(said) == 4
    assert attached(keeping.topology.server) == before
    assert not keeping.directory.exists()


def test_after_a_kill_the_counts_go_on(
    keeping: Keeping, open_listener: OpenListener, shake_hands_from_client: ShakeHands
) -> None:
    """Pins are there from the beginning, not only after an orderly end."""
    address = str(keeping.topology.server.ipv4.ip)
    open_listener(address, PORT)
    daemon = keeping.start()
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.stop()
    shake_hands_from_client(address, PORT, 23)
    assert keeping.start().status()["totals"]["completed"] == 23
    assert len(pinned_sets(keeping.directory)) == 1

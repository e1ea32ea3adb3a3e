"""Captures of real kernels' traffic, replayed: what a daemon saw live is what their replay finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import Topology, wait_until

from .conftest import OpenListener, ShakeHands, StartDaemon
from .recording import OUTGOING, Recorded, Recorder, as_cooked, as_ethernet, replayed

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8443
HANDSHAKES = 23
#: What does not depend on when exactly the recording ended, as SYN-ACKs repeated into the void do.
COUNTED = (
    "attempts",
    "syn_duplicates",
    "answered",
    "completed",
    "aborted",
    "refused",
    "fin_probes",
    "unparsed",
)


def flood_on(topology: Topology, *sources: str, duration_s: float = 2.0) -> FloodPlan:
    """Return a flood of 3,000 SYN/s on the server's listener."""
    return FloodPlan(
        destination=str(topology.server.ipv4.ip),
        destination_port=PORT,
        sources=sources or ("0.0.0.0/0",),
        syn_per_s=3000,
        duration_s=duration_s,
    )


def floods(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what names each flood among alerts."""
    return [
        {name: one[name] for name in ("kind", "class", "listener", "source")}
        for one in alerts
        if one["kind"] == "syn-flood"
    ]


Record = Callable[..., list[Recorded]]


@pytest.fixture
def record(topology: Topology, open_listener: OpenListener, shake_hands_from_client: ShakeHands,
           flood_generator: FloodGenerator) -> Record:  # fmt: skip
    """Return a function that records 23 handshakes of each family and a flood, and returns the packets."""
    addresses = [str(topology.server.ipv4.ip), str(topology.server.ipv6.ip)]
    for address in addresses:
        open_listener(address, PORT)

    def run(plan: FloodPlan | None) -> list[Recorded]:
        with Recorder(topology.server) as recorder:
            for address in addresses:
                shake_hands_from_client(address, PORT, HANDSHAKES)
            if plan is not None:
                flood_generator.flood(plan)
        return recorder.packets

    return run


def test_handshakes_of_real_kernels_are_counted_to_the_one(record: Record, tmp_path: Path) -> None:
    """As Ethernet and as cooked packets cut behind their headers: all complete, without an alert."""
    packets = record(None)
    for content in (as_ethernet(packets), as_cooked(packets)):
        report = replayed(tmp_path, content)
        assert {name: report["totals"][name] for name in COUNTED} == {
            **dict.fromkeys(COUNTED, 0),
            **dict.fromkeys(("attempts", "answered", "completed"), 2 * HANDSHAKES),
        }
        assert report["alerts"] == []
        assert report["capture"]["direction"] == "both"


@pytest.mark.parametrize("sources", [(), ("198.18.66.13",)], ids=["spoofed", "one source"])
def test_live_and_replayed_are_told_the_same(
    topology: Topology, record: Record, start_daemon: StartDaemon, tmp_path: Path, sources: tuple[str, ...]
) -> None:
    """A daemon's totals and its flood alert are those of the replay of what passed it meanwhile."""
    guard = start_daemon()
    packets = record(flood_on(topology, *sources))
    wait_until(lambda: len(guard.status()["open_alerts"]) > 0, "the alert")
    live = guard.status()
    report = replayed(tmp_path, as_ethernet(packets))
    counted = {name: report["totals"][name] for name in COUNTED}
    assert counted == {name: live["totals"][name] for name in COUNTED}
    assert counted["attempts"] > 5000
    assert counted["completed"] == 2 * HANDSHAKES
    assert floods(report["alerts"]) == floods(live["open_alerts"])
    assert [one["listener"] for one in floods(report["alerts"])] == [f"{topology.server.ipv4.ip}:{PORT}"]
    assert {alert["impact"] for alert in report["alerts"]} == {"unknown"}
    assert {alert["state"] for alert in report["alerts"]} == {"closed"}


def test_the_incoming_half_is_enough(topology: Topology, record: Record, tmp_path: Path) -> None:
    """Without what the server sent the flood is found and its target named, and answers are unknown."""
    packets = record(flood_on(topology))
    incoming = [one for one in packets if one.packet_type != OUTGOING]
    assert len(incoming) < len(packets)
    report = replayed(tmp_path, as_ethernet(incoming))
    assert report["capture"]["direction"] == "incoming"
    assert (report["totals"]["answered"], report["totals"]["completed"]) == (None, None)
    (flood,) = floods(report["alerts"])
    server = str(topology.server.ipv4.ip)
    assert flood["listener"] in {server, f"{server}:{PORT}"}
    assert {alert["answered"] for alert in report["alerts"]} == {None}
    assert any(f"{server}:{PORT}" in note for note in report["capture"]["notes"])


def test_a_running_daemon_is_left_alone(
    topology: Topology, record: Record, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """A flood that is replayed beside a daemon moves none of its counters, and raises no alert there."""
    packets = record(flood_on(topology, duration_s=1.0))
    guard = start_daemon()
    before = guard.status()
    report = replayed(tmp_path, as_ethernet(packets))
    after = guard.status()
    assert report["totals"]["attempts"] > 2000
    assert floods(report["alerts"])
    for name in ("attempts", "answered", "completed", "unparsed"):
        assert after["totals"][name] == before["totals"][name]
    assert after["open_alerts"] == []
    assert [one["attached"] for one in after["interfaces"]] == [True]

"""A probe that somebody takes away: told within five seconds, and put back where that displaces nobody."""

from __future__ import annotations

import time

import pytest
from pyroute2 import IPRoute

from bench.defences.guard import Guard
from bench.net.namespaces import Topology, wait_until
from synguard.probe.compiler import LoadedObject

from .blind import alerts, closed, of_interface, raised, stays_quiet, told, with_route
from .commands import run
from .conftest import OpenListener, ShakeHands, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

XDP_FLAGS_DRV_MODE = 1 << 2


def note_of(guard: Guard) -> str:
    """Return the note on the interface, in any case as text."""
    return str(of_interface(guard)["note"])


def displace(topology: Topology, foreign: LoadedObject) -> int:
    """Put somebody else's XDP program into our place by force; return the moment before."""

    def replace_ours(route: IPRoute, index: int) -> None:
        attributes = [
            ("IFLA_XDP_FD", foreign.programs["somebody_elses"]),
            ("IFLA_XDP_FLAGS", XDP_FLAGS_DRV_MODE),
        ]
        route.link("set", index=index, xdp={"attrs": attributes})

    began_ns = time.monotonic_ns()
    with_route(topology.server, replace_ours)
    return began_ns


@pytest.mark.parametrize(
    ("argv", "unseen"),
    [
        (
            ["ip", "link", "set", "dev", "net0", "xdp", "off"],
            "what comes in: somebody took the XDP program off",
        ),
        (
            ["tc", "filter", "del", "dev", "net0", "egress"],
            "what leaves: somebody removed the tc egress filter",
        ),
        (
            ["tc", "qdisc", "del", "dev", "net0", "clsact"],
            "what leaves: somebody removed the tc egress filter",
        ),
    ],
    ids=["xdp", "filter", "clsact"],
)
def test_what_somebody_takes_away_is_told_and_put_back(
    topology: Topology,
    start_daemon: StartDaemon,
    open_listener: OpenListener,
    shake_hands_from_client: ShakeHands,
    argv: list[str],
    unseen: str,
) -> None:
    """The alert says what was not seen, the probe counts again, and the alert closes by itself."""
    address = str(topology.server.ipv4.ip)
    open_listener(address, 8080)
    guard = start_daemon()
    began_ns = time.monotonic_ns()
    run(topology.server, *argv)
    alert = raised(guard, "detached", began_ns)
    assert told(alert)["not_seen"] == f"net0: {unseen}"
    assert told(alert)["interface"] == "net0"
    assert (alert["severity"], alert["class"], alert["listener"], alert["source"]) == (
        "high",
        None,
        None,
        None,
    )
    wait_until(lambda: bool(of_interface(guard)["attached"]), "the mending", 5.0)
    shake_hands_from_client(address, 8080, 23)
    wait_until(lambda: guard.status()["totals"]["completed"] == 23, "23 completions")
    ended = closed(guard, alert)
    assert ended["closed_because"] == "ended"
    assert told(ended)["outcome"] == "put back as xdp-native"
    assert unseen in of_interface(guard)["note"]
    assert len(alerts(guard)) == 1
    assert guard.status()["blind"] == []
    assert guard.stop() == 0


def test_a_probe_that_is_displaced_observes_and_comes_back_by_itself(
    topology: Topology,
    start_daemon: StartDaemon,
    open_listener: OpenListener,
    shake_hands_from_client: ShakeHands,
    foreign: LoadedObject,
) -> None:
    """Somebody's XDP program in our place stays; the alert says that nothing is dropped, until it goes."""
    address = str(topology.server.ipv4.ip)
    open_listener(address, 8080)
    guard = start_daemon()
    alert = raised(guard, "replaced", displace(topology, foreign))
    assert "somebody_elses, id " in told(alert)["not_seen"]
    wait_until(lambda: of_interface(guard)["ingress"] == "tc-ingress", "the fallback", 5.0)
    shake_hands_from_client(address, 8080, 23)
    wait_until(lambda: guard.status()["totals"]["completed"] == 23, "23 completions")
    ended = closed(guard, alert)
    assert "blocks are not enforced on net0" in told(ended)["outcome"]
    assert "xdp off" in told(ended)["to_do"]
    assert "somebody_elses" in run(topology.server, "ip", "-details", "link", "show", "dev", "net0").stdout
    assert "blocks are not enforced here" in of_interface(guard)["note"]
    run(topology.server, "ip", "link", "set", "dev", "net0", "xdp", "off")
    wait_until(lambda: of_interface(guard)["ingress"] == "xdp-native", "the return", 5.0)
    shake_hands_from_client(address, 8080, 23)
    wait_until(lambda: guard.status()["totals"]["completed"] == 46, "23 more")
    assert len(alerts(guard)) == 1


def test_a_displaced_probe_that_may_not_observe_stays_blind(
    topology: Topology, start_daemon: StartDaemon, foreign: LoadedObject
) -> None:
    """Where only native XDP is allowed, the alert stays open until the other program has gone."""
    guard = start_daemon(settings={"probe": {"xdp_mode": "native"}})
    alert = raised(guard, "replaced", displace(topology, foreign))
    wait_until(lambda: "probe.xdp_mode" in str(of_interface(guard)["note"]), "the reason", 5.0)
    (unseen,) = guard.status()["blind"]
    assert (unseen["alert_id"], unseen["cause"], unseen["interface"]) == (alert["id"], "replaced", "net0")
    assert of_interface(guard)["blind"] == ["replaced"]
    run(topology.server, "ip", "link", "set", "dev", "net0", "xdp", "off")
    assert told(closed(guard, alert))["outcome"] == "put back as xdp-native"


def test_an_interface_that_goes_is_told_of_and_guarded_when_it_is_back(
    topology: Topology, start_daemon: StartDaemon
) -> None:
    """Under another name traffic would pass unseen: an alert, which closes once the name is back."""
    guard = start_daemon()
    run(topology.server, "ip", "link", "set", "dev", "net0", "down")
    began_ns = time.monotonic_ns()
    run(topology.server, "ip", "link", "set", "dev", "net0", "name", "elsewhere")
    alert = raised(guard, "missing", began_ns)
    assert alert["severity"] == "medium"
    assert "probe.interfaces" in told(alert)["to_do"]
    assert of_interface(guard)["blind"] == ["missing"]
    run(topology.server, "ip", "link", "set", "dev", "elsewhere", "name", "net0")
    ended = closed(guard, alert)
    assert "guarded as xdp-native" in told(ended)["outcome"]
    assert len(alerts(guard)) == 1


def test_an_interface_that_is_down_or_never_was_is_a_note_and_no_alert(
    topology: Topology, start_daemon: StartDaemon
) -> None:
    """Somebody wanted it so, and nothing passes there: status says it, and nobody is woken."""
    run(topology.server, "ip", "link", "set", "dev", "net0", "down")
    run(topology.server, "ip", "link", "set", "dev", "net0", "name", "later")
    guard = start_daemon()
    stays_quiet(guard, 4.0)
    assert "not there" in note_of(guard)
    run(topology.server, "ip", "link", "set", "dev", "later", "name", "net0")
    wait_until(lambda: bool(of_interface(guard)["attached"]), "the attachment", 10.0)
    wait_until(lambda: "is down" in note_of(guard), "the note", 5.0)
    stays_quiet(guard, 4.0)
    run(topology.server, "ip", "link", "set", "dev", "net0", "up")
    wait_until(lambda: note_of(guard) == "None", "no note", 5.0)

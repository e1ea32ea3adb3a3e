"""The probe attached anew to an interface that carries it already: by a next daemon, or to mend something."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from bench.defences.guard import Setting
from bench.net.namespaces import Topology, run_in, wait_until
from synguard.errors import SynguardError
from synguard.probe import attach, tc
from synguard.probe.attach import Attachment
from synguard.probe.claim import Claim
from synguard.probe.interfaces import describe, find_interface
from synguard.probe.known import KnownPrograms
from synguard.probe.probe import Groups, Probe, Sizes
from synguard.probe.programs import XDP_PROGRAM
from synguard.probe.syscall import program_info
from tests.pinning import bpf_filesystem

from .commands import attached, run
from .devices import Daemon, Workshop

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

BRIDGE = "br0"
OTHER = "other0"
#: Of include/uapi/linux/rtnetlink.h: news of links.
_RTMGRP_LINK = 1


@pytest.fixture(scope="module")
def probes() -> Iterator[tuple[Probe, Probe]]:
    """Load the probe twice: what is attached, and what is to take its place."""
    with closing(Probe.load(Sizes(), Groups())) as first, closing(Probe.load(Sizes(), Groups())) as second:
        yield first, second


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[Claim]:
    """Return the right to an interface."""
    with closing(Claim(tmp_path / "claim.lock", "taken by {pid}")) as taken:
        yield taken


@pytest.fixture
def bridged(topology: Topology) -> Iterator[Topology]:
    """Build a bridge at the server, whose driver knows no native XDP."""
    with Workshop(topology) as workshop:
        workshop.bridge(BRIDGE)
        yield topology


def attach_at(
    topology: Topology, probe: Probe, claim: Claim, name: str = BRIDGE, wanted: str = "auto"
) -> Attachment:
    """Attach a probe to an interface of the server."""
    with closing(KnownPrograms()) as known:
        return run_in(
            topology.server,
            lambda: attach.attach(find_interface(name), probe.programs, wanted, claim, known),
        )


def detach_at(topology: Topology, claim: Claim, name: str) -> None:
    """Take everything of ours off an interface of the server."""
    with closing(KnownPrograms()) as known:
        run_in(topology.server, lambda: attach.detach(name, known, made_clsact=claim.made_clsact))


def program_on(topology: Topology, name: str = BRIDGE) -> tuple[str | None, int | None]:
    """Return the mode and the id of the XDP program on an interface of the server."""
    found = run_in(topology.server, lambda: find_interface(name))
    return found.xdp_mode, found.xdp_program_id


def id_of(probe: Probe) -> int:
    """Return the id of a probe's XDP program."""
    return program_info(probe.programs[XDP_PROGRAM]).id


@contextmanager
def programs_seen(topology: Topology) -> Iterator[list[int | None]]:
    """Fill a list, at the end, with the XDP programs that the bridge had by what the kernel told."""
    seen: list[int | None] = []
    with run_in(topology.server, _listen_for_links) as told:
        yield seen
        run(topology.server, "ip", "link", "set", BRIDGE, "alias", "the-end")
        while True:
            data, offset = told.recv(1 << 16), 0
            while offset < len(data):
                message = ifinfmsg(data, offset)
                message.decode()
                offset += message["header"]["length"]
                if message.get_attr("IFLA_IFNAME") == BRIDGE:
                    seen.append(describe(message).xdp_program_id)
                if message.get_attr("IFLA_IFALIAS") == "the-end":
                    return


def _listen_for_links() -> socket.socket:
    told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    told.bind((0, _RTMGRP_LINK))
    told.settimeout(5.0)
    return told


def test_generic_xdp_is_replaced_in_place(
    bridged: Topology, probes: tuple[Probe, Probe], claim: Claim
) -> None:
    """Where the driver has no native XDP, each probe replaces the last without a gap, and can block."""
    first, second = probes
    assert attach_at(bridged, first, claim).ingress == "xdp-generic"
    with programs_seen(bridged) as seen:
        for probe in (second, first, first):
            attachment = attach_at(bridged, probe, claim)
            assert (attachment.ingress, attachment.can_drop) == ("xdp-generic", True)
            assert attachment.note == "generic XDP was attached before and stays"
            assert program_on(bridged) == ("generic", id_of(probe))
    assert set(seen) == {id_of(first), id_of(second)}
    assert "synguard_ingress" not in attached(bridged.server, BRIDGE)


def test_a_mode_that_is_refused_leaves_the_program_in_the_one_it_had(
    bridged: Topology, probes: tuple[Probe, Probe], claim: Claim
) -> None:
    """Whoever asks for native where there is none gets a refusal, and what was there goes on."""
    attach_at(bridged, probes[0], claim)
    with pytest.raises(SynguardError, match=r'native XDP is refused here .*probe.xdp_mode = "auto"'):
        attach_at(bridged, probes[1], claim, wanted="native")
    assert program_on(bridged) == ("generic", id_of(probes[0]))
    assert attach_at(bridged, probes[1], claim).ingress == "xdp-generic"
    assert attach_at(bridged, probes[1], claim, wanted="tc").ingress == "tc-ingress"
    assert program_on(bridged) == (None, None)


def test_another_mode_that_is_asked_for_is_taken(
    topology: Topology, probes: tuple[Probe, Probe], claim: Claim
) -> None:
    """A program in a mode that is not wanted any more goes, and comes back in the one that is."""
    name = topology.server.interface
    for wanted in ("generic", "native", "generic"):
        assert attach_at(topology, probes[0], claim, name, wanted).ingress == f"xdp-{wanted}"
        assert program_on(topology, name) == (wanted, id_of(probes[0]))


def test_our_clsact_goes_though_somebody_took_our_filter_out_of_it(
    topology: Topology, probes: tuple[Probe, Probe], claim: Claim
) -> None:
    """Who made the qdisc is not forgotten when the filter in it has to be put back."""
    name = topology.server.interface
    before = attached(topology.server)
    attach_at(topology, probes[0], claim, name)
    run(topology.server, "tc", "filter", "del", "dev", name, "egress")
    attach_at(topology, probes[0], claim, name)
    assert "synguard_egress" in attached(topology.server)
    detach_at(topology, claim, topology.server.interface)
    assert attached(topology.server) == before


def test_our_clsact_goes_though_we_died_making_it(
    topology: Topology, probes: tuple[Probe, Probe], claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is noted before it is there."""
    before = attached(topology.server)
    add = tc.ensure_clsact

    def die(ipr: object, index: int) -> bool:
        add(ipr, index)
        raise KeyboardInterrupt

    monkeypatch.setattr(tc, "ensure_clsact", die)
    with pytest.raises(KeyboardInterrupt):
        attach_at(topology, probes[0], claim, topology.server.interface)
    assert "clsact" in attached(topology.server)
    detach_at(topology, claim, topology.server.interface)
    assert attached(topology.server) == before


@pytest.mark.parametrize("comes_back", [False, True])
def test_somebody_elses_clsact_stays(
    topology: Topology, probes: tuple[Probe, Probe], claim: Claim, comes_back: bool
) -> None:
    """Also that of an interface which comes back, after we made the one that it had before."""
    make = ("ip", "link", "add", OTHER, "type", "veth", "peer", "name", "other1")
    run(topology.server, *make)
    if comes_back:
        attach_at(topology, probes[0], claim, OTHER)
        run(topology.server, "ip", "link", "del", OTHER)
        run(topology.server, *make)
    run(topology.server, "tc", "qdisc", "add", "dev", OTHER, "clsact")
    before = attached(topology.server, OTHER)
    for _ in range(2):
        attach_at(topology, probes[0], claim, OTHER)
    detach_at(topology, claim, OTHER)
    assert attached(topology.server, OTHER) == before


def test_a_daemon_takes_over_a_bridge(bridged: Topology, tmp_path: Path) -> None:
    """What one left on a bridge, or lost there, the next has as generic XDP again."""
    with bpf_filesystem(tmp_path / "bpf") as mounted:
        for keep in (True, True, False):
            kept: dict[str, Setting] = {"keep_attached": keep, "pin_directory": str(mounted / "synguard")}
            with Daemon(bridged.server, [BRIDGE], tmp_path, {"probe": kept}) as daemon:
                daemon.wait_until_ready()
                assert daemon.interface(BRIDGE)["ingress"] == "xdp-generic"
                run(bridged.server, "tc", "filter", "del", "dev", BRIDGE, "egress")
                daemon.wait_for(lambda: bool(daemon.named("probe.detached")), "noticing", 10.0)
                wait_until(lambda: "synguard_egress" in attached(bridged.server, BRIDGE), "mending", 10.0)
                assert daemon.interface(BRIDGE)["ingress"] == "xdp-generic"
                assert daemon.stop() == 0
    assert "synguard_" not in attached(bridged.server, BRIDGE)

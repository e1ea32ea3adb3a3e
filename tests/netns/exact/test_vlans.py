"""Handshakes behind VLAN tags, in the frame and beside it, through every way of attaching."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from bench.net import ethtool
from bench.net.enter import call_in
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, run_in
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.probe import Probe

from .stage import Ground, Stage

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PRIME = 23
ALL = {"attempts": PRIME, "answered": PRIME, "completed": PRIME}

INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3
ETH_P_ALL = 3
#: The probe's filters come first, if they can: the tags are put on before them, and taken off behind.
FIRST, LAST = 1, 100
#: linux/ethtool.h
ETHTOOL_SFLAGS = 0x26


@pytest.fixture(scope="module")
def tagging() -> Iterator[LoadedObject]:
    """Load the programs that tag and untag."""
    names = ("tag_once", "tag_twice", "untag")
    loaded = load_object(Path(__file__).with_name("tagging.c"), dict.fromkeys(names, ProgramType.SCHED_CLS))
    yield loaded
    loaded.close()


def join_vlan(endpoint: Endpoint, tagging: LoadedObject, tags: str) -> None:
    """Have a host speak behind tags."""

    def place(ipr: Any, index: int, program: str, parent: int, priority: int) -> None:
        fd = tagging.programs[program]
        where = {"parent": parent, "prio": priority, "protocol": ETH_P_ALL}
        ipr.tc("add-filter", "bpf", index, 1, fd=fd, name=program, direct_action=True, **where)

    def join() -> None:
        with IPRoute() as ipr:
            (index,) = ipr.link_lookup(ifname=endpoint.interface)
            ipr.tc("add", "clsact", index)
            place(ipr, index, tags, EGRESS, FIRST)
            place(ipr, index, "untag", INGRESS, LAST)

    run_in(endpoint, join)


def write_tags_into_frames(topology: Topology) -> None:
    """Take the offload from the interface before the guarded, which else hands the outer tag over apart."""
    request = struct.pack("=II", ETHTOOL_SFLAGS, 0)
    call_in(topology.switch, lambda: ethtool._ask(topology.guarded.port, request))


@pytest.fixture(params=["tag_once", "tag_twice"])
def tags(request: pytest.FixtureRequest) -> str:
    """Return how many tags there are, by the program that puts them on."""
    return str(request.param)


@pytest.fixture(params=[True, False], ids=["in-frame", "offloaded"])
def in_frame(request: pytest.FixtureRequest) -> bool:
    """Return whether the outer tag comes in the frame; else beside it, as network cards hand it over."""
    return bool(request.param)


@pytest.fixture(params=["native", "generic", "tc"])
def stage(
    probe: Probe,
    tagging: LoadedObject,
    version: int,
    tags: str,
    in_frame: bool,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Iterator[Stage]:
    """Set a stage where server and client are in one VLAN."""
    with Topology() as topology, contextlib.ExitStack() as stack:
        for endpoint in (topology.server, topology.client):
            join_vlan(endpoint, tagging, tags)
        if in_frame:
            write_tags_into_frames(topology)
        ground = stack.enter_context(Ground(probe, topology, tmp_path, xdp_mode=request.param))
        yield Stage.on(ground, version, 1, stack)


def test_tagged_handshakes_are_counted(stage: Stage) -> None:
    """One tag or two, in the frame or beside it: the probe finds the handshake on both ways."""
    _, where = stage.listen()
    for _ in range(PRIME):
        stage.connect(where).close()
    closed = (stage.server, where[1] + 10_000)
    with pytest.raises(ConnectionRefusedError):
        stage.connect(closed)
    stage.expect({**ALL, "attempts": PRIME + 1, "refused": 1})
    assert stage.at_listener(where) == ALL
    assert stage.kernel("TcpPassiveOpens") == PRIME

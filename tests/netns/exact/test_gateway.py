"""A gateway that guards both its sides, or translates addresses: every handshake counts once."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from bench.net.namespaces import Topology
from synguard.probe.probe import Probe

from .losses import LAST_ACK, lose_first
from .peer import Peer
from .stage import Ground, Stage

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PRIME = 23
ALL = {"attempts": PRIME, "answered": PRIME, "completed": PRIME}
ONCE = {"attempts": 1, "answered": 1, "completed": 1}


@pytest.fixture(scope="module", params=["native", "tc"])
def ground(
    probe: Probe, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    """Guard the gateway's interfaces to the outside and to the server."""
    with (
        Topology(role="gateway") as topology,
        Ground(probe, topology, tmp_path_factory.mktemp("claims"), ("net0", "net1"), request.param) as built,
    ):
        yield built


@pytest.fixture
def stage(ground: Ground, version: int) -> Iterator[Stage]:
    """Set the stage for one test; SYN cookies are no business of the gateway's."""
    with contextlib.ExitStack() as stack:
        yield Stage.on(ground, version, 1, stack)


def test_a_handshake_that_crosses_two_guarded_interfaces_counts_once(stage: Stage) -> None:
    """What comes in on one side and leaves on the other is one segment of one handshake."""
    _, where = stage.listen()
    for _ in range(PRIME):
        stage.connect(where).close()
    stage.expect(ALL)
    assert stage.at_listener(where) == stage.at_source(stage.client) == ALL
    assert stage.kernel("TcpPassiveOpens") == PRIME


def test_connections_from_inside_count_once_as_well(stage: Stage) -> None:
    """Who guards the inner interface guards others from the inside: the listener is out there."""
    _, where = stage.listen(endpoint=stage.topology.client)
    for _ in range(PRIME):
        stage.connect(where, endpoint=stage.topology.server).close()
    stage.expect(ALL)
    assert stage.at_listener(where) == stage.at_source(stage.server) == ALL
    assert stage.kernel("TcpActiveOpens") == PRIME


def test_refusals_resets_and_losses_count_once_in_both_directions(stage: Stage) -> None:
    """RSTs of either side cross both interfaces too, and so does what is sent again behind a lost ACK."""
    server, client = stage.topology.server, stage.topology.client
    for at, caller in ((server, client), (client, server)):
        listener, where = stage.listen(endpoint=at)
        lose_first(stage, caller, "output", f"{LAST_ACK} tcp dport {where[1]}", "sport")
        connection = stage.connect(where, endpoint=caller)
        connection.sendall(b"data")
        assert stage.accept(listener).recv(4) == b"data"
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            stage.connect(where, endpoint=caller)
    _, where = stage.listen()
    call = Peer(stage).call(where)
    call.open_halfway()
    call.send("R")
    stage.expect({"attempts": 5, "answered": 3, "completed": 2, "refused": 2, "aborted": 1})


def test_the_gateways_own_handshakes_count_once(stage: Stage) -> None:
    """It is a host of its own too: asked from either side, and asking."""
    gateway = stage.topology.gateway
    assert gateway is not None
    _, where = stage.listen(endpoint=gateway)
    for caller in (stage.topology.client, stage.topology.server):
        stage.connect(where, endpoint=caller)
    for at in (stage.topology.client, stage.topology.server):
        _, elsewhere = stage.listen(endpoint=at)
        stage.connect(elsewhere, endpoint=gateway)
    twice = dict.fromkeys(ONCE, 2)
    stage.expect(twice)
    assert stage.at_listener(where) == twice


def test_a_translated_listener_is_the_one_that_was_asked_for(stage: Stage) -> None:
    """Behind destination NAT, peers know the gateway's address, and so does the probe."""
    gateway = stage.topology.gateway
    assert gateway is not None
    listener, inside = stage.listen()
    public = stage.address_of(gateway)
    family, target = ("ip6", f"[{inside[0]}]") if stage.version == 6 else ("ip", inside[0])
    stage.firewall(
        gateway,
        f"""
        chain translate {{
            type nat hook prerouting priority -100;
            {family} daddr {public} tcp dport {inside[1]} dnat {family} to {target}:{inside[1]};
        }}
        """,
    )
    caller = stage.connect((public, inside[1]))
    caller.sendall(b"data")
    assert stage.accept(listener).recv(4) == b"data"
    stage.expect(ONCE)
    assert stage.at_listener((public, inside[1])) == stage.at_source(stage.client) == ONCE
    assert stage.at_listener(inside) == {}


def test_data_in_segments_that_the_kernel_merges_is_no_handshake(stage: Stage) -> None:
    """A megabyte each way crosses both interfaces, merged or not, and nothing more is counted."""
    listener, where = stage.listen()
    caller = stage.connect(where)
    accepted = stage.accept(listener)
    for end, other in ((caller, accepted), (accepted, caller)):
        end.setblocking(False)
        sent = received = 0
        data = bytes(1 << 16)
        while received < 1 << 20:
            with contextlib.suppress(BlockingIOError):
                sent += end.send(data) if sent < 1 << 20 else 0
            with contextlib.suppress(BlockingIOError):
                received += len(other.recv(1 << 18, socket.MSG_DONTWAIT))
    stage.expect(ONCE)

"""A block cuts no session: it goes on while nothing new of its address gets through."""

from __future__ import annotations

import pytest

from bench.net.namespaces import Topology
from bench.scenario.flood import ClientSpec
from synguard import client
from tests.netns import good

from .conftest import StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

#: As people type in a terminal, over one connection that is kept.
SESSION = ClientSpec(name="session", kind="keep-alive", per_s=50.0, connections=1)


@pytest.mark.parametrize("version", [4, 6])
def test_a_session_from_a_blocked_address_keeps_flowing(
    topology: Topology, start_daemon: StartDaemon, version: int
) -> None:
    """Every exchange of an established connection is answered; three new ones are not even begun."""
    is_ipv6 = version == 6
    server, source = (
        str((host.ipv6 if is_ipv6 else host.ipv4).ip) for host in (topology.server, topology.client)
    )
    guard = start_daemon("enforce")
    with good.good_clients(topology, SESSION, ipv6=is_ipv6) as session:
        client.request(guard.socket, "block_add", target=source, ttl_s=600.0, reason="test")
        assert not any(good.connects(topology.client, server, timeout_s=0.5) for _ in range(3))
        (block,) = client.request(guard.socket, "block_list")
        assert block["hits"] >= 3
        visits = session.finish()
        assert session.broken == 0
    assert good.served(visits) == 1.0
    client.request(guard.socket, "block_remove", target=source)

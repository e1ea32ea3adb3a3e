"""A client that floods by its own stack is proven by its TCP timestamp clock, and dropped."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

import pytest

from bench.net.namespaces import Topology, run_in, start_in, wait_until, write_sysctls
from synguard import client

from .conftest import OpenListener, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080
#: So the client's stack never sees that it is answered: its handshakes stay half-open.
DEAF = f"""
table inet deaf {{
    chain answers {{
        type filter hook input priority 0; policy accept;
        tcp sport {PORT} tcp flags & (syn | ack) == (syn | ack) drop
    }}
}}
"""


def test_a_client_that_floods_with_its_own_clock_is_dropped(
    topology: Topology, open_listener: OpenListener, start_daemon: StartDaemon
) -> None:
    """It completed handshakes a moment before; with drop = proven that is what gives it away."""
    # Without an offset for each connection, which some kernels draw, clients have one clock.
    write_sysctls(topology.client.namespace, {"ipv4/tcp_timestamps": 2})
    address = str(topology.server.ipv4.ip)
    open_listener(address, PORT)
    guard = start_daemon("enforce", {"respond": {"drop": "proven"}})
    for _ in range(20):
        run_in(topology.client, lambda: socket.create_connection((address, PORT), 3.0).close())
    filtering = start_in(topology.client, ["nft", "-f", "-"], stdin=-1, text=True)
    filtering.communicate(DEAF)
    assert filtering.returncode == 0

    def dropped() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = client.request(guard.socket, "block_list")
        return [row for row in rows if row["response"] == "drop"]

    def knock(sockets: list[socket.socket]) -> None:
        until_s = time.monotonic() + 0.3
        while time.monotonic() < until_s:
            for _ in range(20):
                sockets.append(socket.socket())
                sockets[-1].setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    sockets[-1].connect((address, PORT))
            time.sleep(0.01)

    with contextlib.ExitStack() as waiting:
        sockets: list[socket.socket] = []

        def flood() -> bool:
            run_in(topology.client, lambda: knock(sockets))
            while sockets:
                waiting.enter_context(sockets.pop())
            return bool(dropped())

        wait_until(flood, "the drop of a proven source", 10.0)
    (block,) = dropped()
    assert block["target"] == str(topology.client.ipv4.ip)
    assert "proven not to be spoofed" in block["reason"]
    (alert,) = client.request(guard.socket, "alerts", filter={})
    assert (alert["source"], alert["action"]["response"]) == (None, "drop")

"""Good clients: real TCP connects from a namespace at a set pace, each of which exchanges a few bytes.

A connection succeeds when it is established within ``CUT_OFF_S`` and its bytes come back. Attempts
are concurrent: those that fail do not slow the pace.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import msgspec

from bench.net.enter import call_in, enter
from bench.net.links import Endpoint
from bench.talk import Child, Parent

#: A client whose new connection takes longer is cut off.
CUT_OFF_S = 1.5
_EXCHANGE_TIMEOUT_S = 1.5
_MESSAGE = b"are you there?\n"


class Visit(msgspec.Struct, frozen=True):
    """Whom to connect to, and how often."""

    namespace: str
    address: str
    port: int
    connects_per_s: float


class Connection(msgspec.Struct, frozen=True):
    """One attempt to connect; ``start_ns`` is CLOCK_MONOTONIC."""

    start_ns: int
    succeeded: bool
    #: From the first SYN to the established connection; None when it was not established in time.
    connect_ms: float | None
    failure: str | None = None


async def _connect_once(visit: Visit) -> Connection:
    start_ns = time.monotonic_ns()
    connect_ms = None
    try:
        async with asyncio.timeout(CUT_OFF_S):
            reader, writer = await asyncio.open_connection(visit.address, visit.port)
        connect_ms = (time.monotonic_ns() - start_ns) / 1e6
        try:
            writer.write(_MESSAGE)
            async with asyncio.timeout(_EXCHANGE_TIMEOUT_S):
                echoed = await reader.readexactly(len(_MESSAGE))
        finally:
            writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        return Connection(start_ns, False, connect_ms, type(error).__name__)
    return Connection(start_ns, echoed == _MESSAGE, connect_ms)


async def _keep_connecting(visit: Visit, parent: Parent, ending: asyncio.Event) -> None:
    start_s = time.monotonic()
    attempts = 0
    async with asyncio.TaskGroup() as group:
        while not ending.is_set():
            task = group.create_task(_connect_once(visit))
            task.add_done_callback(lambda done: parent.say(done.result()))
            attempts += 1
            pause_s = start_s + attempts / visit.connects_per_s - time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(pause_s, 0.0)):
                    await ending.wait()


async def _visit(visit: Visit, parent: Parent) -> None:
    ending = asyncio.Event()
    connecting = asyncio.create_task(_keep_connecting(visit, parent, ending))
    await asyncio.to_thread(parent.next, None)
    ending.set()
    await connecting


class GoodClient:
    """A child process that keeps connecting at a set pace, while the ``with`` block lasts.

    Args:
        endpoint: where it lives.
        address: whom it connects to.
        port: and where there.
        connects_per_s: its pace.

    """

    def __init__(self, endpoint: Endpoint, address: str, port: int, connects_per_s: float) -> None:
        visit = Visit(endpoint.namespace, address, port, connects_per_s)
        self._child = Child("bench.peers.clients", visit, Connection)
        self._connections: list[Connection] = []
        self._listening = threading.Thread(target=self._listen, name="good-client", daemon=True)

    def __enter__(self) -> Self:
        self._child.__enter__()
        self._listening.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.finish()
        self._child.end()

    def _listen(self) -> None:
        for connection in self._child.heard():
            self._connections.append(connection)

    @property
    def connections(self) -> list[Connection]:
        """Every attempt that has come to an end so far."""
        return list(self._connections)

    def finish(self) -> list[Connection]:
        """Begin no more; return every attempt once the last has succeeded or failed."""
        self._child.no_more_orders()
        self._listening.join()
        return self.connections


def shake_hands(endpoint: Endpoint, address: str, port: int, count: int) -> None:
    """Make ``count`` handshakes one after another from an endpoint, and close each connection.

    Raises OSError for the first that fails.
    """
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET

    def connect() -> None:
        for _ in range(count):
            with socket.socket(family) as client:
                client.settimeout(CUT_OFF_S)
                client.connect((address, port))

    call_in(endpoint.namespace, connect)


def main(argument: str) -> None:
    """Keep connecting until the parent has no more orders."""
    visit = msgspec.json.decode(argument, type=Visit)
    enter(visit.namespace)
    asyncio.run(_visit(visit, Parent()))


if __name__ == "__main__":
    main(sys.argv[1])

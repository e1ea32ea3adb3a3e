"""A real server in a namespace: an accept loop that echoes what it is sent.

One listener is one child process: ending it closes its socket, and the kernel drops what is left in
its SYN queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator

import msgspec

from bench.net.enter import enter
from bench.net.links import Endpoint
from bench.talk import Child, Parent

#: Both queues of a listener are bounded by the smaller of this and the namespace's somaxconn.
DEFAULT_QUEUE_ENTRIES = 4096
_READY_TIMEOUT_S = 10.0


class Listening(msgspec.Struct, frozen=True):
    """Where a listener listens, and how many connections may wait."""

    namespace: str
    address: str
    port: int
    queue_entries: int


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # A client that gave up is its own loss, not the server's.
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _serve(listening: Listening, parent: Parent) -> None:
    server = await asyncio.start_server(
        _echo, listening.address, listening.port, backlog=listening.queue_entries
    )
    parent.say(True)
    async with server:
        await asyncio.to_thread(parent.next, None)


@contextlib.contextmanager
def listen(endpoint: Endpoint, address: str, port: int, queue_entries: int) -> Iterator[None]:
    """Echo on an address of the endpoint's while the ``with`` block lasts; it listens when that begins."""
    listening = Listening(endpoint.namespace, address, port, queue_entries)
    with Child("bench.peers.listener", listening, bool) as child:
        child.hear(_READY_TIMEOUT_S)
        yield


def main(argument: str) -> None:
    """Listen until the parent ends."""
    listening = msgspec.json.decode(argument, type=Listening)
    enter(listening.namespace)
    asyncio.run(_serve(listening, Parent()))


if __name__ == "__main__":
    main(sys.argv[1])

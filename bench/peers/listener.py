"""A real server in a namespace: an accept loop that echoes what it is sent.

One server is one child process: ending it closes its sockets, and the kernel drops what is left in
their SYN queues.
"""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import sys
from collections.abc import Iterator

import msgspec

from bench.net.enter import enter
from bench.net.links import Endpoint
from bench.peers.descriptors import allow_descriptors
from bench.talk import Child, Parent

_READY_TIMEOUT_S = 10.0
_CHUNK_BYTES = 4096
#: Connections taken off the accept queue at a stretch; between stretches those accepted are served.
_STRETCH = 32
_ORDERS = 0


class Listening(msgspec.Struct, frozen=True):
    """Where a listener listens, and how many connections may wait."""

    namespace: str
    addresses: list[str]
    port: int
    #: Both of its queues are bounded by the smaller of this and the namespace's somaxconn.
    queue_entries: int


class _EchoServer:
    """Accepts and echoes in one thread, while the ``with`` block of its sockets lasts."""

    def __init__(self, listeners: list[socket.socket]) -> None:
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._clients: dict[int, socket.socket] = {}
        self._poll = select.epoll()
        for descriptor in (_ORDERS, *self._listeners):
            self._poll.register(descriptor, select.EPOLLIN)

    def serve(self) -> None:
        """Echo until the input ends."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._clients:
                    self._echo(descriptor)
                elif descriptor in self._listeners:
                    self._accept(self._listeners[descriptor])
                else:
                    return

    def _accept(self, listener: socket.socket) -> None:
        # One that is gone again, or for which no file is free, is its client's loss.
        with contextlib.suppress(OSError):
            for _ in range(_STRETCH):
                client, _ = listener.accept()
                self._clients[client.fileno()] = client
                self._poll.register(client.fileno(), select.EPOLLIN)

    def _echo(self, descriptor: int) -> None:
        client = self._clients[descriptor]
        try:
            heard = client.recv(_CHUNK_BYTES, socket.MSG_DONTWAIT)
            if heard:
                client.send(heard, socket.MSG_DONTWAIT)
                return
        except BlockingIOError:
            return
        except OSError:
            # A client that gave up is its own loss, not the server's.
            pass
        del self._clients[descriptor]
        client.close()


def _open(address: str, listening: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, listening.port), family=family, backlog=listening.queue_entries)
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def echo(endpoint: Endpoint, addresses: list[str], port: int, queue_entries: int) -> Iterator[int]:
    """Echo on addresses of the endpoint's while the ``with`` block lasts; yield the child's pid.

    It listens when the block begins.
    """
    listening = Listening(endpoint.namespace, addresses, port, queue_entries)
    with Child("bench.peers.listener", listening, bool) as child:
        child.hear(_READY_TIMEOUT_S)
        yield child.pid


def main(argument: str) -> None:
    """Listen until the parent ends."""
    listening = msgspec.json.decode(argument, type=Listening)
    enter(listening.namespace)
    allow_descriptors()
    # Nothing here forms cycles, and a search for them makes clients wait.
    gc.disable()
    server = _EchoServer([_open(address, listening) for address in listening.addresses])
    # Kept, for its descriptor is ``_ORDERS``.
    parent = Parent()
    parent.say(True)
    server.serve()


if __name__ == "__main__":
    main(sys.argv[1])

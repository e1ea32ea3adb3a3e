"""A slow application: it serves one caller after another, each for a while, and lets the others wait."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator

import msgspec

from bench.net.enter import enter
from bench.net.links import Endpoint
from bench.talk import Child, Parent

_READY_TIMEOUT_S = 10.0
_CHUNK_BYTES = 4096


class Slow(msgspec.Struct, frozen=True):
    """Where it listens, how many may wait, and how long it takes over each."""

    namespace: str
    address: str
    port: int
    queue_entries: int
    service_s: float


@contextlib.contextmanager
def slow_server(
    host: Endpoint, address: str, port: int, *, queue_entries: int, service_s: float
) -> Iterator[int]:
    """Serve slowly while the ``with`` block lasts: ``1 / service_s`` callers a second; yield the child's pid.

    It listens when the block begins. Each caller gets back what he said.
    """
    slow = Slow(host.namespace, address, port, queue_entries, service_s)
    with Child("bench.detection.actors.slow", slow, bool) as child:
        child.hear(_READY_TIMEOUT_S)
        yield child.pid


def _serve(listener: socket.socket, service_s: float, over: threading.Event) -> None:
    while not over.wait(service_s):
        # A caller who has gone is his own loss.
        with contextlib.suppress(OSError), listener.accept()[0] as caller:
            caller.settimeout(service_s)
            caller.sendall(caller.recv(_CHUNK_BYTES))


def main(argument: str) -> None:
    """Serve until the parent ends."""
    slow = msgspec.json.decode(argument, type=Slow)
    enter(slow.namespace)
    with socket.create_server((slow.address, slow.port), backlog=slow.queue_entries) as listener:
        # Woken now and then, so that an end is seen while nobody calls.
        listener.settimeout(1.0)
        parent, over = Parent(), threading.Event()
        serving = threading.Thread(target=_serve, args=(listener, slow.service_s, over))
        serving.start()
        parent.say(True)
        parent.next(None)
        over.set()
        serving.join()


if __name__ == "__main__":
    main(sys.argv[1])

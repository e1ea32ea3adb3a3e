"""Real connections that go on exchanging data, and a second way for what the server answers."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Self

from bench.net.namespaces import Topology, run_in, wait_until

from .commands import run

PORT = 8080
MESSAGE = b"a line of twenty-two\r\n"
#: How often each connection sends a message, which the server sends back.
PAUSE_S = 0.1


class Flows:
    """Connections from client to server that speak ten times a second while the ``with`` block lasts."""

    def __init__(self, topology: Topology, count: int) -> None:
        self._topology = topology
        self._count = count
        self._stack = contextlib.ExitStack()
        self._selector = selectors.DefaultSelector()
        self._ends: list[socket.socket] = []
        self._over = threading.Event()
        self._answered: set[int] = set()
        self._thread = threading.Thread(target=self._speak, name="flows")

    def __enter__(self) -> Self:
        """Connect all of them; returns once each has been answered."""
        server = str(self._topology.server.ipv4.ip)
        listener = run_in(
            self._topology.server, lambda: socket.create_server((server, PORT), backlog=self._count)
        )
        self._stack.enter_context(listener)
        for _ in range(self._count):
            client = run_in(self._topology.client, lambda: socket.create_connection((server, PORT), 5))
            self._ends.append(self._stack.enter_context(client))
            served = self._stack.enter_context(listener.accept()[0])
            served.setblocking(False)
            self._selector.register(served, selectors.EVENT_READ)
        self._thread.start()
        wait_until(lambda: len(self._answered) == self._count, "an answer on each connection")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._selector.close()
        self._stack.close()

    def _speak(self) -> None:
        for end in self._ends:
            end.setblocking(False)
        while not self._over.wait(PAUSE_S):
            for end in self._ends:
                end.send(MESSAGE)
            self._echo()

    def _echo(self) -> None:
        deadline_s = time.monotonic() + PAUSE_S
        while time.monotonic() < deadline_s and self._selector.get_map():
            events = self._selector.select(0.02)
            for key, _ in events:
                served = key.fileobj
                assert isinstance(served, socket.socket)
                served.send(served.recv(4096))
            if not events:
                break
        for number, end in enumerate(self._ends):
            with contextlib.suppress(BlockingIOError):
                if end.recv(4096):
                    self._answered.add(number)


class SecondWay:
    """A link from the guarded host to the client besides the switch, for answers to leave by."""

    def __init__(self, topology: Topology) -> None:
        self._guarded, client = topology.guarded, topology.client
        self._address = str(client.ipv4.ip)
        run(self._guarded, "ip", "link", "add", "out0", "type", "veth", "peer", "name", "in0", "netns",
            client.namespace)  # fmt: skip
        run(client, "ip", "link", "set", "in0", "address", "02:73:67:00:0a:01", "up")
        run(self._guarded, "ip", "link", "set", "out0", "up")
        run(self._guarded, "ip", "neigh", "replace", self._address, "lladdr", "02:73:67:00:0a:01", "dev",
            "out0", "nud", "permanent")  # fmt: skip

    def take(self) -> None:
        """Let answers to the client leave by it, where nobody guards."""
        run(self._guarded, "ip", "route", "add", f"{self._address}/32", "dev", "out0")

    def leave(self) -> None:
        """Let them leave by the guarded interface again."""
        run(self._guarded, "ip", "route", "del", f"{self._address}/32", "dev", "out0")

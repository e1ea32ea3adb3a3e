"""Good clients: real TCP connects from a namespace at a set pace, each of which exchanges a few bytes.

A connection succeeds when it is established within ``CUT_OFF_S`` and its bytes come back as fast.
Attempts are concurrent: those that fail do not slow the pace.
"""

from __future__ import annotations

import socket
import threading
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from bench.net.enter import call_in
from bench.net.links import Endpoint
from bench.peers import messages
from bench.peers.calls import CUT_OFF_S
from bench.peers.messages import Connection, Progress, Visit
from bench.scenario.model import ClientSpec
from bench.talk import Child
from synguard.errors import SynguardError

__all__ = ["Connection", "GoodClient", "shake_hands", "source_addresses"]

_FIRST_HOST = 2
#: The last attempts are cut off long before, where the client gets any CPU at all.
_END_TIMEOUT_S = 15.0


def source_addresses(endpoint: Endpoint, version: int, count: int) -> list[str]:
    """Return so many addresses, 1 to 250, of the endpoint's subnet, its own the first."""
    network = (endpoint.ipv6 if version == 6 else endpoint.ipv4).network
    return [str(network[_FIRST_HOST + number]) for number in range(count)]


class GoodClient:
    """A child process that keeps connecting at a set pace, while the ``with`` block lasts.

    Its namespace gets the sysctls of a host that makes many connections.

    Args:
        endpoint: where it lives.
        spec: what kind of client it is.
        address: whom it connects to.
        port: and where there.
        server_kind: what answers there, as in ``ServerSpec.kind``.
        cpu: where it runs; None: wherever the kernel has room.

    """

    def __init__(
        self,
        endpoint: Endpoint,
        spec: ClientSpec,
        address: str,
        port: int,
        server_kind: str = "accept-loop",
        *,
        cpu: int | None = None,
    ) -> None:
        several = spec.addresses > 1
        version = ip_address(address).version
        visit = Visit(
            namespace=endpoint.namespace,
            address=address,
            port=port,
            server_kind=server_kind,
            sources=source_addresses(endpoint, version, spec.addresses) if several else [],
            kind=spec.kind,
            per_s=spec.per_s,
            connections=spec.connections,
            cpu=cpu,
        )
        self._child = Child("bench.peers.visit", visit, Progress)
        self._records: list[bytes] = []
        self._progress = Progress(0, 0, 0, 0, b"")
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
        try:
            self._stop()
        finally:
            self._child.end()

    def _listen(self) -> None:
        for progress in self._child.heard():
            self._records.append(progress.records)
            self._progress = progress

    def _stop(self) -> bool:
        """Begin no more and wait for the end; return whether the child ended in time, or had to be killed."""
        self._child.no_more_orders()
        self._listening.join(_END_TIMEOUT_S)
        if not self._listening.is_alive():
            return True
        self._child.kill()
        self._listening.join(_END_TIMEOUT_S)
        return False

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def attempted(self) -> int:
        """How many attempts have come to an end, as of a tenth of a second ago."""
        return self._progress.attempted

    @property
    def succeeded(self) -> int:
        """How many of them succeeded."""
        return self._progress.succeeded

    @property
    def broken(self) -> int:
        """How many kept-alive connections broke until then."""
        return self._progress.broken

    @property
    def skipped(self) -> int:
        """How many attempts were never begun, because the client got no CPU for more than a second."""
        return self._progress.skipped

    @property
    def connections(self) -> list[Connection]:
        """Every attempt that had come to an end by then."""
        return list(messages.attempts(self._records))

    @property
    def broken_ns(self) -> list[int]:
        """When each kept-alive connection broke, CLOCK_MONOTONIC."""
        return list(messages.breaks(self._records))

    def finish(self) -> list[Connection]:
        """Begin no more; return every attempt once the last has succeeded or failed.

        Raises SynguardError when the child ended before it was told to, or had to be killed.
        """
        if not self._stop():
            raise SynguardError(f"the good client did not end within {_END_TIMEOUT_S:g} s")
        if not self._progress.over:
            raise SynguardError("the good client ended by itself")
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

"""Where a case plays: its hosts, the daemon with the settings that people run, servers, clients, floods."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

from bench.defences.follow import LogEvent
from bench.defences.guard import Guard
from bench.defences.sysctls import sysctls_set
from bench.detection.truth import Truth
from bench.flood.resolve import address_of, source_of
from bench.measure.observation import Flood
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, wait_until
from bench.peers.clients import GoodClient, source_addresses
from bench.peers.servers import serve
from bench.run.arena import Arena
from bench.run.floods import Floods, span_ns
from bench.scenario.model import ClientSpec, Family, FloodScenario, FloodSpec, ServerSpec
from synguard import client
from synguard.endpoint import Listener
from synguard.history.filter import AlertFilter

PORT = 443
#: What a good client near by does unless the case says otherwise: a listener is known after 100 handshakes.
_PER_S = 100.0
_SERVED_TIMEOUT_S = 5.0

_Entered = TypeVar("_Entered")


class Stage:
    """One trial's stage. What is started on it goes on until the trial's end.

    Args:
        arena: the hosts that the case asked for, and the generators.
        guard: the running daemon.
        running: closed at the end, last started first.

    """

    def __init__(self, arena: Arena, guard: Guard, running: contextlib.ExitStack) -> None:
        self.arena = arena
        self.guard = guard
        self.truth = Truth()
        #: What was sent by :meth:`flood`.
        self.floods: list[Flood] = []
        self._running = running

    @property
    def topology(self) -> Topology:
        """Server, attacker, clients by name, and the gateway where the case asked for one."""
        return self.arena.topology

    @property
    def events(self) -> list[LogEvent]:
        """What the daemon's log has said so far."""
        return self.guard.events

    def alerts(self) -> list[dict[str, Any]]:
        """Return every alert so far, oldest first, as ``synguard alerts --format json`` prints them."""
        found = client.request(self.guard.socket, "alerts", filter=AlertFilter(sort="id").to_json())
        assert isinstance(found, list)  # noqa: S101 - the protocol's promise
        return found

    def run(self, context: contextlib.AbstractContextManager[_Entered]) -> _Entered:
        """Enter a context that is left at the trial's end; return what it yields."""
        return self._running.enter_context(context)

    def set_sysctls(self, endpoint: Endpoint, values: Mapping[str, int | str]) -> None:
        """Set sysctls of a host, by path below /proc/sys/net; at the end they are what they were."""
        self.run(sysctls_set(endpoint.namespace, {path: str(value) for path, value in values.items()}))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        threading.Event().wait(seconds)

    def server_address(self, family: Family = 4) -> str:
        """Return the server's address."""
        return address_of(self.topology.server, family)

    def listener(self, port: int = PORT, family: Family = 4) -> str:
        """Return a listener of the server's as alerts write it; port 0 stands for its closed ports."""
        server = self.topology.server
        return str(Listener((server.ipv4 if family == 4 else server.ipv6).ip, port))

    def serve(self, spec: ServerSpec | None = None) -> tuple[int, ...]:
        """Start a server on the server's addresses of both families; return its pids."""
        addresses = [self.server_address(4), self.server_address(6)]
        return self.run(serve(spec or ServerSpec(), self.topology.server, addresses))

    def visit(
        self, spec: ClientSpec | None = None, port: int = PORT, server_kind: str = "accept-loop"
    ) -> GoodClient:
        """Start good clients in the namespace of ``spec.name``, who go on to the end unless finished before.

        Their addresses are noted as users'.
        """
        spec = spec or ClientSpec(name="client", per_s=_PER_S)
        endpoint = self.topology.clients[spec.name]
        self.truth.users |= set(source_addresses(endpoint, spec.family, spec.addresses))
        address = self.server_address(spec.family)
        return self.run(GoodClient(endpoint, spec, address, port, server_kind))

    def learn(self, seconds: float = 1.5, spec: ClientSpec | None = None, port: int = PORT) -> GoodClient:
        """Start good clients and let the daemon learn the listener from them for a while; they go on.

        Raises SynguardError when they are not served.
        """
        visitor = self.visit(spec, port)
        self.wait(seconds)
        wait_until(partial(_is_served, visitor), "the good client", _SERVED_TIMEOUT_S)
        return visitor

    def flood(self, *specs: FloodSpec, port: int = PORT, seconds: float = 3.0) -> list[Flood]:
        """Send floods, each to its own port or this one, and wait for their end.

        Notes the targets as listeners of the truth, and first and last packet; a flood whose one source is
        an address or prefix has it noted as the source, unless the case has noted one before.
        """
        scenario = FloodScenario(
            purpose="",
            premises=(),
            server=ServerSpec(kind="none", port=port),
            floods=specs,
            flood_s=seconds,
        )
        self.truth.listeners |= {self.listener(spec.port or port, spec.family) for spec in specs}
        if self.truth.source is None and len(specs) == 1:
            self.truth.source = self._one_source(specs[0])
        with Floods(scenario, self.arena) as floods:
            floods.wait_until_ready()
            self.truth.began(floods.start())
            done = floods.finish()
            self.truth.ended(span_ns([flood.report for flood in done])[1])
        self.floods += done
        return done

    def _one_source(self, spec: FloodSpec) -> str | None:
        if len(spec.sources) != 1 or spec.sources[0] == "any":
            return None
        return source_of(spec.sources[0], spec.family, self.topology)


def _is_served(visitor: GoodClient) -> bool:
    return visitor.succeeded > 0

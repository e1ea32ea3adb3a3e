"""Who stands where in a topology: roles, names, addresses and the routes between them.

Addresses are those set aside for benchmarks (RFC 2544, RFC 5180): 198.18.0.0/15 and 2001:2::/48.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface, IPv6Interface
from typing import Literal

from bench.net.links import INTERFACE, Endpoint, Route
from synguard.errors import UsageError

#: The gateway's interface towards the server.
INNER_INTERFACE = "net1"

#: More clients would run out of next hops in the server's subnet.
MAX_CLIENTS = 100

Role = Literal["host", "gateway"]


class Layout:
    """The hosts of one topology.

    Args:
        prefix: what the names of all its namespaces begin with, ``sg-PID-NUMBER``.
        clients: how many.
        role: ``host``: the server is guarded; ``gateway``: a gateway before it is.

    Raises:
        UsageError: an unknown role, no client or too many.

    """

    def __init__(self, prefix: str, clients: int, role: Role) -> None:
        if not 1 <= clients <= MAX_CLIENTS:
            raise UsageError(f"a topology has 1 to {MAX_CLIENTS} clients, not {clients}")
        if role not in ("host", "gateway"):
            raise UsageError(f"a topology's role is host or gateway, not {role!r}")
        self._prefix = prefix
        self.switch = f"{prefix}-switch"
        self.server = self._endpoint("server", 1, "198.18.0.1/24", "2001:2:0:1::1/64")
        self.attacker = self._endpoint("attacker", 3, "198.18.66.2/24", "2001:2:0:66::2/64")
        self.clients = tuple(self._client(number) for number in range(clients))
        self.gateway: Endpoint | None = None
        if role == "gateway":
            self.gateway = self._endpoint("gateway", 4, "198.18.1.1/24", "2001:2:0:2::1/64")
            self.inner = self._endpoint(
                "gateway", 5, "198.18.0.254/24", "2001:2:0:1::fe/64", interface=INNER_INTERFACE
            )

    def _endpoint(
        self,
        role: str,
        number: int,
        ipv4: str,
        ipv6: str,
        *,
        interface: str = INTERFACE,
        any_ip: bool = False,
    ) -> Endpoint:
        mac = f"02:73:67:00:00:{number:02x}"
        namespace = f"{self._prefix}-{role}"
        return Endpoint(role, namespace, mac, IPv4Interface(ipv4), IPv6Interface(ipv6), interface, any_ip)

    def _client(self, number: int) -> Endpoint:
        role = f"client{number + 1}" if number else "client"
        ipv4, ipv6 = f"198.19.{10 + number}.2/24", f"2001:2:0:{0x1000 + number:x}::2/64"
        return self._endpoint(role, 0x10 + number, ipv4, ipv6, any_ip=True)

    @property
    def guarded(self) -> Endpoint:
        """Whose interface ``net0`` takes the flood."""
        return self.gateway or self.server

    @property
    def on_switch(self) -> tuple[Endpoint, ...]:
        """The hosts that the switch joins."""
        return self.guarded, *self.clients, self.attacker

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All hosts: server, clients, attacker, and the gateway where there is one."""
        hosts = (self.server, *self.clients, self.attacker)
        return (*hosts, self.gateway) if self.gateway else hosts

    def routes(self) -> Iterator[tuple[Endpoint, list[Route]]]:
        """Yield every interface with its routes: beyond the guarded, whoever is no client is the attacker."""
        guarded = self.guarded
        hops = [("default", "default", self.attacker)]
        hops += [(str(client.ipv4.network), str(client.ipv6.network), client) for client in self.clients]
        yield guarded, _via(guarded, hops)
        for host in (*self.clients, self.attacker):
            yield host, _via(host, [("default", "default", guarded)])
        if self.gateway:
            yield self.server, _via(self.server, [("default", "default", self.inner)])
            addresses = (self.server.ipv4.ip, self.server.ipv6.ip)
            yield self.inner, [Route(None, str(address), self.server) for address in addresses]


def _via(host: Endpoint, hops: Sequence[tuple[str, str, Endpoint]]) -> list[Route]:
    """Return routes over next hops of the host's own subnets, counted down from .254 and ::fe."""
    routes = []
    for number, (ipv4_destination, ipv6_destination, neighbour) in enumerate(hops, 1):
        ipv4_hop = host.ipv4.network.broadcast_address - number
        ipv6_hop = host.ipv6.network.network_address + 0xFF - number
        routes.append(Route(ipv4_destination, str(ipv4_hop), neighbour))
        routes.append(Route(ipv6_destination, str(ipv6_hop), neighbour))
    return routes

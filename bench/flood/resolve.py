"""Turns a scenario's words for a flood into the plan of one, for the hosts of a topology."""

from __future__ import annotations

from ipaddress import ip_network

from bench.flood.plan import ANY_IPV4, ANY_IPV6, FloodPlan
from bench.net.links import Endpoint
from bench.net.namespaces import SILENT_IPV4, SILENT_IPV6, Topology
from bench.scenario.model import Family, FloodSpec
from synguard.errors import UsageError

_SILENT = {4: str(SILENT_IPV4), 6: str(SILENT_IPV6)}
_ANY = {4: str(ANY_IPV4), 6: str(ANY_IPV6)}
_OF_CLIENT = "client:"


def address_of(endpoint: Endpoint, family: Family) -> str:
    """Return a host's own address of that IP version."""
    return str(endpoint.ipv4.ip if family == 4 else endpoint.ipv6.ip)


def source_of(word: str, family: Family, topology: Topology) -> str:
    """Return the address or prefix that one of ``FloodSpec.sources`` means, as text.

    ``attacker`` is the attacker's own address: its kernel answers the server's SYN-ACKs with RST.

    Raises UsageError for a client that is not there, an address of the other IP version, and for what
    is neither a word nor an address.
    """
    if word == "silent":
        return _SILENT[family]
    if word == "any":
        return _ANY[family]
    if word == "attacker":
        return address_of(topology.attacker, family)
    if word.startswith(_OF_CLIENT):
        return address_of(_client(word.removeprefix(_OF_CLIENT), topology), family)
    try:
        network = ip_network(word)
    except ValueError as error:
        known = "silent, any, attacker, client:NAME, an address, or a prefix without host bits"
        raise UsageError(f"{word!r} is no source of a flood; known are {known}") from error
    if network.version != family:
        raise UsageError(f"{word} is no IPv{family} source; the flood's family is {family}")
    return str(network.network_address if network.num_addresses == 1 else network)


def _client(name: str, topology: Topology) -> Endpoint:
    if name not in topology.clients:
        there = ", ".join(topology.clients)
        raise UsageError(f"no client is called {name!r} here; there are: {there}")
    return topology.clients[name]


def plan_of(spec: FloodSpec, topology: Topology, port: int, flood_s: float) -> FloodPlan:
    """Return the plan of a scenario's flood of the server.

    ``port`` is where it goes, and ``flood_s`` how long it lasts, where ``spec`` does not say. Raises
    UsageError for a spec that makes no sense in this topology or at all.
    """
    plan = FloodPlan(
        destination=address_of(topology.server, spec.family),
        destination_port=port if spec.port is None else spec.port,
        sources=tuple(source_of(word, spec.family, topology) for word in spec.sources),
        syn_per_s=None if spec.syn_per_s == "max" else spec.syn_per_s,
        duration_s=flood_s if spec.duration_s is None else spec.duration_s,
        shape=spec.shape,
        pattern=spec.pattern,
        on_s=spec.on_s,
        off_s=spec.off_s,
        copies=spec.copies,
        acks_per_syn=spec.acks_per_syn,
        vlans=spec.vlans,
        random_ports=spec.random_ports,
        ttls=spec.ttls,
        payload_bytes=spec.payload_bytes,
    )
    plan.check()
    return plan

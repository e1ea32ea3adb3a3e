"""Wires a topology's interfaces, addresses, neighbours and routes: the bench's one user of pyroute2."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any, TypeVar

from pyroute2 import IPRoute, netns
from pyroute2.netlink.exceptions import NetlinkError

from bench.net.enter import call_in
from synguard.errors import SynguardError

#: The name of every endpoint's interface towards the switch inside its namespace.
INTERFACE = "net0"
#: What an interface of the bench's own carries as its alias; the generator refuses any other.
ALIAS = "synguard-bench"

_BRIDGE = "switch0"
_IFA_F_TENTATIVE = 0x40
_BRIDGE_PORT_FORWARDING = 3
_XDP_FLAGS_UPDATE_IF_NOEXIST = 1 << 0
_XDP_FLAGS_SKB_MODE = 1 << 1
_XDP_FLAGS_DRV_MODE = 1 << 2
_IFF_UP = 0x1
_IFF_RUNNING = 0x40
_IFF_LOWER_UP = 0x10000
_LOCAL_TABLE = 255
_NTF_MASTER = 0x04
#: NUD_NOARP makes an entry static, NUD_REACHABLE keeps pyroute2 from adding NUD_PERMANENT, which
#: would make it the bridge's own address.
_STATIC_ENTRY = 0x40 | 0x02

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One host of the topology, alone in its namespace."""

    role: str
    namespace: str
    mac: str
    ipv4: IPv4Interface
    ipv6: IPv6Interface
    interface: str = INTERFACE
    #: Whether every address of its networks is its own (AnyIP), to bind to with IP_FREEBIND.
    owns_networks: bool = False

    @property
    def port(self) -> str:
        """The name of the switch's interface that leads here."""
        return f"port-{self.role}"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a host sends what is for ``destination``: to ``neighbour``, under its gateway's address."""

    #: None where the neighbour is all there is to know.
    destination: str | None
    gateway: str
    neighbour: Endpoint


def _ask(namespace: str, conversation: Callable[[Any], _Result]) -> _Result:
    """Return what ``conversation`` makes of a route netlink socket opened inside the namespace.

    The socket is opened in a thread that entered: pyroute2's own ``netns=`` forks for each socket.
    """

    def converse() -> _Result:
        with IPRoute() as route:
            return conversation(route)

    try:
        return call_in(namespace, converse)
    except NetlinkError as error:
        raise SynguardError(f"setting up namespace {namespace}: {error}") from error


def create_namespace(name: str) -> None:
    """Make a namespace; raises FileExistsError when the name is taken."""
    netns.create(name)


def remove_namespace(name: str) -> None:
    """Remove a namespace's name; one that is already gone is as good."""
    with contextlib.suppress(FileNotFoundError):
        netns.remove(name)


def build_switch(namespace: str, endpoints: Sequence[Endpoint]) -> None:
    """Make the bridge and a veth from it into every endpoint's namespace.

    Learning and flooding are off and every address is entered by hand: no frame for one endpoint
    ever reaches another.
    """

    def build(route: Any) -> None:
        route.link("add", ifname=_BRIDGE, kind="bridge", br_stp_state=0, br_mcast_snooping=0)
        (bridge,) = route.link_lookup(ifname=_BRIDGE)
        for endpoint in endpoints:
            _add_veth(route, endpoint.port, endpoint)
            _add_port(route, bridge, endpoint)
        route.link("set", index=bridge, state="up")

    _ask(namespace, build)


def _add_veth(route: Any, interface: str, endpoint: Endpoint) -> None:
    peer = {"ifname": endpoint.interface, "address": endpoint.mac, "net_ns_fd": endpoint.namespace}
    route.link("add", ifname=interface, kind="veth", peer=peer)


def _add_port(route: Any, bridge: int, endpoint: Endpoint) -> None:
    (port,) = route.link_lookup(ifname=endpoint.port)
    route.link("set", index=port, master=bridge, ifalias=ALIAS)
    route.brport("set", index=port, learning=0, unicast_flood=0, mcast_flood=0)
    route.fdb("add", ifindex=port, lladdr=endpoint.mac, flags=_NTF_MASTER, state=_STATIC_ENTRY)
    route.link("set", index=port, state="up")


def adopt_port(namespace: str, endpoint: Endpoint) -> None:
    """Make the interface of the endpoint's port, which is there already, a port of the bridge."""

    def adopt(route: Any) -> None:
        (bridge,) = route.link_lookup(ifname=_BRIDGE)
        _add_port(route, bridge, endpoint)

    _ask(namespace, adopt)


def join_directly(inner: Endpoint, outer: Endpoint) -> None:
    """Make a veth from one endpoint's interface to the other's, with no switch between."""

    def join(route: Any) -> None:
        _add_veth(route, inner.interface, outer)
        (index,) = route.link_lookup(ifname=inner.interface)
        route.link("set", index=index, address=inner.mac)

    _ask(inner.namespace, join)


def configure_endpoint(endpoint: Endpoint, routes: Sequence[Route]) -> None:
    """Give an endpoint its addresses, permanent neighbours and routes, and bring it up."""

    def configure(route: Any) -> None:
        (loopback,) = route.link_lookup(ifname="lo")
        (index,) = route.link_lookup(ifname=endpoint.interface)
        route.link("set", index=loopback, state="up")
        route.link("set", index=index, state="up", address=endpoint.mac, ifalias=ALIAS)
        for address in (endpoint.ipv4, endpoint.ipv6):
            route.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
        for entry in routes:
            _add_route(route, index, entry)
        if endpoint.owns_networks:
            _own_networks(route, loopback, endpoint)

    _ask(endpoint.namespace, configure)


def _add_route(route: Any, index: int, entry: Route) -> None:
    family = socket.AF_INET6 if ":" in entry.gateway else socket.AF_INET
    mac = entry.neighbour.mac
    route.neigh("replace", dst=entry.gateway, lladdr=mac, ifindex=index, family=family, state="permanent")
    if entry.destination:
        route.route("add", dst=entry.destination, gateway=entry.gateway, oif=index, family=family)


def _own_networks(route: Any, loopback: int, endpoint: Endpoint) -> None:
    # After the other routes: a next hop may not be one's own address when it is entered.
    for network in (endpoint.ipv4.network, endpoint.ipv6.network):
        family = socket.AF_INET6 if network.version == 6 else socket.AF_INET
        where = {"oif": loopback, "table": _LOCAL_TABLE, "scope": "host"}
        route.route("add", dst=str(network), type="local", family=family, **where)


@contextlib.contextmanager
def owned(endpoint: Endpoint, prefix: str) -> Iterator[None]:
    """Make every address of an IPv4 prefix the endpoint's own while the ``with`` block lasts.

    Its kernel then answers in the name of each, with RST where nothing listens.
    """

    def change(command: str, route: Any) -> None:
        (loopback,) = route.link_lookup(ifname="lo")
        route.route(command, dst=prefix, type="local", oif=loopback, table=_LOCAL_TABLE, scope="host")

    _ask(endpoint.namespace, partial(change, "add"))
    try:
        yield
    finally:
        _ask(endpoint.namespace, partial(change, "del"))


def remove_links(namespace: str) -> None:
    """Delete a namespace's veths, and with each its peer and the programs attached there."""

    def remove(route: Any) -> None:
        for link in route.get_links():
            if link.get("ifname", "").startswith(("port-", "net")):
                # The far end of one that was deleted just before is gone already.
                with contextlib.suppress(NetlinkError):
                    route.link("del", index=link["index"])

    _ask(namespace, remove)


def endpoint_is_ready(endpoint: Endpoint) -> bool:
    """Return whether the endpoint's interface is up and none of its addresses is tentative."""

    def ready(route: Any) -> bool:
        (link,) = route.link("get", ifname=endpoint.interface)
        flags = [address.get("flags", 0) for address in route.get_addr(index=link["index"])]
        running = link["flags"] & _IFF_RUNNING and link["flags"] & _IFF_LOWER_UP
        return bool(running) and not any(flag & _IFA_F_TENTATIVE for flag in flags)

    return _ask(endpoint.namespace, ready)


def switch_is_ready(namespace: str, endpoints: Sequence[Endpoint]) -> bool:
    """Return whether the bridge forwards on the port of every endpoint."""
    ports = {endpoint.port for endpoint in endpoints}

    def ready(route: Any) -> bool:
        states = [
            link.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_STATE")
            for link in route.get_links()
            if link.get("ifname") in ports
        ]
        return states == [_BRIDGE_PORT_FORWARDING] * len(ports)

    return _ask(namespace, ready)


def attach_xdp(namespace: str, interface: str, program: int, *, native: bool = False) -> None:
    """Attach a program where there is none, in generic mode or the driver's; or detach it with -1.

    Raises SynguardError where there is one already.
    """
    flags = _XDP_FLAGS_DRV_MODE if native else _XDP_FLAGS_SKB_MODE
    if program >= 0:
        flags |= _XDP_FLAGS_UPDATE_IF_NOEXIST
    attributes = [("IFLA_XDP_FD", program), ("IFLA_XDP_FLAGS", flags)]

    def attach(route: Any) -> None:
        (index,) = route.link_lookup(ifname=interface)
        route.link("set", index=index, xdp={"attrs": attributes})

    _ask(namespace, attach)


@dataclass(frozen=True, slots=True)
class LinkReading:
    """What the kernel says of one interface: index, mark, and frames since it was made."""

    index: int
    alias: str
    up: bool
    received_frames: int
    send_dropped_frames: int
    #: The id of the XDP program on it, native or generic.
    xdp_program: int | None

    @property
    def xdp_attached(self) -> bool:
        """Whether there is an XDP program."""
        return self.xdp_program is not None


def read_link(namespace: str, interface: str) -> LinkReading:
    """Return an interface's reading; raises SynguardError when it is not there."""
    (link,) = _ask(namespace, lambda route: tuple(route.link("get", ifname=interface)))
    frames = link.get("stats64")
    return LinkReading(
        link["index"],
        link.get("ifalias") or "",
        bool(link["flags"] & _IFF_UP),
        frames["rx_packets"],
        frames["tx_dropped"],
        link.get_nested("IFLA_XDP", "IFLA_XDP_PROG_ID"),
    )


def qdisc_kinds(namespace: str, interface: str) -> set[str]:
    """Return the kinds of the queueing disciplines on an interface."""

    def list_kinds(route: Any) -> set[str]:
        (index,) = route.link_lookup(ifname=interface)
        return {qdisc.get_attr("TCA_KIND") for qdisc in route.get_qdiscs(index=index)}

    return _ask(namespace, list_kinds)

"""The interfaces of this network namespace, as the kernel describes them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from synguard.errors import SynguardError, UnsupportedError

#: Device types whose frames start with an Ethernet header: ARPHRD_ETHER and ARPHRD_LOOPBACK.
ETHERNET_TYPES = frozenset({1, 772})

_XDP_ATTACHED_MODES = {"xdp": "native", "xdpgeneric": "generic", "xdpoffload": "offload", "xdpmulti": "multi"}


@dataclass(frozen=True, slots=True)
class Interface:
    """What the kernel says of an interface."""

    name: str
    index: int
    device_type: int
    master: int | None
    lower: int | None
    xdp_mode: str | None
    xdp_program_id: int | None


@contextmanager
def _netlink() -> Iterator[Any]:
    """Open netlink; what it refuses becomes a SynguardError."""
    try:
        with IPRoute() as ipr:
            yield ipr
    except (NetlinkError, OSError) as error:
        raise SynguardError(f"the kernel does not tell about interfaces: {error}; try again") from error


def describe(link: Any) -> Interface:
    """Return what a netlink message says of an interface."""
    xdp = link.get_attr("IFLA_XDP")
    mode = xdp.get_attr("IFLA_XDP_ATTACHED") if xdp else None
    program = xdp.get_attr("IFLA_XDP_PROG_ID") if xdp else None
    if xdp and program is None:
        program = xdp.get_attr("IFLA_XDP_SKB_PROG_ID") or xdp.get_attr("IFLA_XDP_DRV_PROG_ID")
    return Interface(
        link.get_attr("IFLA_IFNAME"),
        link["index"],
        link["ifi_type"],
        link.get_attr("IFLA_MASTER"),
        # A veth's peer in another namespace has an index of that namespace.
        link.get_attr("IFLA_LINK") if link.get_attr("IFLA_LINK_NETNSID") is None else None,
        _XDP_ATTACHED_MODES.get(str(mode)) if program else None,
        program,
    )


def find_interface(name: str) -> Interface:
    """Return the interface of that name. Raises SynguardError with the names there are."""
    with _netlink() as ipr:
        links = {link.get_attr("IFLA_IFNAME"): link for link in ipr.get_links()}
    if name not in links:
        raise SynguardError(f"there is no interface {name!r} here; there are: {', '.join(sorted(links))}")
    return describe(links[name])


def default_route_interfaces() -> list[str]:
    """Return the interfaces of the default routes; none where there is no such route.

    Where some have an Ethernet header and others do not (a VPN beside a network card), only the former.
    """
    with _netlink() as ipr:
        routes = [
            *ipr.get_default_routes(family=socket.AF_INET),
            *ipr.get_default_routes(family=socket.AF_INET6),
        ]
        indices = {index for route in routes for index in _outgoing(route)}
        found = [describe(link) for index in sorted(indices) for link in ipr.get_links(index)]
    with_header = [interface for interface in found if interface.device_type in ETHERNET_TYPES]
    return [interface.name for interface in with_header or found]


def _outgoing(route: Any) -> list[int]:
    """Return the interfaces of a route; one over several paths names them in its hops."""
    index = route.get_attr("RTA_OIF")
    hops = route.get_attr("RTA_MULTIPATH") or ()
    return [hop["oif"] for hop in hops] if index is None else [index]


def check_together(interfaces: Sequence[Interface]) -> None:
    """Refuse interfaces that would see the same packet twice: a bridge and its port, a VLAN and its parent.

    Raises UnsupportedError naming both.
    """
    by_index = {interface.index: interface for interface in interfaces}
    for interface in interfaces:
        for other in (interface.master, interface.lower):
            if other in by_index and other != interface.index:
                raise UnsupportedError(
                    f"{interface.name} and {by_index[other].name} carry the same packets, which would be "
                    "counted twice; guard one of them"
                )


def all_names() -> set[str]:
    """Return the name of every interface there is."""
    with _netlink() as ipr:
        return {link.get_attr("IFLA_IFNAME") for link in ipr.get_links()}

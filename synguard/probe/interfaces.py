"""The interfaces of this network namespace, as the kernel describes them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from synguard.errors import SynguardError, UnsupportedError, UsageError

#: Device types whose frames start with an Ethernet header: ARPHRD_ETHER and ARPHRD_LOOPBACK.
ETHERNET_TYPES = frozenset({1, 772})
#: Device types whose packets begin with the IP header, ARPHRD_NONE: tun and WireGuard. The probe can read
#: these from tc, which tells it the protocol; XDP does not.
NETWORK_TYPES = frozenset({65534})
#: Other types that people have, by their numbers in include/uapi/linux/if_arp.h.
_TYPE_WORDS = {
    512: "a PPP link", 519: "a raw IP link", 768: "an IP tunnel", 769: "an IPv6 tunnel", 776: "a sit tunnel",
    778: "a GRE tunnel", 801: "a Wi-Fi monitor", 823: "a GRE tunnel over IPv6", 824: "a netlink monitor",
    65534: "a device without link layer, such as tun or WireGuard",
}  # fmt: skip
#: Kinds of device that send and receive through another one, unchanged. (A tunnel's packets pass the device
#: below it wrapped in others, and a veth's other end is not below it: what enters here leaves there.)
_STACKED_KINDS = frozenset({"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"})

_XDP_ATTACHED_MODES = {"xdp": "native", "xdpgeneric": "generic", "xdpoffload": "offload", "xdpmulti": "multi"}


@dataclass(frozen=True, slots=True)
class Interface:
    """What the kernel says of an interface."""

    name: str
    index: int
    #: ``ARPHRD_*`` of include/uapi/linux/if_arp.h.
    device_type: int
    #: ``veth``, ``bridge``, ``wireguard``; None for a network card.
    kind: str | None
    #: Indices of the interfaces that this one's packets pass as well: a bridge's ports, a VLAN's parent.
    beneath: frozenset[int]
    xdp_mode: str | None
    xdp_program_id: int | None

    @property
    def has_ethernet_header(self) -> bool:
        """Whether its frames begin with an Ethernet header."""
        return self.device_type in ETHERNET_TYPES


@contextmanager
def _netlink() -> Iterator[Any]:
    """Open netlink; what it refuses becomes a SynguardError."""
    try:
        with IPRoute() as ipr:
            yield ipr
    except (NetlinkError, OSError) as error:
        raise SynguardError(f"the kernel does not tell about interfaces: {error}; try again") from error


def describe(link: Any, links: Sequence[Any] = ()) -> Interface:
    """Return what a netlink message says of an interface; what is beneath it only with all ``links``."""
    xdp = link.get_attr("IFLA_XDP")
    mode = xdp.get_attr("IFLA_XDP_ATTACHED") if xdp else None
    program = xdp.get_attr("IFLA_XDP_PROG_ID") if xdp else None
    if xdp and program is None:
        program = xdp.get_attr("IFLA_XDP_SKB_PROG_ID") or xdp.get_attr("IFLA_XDP_DRV_PROG_ID")
    return Interface(
        link.get_attr("IFLA_IFNAME"),
        link["index"],
        link["ifi_type"],
        _kind(link),
        _beneath(link["index"], links),
        _XDP_ATTACHED_MODES.get(str(mode)) if program else None,
        program,
    )


def _kind(link: Any) -> str | None:
    kind: str | None = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
    return kind


def _beneath(index: int, links: Sequence[Any]) -> frozenset[int]:
    """Follow the packets of an interface down to the last it passes: a VLAN of a bridge has ports, too."""
    found: set[int] = set()
    waiting = {index}
    while waiting:
        upper = waiting.pop()
        below = {link["index"] for link in links if link.get_attr("IFLA_MASTER") == upper}
        below |= {parent for link in links if link["index"] == upper for parent in _parents(link)}
        waiting |= below - found
        found |= below
    return frozenset(found - {index})


def _parents(link: Any) -> list[int]:
    # A parent in another namespace has an index of that namespace.
    here = link.get_attr("IFLA_LINK_NETNSID") is None
    parent = link.get_attr("IFLA_LINK")
    return [parent] if parent and here and _kind(link) in _STACKED_KINDS else []


def type_words(device_type: int, kind: str | None = None) -> str:
    """Return what people call a device: "a PPP link", "a wireguard device"."""
    if kind is not None:
        return f"a {kind} device"
    return _TYPE_WORDS.get(device_type, f"a device of hardware type {device_type}")


def find_interface(name: str) -> Interface:
    """Return the interface of that name.

    Raises:
        UsageError: it is no name, but tells which interface is meant; says how that is named.
        SynguardError: there is none; says which there are.

    """
    with _netlink() as ipr:
        links = list(ipr.get_links())
    for link in links:
        if link.get_attr("IFLA_IFNAME") == name:
            return describe(link, links)
    raise _not_found(name, links)


def check_names(names: Sequence[str]) -> None:
    """Refuse at once what cannot be guarded, or not together; a name that nobody has yet is fine.

    Raises:
        UsageError: one can never be an interface's name; says how the one that is meant is named.
        UnsupportedError: as :func:`check_header` and :func:`check_together` do.

    """
    with _netlink() as ipr:
        links = list(ipr.get_links())
    by_name = {link.get_attr("IFLA_IFNAME"): link for link in links}
    for error in (_not_found(name, links) for name in names if name not in by_name):
        if isinstance(error, UsageError):
            raise error
    there = [describe(by_name[name], links) for name in names if name in by_name]
    for interface in there:
        check_header(interface)
    check_together(there)


def _not_found(name: str, links: Sequence[Any]) -> SynguardError:
    """Say what people may have meant by a name that no interface has."""
    for link in links:
        real_name = link.get_attr("IFLA_IFNAME")
        properties = link.get_attr("IFLA_PROP_LIST")
        if properties and name in properties.get_attrs("IFLA_ALT_IFNAME"):
            return UsageError(f"{name} is an alternative name of {real_name}; name it {real_name}")
        if name.partition("@")[0] == real_name:
            return UsageError(f"{name} is how `ip link` shows {real_name}; name it {real_name}")
        if name == str(link["index"]):
            return UsageError(f"{name} is the index of {real_name}; name it {real_name}")
    names = ", ".join(sorted(link.get_attr("IFLA_IFNAME") for link in links))
    return SynguardError(f"there is no interface {name!r} here; there are: {names}")


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
    with_header = [interface for interface in found if interface.has_ethernet_header]
    return [interface.name for interface in with_header or found]


def _outgoing(route: Any) -> list[int]:
    """Return the interfaces of a route; one over several paths names them in its hops."""
    index = route.get_attr("RTA_OIF")
    hops = route.get_attr("RTA_MULTIPATH") or ()
    return [hop["oif"] for hop in hops] if index is None else [index]


def check_header(interface: Interface) -> None:
    """Refuse an interface whose packets begin with neither Ethernet nor IP. Raises UnsupportedError."""
    if interface.device_type not in ETHERNET_TYPES | NETWORK_TYPES:
        raise UnsupportedError(
            f"{interface.name} is {type_words(interface.device_type, interface.kind)}, whose packets have no "
            "Ethernet header: not supported; guard another interface with --interface IF, or probe.interfaces"
        )


def check_together(interfaces: Sequence[Interface]) -> None:
    """Refuse interfaces that see the same packets: a bridge and its port, a VLAN and its parent.

    Interfaces side by side, which packets enter by one and leave by the other, are fine: each SYN comes in
    once. Raises UnsupportedError naming both.
    """
    for upper in interfaces:
        for lower in interfaces:
            if lower.index in upper.beneath:
                raise UnsupportedError(
                    f"{upper.name} and {lower.name} carry the same packets, which would be counted twice: "
                    f"what passes {upper.name} passes {lower.name}, too; guard one of them"
                )


def all_interfaces() -> list[Interface]:
    """Return every interface there is, each without what is beneath it."""
    with _netlink() as ipr:
        return [describe(link) for link in ipr.get_links()]


def all_names() -> set[str]:
    """Return the name of every interface there is."""
    return {interface.name for interface in all_interfaces()}

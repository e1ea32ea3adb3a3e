"""What receives the packets of an interface after the probe: itself, and the devices on top of it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from synguard.endpoint import Address
from synguard.errors import SynguardError
from synguard.probe import ethtool

#: The kernel's names of the offloads by which a device takes VLAN tags out of what it receives.
_TAG_STRIPPING = ("rx-vlan-hw-parse", "rx-vlan-stag-hw-parse")
#: Kinds of device whose packets come from the device that they name as theirs.
_STACKED_KINDS = frozenset({"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"})
#: include/uapi/linux/rtnetlink.h
_RTN_LOCAL = 2


@dataclass(frozen=True, slots=True)
class Above:
    """Who gets an interface's packets."""

    #: Names of the interface and of every device on top of it.
    interfaces: frozenset[str]
    #: Their indices.
    indices: frozenset[int]
    #: The devices of them that tell packets by VLAN tags: VLANs, and bridges that filter them.
    vlan_devices: tuple[str, ...]
    #: The bridges of them.
    bridges: tuple[str, ...]


def above(name: str) -> Above:
    """Return what is on top of an interface; raises SynguardError when there is none of that name."""
    try:
        with IPRoute() as ipr:
            links = list(ipr.get_links())
    except (NetlinkError, OSError) as error:
        raise SynguardError(f"the kernel does not tell about interfaces: {error}") from error
    found = [link for link in links if link.get_attr("IFLA_IFNAME") == name]
    if not found:
        raise SynguardError(f"there is no interface {name} any more")
    return describe(found[0], links)


def describe(link: Any, links: Sequence[Any]) -> Above:
    """Return what netlink's messages say is on top of one of them."""
    by_index = {one["index"]: one for one in links}
    found: set[int] = set()
    waiting = [link["index"]]
    while waiting:
        lower = waiting.pop()
        if lower in found or lower not in by_index:
            continue
        found.add(lower)
        waiting += [one["index"] for one in links if _is_stacked_on(one, lower)]
        waiting += filter(None, [by_index[lower].get_attr("IFLA_MASTER")])
    there = [by_index[index] for index in sorted(found)]
    return Above(
        frozenset(one.get_attr("IFLA_IFNAME") for one in there),
        frozenset(found),
        tuple(one.get_attr("IFLA_IFNAME") for one in there if _tells_vlans(one)),
        tuple(one.get_attr("IFLA_IFNAME") for one in there if _kind(one) == "bridge"),
    )


def _kind(link: Any) -> str | None:
    kind: str | None = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
    return kind


def _is_stacked_on(link: Any, index: int) -> bool:
    # A parent in another namespace has an index of that namespace.
    here = link.get_attr("IFLA_LINK_NETNSID") is None
    return here and _kind(link) in _STACKED_KINDS and link.get_attr("IFLA_LINK") == index


def _tells_vlans(link: Any) -> bool:
    kind = _kind(link)
    if kind == "bridge":
        return bool(link.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "IFLA_BR_VLAN_FILTERING"))
    return kind == "vlan"


def strips_tags(name: str) -> bool | None:
    """Return whether a device takes VLAN tags out before XDP sees them; None when it does not tell."""
    offloads = ethtool.offloads(name)
    if offloads is None:
        return None
    return any(offloads[feature].is_on for feature in _TAG_STRIPPING if feature in offloads)


def is_local(address: Address) -> bool:
    """Return whether packets to an address stay here, by the routes. Raises SynguardError."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with IPRoute() as ipr:
            routes = ipr.route("get", family=family, dst=str(address))
    except NetlinkError:
        return False  # There is no route at all.
    except OSError as error:
        raise SynguardError(f"the kernel does not tell about routes: {error}") from error
    return any(route["type"] == _RTN_LOCAL for route in routes)

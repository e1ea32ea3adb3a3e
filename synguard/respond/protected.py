"""Gathers the never-touch list: whom no response may cut off, whatever is seen."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from synguard.endpoint import Address, Network
from synguard.respond.policy import Protected
from synguard.respond.sessions import session_peers

RESOLVER_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def gather(
    allow: Sequence[Network], trusted_aggregators: Sequence[Network], ssh_ports: Sequence[int]
) -> tuple[Protected, ...]:
    """Return the list as of now; reads addresses, routes, resolvers and sockets of this network namespace.

    Raises OSError when the system cannot be asked; without the list nothing may be touched.
    """
    return (
        *(Protected(network, "it is on the allow list") for network in allow),
        *(Protected(network, "it is a trusted aggregator") for network in trusted_aggregators),
        *_addresses_and_gateways(),
        *(Protected(_single(address), "it is a resolver of this machine") for address in resolvers()),
        *(
            Protected(_single(address), "it has an established session on an SSH port")
            for address in session_peers(ssh_ports)
        ),
    )


def _single(address: Address) -> Network:
    return ip_network(address)


@contextmanager
def _netlink() -> Iterator[Any]:
    try:
        with IPRoute() as ipr:
            yield ipr
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error


def _addresses_and_gateways() -> Iterator[Protected]:
    with _netlink() as ipr:
        for message in ipr.get_addr():
            for name in ("IFA_LOCAL", "IFA_ADDRESS"):
                if text := message.get_attr(name):
                    yield Protected(_single(ip_address(text)), "it is this machine's own address")
        for route in ipr.get_routes():
            for text in _gateways(route):
                yield Protected(_single(ip_address(text)), "it is a gateway of this machine")


def _gateways(route: Any) -> Iterator[str]:
    if gateway := route.get_attr("RTA_GATEWAY"):
        yield gateway
    if via := route.get_attr("RTA_VIA"):
        yield via["addr"]
    for hop in route.get_attr("RTA_MULTIPATH") or ():
        if gateway := hop.get_attr("RTA_GATEWAY"):
            yield gateway


def resolvers() -> set[Address]:
    """Return the nameservers that resolv.conf names; missing files and odd lines are passed over."""
    found: set[Address] = set()
    for path in RESOLVER_FILES:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver":
                try:
                    found.add(ip_address(words[1].partition("%")[0]))
                except ValueError:
                    continue
    return found

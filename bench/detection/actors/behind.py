"""Hosts behind another host that forwards: a container with a port, homes behind a carrier's NAT."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface

from bench.defences.commands import run_command
from bench.defences.firewall import TABLE, nft_table
from bench.defences.sysctls import sysctls_set
from bench.net import links
from bench.net.links import Endpoint, Route
from bench.net.namespaces import wait_until

_MAX_NUMBER = 9
_FORWARDS = {"ipv4/ip_forward": "1"}
_FEATURE = "CONFIG_NFT_NAT"


@contextlib.contextmanager
def host_behind(front: Endpoint, number: int) -> Iterator[Endpoint]:
    """Yield a new host in a namespace of its own, which reaches the world through ``front``.

    ``front`` forwards meanwhile. It knows the host at 10.98.NUMBER.2 and the rest of the world does not:
    it takes a translation to be reached, or to get answers. ``number``: 1 to 9, another for each host.
    """
    if not 1 <= number <= _MAX_NUMBER:
        raise ValueError(f"hosts behind another are numbered from 1 to {_MAX_NUMBER}")
    inner, outer = _ends(front, number)
    links.create_namespace(outer.namespace)
    try:
        links.join_directly(inner, outer)
        try:
            links.configure_endpoint(inner, [Route(None, str(outer.ipv4.ip), outer)])
            links.configure_endpoint(outer, [Route("default", str(inner.ipv4.ip), inner)])
            for end in (inner, outer):
                wait_until(partial(links.endpoint_is_ready, end), end.namespace)
            with sysctls_set(front.namespace, _FORWARDS):
                yield outer
        finally:
            # With one end of the wire goes the other.
            run_command(front.namespace, ["ip", "link", "del", inner.interface])
    finally:
        links.remove_namespace(outer.namespace)


def _ends(front: Endpoint, number: int) -> tuple[Endpoint, Endpoint]:
    role = f"behind{number}"
    inner = Endpoint(
        role,
        front.namespace,
        f"02:73:67:01:{number:02x}:01",
        IPv4Interface(f"10.98.{number}.1/24"),
        IPv6Interface(f"2001:2:0:980{number}::1/64"),
        interface=f"in{number}",
    )
    outer = Endpoint(
        role,
        # A name by which whoever comes next knows whose it was.
        front.namespace.removesuffix(front.role) + role,
        f"02:73:67:01:{number:02x}:02",
        IPv4Interface(f"10.98.{number}.2/24"),
        IPv6Interface(f"2001:2:0:980{number}::2/64"),
    )
    return inner, outer


def forwarded_port(
    front: Endpoint, port: int, host: Endpoint, host_port: int
) -> AbstractContextManager[None]:
    """Send what comes for a port of ``front`` on to a host behind it, while the ``with`` block lasts."""
    rules = f"""
table ip {TABLE} {{
	chain inbound {{
		type nat hook prerouting priority dstnat
		iifname {front.interface} ip daddr {front.ipv4.ip} tcp dport {port} dnat to {host.ipv4.ip}:{host_port}
	}}
}}
"""
    return nft_table(front.namespace, rules, _FEATURE, "ip")


def one_address(front: Endpoint) -> AbstractContextManager[None]:
    """Let the hosts behind ``front`` go out in its name, while the ``with`` block lasts: a carrier's NAT."""
    rules = f"""
table ip {TABLE} {{
	chain outbound {{
		type nat hook postrouting priority srcnat
		oifname {front.interface} snat to {front.ipv4.ip}
	}}
}}
"""
    return nft_table(front.namespace, rules, _FEATURE, "ip")

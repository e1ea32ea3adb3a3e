"""What a host hears and what it answers for: addresses that are everybody's, answers that never arrive."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

from bench.defences.commands import run_command
from bench.defences.firewall import TABLE, nft_table
from bench.net.links import Endpoint

_FEATURE = "CONFIG_NF_TABLES_IPV4"


def deaf(host: Endpoint) -> AbstractContextManager[None]:
    """Let a host hear no SYN-ACK while the ``with`` block lasts, as behind a broken firewall."""
    rules = f"""
table ip {TABLE} {{
	chain inbound {{
		type filter hook input priority filter
		tcp flags & (syn | ack) == syn | ack drop
	}}
}}
"""
    return nft_table(host.namespace, rules, _FEATURE, "ip")


def silent_to(host: Endpoint, destinations: str) -> AbstractContextManager[None]:
    """Let a host drop what comes for some addresses (nftables' words) while the ``with`` block lasts."""
    rules = f"""
table ip {TABLE} {{
	chain inbound {{
		type filter hook prerouting priority filter
		ip daddr {destinations} drop
	}}
}}
"""
    return nft_table(host.namespace, rules, _FEATURE, "ip")


@contextlib.contextmanager
def local_network(host: Endpoint, network: str) -> Iterator[None]:
    """Let a host answer for every address of a network, while the ``with`` block lasts."""
    family = ["-6"] if ":" in network else []
    route = ["local", network, "dev", "lo"]
    run_command(host.namespace, ["ip", *family, "route", "add", *route])
    try:
        yield
    finally:
        run_command(host.namespace, ["ip", *family, "route", "del", *route])


@contextlib.contextmanager
def route_over(host: Endpoint, network: str, hop: str, interface: str) -> Iterator[None]:
    """Let a host send what is for a network to a neighbour of its own, while the ``with`` block lasts."""
    route = [network, "via", hop, "dev", interface]
    run_command(host.namespace, ["ip", "route", "add", *route])
    try:
        yield
    finally:
        run_command(host.namespace, ["ip", "route", "del", *route])

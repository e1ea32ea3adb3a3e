"""Block lists: firewalls and synguard that are told beforehand which sources will flood, and drop their SYNs.

They show what a drop costs at each hook, and nothing else: nobody has to find out whom to drop.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from ipaddress import ip_network
from string import Template

from bench.defences.commands import run_command
from bench.defences.detectors import SynguardRuns, synguard
from bench.defences.firewall import TABLE, NftCounter, nft_table
from bench.defences.guard import synguard_command
from bench.defences.model import Deployed, Target

#: Longer than any trial.
_TTL = "1h"
_SETS = """
	counter dropped { }
	set ipv4_sources { type ipv4_addr; $flags $ipv4 }
	set ipv6_sources { type ipv6_addr; $flags $ipv6 }
"""
_RULES = """
		tcp flags & (fin | syn | rst | ack) == syn ip saddr @ipv4_sources counter name dropped drop
		tcp flags & (fin | syn | rst | ack) == syn ip6 saddr @ipv6_sources counter name dropped drop
"""
_RAW = """
table inet $table {
	%s
	chain syns {
		type filter hook prerouting priority raw; policy accept;
		%s
	}
}
"""
_NETDEV = """
table netdev $table {
	%s
	chain syns {
		type filter hook ingress device "$interface" priority 0; policy accept;
		%s
	}
}
"""


def _elements(sources: tuple[str, ...], version: int) -> str:
    chosen = [source for source in sources if ip_network(source).version == version]
    return f"elements = {{ {', '.join(chosen)} }}" if chosen else ""


@contextlib.contextmanager
def _nft_set(target: Target, rules: str, family: str) -> Iterator[Deployed]:
    sources = target.flooding
    text = Template(rules % (_SETS, _RULES)).substitute(
        table=TABLE,
        interface=target.guarded.interface,
        # A set of addresses is a hash, one that may hold prefixes a tree.
        flags="flags interval;" if any(ip_network(one).num_addresses > 1 for one in sources) else "",
        ipv4=_elements(sources, 4),
        ipv6=_elements(sources, 6),
    )
    feature = f"CONFIG_NF_TABLES_{family.upper()}"
    with nft_table(target.guarded.namespace, text, feature, family):
        yield NftCounter(target.guarded.namespace, family)


def nft_raw_set(target: Target) -> contextlib.AbstractContextManager[Deployed]:
    """Drop the sources' SYNs in prerouting at priority raw, while the ``with`` block lasts."""
    return _nft_set(target, _RAW, "inet")


def nft_netdev_set(target: Target) -> contextlib.AbstractContextManager[Deployed]:
    """Drop them at the interface's ingress hook, while the ``with`` block lasts."""
    return _nft_set(target, _NETDEV, "netdev")


@contextlib.contextmanager
def synguard_block(target: Target) -> Iterator[Deployed]:
    """Drop them by synguard in dry-run, by blocks that a person adds at the command line."""
    with synguard(target, "dry-run") as deployed:
        assert isinstance(deployed, SynguardRuns)  # noqa: S101 - tells the type checker
        socket = ("--socket", str(deployed.guard.socket))
        for source in target.flooding:
            run_command(
                target.guarded.namespace, synguard_command("block", "add", source, "--ttl", _TTL, *socket)
            )
        yield deployed

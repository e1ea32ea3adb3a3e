"""Rate limits by netfilter: the rules that people are told to use against SYN floods.

All of them look at SYNs alone, all but one at the earliest hook that both iptables and nftables know
(prerouting, priority raw: before connection tracking), and so serve a server and a gateway alike. A limit by
source keeps one entry for each IPv4 address or IPv6 /64, in a table of bounded size. What becomes of
strangers once it is full differs: nftables lets them pass, hashlimit drops them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from string import Template

from bench.defences.commands import run_command
from bench.defences.model import Deployed, Target

TABLE = "bench_defence"
#: Of one source. A browser opens half a dozen connections at once, a page from many hosts some dozens.
SOURCE_SYN_PER_S = 50
SOURCE_BURST_SYNS = 100
#: Of everybody together: several times what a small server's clients need.
GLOBAL_SYN_PER_S = 500
GLOBAL_BURST_SYNS = 1000
#: Sources that nftables remembers; xt_hashlimit's own limit is the same on machines above 1 GiB.
SET_SOURCES = 65_535

_IPV6_PREFIX = 64
_BY_SOURCE = Template("""
table inet $table {
	counter dropped { }
	set ipv4_sources { type ipv4_addr; size $sources; flags dynamic,timeout; timeout 1m; }
	set ipv6_sources { type ipv6_addr; size $sources; flags dynamic,timeout; timeout 1m; }
	chain syns {
		type filter hook prerouting priority raw; policy accept;
		iifname $interface tcp dport $port tcp flags & (fin | syn | rst | ack) == syn jump limit_source
	}
	chain limit_source {
		update @ipv4_sources { ip saddr limit rate over $rate/second burst $burst packets } \
			counter name dropped drop
		update @ipv6_sources { ip6 saddr & ffff:ffff:ffff:ffff:: \
			limit rate over $rate/second burst $burst packets } counter name dropped drop
	}
}
""")
_GLOBAL = Template("""
table inet $table {
	counter dropped { }
	chain syns {
		type filter hook prerouting priority raw; policy accept;
		iifname $interface tcp dport $port tcp flags & (fin | syn | rst | ack) == syn \
			limit rate over $rate/second burst $burst packets counter name dropped drop
	}
}
""")
_INGRESS = Template("""
table netdev $table {
	counter dropped { }
	chain syns {
		type filter hook ingress device "$interface" priority 0; policy accept;
		tcp dport $port tcp flags & (fin | syn | rst | ack) == syn \
			limit rate over $rate/second burst $burst packets counter name dropped drop
	}
}
""")


@contextlib.contextmanager
def nft_table(namespace: str, rules: str, feature: str, family: str = "inet") -> Iterator[None]:
    """Have the table ``TABLE`` of a family, as the rules make it, while the block lasts."""
    run_command(namespace, ["nft", "-f", "-"], rules, feature)
    try:
        yield
    finally:
        run_command(namespace, ["nft", "delete", "table", family, TABLE])


class NftCounter(Deployed):
    """What the counter ``dropped`` of the table ``TABLE`` tells."""

    def __init__(self, namespace: str, family: str) -> None:
        self._namespace = namespace
        self._family = family

    def dropped_syns(self) -> int:
        """Return how many SYNs the rules have dropped."""
        command = ["nft", "-j", "list", "counter", self._family, TABLE, "dropped"]
        listing = run_command(self._namespace, command)
        counters = [entry["counter"] for entry in json.loads(listing)["nftables"] if "counter" in entry]
        return sum(counter["packets"] for counter in counters)


@contextlib.contextmanager
def _limited(
    target: Target, rules: Template, syn_per_s: int, burst_syns: int, family: str = "inet"
) -> Iterator[Deployed]:
    text = rules.substitute(
        table=TABLE,
        interface=target.guarded.interface,
        port=target.port,
        sources=SET_SOURCES,
        rate=syn_per_s,
        burst=burst_syns,
    )
    feature = f"CONFIG_NF_TABLES_{family.upper()} and CONFIG_NFT_LIMIT"
    with nft_table(target.guarded.namespace, text, feature, family):
        yield NftCounter(target.guarded.namespace, family)


def nft_limit(target: Target) -> AbstractContextManager[Deployed]:
    """Drop the SYNs of every source above ``SOURCE_SYN_PER_S``, while the ``with`` block lasts."""
    return _limited(target, _BY_SOURCE, SOURCE_SYN_PER_S, SOURCE_BURST_SYNS)


def nft_limit_global(target: Target) -> AbstractContextManager[Deployed]:
    """Drop the SYNs of everybody together above ``GLOBAL_SYN_PER_S``, while the ``with`` block lasts."""
    return _limited(target, _GLOBAL, GLOBAL_SYN_PER_S, GLOBAL_BURST_SYNS)


def nft_ingress_limit(target: Target) -> AbstractContextManager[Deployed]:
    """Do the same before the stack looks at them at all, right behind XDP and tc."""
    return _limited(target, _INGRESS, GLOBAL_SYN_PER_S, GLOBAL_BURST_SYNS, "netdev")


_CHAIN = "bench_syns"
#: ``-w``: wait for whoever else changes rules.
_RESTORE_OPTIONS = ("-w", "--noflush")
_LIST_OPTIONS = ("-w", "-t", "raw", "-nvxL")
_HASHLIMIT_FEATURE = "CONFIG_NETFILTER_XT_MATCH_HASHLIMIT"
# Its table has no size or expiry of ours: what it takes by itself is what people have who copy the rule.
_HASHLIMIT = Template("""*raw
:$chain - [0:0]
-A $chain -m hashlimit --hashlimit-name bench$bits --hashlimit-mode srcip --hashlimit-srcmask $bits \
--hashlimit-above $rate/second --hashlimit-burst $burst -j DROP
-A $chain -j RETURN
-A $entrance
COMMIT
""")
_NO_HASHLIMIT = Template("""*raw
-D $entrance
-F $chain
-X $chain
COMMIT
""")


class _Hashlimit(Deployed):
    """What iptables' own counters tell."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def dropped_syns(self) -> int:
        """Return how many SYNs of either IP version did not come out of the chain they went into.

        The rule's own counter does not know of those that found its table full.
        """
        dropped = 0
        for tool in ("iptables", "ip6tables"):
            listing = run_command(self._namespace, [tool, *_LIST_OPTIONS])
            rows = (line.split() for line in listing.splitlines())
            packets = {row[2]: int(row[0]) for row in rows if row[2:3] in ([_CHAIN], ["RETURN"])}
            dropped += packets[_CHAIN] - packets["RETURN"]
        return dropped


def _tables(namespace: str) -> set[str]:
    """Return the namespace's nftables tables, as ``nft`` names them: ``table ip raw``."""
    return set(run_command(namespace, ["nft", "list", "tables"]).splitlines())


@contextlib.contextmanager
def iptables_hashlimit(target: Target) -> Iterator[Deployed]:
    """Drop the SYNs of every source above ``SOURCE_SYN_PER_S``, by iptables' hashlimit.

    Where iptables is the one that speaks nftables, it makes tables and leaves them empty; those go too.
    """
    namespace = target.guarded.namespace
    before = _tables(namespace)
    syns = f"-i {target.guarded.interface} -p tcp --dport {target.port} --syn"
    words = {
        "chain": _CHAIN,
        "rate": SOURCE_SYN_PER_S,
        "burst": SOURCE_BURST_SYNS,
        "entrance": f"PREROUTING {syns} -j {_CHAIN}",
    }
    with contextlib.ExitStack() as undo:
        undo.callback(_remove_new_tables, namespace, before)
        for tool, bits in (("iptables-restore", 32), ("ip6tables-restore", _IPV6_PREFIX)):
            argv = [tool, *_RESTORE_OPTIONS]
            run_command(namespace, argv, _HASHLIMIT.substitute(words, bits=bits), _HASHLIMIT_FEATURE)
            undo.callback(run_command, namespace, argv, _NO_HASHLIMIT.substitute(words))
        yield _Hashlimit(namespace)


def _remove_new_tables(namespace: str, before: set[str]) -> None:
    for table in sorted(_tables(namespace) - before):
        run_command(namespace, ["nft", "delete", *table.split()])

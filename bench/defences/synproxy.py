"""nftables' SYNPROXY: the firewall answers SYNs with cookies, and asks the server only for who comes back.

The SYNs bypass connection tracking; the ACK that answers a cookie is ``invalid`` to it, as long as it does
not pick up connections in the middle (nf_conntrack_tcp_loose=0), and so reaches the proxy. From then on
connection tracking translates the sequence numbers of the two halves: without it they break.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from string import Template

from bench.defences.firewall import TABLE, nft_table
from bench.defences.model import Deployed, Target
from bench.defences.sysctls import read_sysctls, sysctls_set
from bench.net.enter import call_in

#: Cookies and timestamps, in which they carry the client's options, as netfilter's documentation asks.
_SYSCTLS = {
    "netfilter/nf_conntrack_tcp_loose": "0",
    "ipv4/tcp_syncookies": "1",
    "ipv4/tcp_timestamps": "1",
}
_WINDOW_SCALE_MAX = 14
_FEATURE = "CONFIG_NFT_SYNPROXY and CONFIG_NFT_CT"
_RULES = Template("""
table inet $table {
	chain syns {
		type filter hook prerouting priority raw; policy accept;
		iifname $interface tcp dport $port tcp flags & (fin | syn | rst | ack) == syn notrack
	}
	chain proxy {
		type filter hook $hook priority filter; policy accept;
		iifname $interface meta nfproto ipv4 tcp dport $port ct state invalid,untracked \
			synproxy mss 1460 wscale $wscale timestamp sack-perm
		iifname $interface meta nfproto ipv6 tcp dport $port ct state invalid,untracked \
			synproxy mss 1440 wscale $wscale timestamp sack-perm
		iifname $interface tcp dport $port ct state invalid drop
	}
}
""")


def _window_scale(namespace: str) -> int:
    """Return the window scale that a server with this kernel's settings announces.

    The proxy announces one for it, and it must be the server's own. net/ipv4/tcp_output.c,
    tcp_select_initial_window(): the largest buffer allowed, as a power of two above 2^15.
    """
    of_tcp = read_sysctls(namespace, "ipv4/tcp_rmem")["ipv4/tcp_rmem"].split()
    # The same for all namespaces, and older kernels show it in the first one alone.
    of_all = Path("/proc/sys/net/core/rmem_max").read_text(encoding="ascii")
    largest_bytes = max(int(of_tcp[2]), int(of_all))
    return min(max(largest_bytes.bit_length() - 1 - 15, 0), _WINDOW_SCALE_MAX)


class _Counts(Deployed):
    """What /proc/net/stat/synproxy tells, which counts for the life of the namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._before = self._read()

    def _read(self) -> dict[str, int]:
        def read() -> str:
            return Path("/proc/thread-self/net/stat/synproxy").read_text(encoding="ascii")

        header, *cpus = call_in(self._namespace, read).splitlines()
        columns = zip(*([int(word, 16) for word in cpu.split()] for cpu in cpus), strict=True)
        return {name: sum(column) for name, column in zip(header.split(), columns, strict=True)}

    def dropped_syns(self) -> int:
        """Return how many SYNs were answered with a cookie that never came back."""
        counts = self._read()
        since = {name: count - self._before[name] for name, count in counts.items()}
        return max(since["syn_received"] - since["cookie_valid"], 0)


@contextlib.contextmanager
def nft_synproxy(target: Target) -> Iterator[Deployed]:
    """Answer the port's SYNs with cookies, on the server or on the gateway before it."""
    namespace = target.guarded.namespace
    rules = _RULES.substitute(
        table=TABLE,
        interface=target.guarded.interface,
        port=target.port,
        hook="forward" if target.role == "gateway" else "input",
        wscale=_window_scale(namespace),
    )
    with sysctls_set(namespace, _SYSCTLS), nft_table(namespace, rules, _FEATURE):
        yield _Counts(namespace)

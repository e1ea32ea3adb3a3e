"""Every defence by name, and how one or several are put before a server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

from bench.defences import detectors
from bench.defences.blocklist import nft_netdev_set, nft_raw_set, synguard_block
from bench.defences.firewall import (
    GLOBAL_SYN_PER_S,
    SOURCE_SYN_PER_S,
    iptables_hashlimit,
    nft_ingress_limit,
    nft_limit,
    nft_limit_global,
)
from bench.defences.model import Defence, Deployed, Joined, Target
from bench.defences.sink import sink
from bench.defences.synproxy import nft_synproxy
from bench.defences.sysctls import cookies, sysctls_set
from synguard.errors import UsageError

__all__ = ["DEFENCES", "Defence", "Deployed", "Target", "chosen", "deploy"]

_BCC = "python3-bpfcc"
_NATIVE_XDP = "native XDP"
_SYNGUARD = (_BCC, "XDP", "clsact")


@contextlib.contextmanager
def _none(_target: Target) -> Iterator[Deployed]:
    yield Deployed()


@contextlib.contextmanager
def synguard_cookie(target: Target) -> Iterator[Deployed]:
    """Let synguard answer a flooded listener's SYNs, with all that a client may ask for.

    tcp_syncookies=2 makes cookies possible at any time, tcp_timestamps=2 carries the client's options.
    """
    with (
        sysctls_set(target.guarded.namespace, {"ipv4/tcp_syncookies": "2", "ipv4/tcp_timestamps": "2"}),
        detectors.synguard(target, respond="enforce", listener_response="cookie") as deployed,
    ):
        yield deployed


_KINDS = (
    Defence("none", "Nothing but the kernel as it is.", _none),
    Defence(
        "sink",
        "An XDP program that drops every SYN to the port: what receiving alone costs.",
        sink,
        needs=(_BCC, _NATIVE_XDP),
        takes_xdp=True,
    ),
    Defence(
        "cookies",
        "The server's own SYN cookies (tcp_syncookies=1), sent while a SYN queue is full.",
        cookies,
        needs=("CONFIG_SYN_COOKIES",),
    ),
    Defence(
        "nft-limit",
        f"nftables drops the SYNs of each source above {SOURCE_SYN_PER_S}/s.",
        nft_limit,
        needs=("nftables", "CONFIG_NF_TABLES_INET", "CONFIG_NFT_LIMIT"),
    ),
    Defence(
        "nft-limit-global",
        f"nftables drops the SYNs of everybody together above {GLOBAL_SYN_PER_S}/s.",
        nft_limit_global,
        needs=("nftables", "CONFIG_NF_TABLES_INET", "CONFIG_NFT_LIMIT"),
    ),
    Defence(
        "nft-ingress-limit",
        f"The same at the interface's ingress hook, before the stack: above {GLOBAL_SYN_PER_S}/s.",
        nft_ingress_limit,
        needs=("nftables", "CONFIG_NF_TABLES_NETDEV", "CONFIG_NFT_LIMIT"),
    ),
    Defence(
        "nft-raw-set",
        "nftables drops the SYNs of the flooding sources, of which it is told: prerouting, priority raw.",
        nft_raw_set,
        needs=("nftables", "CONFIG_NF_TABLES_INET"),
    ),
    Defence(
        "nft-netdev-set",
        "The same at the interface's ingress hook, before the stack.",
        nft_netdev_set,
        needs=("nftables", "CONFIG_NF_TABLES_NETDEV"),
    ),
    Defence(
        "iptables-hashlimit",
        f"iptables' hashlimit drops the SYNs of each source above {SOURCE_SYN_PER_S}/s.",
        iptables_hashlimit,
        needs=("iptables", "nftables", "CONFIG_NETFILTER_XT_MATCH_HASHLIMIT"),
    ),
    Defence(
        "nft-synproxy",
        "nftables' SYNPROXY answers every SYN with a cookie and passes on who comes back.",
        nft_synproxy,
        needs=("nftables", "CONFIG_NFT_SYNPROXY", "CONFIG_NFT_CT"),
    ),
    Defence(
        "naive",
        "A bcc detector of the usual kind: an LRU entry per source and connection, polled by items().",
        partial(detectors.naive, block=False),
        needs=(_BCC, _NATIVE_XDP),
        takes_xdp=True,
    ),
    Defence(
        "naive-block",
        "The same, which drops everything from whom it alerts about, for good.",
        partial(detectors.naive, block=True),
        needs=(_BCC, _NATIVE_XDP),
        takes_xdp=True,
    ),
    Defence(
        "synguard-off",
        "synguard detects and does nothing.",
        partial(detectors.synguard, respond="off"),
        needs=_SYNGUARD,
        takes_xdp=True,
    ),
    Defence(
        "synguard-dry-run",
        "synguard detects and says what it would have done: its default.",
        partial(detectors.synguard, respond="dry-run"),
        needs=_SYNGUARD,
        takes_xdp=True,
    ),
    Defence(
        "synguard-enforce",
        "synguard responds, and drops only a source that is proven not to be spoofed.",
        partial(detectors.synguard, respond="enforce", drop="proven"),
        needs=_SYNGUARD,
        takes_xdp=True,
    ),
    Defence(
        "synguard-drop",
        "synguard responds, and drops any single source: for where spoofing is impossible.",
        partial(detectors.synguard, respond="enforce", drop="always"),
        needs=_SYNGUARD,
        takes_xdp=True,
    ),
    Defence(
        "synguard-greylist",
        "synguard responds, and greylists listeners whose sources cannot be believed.",
        partial(detectors.synguard, respond="enforce", listener_response="greylist"),
        needs=_SYNGUARD,
        takes_xdp=True,
    ),
    Defence(
        "synguard-cookie",
        "synguard responds, and answers the SYNs of such listeners itself, with the kernel's SYN cookies.",
        synguard_cookie,
        needs=(*_SYNGUARD, "CONFIG_SYN_COOKIES"),
        takes_xdp=True,
        answers_by_xdp=True,
    ),
    Defence(
        "synguard-block",
        "synguard only watches, and a person has blocked the flooding sources.",
        synguard_block,
        needs=_SYNGUARD,
        takes_xdp=True,
    ),
)

#: By name, in the order in which they are listed.
DEFENCES: dict[str, Defence] = {defence.name: defence for defence in _KINDS}


def chosen(names: str) -> list[Defence]:
    """Return the defences that ``names`` joins by ``+``, in its order.

    Raises UsageError for one that does not exist or comes twice, and for two that need the interface's one
    place for an XDP program.
    """
    parts = names.split("+")
    unknown = [name for name in parts if name not in DEFENCES]
    if unknown:
        raise UsageError(f"there is no defence {unknown[0]!r}; there are {', '.join(DEFENCES)}")
    if len(set(parts)) < len(parts):
        raise UsageError(f"{names}: a defence can be there only once")
    defences = [DEFENCES[name] for name in parts]
    rivals = [defence.name for defence in defences if defence.takes_xdp]
    if len(rivals) > 1:
        raise UsageError(f"{' and '.join(rivals)} cannot be had together: an interface has one XDP program")
    return defences


@contextlib.contextmanager
def deploy(names: str, target: Target) -> Iterator[Deployed]:
    """Put one or several defences, joined by ``+``, before a server while the block lasts.

    They are started in the order given and taken away in reverse; afterwards nothing is left of any.

    Raises:
        UsageError: as :func:`chosen`, or settings that synguard refuses.
        UnsupportedError: a tool or a kernel feature is missing; names the Debian package or the feature.
        SynguardError: one could not be started.

    """
    with contextlib.ExitStack() as stack:
        yield Joined([stack.enter_context(defence.start(target)) for defence in chosen(names)])

"""The names and numbers of packets' fields, as libnftables writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: include/uapi/linux/tcp.h; enum nft_ct_state and enum ip_conntrack_status of the kernel's netfilter headers.
TCP_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
CT_STATES = {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
_CT_STATUS = {
    "expected": 1,
    "seen-reply": 2,
    "assured": 4,
    "confirmed": 8,
    "snat": 16,
    "dnat": 32,
    "dying": 512,
}
_BITS: dict[str, Mapping[str, int]] = {"tcp flags": TCP_FLAGS, "ct state": CT_STATES, "ct status": _CT_STATUS}


def field_name(left: Any) -> str:
    """Return how nft writes a field: ``tcp dport``, ``meta iif``, ``fib daddr . iif type``; or ``?``."""
    if not isinstance(left, dict) or len(left) != 1:
        return "?"
    ((kind, what),) = left.items()
    if kind == "payload" and "protocol" in what:
        protocol = "tcp" if what["protocol"] == "th" else what["protocol"]
        return f"{protocol} {what['field']}"
    if kind in {"meta", "ct"} and "dir" not in what:
        return f"{kind} {what['key']}"
    if kind == "fib":
        flags = what["flags"]
        return f"fib {flags if isinstance(flags, str) else ' . '.join(flags)} {what['result']}"
    return "?"


def bits(key: str, right: Any) -> int | None:
    """Return a number, or flags put together, as a number; None for anything else."""
    if isinstance(right, bool):
        return None
    if isinstance(right, int):
        return right
    if isinstance(right, str):
        return _BITS.get(key, {}).get(right)
    parts = right.get("|") if isinstance(right, dict) else right
    if not isinstance(parts, list):
        return None
    found = 0
    for part in parts:
        number = bits(key, part)
        if number is None:
            return None
        found |= number
    return found

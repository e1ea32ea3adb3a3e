"""Reads how full the table of connections is, where this kernel tracks them."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path("/proc/sys/net/netfilter")


def read_conntrack() -> tuple[int, int] | None:
    """Return the entries of this network namespace's table and how many it may hold; None without conntrack.

    Raises OSError where it is there and cannot be read.
    """
    try:
        entries, limit = (
            int((_FOLDER / name).read_text("ascii")) for name in ("nf_conntrack_count", "nf_conntrack_max")
        )
    except FileNotFoundError:
        return None
    return entries, limit

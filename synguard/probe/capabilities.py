"""Tells what this process may do in the kernel."""

from __future__ import annotations

import os
import re
from pathlib import Path

from synguard.errors import UnsupportedError

#: Numbers of include/uapi/linux/capability.h.
NET_ADMIN, SYS_ADMIN, PERFMON, BPF = 12, 21, 38, 39

#: What guarding takes, in words.
NEEDED = "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"


def effective() -> int | None:
    """Return this process's effective capabilities as a bit mask, or None without /proc."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return int(found[1], 16) if found else None


def may_guard() -> bool:
    """Tell whether this process may load network programs and attach them."""
    mask = effective() or 0
    held = {number for number in (NET_ADMIN, SYS_ADMIN, PERFMON, BPF) if mask >> number & 1}
    return NET_ADMIN in held and (SYS_ADMIN in held or {PERFMON, BPF} <= held)


def check_rights() -> None:
    """Raise UnsupportedError where an unprivileged user would only find out half-way."""
    if os.geteuid() != 0 and not may_guard():
        raise UnsupportedError(f"this needs root, or a service that has {NEEDED}: run it with sudo")

"""User namespaces: root of a rootless container holds every capability there, and may yet load no BPF."""

from __future__ import annotations

from pathlib import Path

REMEDY = (
    "run synguard on the host, or in a container that shares the host's user namespace and has CAP_BPF, "
    "CAP_NET_ADMIN and CAP_PERFMON"
)

_OWN_IDS = Path("/proc/self/uid_map")
#: The initial namespace maps every id to itself (user_namespaces(7)).
_EVERY_ID = ["0", "0", "4294967295"]


def in_user_namespace() -> bool:
    """Tell whether this process is in another user namespace than the machine's first."""
    try:
        return _OWN_IDS.read_text(encoding="ascii").split() != _EVERY_ID
    except OSError:  # a kernel without user namespaces
        return False

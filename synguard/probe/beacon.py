"""Tells the daemons of a network namespace of each other, whichever container each runs in.

A lock file is seen by whoever shares /run. An abstract socket's name belongs to the network namespace, as the
interfaces do, and goes with its process (unix(7)). Anyone may take such a name; it counts where the
user may be believed.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Collection

_CREDENTIALS = struct.Struct("3i")
_TIMEOUT_S = 1.0


def light(interface: str, believed: Collection[int]) -> socket.socket | int:
    """Return the beacon of an interface, or the process id of whoever has lit it; 0 for another container's.

    Where the name is taken by a user who is not one of ``believed``, the beacon stays dark.
    """
    beacon = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        beacon.bind(_address(interface))
        beacon.listen()
    except OSError as error:
        holder = _holder(interface, believed) if error.errno == errno.EADDRINUSE else None
        if holder is None:
            return beacon
        beacon.close()
        return holder
    return beacon


def _address(interface: str) -> bytes:
    return b"\0synguard-interface-" + os.fsencode(interface)


def _holder(interface: str, believed: Collection[int]) -> int | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        visitor.settimeout(_TIMEOUT_S)
        try:
            visitor.connect(_address(interface))
        except OSError:  # it does not listen, or has just gone: no daemon of ours
            return None
        credentials = visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(credentials)
    return int(pid) if uid in believed else None

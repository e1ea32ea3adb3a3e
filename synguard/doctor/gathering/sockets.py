"""Reads the listening sockets of this network namespace, and finds out who holds the short ones."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from synguard import sockdiag
from synguard.doctor.gathering.files import text
from synguard.doctor.machine import ListeningSocket

#: Of ``struct inet_diag_msg``: local port and address, the accept queue's limit, the inode.
_LOCAL_PORT = slice(4, 6)
_LOCAL_ADDRESS = slice(8, 24)
_LIMIT_AND_INODE = struct.Struct("=I4xI")
_LIMIT_AT = 60
_WILDCARD = "::"


def listening(*, name_below: int) -> tuple[ListeningSocket, ...] | None:
    """Return the listening sockets; None when the kernel does not tell.

    Those whose accept queue holds less than ``name_below`` come with their owner, if it may be known:
    without root only one's own processes are.
    """
    try:
        found = [
            _socket(family, message)
            for family in (socket.AF_INET, socket.AF_INET6)
            for message in sockdiag.dump(family, sockdiag.TCP_LISTEN)
        ]
    except OSError:
        return None
    owners = _owners({inode for inode, one in found if one.accept_queue_limit < name_below})
    named = (replace(one, owner=owners.get(inode)) for inode, one in found)
    return tuple(sorted(named, key=lambda one: (one.port, one.address)))


def _socket(family: int, message: bytes) -> tuple[int, ListeningSocket]:
    limit, inode = _LIMIT_AND_INODE.unpack_from(message, _LIMIT_AT)
    local = message[_LOCAL_ADDRESS]
    address = str(ip_address(local if family == socket.AF_INET6 else local[:4]))
    port = int.from_bytes(message[_LOCAL_PORT])
    ipv6_only = any(sockdiag.attributes(message).get(sockdiag.INET_DIAG_SKV6ONLY, b""))
    return inode, ListeningSocket(address, port, limit, address == _WILDCARD and not ipv6_only)


def _owners(inodes: Collection[int]) -> dict[int, str]:
    """Return the first process that holds each of these sockets, as far as its descriptors may be seen."""
    found: dict[int, str] = {}
    if not inodes:
        return found
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        for inode in _sockets_of(process) & set(inodes) - found.keys():
            command = (text(process / "comm") or "unknown").strip()
            found[inode] = f"{command}, pid {process.name}"
    return found


def _sockets_of(process: Path) -> set[int]:
    """Return the inodes of a process's sockets; none for one that is gone or somebody else's."""
    inodes = set()
    with suppress(OSError):
        for number in os.listdir(process / "fd"):  # noqa: PTH208 - a process may have a million
            with suppress(OSError):
                target = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(process / "fd" / number))  # noqa: PTH115
                inodes |= {int(target[1])} if target else set()
    return inodes

"""Asks the kernel for the peers of established TCP sessions on some local ports.

The kernel does the choosing, by a little program. /proc/net/tcp would list every half-open handshake of a
flood, just when the answer is urgent.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from synguard import sockdiag
from synguard.endpoint import Address

# include/uapi/linux/inet_diag.h
_SOURCE_PORT_AT_LEAST = 2
_SOURCE_PORT_AT_MOST = 3

_INSTRUCTION = struct.Struct("=BBH")
#: Of ``struct inet_diag_msg``: family at 0, the peer's address at 24.
_PEER_ADDRESS = 24


def session_peers(ports: Sequence[int]) -> set[Address]:
    """Return the peers of established connections whose local port is one of ``ports``.

    A mapped IPv4 peer of an IPv6 socket comes as the IPv4 address. Raises OSError if the kernel refuses.
    """
    return {
        _peer(message)
        for port in ports
        for family in (socket.AF_INET, socket.AF_INET6)
        for message in sockdiag.dump(family, sockdiag.TCP_ESTABLISHED, program=_only_port(port))
    }


def _only_port(port: int) -> bytes:
    """Return the program that accepts sockets of one local port: at least it, and at most it.

    Each comparison is an instruction, then its operand in the next one's last field; the numbers are how far
    to go on if it holds and if not. Beyond the end by four means refused.
    """
    comparisons = ((_SOURCE_PORT_AT_LEAST, 20), (_SOURCE_PORT_AT_MOST, 12))
    return b"".join(
        _INSTRUCTION.pack(code, 8, refused) + _INSTRUCTION.pack(0, 0, port) for code, refused in comparisons
    )


def _peer(message: bytes) -> Address:
    if message[0] == socket.AF_INET:
        return IPv4Address(message[_PEER_ADDRESS : _PEER_ADDRESS + 4])
    address = IPv6Address(message[_PEER_ADDRESS : _PEER_ADDRESS + 16])
    return address.ipv4_mapped or address

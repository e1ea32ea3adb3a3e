"""Asks the kernel whether a local socket listens where a listener is."""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address

from synguard import sockdiag
from synguard.endpoint import Listener

# Of ``struct inet_diag_msg``: local port and address, and the interface that the socket is bound to.
_PORT_AT, _ADDRESS_AT, _INTERFACE_AT = 4, 8, 40


def has_listening_socket(listener: Listener, interfaces: Collection[int]) -> bool:
    """Return whether a socket listens there, on all interfaces or on one of these indices.

    Raises OSError if the kernel refuses.
    """
    return any(
        _serves(family, message, listener, interfaces)
        for family in (socket.AF_INET, socket.AF_INET6)
        for message in sockdiag.dump(family, sockdiag.TCP_LISTEN)
    )


def _serves(family: int, message: bytes, listener: Listener, interfaces: Collection[int]) -> bool:
    (bound_to,) = struct.unpack_from("=I", message, _INTERFACE_AT)
    if int.from_bytes(message[_PORT_AT : _PORT_AT + 2]) != listener.port:
        return False
    if bound_to != 0 and bound_to not in interfaces:
        return False
    if family == socket.AF_INET:
        local = IPv4Address(message[_ADDRESS_AT : _ADDRESS_AT + 4])
        return listener.address.version == 4 and (local.is_unspecified or local == listener.address)
    return _serves_ipv6(IPv6Address(message[_ADDRESS_AT : _ADDRESS_AT + 16]), message, listener)


def _serves_ipv6(local: IPv6Address, message: bytes, listener: Listener) -> bool:
    if listener.address.version == 6:
        return local.is_unspecified or local == listener.address
    if local.is_unspecified:
        return not any(sockdiag.attributes(message).get(sockdiag.INET_DIAG_SKV6ONLY, b""))
    return local.ipv4_mapped == listener.address

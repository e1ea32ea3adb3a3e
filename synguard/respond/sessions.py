"""Asks the kernel for the peers of established TCP sessions on some local ports: sock_diag(7).

The kernel does the choosing by a little program (INET_DIAG_REQ_BYTECODE), which no library at hand can send.
/proc/net/tcp would list every half-open handshake of a flood, just when the answer is urgent.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

from synguard.endpoint import Address

# include/uapi/linux/netlink.h, sock_diag.h, inet_diag.h; net/tcp_states.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST_DUMP = 0x1 | 0x300
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_INET_DIAG_REQ_BYTECODE = 1
_SOURCE_PORT_AT_LEAST = 2
_SOURCE_PORT_AT_MOST = 3
_TCP_ESTABLISHED = 1

_HEADER = struct.Struct("=IHHII")
#: ``struct inet_diag_req_v2`` up to the socket's identity, which a dump leaves empty.
_REQUEST = struct.Struct("=BBBxI48x")
_ATTRIBUTE = struct.Struct("=HH")
_INSTRUCTION = struct.Struct("=BBH")
#: Of ``struct inet_diag_msg``: family at 0, the peer's address at 24.
_PEER_ADDRESS = 24
_ANSWER_BYTES = 1 << 16


def session_peers(ports: Sequence[int]) -> set[Address]:
    """Return the peers of established connections whose local port is one of ``ports``.

    A mapped IPv4 peer of an IPv6 socket comes as the IPv4 address. Raises OSError if the kernel refuses.
    """
    found: set[Address] = set()
    for port in ports:
        for family in (socket.AF_INET, socket.AF_INET6):
            found.update(_dump(family, port))
    return found


def _only_port(port: int) -> bytes:
    """Return the program that accepts sockets of one local port: at least it, and at most it.

    Each comparison is an instruction, then its operand in the next one's last field; the numbers are how far
    to go on if it holds and if not. Beyond the end by four means refused.
    """
    comparisons = ((_SOURCE_PORT_AT_LEAST, 20), (_SOURCE_PORT_AT_MOST, 12))
    return b"".join(
        _INSTRUCTION.pack(code, 8, refused) + _INSTRUCTION.pack(0, 0, port) for code, refused in comparisons
    )


def _dump(family: int, port: int) -> Iterator[Address]:
    program = _only_port(port)
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << _TCP_ESTABLISHED)
    body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(program), _INET_DIAG_REQ_BYTECODE) + program
    header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 1, 0)
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
    ) as channel:
        channel.settimeout(5.0)
        channel.sendto(header + body, (0, 0))
        for kind, message in _messages(channel):
            if kind == _NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", message)
                raise OSError(-code, os.strerror(-code))
            yield _peer(message)


def _messages(channel: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield the type and payload of each netlink message until the dump is done."""
    while True:
        answer = channel.recv(_ANSWER_BYTES)
        start = 0
        while start + _HEADER.size <= len(answer):
            length, kind, _, _, _ = _HEADER.unpack_from(answer, start)
            if kind == _NLMSG_DONE:
                return
            yield kind, answer[start + _HEADER.size : start + length]
            start += max(-(-length // 4) * 4, _HEADER.size)


def _peer(message: bytes) -> Address:
    if message[0] == socket.AF_INET:
        return IPv4Address(message[_PEER_ADDRESS : _PEER_ADDRESS + 4])
    address = IPv6Address(message[_PEER_ADDRESS : _PEER_ADDRESS + 16])
    return address.ipv4_mapped or address

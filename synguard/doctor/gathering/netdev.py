"""Asks the kernel what an interface's driver can do with XDP, by the generic netlink family ``netdev``."""

from __future__ import annotations

import os
import socket
import struct

# include/uapi/linux/netlink.h, genetlink.h, netdev.h
_NETLINK_GENERIC = 16
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_GENL_ID_CTRL = 16
_CTRL_CMD_GETFAMILY = 3
_CTRL_ATTR_FAMILY_ID = 1
_CTRL_ATTR_FAMILY_NAME = 2
_NETDEV_CMD_DEV_GET = 1
_NETDEV_A_DEV_IFINDEX = 1
_NETDEV_A_DEV_XDP_FEATURES = 3

_HEADER = struct.Struct("=IHHII")
#: ``struct genlmsghdr``: command, version.
_GENERIC = struct.Struct("=BBxx")
_ATTRIBUTE = struct.Struct("=HH")
#: Without the flags ``NLA_F_NESTED`` and ``NLA_F_NET_BYTEORDER``.
_TYPE_MASK = 0x3FFF
_ANSWER_BYTES = 1 << 16
_TIMEOUT_S = 2.0


def xdp_features(index: int) -> int | None:
    """Return ``NETDEV_XDP_ACT_*`` of the interface with that index; None before Linux 6.3, or if refused."""
    try:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        with socket.socket(socket.AF_NETLINK, kind, _NETLINK_GENERIC) as channel:
            channel.settimeout(_TIMEOUT_S)
            named = _ask(channel, _GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, _CTRL_ATTR_FAMILY_NAME, b"netdev\0")
            (family,) = struct.unpack("=H", named[_CTRL_ATTR_FAMILY_ID])
            told = _ask(channel, family, _NETDEV_CMD_DEV_GET, _NETDEV_A_DEV_IFINDEX, struct.pack("=I", index))
            return int.from_bytes(told[_NETDEV_A_DEV_XDP_FEATURES], "little")
    except (OSError, KeyError, struct.error):
        return None


def _ask(channel: socket.socket, family: int, command: int, attribute: int, value: bytes) -> dict[int, bytes]:
    """Return the attributes of the answer to a question with one attribute. Raises OSError."""
    body = _GENERIC.pack(command, 1) + _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), attribute)
    body += value + bytes(-len(value) % 4)
    channel.sendto(_HEADER.pack(_HEADER.size + len(body), family, _NLM_F_REQUEST, 1, 0) + body, (0, 0))
    answer = channel.recv(_ANSWER_BYTES)
    length, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind == _NLMSG_ERROR:
        (code,) = struct.unpack_from("=i", answer, _HEADER.size)
        raise OSError(-code, os.strerror(-code))
    return _attributes(answer[_HEADER.size + _GENERIC.size : length])


def _attributes(message: bytes) -> dict[int, bytes]:
    found = {}
    start = 0
    while start + _ATTRIBUTE.size <= len(message):
        length, number = _ATTRIBUTE.unpack_from(message, start)
        found[number & _TYPE_MASK] = message[start + _ATTRIBUTE.size : start + length]
        start += max(-(-length // 4) * 4, _ATTRIBUTE.size)
    return found

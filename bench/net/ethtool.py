"""Asks and tells drivers by ethtool's ioctls: offloads on and off, and a driver's own statistics."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

from bench.net.enter import call_in

_SIOCETHTOOL = 0x8946
_GET_STRINGS = 0x1B
_GET_STATISTICS = 0x1D
_SET_TSO = 0x1F
_SET_GRO = 0x2C
_GET_COUNTS = 0x37
_STATISTICS = 1
_STRING_BYTES = 32


def _ask(interface: str, request: bytes) -> bytes:
    """Return what the kernel made of an ethtool request, in the calling thread's namespace."""
    value = ctypes.create_string_buffer(request, len(request))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(
            control, _SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
        )
    return value.raw


def enable_napi(namespace: str, interface: str) -> None:
    """Turn GRO on, and with it a veth end's NAPI: without it, frames sent there by XDP vanish silently."""
    call_in(namespace, lambda: _ask(interface, struct.pack("=II", _SET_GRO, 1)))


def disable_tso(namespace: str, interface: str) -> None:
    """Turn TCP segmentation offload off.

    A veth end that offers it hands its frames to the stack behind the peer's NAPI; without it they
    wait in the peer's ring like those that XDP puts there.
    """
    call_in(namespace, lambda: _ask(interface, struct.pack("=II", _SET_TSO, 0)))


def _statistics(interface: str) -> dict[str, int]:
    reply = _ask(interface, struct.pack("=IIQI", _GET_COUNTS, 0, 1 << _STATISTICS, 0))
    (count,) = struct.unpack_from("=I", reply, 16)
    strings = _ask(
        interface, struct.pack("=III", _GET_STRINGS, _STATISTICS, count) + bytes(count * _STRING_BYTES)
    )
    values = _ask(interface, struct.pack("=II", _GET_STATISTICS, count) + bytes(count * 8))
    names = [name.rstrip(b"\0").decode() for (name,) in struct.iter_unpack("32s", strings[12:])]
    return dict(zip(names, struct.unpack_from(f"={count}Q", values, 8), strict=True))


def statistics(namespace: str, interface: str) -> dict[str, int]:
    """Return the driver's statistics by name; raises OSError when there is no such interface."""
    return call_in(namespace, lambda: _statistics(interface))

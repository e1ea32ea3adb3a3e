"""Asks drivers by ethtool's ioctls, which need no privileges: who they are, and what they do unasked."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from dataclasses import dataclass

# include/uapi/linux/sockios.h, ethtool.h
_SIOCETHTOOL = 0x8946
_GET_DRIVER = 0x03
_GET_STRINGS = 0x1B
_GET_STRING_COUNTS = 0x37
_GET_FEATURES = 0x3A
#: ``ETH_SS_FEATURES``, the set of strings that names the features.
_FEATURE_NAMES = 4
_NAME_BYTES = 32
#: ``struct ethtool_drvinfo`` as a whole; the driver's name is its second field.
_DRIVER_BYTES = 196
#: ``struct ethtool_get_features_block``, of 32 features: available, requested, active, never changed.
_BLOCK = struct.Struct("=IIII")
_BLOCK_FEATURES = 32


@dataclass(frozen=True, slots=True)
class Offload:
    """Whether the network card, or its driver, does something by itself."""

    is_on: bool
    #: The driver lets nobody change it.
    is_fixed: bool = False


def driver(interface: str) -> str | None:
    """Return the name of an interface's driver; None where none says so."""
    try:
        answer = ask(interface, struct.pack("=I", _GET_DRIVER).ljust(_DRIVER_BYTES, b"\0"))
    except OSError:
        return None
    return answer[4 : 4 + _NAME_BYTES].partition(b"\0")[0].decode(errors="replace") or None


def offloads(interface: str) -> dict[str, Offload] | None:
    """Return an interface's features by the kernel's names; None when the kernel does not tell."""
    try:
        counts = ask(interface, struct.pack("=IIQI", _GET_STRING_COUNTS, 0, 1 << _FEATURE_NAMES, 0))
        (count,) = struct.unpack_from("=I", counts, 16)
        head = struct.pack("=III", _GET_STRINGS, _FEATURE_NAMES, count)
        names = ask(interface, head + bytes(count * _NAME_BYTES))[len(head) :]
        blocks = -(-count // _BLOCK_FEATURES)
        head = struct.pack("=II", _GET_FEATURES, blocks)
        answer = ask(interface, head + bytes(blocks * _BLOCK.size))[len(head) :]
    except OSError:
        return None
    return {
        name.partition(b"\0")[0].decode(errors="replace"): _offload(answer, number)
        for number, (name,) in enumerate(struct.iter_unpack(f"{_NAME_BYTES}s", names))
    }


def _offload(blocks: bytes, number: int) -> Offload:
    block, bit = divmod(number, _BLOCK_FEATURES)
    available, _, active, never_changed = _BLOCK.unpack_from(blocks, block * _BLOCK.size)
    return Offload(bool(active >> bit & 1), not available >> bit & 1 or bool(never_changed >> bit & 1))


def ask(interface: str, request: bytes) -> bytes:
    """Return what the kernel made of an ethtool request. Raises OSError when it refuses.

    Any socket does; the service's unit allows those of the Internet to nobody.
    """
    value = ctypes.create_string_buffer(request, len(request))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(
            control, _SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
        )
    return value.raw

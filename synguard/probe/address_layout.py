"""The byte layout of an address, which keys and values of the probe's maps share; see ``bpf/layout.h``."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from synguard.endpoint import Address

ADDRESS = struct.Struct("16s")
MAPPED_PREFIX = bytes(10) + b"\xff\xff"


def require(what: str, raw: bytes | memoryview, size_bytes: int) -> None:
    """Refuse what is not one record: kernel and daemon would then speak of different layouts."""
    if len(raw) != size_bytes:
        raise ValueError(f"{what}: {len(raw)} bytes from the kernel, and {size_bytes} in this layout")


def encode_address(address: Address) -> bytes:
    """Return the 16 bytes of a ``struct address``."""
    return MAPPED_PREFIX + address.packed if isinstance(address, IPv4Address) else address.packed


def decode_address(raw: bytes) -> Address:
    """Return the address that a ``struct address`` holds."""
    require("address", raw, ADDRESS.size)
    if raw[:12] == MAPPED_PREFIX:
        return IPv4Address(raw[12:])
    return IPv6Address(raw)

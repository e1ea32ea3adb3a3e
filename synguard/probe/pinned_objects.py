"""Names maps and programs in a BPF file system (bpffs), where they outlive every process that uses them.

``BPF_OBJ_PIN`` and ``BPF_OBJ_GET`` of bpf(2). Every function raises OSError with the kernel's errno.
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

from synguard.probe.bpfcall import address, attributes, bpf, filled

BPF_OBJ_PIN = 6
BPF_OBJ_GET = 7

#: ``BPF_FS_MAGIC`` of include/uapi/linux/magic.h.
_BPF_FS_MAGIC = 0xCAFE4A11

_libc = ctypes.CDLL(None, use_errno=True)


def pin(fd: int, path: Path) -> None:
    """Name the map or program behind ``fd``; its pin belongs to this process's user, with mode 0600."""
    name = filled(os.fsencode(path) + b"\0")
    bpf(BPF_OBJ_PIN, attributes("=QII", address(name), fd, 0))


def open_pinned(path: Path) -> int:
    """Return a new descriptor of the map or program that is pinned at ``path``."""
    name = filled(os.fsencode(path) + b"\0")
    return bpf(BPF_OBJ_GET, attributes("=QII", address(name), 0, 0))


def is_program(fd: int) -> bool:
    """Tell a program's descriptor from a map's."""
    return _kind(fd) == "anon_inode:bpf-prog"


def is_map(fd: int) -> bool:
    """Tell a map's descriptor from a program's."""
    return _kind(fd) == "anon_inode:bpf-map"


def _kind(fd: int) -> str:
    return str(Path(f"/proc/self/fd/{fd}").readlink())


def on_bpf_filesystem(path: Path) -> bool:
    """Tell whether ``path`` lies, or would lie, in a BPF file system."""
    while not path.exists():
        path = path.parent
    answer = ctypes.create_string_buffer(256)
    if _libc.statfs(os.fsencode(path), answer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))
    # struct statfs begins with f_type, a word of which the magic fills 32 bits.
    (magic,) = struct.unpack_from("@l", answer)
    return bool(magic & 0xFFFFFFFF == _BPF_FS_MAGIC)

"""The bpf(2) system call itself, and the packing of its ``union bpf_attr``, without loading any library.

Layouts are those of ``include/uapi/linux/bpf.h``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable

_SYSCALL_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}

_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attr: ctypes.Array[ctypes.c_char]) -> int:
    """Give the kernel a ``BPF_*`` command and return what it answers. Raises OSError with its errno."""
    return bpf_call(command, attr)()


def bpf_call(command: int, attr: ctypes.Array[ctypes.c_char]) -> Callable[[], int]:
    """Return what gives the kernel that command with what ``attr`` holds then, as often as it is called."""
    number = _SYSCALL_NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"no bpf system call number known for {platform.machine()}")
    system_call, size = _libc.syscall, len(attr)
    reference = ctypes.byref(attr)

    def call() -> int:
        result: int = system_call(number, command, reference, size)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    return call


def attributes(layout: str, *values: int) -> ctypes.Array[ctypes.c_char]:
    """Return a ``union bpf_attr`` of these values, packed as :mod:`struct` has it."""
    packed = struct.pack(layout, *values)
    return ctypes.create_string_buffer(packed, len(packed))


def address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    """Return where a buffer lies; the caller keeps it alive as long as the kernel may look there."""
    return ctypes.addressof(buffer)


def filled(data: bytes) -> ctypes.Array[ctypes.c_char]:
    """Return a buffer that holds ``data``; of one byte at least, so that it has an address."""
    return ctypes.create_string_buffer(data, max(len(data), 1))

"""bpf(2) calls that are made a million times: their attributes are packed once, and their buffers kept.

A call of :mod:`synguard.probe.syscall` costs some ten microseconds, nearly all of it for making buffers.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable

from synguard.probe.bpfcall import address, attributes, bpf_call, filled
from synguard.probe.syscall import BPF_MAP_UPDATE_ELEM, BPF_PROG_TEST_RUN, BpfMap

#: Where a test run's attributes hold the return value, and then the sizes of the packet in and out.
_RETURN_VALUE = 4
_DATA_SIZES = 8


class RepeatedUpdate:
    """Sets one entry of a map, again and again."""

    def __init__(self, bpf_map: BpfMap, key: bytes) -> None:
        self._key = filled(key)
        #: The value to be set; the caller writes into it, and then calls :meth:`write`.
        self.value = ctypes.create_string_buffer(bpf_map.value_bytes)
        addresses = (address(self._key), address(self.value))
        self._attributes = attributes("=IIQQQ", bpf_map.fd, 0, *addresses, 0)
        #: Hands the value to the kernel. Raises OSError.
        self.write: Callable[[], int] = bpf_call(BPF_MAP_UPDATE_ELEM, self._attributes)


class RepeatedRun:
    """Runs a program on one packet after another by BPF_PROG_TEST_RUN, once on each."""

    def __init__(self, program_fd: int, packet_bytes_max: int) -> None:
        self._packet = ctypes.create_string_buffer(packet_bytes_max)
        self._bytes = memoryview(self._packet).cast("B")
        head = (program_fd, 0, packet_bytes_max, 0, address(self._packet), 0, 1)
        self._attributes = attributes("=IIIIQQIIIIQQIII4x", *head, *[0] * 8)
        self._pack_sizes = struct.Struct("=II").pack_into
        self._unpack_value = struct.Struct("=I").unpack_from
        self._call = bpf_call(BPF_PROG_TEST_RUN, self._attributes)

    def __call__(self, packet: bytes) -> None:
        """Run the program.

        Raises ValueError for a packet longer than said, and OSError (EINVAL) for less than 14 bytes.
        """
        size = len(packet)
        self._bytes[:size] = packet
        # The kernel writes the size of what came out into the second word, and would take it for our room.
        self._pack_sizes(self._attributes, _DATA_SIZES, size, 0)
        self._call()

    @property
    def return_value(self) -> int:
        """What the program returned the last time."""
        return int(self._unpack_value(self._attributes, _RETURN_VALUE)[0])

"""What bpf(2) can do with maps and programs that are there: maps in batches, descriptions, test runs.

Every function raises OSError with the kernel's errno.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from synguard.probe.bpfcall import address, attributes, bpf, filled

BPF_MAP_LOOKUP_ELEM = 1
BPF_MAP_UPDATE_ELEM = 2
BPF_MAP_DELETE_ELEM = 3
BPF_PROG_TEST_RUN = 10
BPF_PROG_GET_FD_BY_ID = 13
BPF_OBJ_GET_INFO_BY_FD = 15
BPF_MAP_LOOKUP_AND_DELETE_ELEM = 21
BPF_MAP_LOOKUP_BATCH = 24
BPF_MAP_UPDATE_BATCH = 26

#: ``BPF_MAP_TYPE_*`` of the maps whose values exist once for every possible CPU.
PER_CPU_MAP_TYPES = frozenset({5, 6, 10})

#: Of ``BPF_PROG_TEST_RUN``: run XDP frames through the real driver paths.
BPF_F_TEST_XDP_LIVE_FRAMES = 1 << 1


def possible_cpus() -> int:
    """Return how many CPUs the kernel could ever bring up: per-CPU values have that many copies."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        last_range = file.read().strip().rsplit(",", 1)[-1]
    return int(last_range.rsplit("-", 1)[-1]) + 1


@dataclass(frozen=True, slots=True)
class MapInfo:
    """What the kernel says of a map; sizes in bytes."""

    id: int
    type: int
    key_size: int
    value_size: int
    max_entries: int
    name: str


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What the kernel says of a program."""

    id: int
    type: int
    tag: str
    name: str
    #: How many the verifier walked; 0 from kernels that do not say.
    verified_instructions: int


def _object_info(fd: int, size: int = 256) -> bytes:
    info = ctypes.create_string_buffer(size)
    bpf(BPF_OBJ_GET_INFO_BY_FD, attributes("=IIQ", fd, size, address(info)))
    return info.raw


def map_info(fd: int) -> MapInfo:
    """Return the kernel's description of the map behind ``fd``."""
    kind, map_id, key_size, value_size, entries, _, name = struct.unpack_from("=6I16s", _object_info(fd))
    return MapInfo(map_id, kind, key_size, value_size, entries, name.split(b"\0", 1)[0].decode())


def program_info(fd: int) -> ProgramInfo:
    """Return the kernel's description of the program behind ``fd``."""
    raw = _object_info(fd)
    kind, program_id, tag = struct.unpack_from("=II8s", raw)
    (name,) = struct.unpack_from("=16s", raw, 64)
    (verified,) = struct.unpack_from("=I", raw, 216)
    return ProgramInfo(program_id, kind, tag.hex(), name.split(b"\0", 1)[0].decode(), verified)


def program_map_ids(fd: int) -> frozenset[int]:
    """Return the ids of the maps that the program behind ``fd`` uses."""
    (count,) = struct.unpack_from("=I", _object_info(fd), 52)
    ids = ctypes.create_string_buffer(max(4 * count, 1))
    info = filled(struct.pack("=52xIQ192x", count, address(ids)))
    bpf(BPF_OBJ_GET_INFO_BY_FD, attributes("=IIQ", fd, 256, address(info)))
    return frozenset(struct.unpack_from(f"={count}I", ids))


def program_fd_by_id(program_id: int) -> int:
    """Open the program with that id; needs CAP_SYS_ADMIN."""
    return bpf(BPF_PROG_GET_FD_BY_ID, attributes("=III", program_id, 0, 0))


def map_memlock_bytes(fd: int) -> int:
    """Return the kernel memory that the map is charged for, from its fdinfo."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        for line in file:
            if line.startswith("memlock:"):
                return int(line.split()[1])
    return 0


@dataclass(frozen=True, slots=True)
class BpfMap:
    """A map of the kernel's by its file descriptor; values are those of all CPUs, one after another."""

    fd: int
    info: MapInfo
    #: Bytes of one value as read: padded to eight, and times the possible CPUs where it is per CPU.
    value_bytes: int

    @classmethod
    def from_fd(cls, fd: int) -> BpfMap:
        """Wrap a descriptor that the caller goes on owning."""
        info = map_info(fd)
        per_cpu = info.type in PER_CPU_MAP_TYPES
        padded = -(-info.value_size // 8) * 8
        return cls(fd, info, padded * possible_cpus() if per_cpu else info.value_size)

    def lookup(self, key: bytes) -> bytes | None:
        """Return the value under ``key``, or None."""
        value = ctypes.create_string_buffer(self.value_bytes)
        if not self._element(BPF_MAP_LOOKUP_ELEM, key, value):
            return None
        return value.raw

    def pop(self) -> bytes | None:
        """Take the next value out of a queue, or None when it is empty."""
        value = ctypes.create_string_buffer(self.value_bytes)
        if not self._element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, b"", value):
            return None
        return value.raw

    def update(self, key: bytes, value: bytes) -> None:
        """Set the value under ``key``. Raises OSError (E2BIG) when the map is full."""
        if len(value) != self.value_bytes or len(key) != self.info.key_size:
            raise ValueError(f"map {self.info.name}: {len(key)}-byte key, {len(value)}-byte value do not fit")
        key_buffer, value_buffer = filled(key), filled(value)
        addresses = (address(key_buffer), address(value_buffer))
        bpf(BPF_MAP_UPDATE_ELEM, attributes("=IIQQQ", self.fd, 0, *addresses, 0))

    def update_all(self, entries: Mapping[bytes, bytes]) -> None:
        """Set many values by one call. Raises OSError (E2BIG) when it is full; some may be set then."""
        keys, values = b"".join(entries), b"".join(entries.values())
        expected = len(entries) * (self.info.key_size + self.value_bytes)
        if len(keys) + len(values) != expected:
            raise ValueError(f"map {self.info.name}: keys or values of a wrong size")
        if entries:
            key_buffer, value_buffer = filled(keys), filled(values)
            addresses = (address(key_buffer), address(value_buffer))
            bpf(BPF_MAP_UPDATE_BATCH, attributes("=QQQQIIQQ", 0, 0, *addresses, len(entries), self.fd, 0, 0))

    def delete(self, key: bytes) -> bool:
        """Remove ``key``; return whether it was there."""
        key_buffer = filled(key)
        try:
            bpf(BPF_MAP_DELETE_ELEM, attributes("=IIQQQ", self.fd, 0, address(key_buffer), 0, 0))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def _element(self, command: int, key: bytes, value: ctypes.Array[ctypes.c_char]) -> bool:
        key_buffer = filled(key)
        key_address = address(key_buffer) if key else 0
        try:
            bpf(command, attributes("=IIQQQ", self.fd, 0, key_address, address(value), 0))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def items(self, batch_bytes: int = 1 << 17) -> Iterator[tuple[bytes, memoryview]]:
        """Yield every entry of a hash or an array, read by batch calls.

        A hash's batch holds whole buckets, so a batch that is too small for one (ENOSPC) is read
        again with twice the room. Each value is a view that stays valid. ``batch_bytes`` of values are
        read by one call: clearing a larger buffer costs more than another call.
        """
        cursor: bytes | None = None
        entries = min(max(batch_bytes // self.value_bytes, 8), self.info.max_entries)
        while True:
            try:
                batch = self._batch(cursor, entries)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                entries *= 2
                continue
            count, keys, values, cursor = batch
            view = memoryview(values)
            for index in range(count):
                key = keys[index * self.info.key_size : (index + 1) * self.info.key_size]
                yield key, view[index * self.value_bytes : (index + 1) * self.value_bytes]
            if cursor is None:
                return

    def _batch(self, cursor: bytes | None, entries: int) -> tuple[int, bytes, bytes, bytes | None]:
        """Read up to ``entries`` entries; the returned cursor is None when there are no more."""
        cursor_size = max(self.info.key_size, 4)
        start = filled((cursor or b"").ljust(cursor_size, b"\0"))
        following = ctypes.create_string_buffer(cursor_size)
        keys = ctypes.create_string_buffer(entries * self.info.key_size)
        values = ctypes.create_string_buffer(entries * self.value_bytes)
        packed = attributes(
            "=QQQQIIQQ",
            address(start) if cursor is not None else 0,
            address(following),
            address(keys),
            address(values),
            entries,
            self.fd,
            0,
            0,
        )
        finished = False
        try:
            bpf(BPF_MAP_LOOKUP_BATCH, packed)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            finished = True
        (count,) = struct.unpack_from("=I", packed.raw, 32)
        return count, keys.raw, values.raw, None if finished else following.raw


@dataclass(frozen=True, slots=True)
class TestRunResult:
    """What a test run gave: the program's return value, the packet afterwards, mean run time."""

    return_value: int
    data: bytes
    duration_ns: int


def test_run(
    program_fd: int,
    packet: bytes,
    *,
    repeat: int = 1,
    context: bytes = b"",
    flags: int = 0,
    batch_frames: int = 0,
) -> TestRunResult:
    """Run a program on ``packet`` by BPF_PROG_TEST_RUN.

    Args:
        program_fd: an XDP or tc program.
        packet: the frame, at least 14 bytes.
        repeat: how often; ``duration_ns`` is the mean.
        context: ``struct xdp_md`` or ``struct __sk_buff`` to start from.
        flags: ``BPF_F_TEST_XDP_LIVE_FRAMES`` sends real frames; nothing comes back then.
        batch_frames: of live frames, how many the kernel handles at once (0: its default, 64).

    """
    live = bool(flags & BPF_F_TEST_XDP_LIVE_FRAMES)
    data_in = filled(packet)
    room = 0 if live else len(packet) + 512
    data_out = ctypes.create_string_buffer(max(room, 1))
    context_in = filled(context)
    packed = attributes(
        "=IIIIQQIIIIQQIII4x",
        program_fd,
        0,
        len(packet),
        room,
        address(data_in),
        0 if live else address(data_out),
        repeat,
        0,
        len(context),
        0,
        address(context_in) if context else 0,
        0,
        flags,
        0,
        batch_frames,
    )
    bpf(BPF_PROG_TEST_RUN, packed)
    _, return_value, _, size_out, _, _, _, duration_ns = struct.unpack_from("=IIIIQQII", packed.raw)
    return TestRunResult(return_value, data_out.raw[: 0 if live else size_out], duration_ns)

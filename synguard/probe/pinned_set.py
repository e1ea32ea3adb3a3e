"""Opens a set of pins, and takes nothing for the probe that is not whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from synguard.probe import layout, response_layout, sight_layout
from synguard.probe.compiler import LoadedObject, ProgramType
from synguard.probe.pinned_objects import is_map, is_program, open_pinned
from synguard.probe.syscall import BpfMap, program_info, program_map_ids

#: ``BPF_PROG_TYPE_*`` of include/uapi/linux/bpf.h.
_PROGRAM_TYPES = {ProgramType.XDP: 6, ProgramType.SCHED_CLS: 3}
#: The kernel cuts names to BPF_OBJ_NAME_LEN, with the final NUL.
_NAME_BYTES = 15
#: What the daemon decodes must have the size that it decodes.
_VALUE_BYTES = {
    "settings": layout.SETTINGS.size,
    "totals": layout.TOTALS.size,
    "interfaces": sight_layout.INTERFACES_BYTES,
    "flows": sight_layout.FLOWS_BYTES,
    "sources": layout.SOURCE_BYTES,
    "prefixes": layout.SOURCE_BYTES,
    "listeners": layout.LISTENER_BYTES,
    "closed_buckets": layout.LISTENER_BYTES,
    "blocks": response_layout.BLOCK.size,
}


class BrokenPinsError(Exception):
    """A set of pins that is not whole; says what is wrong with it."""


def open_set(path: Path, programs: Mapping[str, ProgramType], sizes: Mapping[str, int]) -> LoadedObject:
    """Return the programs and maps of a set of pins.

    Args:
        path: from :meth:`PinFolder.sets`.
        programs: the programs that must be there, and what for.
        sizes: how many entries the maps that are named must have.

    Raises:
        BrokenPinsError: something is missing, too much or not what it must be; says what.

    """
    loaded = LoadedObject({}, {})
    try:
        for entry in _entries(path):
            _open_entry(entry, loaded)
        _check_programs(loaded.programs, programs)
        _check_maps(loaded, sizes)
    except OSError as error:
        loaded.close()
        raise BrokenPinsError(f"it cannot be read: {error.strerror}") from error
    except BrokenPinsError:
        loaded.close()
        raise
    return loaded


def _entries(path: Path) -> Iterable[Path]:
    if path.is_symlink() or not path.is_dir():
        raise BrokenPinsError("it is no folder")
    return sorted(path.iterdir())


def _open_entry(entry: Path, loaded: LoadedObject) -> None:
    kind, _, name = entry.name.partition("-")
    if kind not in ("map", "program") or not entry.is_file() or entry.is_symlink():
        raise BrokenPinsError(f"{entry.name} is not ours")
    fd = open_pinned(entry)
    if kind == "program" and is_program(fd):
        loaded.programs[name] = fd
    elif kind == "map" and is_map(fd):
        loaded.maps[name] = BpfMap.from_fd(fd)
    else:
        os.close(fd)
        raise BrokenPinsError(f"{entry.name} is no {kind}")


def _check_programs(found: Mapping[str, int], wanted: Mapping[str, ProgramType]) -> None:
    if found.keys() != wanted.keys():
        raise BrokenPinsError(
            f"missing or unknown programs: {', '.join(sorted(found.keys() ^ wanted.keys()))}"
        )
    for name, fd in found.items():
        info = program_info(fd)
        if info.name != name[:_NAME_BYTES] or info.type != _PROGRAM_TYPES[wanted[name]]:
            raise BrokenPinsError(f"program-{name} is another program ({info.name}, type {info.type})")


def _check_maps(loaded: LoadedObject, sizes: Mapping[str, int]) -> None:
    used = frozenset[int]().union(*(program_map_ids(fd) for fd in loaded.programs.values()))
    for name, bpf_map in loaded.maps.items():
        info = bpf_map.info
        if info.name != name[:_NAME_BYTES] or info.id not in used:
            raise BrokenPinsError(f"map-{name} is another map than the one that the programs use")
        if info.value_size != _VALUE_BYTES.get(name, info.value_size):
            raise BrokenPinsError(f"map-{name} has values of {info.value_size} bytes")
        if info.max_entries != sizes.get(name, info.max_entries):
            raise BrokenPinsError(f"map-{name} has {info.max_entries} entries")
    missing = len(used) - len(loaded.maps)
    if missing:
        raise BrokenPinsError(f"{missing} of the {len(used)} maps that the programs use are missing")

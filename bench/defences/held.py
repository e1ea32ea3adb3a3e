"""What a process holds in the kernel: its eBPF programs and the memory of its maps, from /proc/PID/fdinfo."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

_PROGRAM_ID = re.compile(r"^prog_id:\s*(\d+)$", re.MULTILINE)
_MAP_ID = re.compile(r"^map_id:\s*(\d+)$", re.MULTILINE)
_MEMLOCK = re.compile(r"^memlock:\s*(\d+)$", re.MULTILINE)


def _descriptors(pid: int) -> Iterator[str]:
    for path in Path(f"/proc/{pid}/fdinfo").glob("*"):
        with contextlib.suppress(OSError):  # it was closed meanwhile
            yield path.read_text(encoding="ascii")


def programs_held_by(pid: int) -> set[int]:
    """Return the ids of the eBPF programs that a process has open; none when it has ended."""
    return {int(number) for text in _descriptors(pid) for number in _PROGRAM_ID.findall(text)}


def maps_held_by(pid: int) -> dict[int, int]:
    """Return the bytes that each eBPF map which a process has open is charged for, by the map's id."""
    held = {}
    for text in _descriptors(pid):
        number, memlock = _MAP_ID.search(text), _MEMLOCK.search(text)
        if number and memlock:
            held[int(number[1])] = int(memlock[1])
    return held

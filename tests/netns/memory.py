"""A control group with a memory limit: that of cgroup v1 or v2, whichever this machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class _Files(NamedTuple):
    """What a version of control groups calls them."""

    limit: str
    peak: str


_V1 = _Files("memory.limit_in_bytes", "memory.max_usage_in_bytes")
_V2 = _Files("memory.max", "memory.peak")


class LimitedMemory:
    """A control group; kernel memory such as maps is charged to it, too."""

    def __init__(self, path: Path, files: _Files) -> None:
        self.path = path
        self._files = files

    def inside(self, *command: str) -> list[str]:
        """Return the command line that runs a command in it."""
        return ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', str(self.path), *command]

    def limit(self, limit_bytes: int) -> None:
        """Allow so much."""
        (self.path / self._files.limit).write_text(str(limit_bytes), encoding="ascii")

    def peak_bytes(self) -> int:
        """Return the most that it ever held."""
        return int((self.path / self._files.peak).read_text(encoding="ascii"))


def _own() -> tuple[Path, _Files]:
    """Return this process's own group where memory is limited. Raises LookupError."""
    own = dict(
        line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    )
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup" and "memory" in options.split(","):
            return Path(place + own["memory"]), _V1
        if kind == "cgroup2" and "memory" in Path(place, "cgroup.controllers").read_text(encoding="ascii"):
            return Path(place), _V2
    raise LookupError("no memory controller here, of cgroup v1 or v2: the units' limits cannot be tried")


@contextmanager
def limited_memory(name: str) -> Iterator[LimitedMemory]:
    """Make a group below this process's own, and remove it once it is empty."""
    parent, files = _own()
    path = parent / f"synguard-test-{os.getpid()}-{name}"
    path.mkdir()
    try:
        yield LimitedMemory(path, files)
    finally:
        path.rmdir()

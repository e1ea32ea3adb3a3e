"""A BPF file system of a test's own, and what is pinned in it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from synguard.probe import layout
from synguard.probe.pinned_objects import open_pinned
from synguard.probe.syscall import BpfMap


@contextlib.contextmanager
def bpf_filesystem(folder: Path) -> Iterator[Path]:
    """Mount a BPF file system on a new folder, for root alone as systemd does, and unmount it at the end."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "-o", "mode=0700", "bpf", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def pinned_sets(directory: Path) -> list[Path]:
    """Return every set of pins below a pin directory."""
    return sorted(directory.glob("netns-*/layout-*-program-*"))


@contextlib.contextmanager
def pinned_map(path: Path) -> Iterator[BpfMap]:
    """Open a pinned map; it lives on while it is open, whatever becomes of the pin."""
    fd = open_pinned(path)
    try:
        yield BpfMap.from_fd(fd)
    finally:
        os.close(fd)


def totals_of(bpf_map: BpfMap) -> dict[str, int]:
    """Return what the map ``totals`` holds."""
    return layout.decode_totals(bpf_map.lookup(bytes(4)) or b"")

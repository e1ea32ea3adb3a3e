"""Reads small files of /proc and /sys, which a container may hide."""

from __future__ import annotations

from pathlib import Path

_SYSCTL = Path("/proc/sys")


def text(path: Path) -> str | None:
    """Return what is in a file, or None when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def sysctl(name: str) -> int | None:
    """Return a setting by its path below /proc/sys, or None when it cannot be read as a number."""
    found = text(_SYSCTL / name)
    try:
        return None if found is None else int(found)
    except ValueError:
        return None

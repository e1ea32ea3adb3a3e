"""Reads whether this machine can compile, load and keep the probe."""

from __future__ import annotations

import errno
import os
import re
from importlib.util import find_spec
from pathlib import Path

from synguard.config import ProbeSettings
from synguard.doctor.gathering.files import text
from synguard.doctor.machine import Bcc, Pins
from synguard.probe import syscall
from synguard.probe.pinned_objects import on_bpf_filesystem

#: One header of each directory that the probe's C includes from.
_HEADERS = ("linux/bpf.h", "linux/types.h", "asm-generic/types.h")
_HEADER_ROOT = Path("/usr/include")
#: -1 as the kernel's unsigned field holds it: no descriptor of anybody's.
_NO_FD = 0xFFFF_FFFF


def lockdown() -> str | None:
    """Return the kernel's lockdown mode; None where there is none."""
    found = re.search(r"\[(\w+)\]", text(Path("/sys/kernel/security/lockdown")) or "")
    return found[1] if found else None


def bpf_errno() -> int:
    """Return how the kernel refuses a bpf(2) call that could do nothing; 0 if it does not."""
    try:
        syscall.map_info(_NO_FD)
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def bcc() -> Bcc | None:
    """Find bcc without importing it: that costs 73 MB and a second."""
    spec = find_spec("bcc")
    if spec is None or spec.origin is None:
        return None
    directory = Path(spec.origin).parent
    version = re.search(r"__version__ = '([^']+)'", text(directory / "version.py") or "")
    return Bcc(str(directory), version[1] if version else None, (directory / "libbcc.py").exists())


def missing_headers() -> tuple[str, ...]:
    """Return those header files that are missing."""
    return tuple(name for name in _HEADERS if not os.path.lexists(_HEADER_ROOT / name))


def pins(settings: ProbeSettings) -> Pins:
    """Return where the probe would be pinned, and whether it could."""
    try:
        possible = on_bpf_filesystem(Path(settings.pin_directory).absolute())
    except OSError:
        return Pins(settings.keep_attached, settings.pin_directory, None)
    return Pins(settings.keep_attached, settings.pin_directory, possible)

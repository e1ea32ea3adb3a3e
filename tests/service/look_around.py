"""Tries what a service that was taken over might try, and prints what worked, as one line of JSON.

Run as a script inside the unit, by the machine's own Python, which has no more than the standard library.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

#: What only others should read, and what only they should write.
SECRETS = (
    "/etc/shadow",
    "/etc/gshadow",
    "/root",
    "/home/somebody",
    "/proc/1/environ",
    "/mnt",
)
PLACES = (
    *("/", "/boot", "/dev", "/dev/shm", "/etc", "/etc/synguard", "/home", "/home/somebody", "/mnt"),
    *("/opt", "/opt/synguard", "/root", "/run", "/run/synguard", "/run/systemd", "/srv", "/sys"),
    *("/sys/fs/bpf", "/sys/fs/bpf/synguard", "/sys/fs/cgroup", "/tmp", "/usr", "/usr/local/bin"),
    *("/var", "/var/lib", "/var/lib/synguard", "/var/log", "/var/tmp"),
)
SETTINGS = ("/proc/sys/net/ipv4/tcp_syncookies", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger")

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PTRACE_ATTACH = 16
_libc = ctypes.CDLL(None, use_errno=True)


def works(deed: Callable[..., object], *arguments: object) -> bool:
    """Tell whether something can be done."""
    try:
        deed(*arguments)
    except OSError:
        return False
    return True


def read(path: str) -> None:
    """Read a file or list a folder."""
    if Path(path).is_dir():
        list(Path(path).iterdir())
    else:
        Path(path).read_bytes()


def write(folder: str) -> None:
    """Make a folder in a folder, which a BPF file system has room for, too."""
    made = Path(folder, "look-around")
    made.mkdir()
    made.rmdir()


def open_to_write(path: str) -> None:
    """Open a file to write it."""
    os.close(os.open(path, os.O_WRONLY))


def checked(answer: int) -> None:
    """Raise OSError for what a system call refused."""
    if answer < 0:
        raise OSError(ctypes.get_errno(), "refused")


def executable_memory() -> None:
    """Map memory that can be written and run."""
    mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def main() -> None:
    """Look around."""
    status = dict(re.findall(r"^(\w+):\s*(.*)$", Path("/proc/self/status").read_text(encoding="utf-8"), re.M))
    found = {
        "user": [os.getresuid(), os.getresgid(), os.getgroups()],
        "capabilities": {name: int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")},
        "confined": [status["NoNewPrivs"], status["Seccomp"]],
        "read": [path for path in SECRETS if works(read, path)],
        "written": [path for path in PLACES if works(write, path)],
        "set": [path for path in SETTINGS if works(open_to_write, path)],
        "owners": sorted({entry.stat().st_uid for entry in Path("/proc").glob("[0-9]*")}),
        "done": [
            name
            for name, deed in {
                "signal": lambda: os.kill(1, 0),
                "trace": lambda: checked(_libc.ptrace(_PTRACE_ATTACH, 1, 0, 0)),
                "ipv4": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
                "ipv6": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close(),
                "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
                "user namespace": lambda: checked(_libc.unshare(_CLONE_NEWUSER)),
                "network namespace": lambda: checked(_libc.unshare(_CLONE_NEWNET)),
                "mount": lambda: checked(_libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None)),
                "executable memory": executable_memory,
                "become root": lambda: os.setuid(0),
            }.items()
            if works(deed)
        ],
    }
    sys.stdout.write(f"look-around {json.dumps(found)}\n")


if __name__ == "__main__":
    main()

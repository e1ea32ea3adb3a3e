"""Reads the facts about this machine; without privileges it reads fewer, and fails at none."""

from __future__ import annotations

import errno
import grp
import os
import platform
import re
import socket
from importlib.util import find_spec
from pathlib import Path

from pyroute2 import DiagSocket
from pyroute2.netlink.exceptions import NetlinkError

from synguard.client import daemon_pid
from synguard.config import Settings
from synguard.doctor.machine import Daemon, InterfaceFacts, ListeningSocket, Machine, XdpProgram
from synguard.errors import SynguardError
from synguard.probe import syscall
from synguard.probe.interfaces import default_route_interfaces, find_interface
from synguard.probe.userns import in_user_namespace

#: One header of each directory that the probe's C includes from.
_HEADERS = ("linux/bpf.h", "linux/types.h", "asm-generic/types.h")
_HEADER_ROOT = Path("/usr/include")
#: include/net/tcp_states.h.
_TCP_LISTEN = 10
_IFF_UP = 1
#: -1 as the kernel's unsigned field holds it: no descriptor of anybody's.
_NO_FD = 0xFFFF_FFFF


def gather(settings: Settings) -> Machine:
    """Return what can be learned about this machine, as far as ``settings`` names it."""
    bcc_directory = _bcc_directory()
    return Machine(
        kernel_release=platform.release(),
        has_btf=Path("/sys/kernel/btf/vmlinux").exists(),
        lockdown=_lockdown(),
        bpf_errno=_bpf_errno(),
        capabilities=effective_capabilities(),
        in_user_namespace=in_user_namespace(),
        bcc_path=None if bcc_directory is None else str(bcc_directory),
        bcc_version=_bcc_version(bcc_directory),
        bcc_is_compiler=bcc_directory is not None and (bcc_directory / "libbcc.py").exists(),
        missing_headers=tuple(name for name in _HEADERS if not (_HEADER_ROOT / name).exists()),
        interfaces=_interfaces(settings.probe.interfaces),
        tcp_syncookies=_sysctl("net/ipv4/tcp_syncookies"),
        somaxconn=_sysctl("net/core/somaxconn"),
        tcp_max_syn_backlog=_sysctl("net/ipv4/tcp_max_syn_backlog"),
        listeners=_listeners(),
        database=settings.history.database,
        database_problem=_database_problem(settings.history.database_path),
        socket=settings.control.socket,
        daemon=_daemon(settings.control.socket_path),
        group=settings.control.group,
        group_exists=_group_exists(settings.control.group),
    )


def effective_capabilities() -> int | None:
    """Return this process's effective capabilities as a bit mask, or None without /proc."""
    status = _text(Path("/proc/self/status")) or ""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return int(found[1], 16) if found else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _sysctl(name: str) -> int | None:
    text = _text(Path("/proc/sys") / name)
    return int(text) if text else None


def _lockdown() -> str | None:
    found = re.search(r"\[(\w+)\]", _text(Path("/sys/kernel/security/lockdown")) or "")
    return found[1] if found else None


def _bpf_errno() -> int:
    try:
        syscall.map_info(_NO_FD)
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def _bcc_directory() -> Path | None:
    """Find bcc without importing it: that costs 73 MB and a second."""
    spec = find_spec("bcc")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def _bcc_version(directory: Path | None) -> str | None:
    if directory is None:
        return None
    found = re.search(r"__version__ = '([^']+)'", _text(directory / "version.py") or "")
    return found[1] if found else None


def _interfaces(wanted: tuple[str, ...]) -> tuple[InterfaceFacts, ...] | None:
    try:
        names = wanted or default_route_interfaces()
    except (SynguardError, OSError, NetlinkError):
        return None
    return tuple(_interface(name) for name in names)


def _interface(name: str) -> InterfaceFacts:
    try:
        found = find_interface(name)
    except SynguardError:
        return InterfaceFacts(name, exists=False)
    flags = int(_text(Path("/sys/class/net") / name / "flags") or "0", 16)
    return InterfaceFacts(
        name,
        hardware_type=found.device_type,
        kind=found.kind,
        is_up=bool(flags & _IFF_UP),
        xdp=_xdp_program(found.xdp_program_id),
    )


def _xdp_program(program_id: int | None) -> XdpProgram | None:
    if program_id is None:
        return None
    try:
        fd = syscall.program_fd_by_id(program_id)
    except OSError:
        return XdpProgram(program_id, None)
    try:
        return XdpProgram(program_id, syscall.program_info(fd).name)
    finally:
        os.close(fd)


def _listeners() -> tuple[ListeningSocket, ...] | None:
    try:
        with DiagSocket() as diag:
            found = [
                ListeningSocket(entry["idiag_src"], entry["idiag_sport"], entry["idiag_wqueue"])
                for family in (socket.AF_INET, socket.AF_INET6)
                for entry in diag.get_sock_stats(family=family, states=1 << _TCP_LISTEN)
            ]
    except (OSError, NetlinkError):
        return None
    return tuple(sorted(found, key=lambda listener: (listener.port, listener.address)))


def _database_problem(database: Path) -> str | None:
    """Say why the database could not be written, asking about its nearest directory that exists."""
    directory = database.parent
    while not os.path.lexists(directory):
        directory = directory.parent
    if not directory.is_dir():
        return f"{directory} is no directory"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"{directory} is not writable for this user"
    if os.path.lexists(database) and not os.access(database, os.R_OK | os.W_OK):
        return f"{database} is not writable for this user"
    return None


def _daemon(socket_path: Path) -> Daemon:
    try:
        return Daemon(daemon_pid(socket_path))
    except SynguardError as error:
        return Daemon(None, str(error))


def _group_exists(group: str) -> bool:
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True

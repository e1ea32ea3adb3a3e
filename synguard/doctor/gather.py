"""Reads the facts about this machine; without privileges it reads fewer, and fails at none."""

from __future__ import annotations

import errno
import grp
import os
import platform
import re
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pyroute2 import DiagSocket, IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from synguard.client import daemon_pid
from synguard.config import Settings
from synguard.doctor.machine import Daemon, InterfaceFacts, ListeningSocket, Machine, XdpProgram
from synguard.errors import SynguardError
from synguard.probe import syscall

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
        with IPRoute() as netlink:
            links = {link.get_attr("IFLA_IFNAME"): link for link in netlink.get_links()}
            names = wanted or tuple(_default_route_names(netlink, links))
            return tuple(_interface(name, links.get(name)) for name in names)
    except (OSError, NetlinkError):
        return None


def _default_route_names(netlink: Any, links: dict[str, Any]) -> Iterator[str]:
    """Name the interface of the default route with the least metric: IPv4's, else IPv6's."""
    names_by_index = {link["index"]: name for name, link in links.items()}
    for family in (socket.AF_INET, socket.AF_INET6):
        routes = [r for r in netlink.get_default_routes(family=family) if r.get_attr("RTA_OIF")]
        if routes:
            best = min(routes, key=lambda route: route.get_attr("RTA_PRIORITY") or 0)
            yield names_by_index[best.get_attr("RTA_OIF")]
            return


def _interface(name: str, link: Any) -> InterfaceFacts:
    if link is None:
        return InterfaceFacts(name, exists=False)
    return InterfaceFacts(
        name, hardware_type=link["ifi_type"], is_up=bool(link["flags"] & _IFF_UP), xdp=_xdp_program(link)
    )


def _xdp_program(link: Any) -> XdpProgram | None:
    attributes = link.get_attr("IFLA_XDP")
    program_id = attributes.get_attr("IFLA_XDP_PROG_ID") if attributes else None
    if not program_id:
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

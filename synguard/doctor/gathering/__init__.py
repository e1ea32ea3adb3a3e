"""Reads the facts about this machine; without privileges it reads fewer, and fails at none."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from synguard.config import Settings
from synguard.doctor.gathering import clock, interfaces, programs, service, sockets
from synguard.doctor.gathering.files import sysctl
from synguard.doctor.machine import MIN_ACCEPT_QUEUE, Clock, Conntrack, Machine
from synguard.impact.conntrack import read_conntrack
from synguard.probe import capabilities
from synguard.probe.userns import in_user_namespace

__all__ = ["gather"]

#: There wherever the kernel can track connections, also in a container that hides the settings.
_TRACKING = Path("/proc/net/stat/nf_conntrack")


def gather(settings: Settings) -> Machine:
    """Return what can be learned about this machine, as far as ``settings`` names it.

    Without ``probe.interfaces``, the interfaces are those that the running daemon guards here, or else
    those of the default routes.
    """
    database = settings.history.database_path
    daemon = service.daemon(settings.control.socket_path)
    guarded = () if daemon.elsewhere else tuple(one.name for one in daemon.guarded or ())
    conntrack, conntrack_problem = _conntrack()
    return Machine(
        kernel_release=platform.release(),
        has_btf=Path("/sys/kernel/btf/vmlinux").exists(),
        lockdown=programs.lockdown(),
        bpf_errno=programs.bpf_errno(),
        bpf_jit=sysctl("net/core/bpf_jit_enable"),
        bpf_stats=sysctl("kernel/bpf_stats_enabled"),
        capabilities=capabilities.effective(),
        is_root=os.geteuid() == 0,
        in_user_namespace=in_user_namespace(),
        bcc=programs.bcc(),
        missing_headers=programs.missing_headers(),
        pins=programs.pins(settings.probe),
        xdp_mode=settings.probe.xdp_mode,
        interfaces=interfaces.interfaces(settings.probe.interfaces or guarded),
        overlap=interfaces.overlap(settings.probe.interfaces),
        routed_interfaces=interfaces.routed(),
        tcp_syncookies=sysctl("net/ipv4/tcp_syncookies"),
        somaxconn=sysctl("net/core/somaxconn"),
        tcp_max_syn_backlog=sysctl("net/ipv4/tcp_max_syn_backlog"),
        tcp_synack_retries=sysctl("net/ipv4/tcp_synack_retries"),
        listeners=sockets.listening(name_below=MIN_ACCEPT_QUEUE),
        conntrack=conntrack,
        conntrack_problem=conntrack_problem,
        clock=Clock(clock.is_synchronised(), clock.source()),
        database=settings.history.database,
        database_problem=service.database_problem(database),
        history=service.history(database),
        disk=service.disk(database),
        retention_mib=settings.history.retention_mib,
        socket=settings.control.socket,
        daemon=daemon,
        group=settings.control.group,
        group_exists=service.group_exists(settings.control.group),
    )


def _conntrack() -> tuple[Conntrack | None, str | None]:
    """Return the table of connections, or why it cannot be read; neither where there is none."""
    try:
        found = read_conntrack()
    except (OSError, ValueError) as error:
        return None, str(error)
    if found is None and _TRACKING.exists():
        return None, "its size is hidden here"
    return (Conntrack(*found) if found else None), None

"""Reads the facts about the interfaces that the daemon guards, or would guard."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from pathlib import Path

from synguard.doctor.gathering.files import sysctl, text
from synguard.doctor.gathering.netdev import xdp_features
from synguard.doctor.machine import InterfaceFacts, XdpProgram
from synguard.errors import SynguardError, UnsupportedError
from synguard.probe import ethtool, syscall
from synguard.probe.ethtool import Offload
from synguard.probe.interfaces import (
    Interface,
    all_names,
    check_together,
    default_route_interfaces,
    find_interface,
)

# include/uapi/linux/sockios.h, if.h
_SIOCGIFFLAGS = 0x8913
_SIOCGIFMTU = 0x8921
_IFF_UP = 1
#: What routes name that lead nowhere else: to this machine itself, or to an ICMP error.
_NO_WAY = frozenset({"lo", "*"})
_ROUTES = Path("/proc/thread-self/net/route")


def interfaces(wanted: tuple[str, ...]) -> tuple[InterfaceFacts, ...] | None:
    """Return the facts about these interfaces, or those of the default routes; None if netlink is silent."""
    try:
        names = wanted or tuple(default_route_interfaces())
        known = all_names()
        return tuple(
            _interface(name) if name in known else InterfaceFacts(name, exists=False) for name in names
        )
    except (SynguardError, OSError):
        return None


def overlap(wanted: tuple[str, ...]) -> str | None:
    """Say which of these interfaces the daemon refuses to guard together; None where it does not."""
    try:
        known = all_names()
        check_together([find_interface(name) for name in wanted if name in known])
    except UnsupportedError as refusal:
        return str(refusal)
    except (SynguardError, OSError):
        return None
    return None


def routed() -> tuple[str, ...] | None:
    """Return the interfaces other than loopback that have an IPv4 route; None when routes cannot be read."""
    found = text(_ROUTES)
    if found is None:
        return None
    return tuple(sorted({line.split("\t")[0] for line in found.splitlines()[1:]} - _NO_WAY))


def _interface(name: str) -> InterfaceFacts:
    found = find_interface(name)
    flags, mtu = _number(name, _SIOCGIFFLAGS, "H"), _number(name, _SIOCGIFMTU, "i")
    offloads = ethtool.offloads(name)
    return InterfaceFacts(
        name,
        hardware_type=found.device_type,
        kind=found.kind,
        is_up=flags is None or bool(flags & _IFF_UP),
        mtu=mtu,
        driver=ethtool.driver(name),
        xdp_features=xdp_features(found.index),
        xdp=_xdp_program(found),
        lro=_offload(offloads, "rx-lro"),
        gro_hw=_offload(offloads, "rx-gro-hw"),
        rp_filter=_rp_filter(name),
        forwards=bool(sysctl(f"net/ipv4/conf/{name}/forwarding")),
    )


def _number(name: str, request: int, kind: str) -> int | None:
    """Return what one of the interface's own ioctls tells of it; None when it refuses."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            answer = fcntl.ioctl(control, request, struct.pack("16s24x", name.encode()))
    except OSError:
        return None
    value: int = struct.unpack_from(f"={kind}", answer, 16)[0]
    return value


def _offload(offloads: dict[str, Offload] | None, feature: str) -> Offload | None:
    """Return one offload; a kernel that does not know it has it off."""
    return None if offloads is None else offloads.get(feature, Offload(is_on=False, is_fixed=True))


def _rp_filter(name: str) -> int | None:
    """Return what holds for an interface: the larger of its own and that for all (ip-sysctl.rst)."""
    values = [sysctl(f"net/ipv4/conf/{one}/rp_filter") for one in ("all", name)]
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None


def _xdp_program(interface: Interface) -> XdpProgram | None:
    if interface.xdp_program_id is None:
        return None
    try:
        fd = syscall.program_fd_by_id(interface.xdp_program_id)
    except OSError:
        return XdpProgram(interface.xdp_program_id, None, interface.xdp_mode)
    try:
        return XdpProgram(interface.xdp_program_id, syscall.program_info(fd).name, interface.xdp_mode)
    finally:
        os.close(fd)

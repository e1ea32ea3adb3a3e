"""Attaches the probe to interfaces and takes it away again, leaving what is not ours alone.

XDP on ingress, native if the driver can, else generic; where somebody else's XDP program is, a tc filter
that only observes. On egress a tc filter in the clsact qdisc. Our tc programs answer TC_ACT_UNSPEC, so other
people's filters go on as before.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from synguard.errors import SynguardError, UnsupportedError
from synguard.probe.claim import Claim, claimed_interfaces
from synguard.probe.syscall import ProgramInfo, program_fd_by_id, program_info

#: Names of the C functions, and so of the programs in the kernel: by these we know our own.
XDP_PROGRAM = "synguard_xdp"
TC_INGRESS_PROGRAM = "synguard_ingress"
TC_EGRESS_PROGRAM = "synguard_egress"

#: Device types whose frames start with an Ethernet header: ARPHRD_ETHER and ARPHRD_LOOPBACK.
ETHERNET_TYPES = frozenset({1, 772})

_XDP_FLAGS_UPDATE_IF_NOEXIST = 1 << 0
_XDP_FLAGS_REPLACE = 1 << 4
_XDP_MODE_FLAGS = {"native": 1 << 2, "generic": 1 << 1}
_XDP_ATTACHED_MODES = {"xdp": "native", "xdpgeneric": "generic", "xdpoffload": "offload", "xdpmulti": "multi"}

_CLSACT = 0xFFFF0000
_TC_PARENTS = {TC_INGRESS_PROGRAM: 0xFFFFFFF2, TC_EGRESS_PROGRAM: 0xFFFFFFF3}
_TC_HANDLE = 0x5359
_ETH_P_ALL = 3


@dataclass(frozen=True, slots=True)
class Interface:
    """What the kernel says of an interface."""

    name: str
    index: int
    device_type: int
    master: int | None
    lower: int | None
    xdp_mode: str | None
    xdp_program_id: int | None


@dataclass(frozen=True, slots=True)
class Attachment:
    """How the probe sits on an interface."""

    interface: Interface
    #: ``xdp-native``, ``xdp-generic`` or ``tc-ingress``.
    ingress: str
    egress: str
    #: Why it is not the best way, if it is not.
    note: str | None = None


def _describe(link: Any) -> Interface:
    xdp = link.get_attr("IFLA_XDP")
    mode = xdp.get_attr("IFLA_XDP_ATTACHED") if xdp else None
    program = xdp.get_attr("IFLA_XDP_PROG_ID") if xdp else None
    if xdp and program is None:
        program = xdp.get_attr("IFLA_XDP_SKB_PROG_ID") or xdp.get_attr("IFLA_XDP_DRV_PROG_ID")
    return Interface(
        link.get_attr("IFLA_IFNAME"),
        link["index"],
        link["ifi_type"],
        link.get_attr("IFLA_MASTER"),
        # A veth's peer in another namespace has an index of that namespace.
        link.get_attr("IFLA_LINK") if link.get_attr("IFLA_LINK_NETNSID") is None else None,
        _XDP_ATTACHED_MODES.get(str(mode)) if program else None,
        program,
    )


def find_interface(name: str) -> Interface:
    """Return the interface of that name. Raises SynguardError with the names there are."""
    with IPRoute() as ipr:
        links = {link.get_attr("IFLA_IFNAME"): link for link in ipr.get_links()}
    if name not in links:
        raise SynguardError(f"there is no interface {name!r} here; there are: {', '.join(sorted(links))}")
    return _describe(links[name])


def default_route_interfaces() -> list[str]:
    """Return the interfaces of the default routes, IPv4 first. Raises SynguardError if there are none."""
    with IPRoute() as ipr:
        routes = [
            *ipr.get_default_routes(family=socket.AF_INET),
            *ipr.get_default_routes(family=socket.AF_INET6),
        ]
        indices = {route.get_attr("RTA_OIF") for route in routes} - {None}
        names = [link.get_attr("IFLA_IFNAME") for index in sorted(indices) for link in ipr.get_links(index)]
    if not names:
        raise SynguardError("there is no default route, so name the interface to guard: --interface IF")
    return names


def check_together(interfaces: Sequence[Interface]) -> None:
    """Refuse interfaces that would see the same packet twice: a bridge and its port, a VLAN and its parent.

    Raises UnsupportedError naming both.
    """
    by_index = {interface.index: interface for interface in interfaces}
    for interface in interfaces:
        for other in (interface.master, interface.lower):
            if other in by_index and other != interface.index:
                raise UnsupportedError(
                    f"{interface.name} and {by_index[other].name} carry the same packets, which would be "
                    "counted twice; guard one of them"
                )


def is_ours(program_id: int) -> bool:
    """Tell whether the program with that id is one that synguard loaded."""
    info = _info_by_id(program_id)
    return info is not None and info.name.startswith("synguard_")


def _info_by_id(program_id: int) -> ProgramInfo | None:
    try:
        fd = program_fd_by_id(program_id)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise UnsupportedError(
            f"cannot look at eBPF program {program_id}: {error.strerror}; run as root"
        ) from error
    try:
        return program_info(fd)
    finally:
        os.close(fd)


@contextmanager
def _program(program_id: int) -> Iterator[int]:
    fd = program_fd_by_id(program_id)
    try:
        yield fd
    finally:
        os.close(fd)


def _set_xdp(ipr: Any, index: int, fd: int, flags: int, expected_fd: int | None = None) -> None:
    attributes = [("IFLA_XDP_FD", fd), ("IFLA_XDP_FLAGS", flags)]
    if expected_fd is not None:
        attributes.append(("IFLA_XDP_EXPECTED_FD", expected_fd))
    ipr.link("set", index=index, xdp={"attrs": attributes})


def _remove_own_xdp(ipr: Any, interface: Interface) -> None:
    """Remove our program; the kernel refuses if another one has taken its place meanwhile."""
    if interface.xdp_program_id is None or interface.xdp_mode is None:
        return
    with _program(interface.xdp_program_id) as fd:
        flags = _XDP_MODE_FLAGS[interface.xdp_mode] | _XDP_FLAGS_REPLACE
        _set_xdp(ipr, interface.index, -1, flags, expected_fd=fd)


def _try_xdp(ipr: Any, interface: Interface, fd: int, mode: str) -> str | None:
    """Attach in one mode; return None, or why the kernel would not."""
    flags = _XDP_MODE_FLAGS[mode]
    try:
        if interface.xdp_program_id is not None and interface.xdp_mode == mode:
            with _program(interface.xdp_program_id) as old:
                _set_xdp(ipr, interface.index, fd, flags | _XDP_FLAGS_REPLACE, expected_fd=old)
        else:
            _remove_own_xdp(ipr, interface)
            _set_xdp(ipr, interface.index, fd, flags | _XDP_FLAGS_UPDATE_IF_NOEXIST)
    except NetlinkError as error:
        if error.code == errno.EPERM:
            raise UnsupportedError("attaching XDP is not permitted here; run as root") from error
        return f"{mode} XDP is refused here ({os.strerror(error.code)})"
    return None


def _attach_ingress(
    ipr: Any, interface: Interface, programs: Mapping[str, int], wanted: str
) -> tuple[str, str | None]:
    """Attach on ingress by the best way that ``wanted`` allows; return the way and a note."""
    reasons = []
    program_id = interface.xdp_program_id
    if program_id is not None and not is_ours(program_id):
        info = _info_by_id(program_id)
        name = info.name if info else "unknown"
        reasons.append(f"somebody else's XDP program ({name}, id {program_id}) is attached and stays")
        modes = []
    else:
        modes = [mode for mode in _XDP_MODE_FLAGS if wanted in ("auto", mode)]
    for mode in modes:
        reason = _try_xdp(ipr, interface, programs[XDP_PROGRAM], mode)
        if reason is None:
            _remove_filter(ipr, interface.index, TC_INGRESS_PROGRAM)
            return f"xdp-{mode}", "; ".join(reasons) or None
        reasons.append(reason)
    if wanted not in ("auto", "tc"):
        raise SynguardError(
            f'{interface.name}: {"; ".join(reasons)}; allow another way with probe.xdp_mode = "auto"'
        )
    if wanted == "tc" and program_id is not None and is_ours(program_id):
        _remove_own_xdp(ipr, interface)
    _place_filter(ipr, interface, TC_INGRESS_PROGRAM, programs[TC_INGRESS_PROGRAM])
    return "tc-ingress", "; ".join([*reasons, "tc only observes: blocks are not enforced here"])


def _filters(ipr: Any, index: int, program: str) -> list[tuple[int, int, str | None]]:
    """Return (priority, handle, name) of every filter where ``program`` belongs."""
    found = []
    for message in ipr.get_filters(index=index, parent=_TC_PARENTS[program]):
        options = message.get_attr("TCA_OPTIONS")
        is_bpf = message.get_attr("TCA_KIND") == "bpf" and options is not None
        name = options.get_attr("TCA_BPF_NAME") if is_bpf else None
        found.append((message["info"] >> 16, message["handle"], name))
    return found


def _own_filter(ipr: Any, index: int, program: str) -> tuple[int, int] | None:
    for priority, handle, name in _filters(ipr, index, program):
        if name == program and handle == _TC_HANDLE:
            return priority, handle
    return None


def _remove_filter(ipr: Any, index: int, program: str) -> bool:
    own = _own_filter(ipr, index, program)
    if own is None:
        return False
    priority, handle = own
    ipr.tc(
        "del-filter", "bpf", index, handle, parent=_TC_PARENTS[program], prio=priority, protocol=_ETH_P_ALL
    )
    return True


def _place_filter(ipr: Any, interface: Interface, program: str, fd: int) -> None:
    """Put our filter before the others, or new code into the place that an earlier one of ours has."""
    own = _own_filter(ipr, interface.index, program)
    taken = {priority for priority, _, _ in _filters(ipr, interface.index, program)}
    priority = own[0] if own else next(number for number in range(1, 65536) if number not in taken)
    try:
        ipr.tc(
            "replace-filter" if own else "add-filter",
            "bpf",
            interface.index,
            _TC_HANDLE,
            fd=fd,
            name=program,
            parent=_TC_PARENTS[program],
            prio=priority,
            protocol=_ETH_P_ALL,
            direct_action=True,
        )
    except NetlinkError as error:
        raise SynguardError(
            f"{interface.name}: no tc filter can be added ({os.strerror(error.code)}); "
            f"is an ingress qdisc in the way? See: tc qdisc show dev {interface.name}"
        ) from error


def _ensure_clsact(ipr: Any, index: int) -> bool:
    """Add the clsact qdisc; return whether it was missing."""
    try:
        ipr.tc("add", "clsact", index)
    except NetlinkError as error:
        if error.code == errno.EEXIST:
            return False
        raise SynguardError(f"the clsact qdisc cannot be added: {os.strerror(error.code)}") from error
    return True


def attach(interface: Interface, programs: Mapping[str, int], wanted: str, claim: Claim) -> Attachment:
    """Attach the probe to one interface.

    Args:
        interface: from :func:`find_interface`.
        programs: program name to descriptor.
        wanted: ``auto``, ``native``, ``generic`` or ``tc``.
        claim: the exclusive right to it; remembers whether the clsact qdisc is of our making.

    Raises:
        UnsupportedError: no Ethernet device, or not permitted.
        SynguardError: the kernel would not; says why and what to do.

    """
    if interface.device_type not in ETHERNET_TYPES:
        raise UnsupportedError(
            f"{interface.name} has no Ethernet header (device type {interface.device_type}); "
            "guard the Ethernet interface below it"
        )
    with IPRoute() as ipr:
        made_before = bool(claim.left_over.get("made_clsact")) and _own_filter(
            ipr, interface.index, TC_EGRESS_PROGRAM
        )
        made_now = _ensure_clsact(ipr, interface.index)
        claim.record({"pid": os.getpid(), "made_clsact": bool(made_before or made_now)})
        claim.left_over = {"made_clsact": bool(made_before or made_now)}
        _place_filter(ipr, interface, TC_EGRESS_PROGRAM, programs[TC_EGRESS_PROGRAM])
        ingress, note = _attach_ingress(ipr, interface, programs, wanted)
    return Attachment(find_interface(interface.name), ingress, "tc-clsact", note)


def detach(name: str, *, made_clsact: bool) -> list[str]:
    """Remove everything of ours from one interface; return what was removed, in words.

    The clsact qdisc goes only if we made it and no filter is left in it. An interface that is gone took
    everything with it.
    """
    removed = []
    with IPRoute() as ipr:
        links = ipr.link_lookup(ifname=name)
        if not links:
            return []
        interface = _describe(ipr.get_links(links[0])[0])
        if interface.xdp_program_id is not None and is_ours(interface.xdp_program_id):
            _remove_own_xdp(ipr, interface)
            removed.append(f"{name}: XDP program")
        gone = [program for program in _TC_PARENTS if _remove_filter(ipr, interface.index, program)]
        removed += [f"{name}: tc filter {program}" for program in gone]
        if made_clsact and not _clsact_in_use(ipr, interface.index):
            ipr.tc("del", "clsact", interface.index)
            removed.append(f"{name}: clsact qdisc")
    return removed


def _clsact_in_use(ipr: Any, index: int) -> bool:
    return any(_filters(ipr, index, program) for program in _TC_PARENTS) or not any(
        qdisc.get_attr("TCA_KIND") == "clsact" for qdisc in ipr.get_qdiscs(index=index)
    )


def attached_as(attachment: Attachment, programs: Mapping[str, int]) -> bool:
    """Tell whether both directions still run exactly our programs."""
    try:
        interface = find_interface(attachment.interface.name)
    except SynguardError:
        return False
    with IPRoute() as ipr:
        egress = _own_filter(ipr, interface.index, TC_EGRESS_PROGRAM) is not None
        if attachment.ingress == "tc-ingress":
            return egress and _own_filter(ipr, interface.index, TC_INGRESS_PROGRAM) is not None
    return egress and interface.xdp_program_id == program_info(programs[XDP_PROGRAM]).id


def detach_all(interfaces: Iterable[str] | None = None) -> list[str]:
    """Remove everything of ours from the kernel in this network namespace; return what, in words.

    Args:
        interfaces: only these; None means every interface there is.

    Raises:
        SynguardError: a running daemon holds one of them; names its pid.

    """
    removed: list[str] = []
    names = list(interfaces) if interfaces is not None else _all_interfaces()
    for name in names:
        if interfaces is not None:
            find_interface(name)
        claim = Claim(name)
        try:
            removed += detach(name, made_clsact=bool(claim.left_over.get("made_clsact")))
        finally:
            claim.release()
    return removed


def _all_interfaces() -> list[str]:
    with IPRoute() as ipr:
        names = {link.get_attr("IFLA_IFNAME") for link in ipr.get_links()}
    return sorted(names | set(claimed_interfaces()))

"""Puts our filters into the clsact qdisc and takes them out, leaving other people's alone."""

from __future__ import annotations

import errno
import os
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from synguard.errors import SynguardError
from synguard.probe.interfaces import Interface
from synguard.probe.programs import TC_EGRESS_PROGRAM, TC_INGRESS_PROGRAM

#: Where in the clsact qdisc each program belongs.
_PARENTS = {TC_INGRESS_PROGRAM: 0xFFFFFFF2, TC_EGRESS_PROGRAM: 0xFFFFFFF3}
_HANDLE = 0x5359
_ETH_P_ALL = 3
#: Tells the program, which finds it in skb->tc_classid, to begin with the IP header. As in bpf/probe.c.
_NO_LINK_HEADER = 14


def _filters(ipr: Any, index: int, program: str) -> list[tuple[int, int, str | None]]:
    """Return (priority, handle, name) of every filter where ``program`` belongs."""
    found = []
    for message in ipr.get_filters(index=index, parent=_PARENTS[program]):
        options = message.get_attr("TCA_OPTIONS")
        is_bpf = message.get_attr("TCA_KIND") == "bpf" and options is not None
        name = options.get_attr("TCA_BPF_NAME") if is_bpf else None
        found.append((message["info"] >> 16, message["handle"], name))
    return found


def own_filter(ipr: Any, index: int, program: str) -> tuple[int, int] | None:
    """Return our filter's priority and handle, or None where it is not."""
    for priority, handle, name in _filters(ipr, index, program):
        if name == program and handle == _HANDLE:
            return priority, handle
    return None


def remove_filter(ipr: Any, index: int, program: str) -> bool:
    """Remove our filter; return whether it was there."""
    own = own_filter(ipr, index, program)
    if own is None:
        return False
    priority, handle = own
    ipr.tc("del-filter", "bpf", index, handle, parent=_PARENTS[program], prio=priority, protocol=_ETH_P_ALL)
    return True


def place_filter(ipr: Any, interface: Interface, program: str, fd: int) -> None:
    """Put our filter before the others, or new code into the place that an earlier one of ours has."""
    own = own_filter(ipr, interface.index, program)
    taken = {priority for priority, _, _ in _filters(ipr, interface.index, program)}
    priority = own[0] if own else next(number for number in range(1, 65536) if number not in taken)
    try:
        ipr.tc(
            "replace-filter" if own else "add-filter",
            "bpf",
            interface.index,
            _HANDLE,
            fd=fd,
            name=program,
            parent=_PARENTS[program],
            prio=priority,
            protocol=_ETH_P_ALL,
            direct_action=True,
            **({} if interface.has_ethernet_header else {"classid": _NO_LINK_HEADER}),
        )
    except NetlinkError as error:
        raise SynguardError(
            f"{interface.name}: no tc filter can be added ({os.strerror(error.code)}); "
            f"is an ingress qdisc in the way? See: tc qdisc show dev {interface.name}"
        ) from error


def has_clsact(ipr: Any, index: int) -> bool:
    """Tell whether the clsact qdisc is there, whoever made it."""
    return any(qdisc.get_attr("TCA_KIND") == "clsact" for qdisc in ipr.get_qdiscs(index=index))


def ensure_clsact(ipr: Any, index: int) -> bool:
    """Add the clsact qdisc; return whether it was missing."""
    try:
        ipr.tc("add", "clsact", index)
    except NetlinkError as error:
        if error.code == errno.EEXIST:
            return False
        if error.code == errno.EPERM:
            raise
        raise SynguardError(f"the clsact qdisc cannot be added: {os.strerror(error.code)}") from error
    return True


def remove_clsact(ipr: Any, index: int) -> bool:
    """Remove the clsact qdisc unless somebody has a filter in it; return whether it went."""
    if _in_use(ipr, index) or not has_clsact(ipr, index):
        return False
    ipr.tc("del", "clsact", index)
    return True


def _in_use(ipr: Any, index: int) -> bool:
    return any(_filters(ipr, index, program) for program in _PARENTS)

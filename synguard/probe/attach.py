"""Attaches the probe to interfaces and takes it away again, leaving what is not ours alone.

XDP on ingress, native if the driver can, else generic; where somebody else's XDP program is, a tc filter
that only observes. On egress a tc filter in the clsact qdisc. Our tc programs answer TC_ACT_UNSPEC, so other
people's filters go on as before.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute

from synguard.errors import SynguardError, UnsupportedError
from synguard.probe import tc, xdp
from synguard.probe.claim import Claim, claimed_interfaces
from synguard.probe.interfaces import ETHERNET_TYPES, Interface, all_names, describe, find_interface
from synguard.probe.programs import TC_EGRESS_PROGRAM, TC_INGRESS_PROGRAM, XDP_PROGRAM
from synguard.probe.syscall import program_info


@dataclass(frozen=True, slots=True)
class Attachment:
    """How the probe sits on an interface."""

    interface: Interface
    #: ``xdp-native``, ``xdp-generic`` or ``tc-ingress``.
    ingress: str
    egress: str
    #: Why it is not the best way, if it is not.
    note: str | None = None


def _attach_ingress(
    ipr: Any, interface: Interface, programs: Mapping[str, int], wanted: str
) -> tuple[str, str | None]:
    """Attach on ingress by the best way that ``wanted`` allows; return the way and a note."""
    reasons = []
    program_id = interface.xdp_program_id
    if program_id is not None and not xdp.is_ours(program_id):
        info = xdp.info_by_id(program_id)
        name = info.name if info else "unknown"
        reasons.append(f"somebody else's XDP program ({name}, id {program_id}) is attached and stays")
        modes = []
    else:
        modes = [mode for mode in xdp.MODES if wanted in ("auto", mode)]
    for mode in modes:
        reason = xdp.try_attach(ipr, interface, programs[XDP_PROGRAM], mode)
        if reason is None:
            tc.remove_filter(ipr, interface.index, TC_INGRESS_PROGRAM)
            return f"xdp-{mode}", "; ".join(reasons) or None
        reasons.append(reason)
    if wanted not in ("auto", "tc"):
        raise SynguardError(
            f'{interface.name}: {"; ".join(reasons)}; allow another way with probe.xdp_mode = "auto"'
        )
    if wanted == "tc" and program_id is not None and xdp.is_ours(program_id):
        xdp.remove_own(ipr, interface)
    tc.place_filter(ipr, interface, TC_INGRESS_PROGRAM, programs[TC_INGRESS_PROGRAM])
    return "tc-ingress", "; ".join([*reasons, "tc only observes: blocks are not enforced here"])


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
        made_before = bool(claim.left_over.get("made_clsact")) and tc.own_filter(
            ipr, interface.index, TC_EGRESS_PROGRAM
        )
        made_now = tc.ensure_clsact(ipr, interface.index)
        claim.record({"pid": os.getpid(), "made_clsact": bool(made_before or made_now)})
        claim.left_over = {"made_clsact": bool(made_before or made_now)}
        tc.place_filter(ipr, interface, TC_EGRESS_PROGRAM, programs[TC_EGRESS_PROGRAM])
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
        interface = describe(ipr.get_links(links[0])[0])
        if interface.xdp_program_id is not None and xdp.is_ours(interface.xdp_program_id):
            xdp.remove_own(ipr, interface)
            removed.append(f"{name}: XDP program")
        gone = [
            program
            for program in (TC_INGRESS_PROGRAM, TC_EGRESS_PROGRAM)
            if tc.remove_filter(ipr, interface.index, program)
        ]
        removed += [f"{name}: tc filter {program}" for program in gone]
        if made_clsact and tc.remove_clsact(ipr, interface.index):
            removed.append(f"{name}: clsact qdisc")
    return removed


def attached_as(attachment: Attachment, programs: Mapping[str, int]) -> bool:
    """Tell whether both directions still run exactly our programs."""
    try:
        interface = find_interface(attachment.interface.name)
    except SynguardError:
        return False
    with IPRoute() as ipr:
        egress = tc.own_filter(ipr, interface.index, TC_EGRESS_PROGRAM) is not None
        if attachment.ingress == "tc-ingress":
            return egress and tc.own_filter(ipr, interface.index, TC_INGRESS_PROGRAM) is not None
    return egress and interface.xdp_program_id == program_info(programs[XDP_PROGRAM]).id


def detach_all(interfaces: Iterable[str] | None = None) -> list[str]:
    """Remove everything of ours from the kernel in this network namespace; return what, in words.

    Args:
        interfaces: only these; None means every interface there is.

    Raises:
        SynguardError: a running daemon holds one of them; names its pid.

    """
    removed: list[str] = []
    names = list(interfaces) if interfaces is not None else sorted(all_names() | set(claimed_interfaces()))
    for name in names:
        if interfaces is not None:
            find_interface(name)
        claim = Claim(name)
        try:
            removed += detach(name, made_clsact=bool(claim.left_over.get("made_clsact")))
        finally:
            claim.release()
    return removed

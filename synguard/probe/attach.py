"""Attaches the probe to interfaces and takes it away again, leaving what is not ours alone.

XDP on ingress, native if the driver can, else generic; where somebody else's XDP program is, a tc filter
that only observes. On egress a tc filter in the clsact qdisc. Our tc programs answer TC_ACT_UNSPEC, so other
people's filters go on as before.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from synguard.errors import SynguardError, UnsupportedError
from synguard.probe import capabilities, tc, xdp
from synguard.probe.claim import Claim
from synguard.probe.elsewhere import remove_elsewhere
from synguard.probe.interfaces import Interface, check_header, describe, find_interface
from synguard.probe.known import KnownPrograms
from synguard.probe.programs import TC_EGRESS_PROGRAM, TC_INGRESS_PROGRAM, XDP_PROGRAM


@dataclass(frozen=True, slots=True)
class Attachment:
    """How the probe sits on an interface."""

    interface: Interface
    #: ``xdp-native``, ``xdp-generic`` or ``tc-ingress``.
    ingress: str
    egress: str
    #: Why it is not the best way, if it is not.
    note: str | None = None
    #: From the first hook's change to the last one's: meanwhile the two sides may be seen by two programs.
    switched_in_s: float = 0.0

    @property
    def can_drop(self) -> bool:
        """Whether blocks are enforced here."""
        return self.ingress != "tc-ingress"


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """Turn what netlink and bpf(2) refuse into words; interfaces come and go at any moment."""
    try:
        yield
    except (NetlinkError, OSError) as error:
        code = error.code if isinstance(error, NetlinkError) else error.errno
        reason = os.strerror(code) if code else str(error)
        if code == errno.EPERM:
            raise UnsupportedError(
                f"{name}: not permitted: guarding needs root, or {capabilities.NEEDED}"
            ) from error
        raise SynguardError(
            f"{name}: the kernel refuses: {reason}; `ip link show` tells how it fares"
        ) from error


def _attach_ingress(
    ipr: Any, interface: Interface, programs: Mapping[str, int], wanted: str, known: KnownPrograms
) -> tuple[str, str | None]:
    """Attach on ingress by the best way that ``wanted`` allows; return the way and a note."""
    reasons = []
    modes: list[str] = []
    stranger = known.stranger(interface.xdp_program_id) if interface.xdp_program_id is not None else None
    if stranger is not None:
        reasons.append(f"somebody else's XDP program ({stranger}) is attached and stays")
    elif not interface.has_ethernet_header:
        reasons.append("XDP is not tried without Ethernet header")
    else:
        modes = [mode for mode in xdp.MODES if wanted in ("auto", mode)]
        # A program of ours is replaced where it is; a better mode would cost a gap, and perhaps be refused.
        modes.sort(key=lambda mode: mode != interface.xdp_mode)
    for mode in modes:
        reason = xdp.try_attach(ipr, interface, programs[XDP_PROGRAM], mode, known)
        if reason is None:
            if wanted == "auto" and mode == interface.xdp_mode != xdp.MODES[0]:
                reasons.append(f"{mode} XDP was attached before and stays")
            tc.remove_filter(ipr, interface.index, TC_INGRESS_PROGRAM)
            return f"xdp-{mode}", "; ".join(reasons) or None
        reasons.append(reason)
    if wanted not in ("auto", "tc"):
        raise SynguardError(
            f'{interface.name}: {"; ".join(reasons)}; allow another way with probe.xdp_mode = "auto"'
        )
    interface = describe(ipr.get_links(interface.index)[0])
    if carries_xdp(interface, known):
        xdp.remove_own(ipr, interface, known)
    tc.place_filter(ipr, interface, TC_INGRESS_PROGRAM, programs[TC_INGRESS_PROGRAM])
    return "tc-ingress", "; ".join([*reasons, "tc only observes: blocks are not enforced here"])


def _ensure_clsact(ipr: Any, index: int, claim: Claim) -> None:
    """Add the clsact qdisc if it is missing; the claim notes whether the one that is there is ours.

    By the index, too: an interface that comes back under the old name may bring somebody else's qdisc.
    """
    if tc.has_clsact(ipr, index):
        ours = claim.made_clsact and claim.notes.get("clsact_index", index) == index
    else:
        # Before it is there: whoever dies in between leaves nothing that nobody knows of.
        claim.note(made_clsact=True, clsact_index=index)
        ours = tc.ensure_clsact(ipr, index)
    claim.note(made_clsact=ours, clsact_index=index)


def attach(
    interface: Interface, programs: Mapping[str, int], wanted: str, claim: Claim, known: KnownPrograms
) -> Attachment:
    """Attach the probe to one interface.

    Args:
        interface: from :func:`find_interface`.
        programs: program name to descriptor.
        wanted: ``auto``, ``native``, ``generic`` or ``tc``.
        claim: the exclusive right to it; remembers whether the clsact qdisc is of our making.
        known: those that may be replaced; holds the new one from now on.

    Raises:
        UnsupportedError: no Ethernet device, or not permitted.
        SynguardError: the kernel would not; says why and what to do.

    """
    check_header(interface)
    known.hold(programs[XDP_PROGRAM])
    with _in_words(interface.name), IPRoute(ext_ack=True) as ipr:
        _ensure_clsact(ipr, interface.index, claim)
        began_s = time.monotonic()
        tc.place_filter(ipr, interface, TC_EGRESS_PROGRAM, programs[TC_EGRESS_PROGRAM])
        ingress, note = _attach_ingress(ipr, interface, programs, wanted, known)
        switched_in_s = time.monotonic() - began_s
    return Attachment(find_interface(interface.name), ingress, "tc-clsact", note, switched_in_s)


def detach(name: str, known: KnownPrograms, *, made_clsact: bool) -> list[str]:
    """Remove everything of ours from one interface; return what was removed, in words.

    The clsact qdisc goes only if we made it and no filter is left in it. An interface that is gone took
    everything with it. Raises SynguardError when the kernel refuses.
    """
    with _in_words(name), IPRoute() as ipr:
        links = ipr.link_lookup(ifname=name)
        return _detach_index(ipr, links[0], known, made_clsact) if links else []


def detach_renamed(attachment: Attachment, known: KnownPrograms, *, made_clsact: bool) -> list[str]:
    """Do as :func:`detach` for an interface that may have another name now, or be in another namespace."""
    interface = attachment.interface
    with _in_words(interface.name), IPRoute() as ipr:
        removed = _detach_index(ipr, interface.index, known, made_clsact)
    if not removed and attachment.can_drop and interface.xdp_program_id is not None:
        return remove_elsewhere(interface.xdp_program_id, known)
    return removed


def _detach_index(ipr: Any, index: int, known: KnownPrograms, made_clsact: bool) -> list[str]:
    try:
        interface = describe(ipr.get_links(index)[0])
    except NetlinkError as error:
        if error.code == errno.ENODEV:
            return []
        raise
    removed = []
    name = interface.name
    if carries_xdp(interface, known):
        xdp.remove_own(ipr, interface, known)
        removed.append(f"{name}: XDP program")
    gone = [
        program
        for program in (TC_INGRESS_PROGRAM, TC_EGRESS_PROGRAM)
        if tc.remove_filter(ipr, index, program)
    ]
    removed += [f"{name}: tc filter {program}" for program in gone]
    if made_clsact and tc.remove_clsact(ipr, index):
        removed.append(f"{name}: clsact qdisc")
    return removed


def carries_xdp(interface: Interface, known: KnownPrograms) -> bool:
    """Tell whether an XDP program on an interface is known to be ours."""
    return interface.xdp_program_id is not None and known.stranger(interface.xdp_program_id) is None


def carries_any(interface: Interface, known: KnownPrograms) -> bool:
    """Tell whether anything on an interface is known to be ours."""
    if carries_xdp(interface, known):
        return True
    with _in_words(interface.name), IPRoute() as ipr:
        programs = (TC_INGRESS_PROGRAM, TC_EGRESS_PROGRAM)
        return any(tc.own_filter(ipr, interface.index, program) for program in programs)

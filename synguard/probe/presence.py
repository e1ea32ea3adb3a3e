"""Looks at how the probe sits on its interfaces: cheap enough for every second, whatever else there is.

One question for each link and one for each filter; a dump of all links costs more on a host with a thousand
of them than everything else that the daemon does.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from synguard.errors import SynguardError
from synguard.probe import tc
from synguard.probe.attach import Attachment
from synguard.probe.interfaces import describe
from synguard.probe.known import KnownPrograms
from synguard.probe.programs import TC_EGRESS_PROGRAM, TC_INGRESS_PROGRAM, XDP_PROGRAM
from synguard.probe.syscall import program_info

_IFF_UP = 1


@dataclass(frozen=True, slots=True)
class Presence:
    """What is on an interface at one moment."""

    is_up: bool
    received_packets: int
    #: What of the probe is not there though it should be: ``xdp``, ``ingress``, ``egress``.
    missing: frozenset[str]
    #: The XDP program of somebody else, as name and id, if one is there.
    other_xdp: str | None


def look(
    attachments: Iterable[Attachment], programs: Mapping[str, int], known: KnownPrograms
) -> dict[int, Presence]:
    """Return what is on each interface, by its index; one that is gone is left out.

    Raises SynguardError when the kernel does not tell.
    """
    try:
        own_id = program_info(programs[XDP_PROGRAM]).id
        with IPRoute() as ipr:
            found = {one.interface.index: _look(ipr, one, own_id, known) for one in attachments}
    except (NetlinkError, OSError) as error:
        raise SynguardError(f"the kernel does not tell how the probe sits: {error}; try again") from error
    return {index: presence for index, presence in found.items() if presence is not None}


def _look(ipr: Any, attachment: Attachment, own_id: int, known: KnownPrograms) -> Presence | None:
    index = attachment.interface.index
    try:
        link = ipr.get_links(index)[0]
        observes = attachment.ingress == "tc-ingress"
        missing = {
            name
            for name, program in (("ingress", TC_INGRESS_PROGRAM), ("egress", TC_EGRESS_PROGRAM))
            if (name == "egress" or observes) and tc.own_filter(ipr, index, program) is None
        }
    except NetlinkError as error:
        if error.code == errno.ENODEV:
            return None
        raise
    program_id = describe(link).xdp_program_id
    if program_id != own_id and not observes:
        missing.add("xdp")
    other = known.stranger(program_id) if program_id is not None and program_id != own_id else None
    received = link.get_attr("IFLA_STATS64")["rx_packets"]
    return Presence(bool(link["flags"] & _IFF_UP), received, frozenset(missing), other)

"""What an alert of kind ``blind`` says to the person on call: what is not seen, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synguard.sight import BlindCause, Trouble


@dataclass(frozen=True, slots=True)
class Words:
    """What is not seen, what came of it by itself, and what is left to do."""

    not_seen: str
    outcome: str
    to_do: str


#: What is to be done about each trouble while it lasts, and once it is over.
_TROUBLE_TO_DO = {
    (BlindCause.DETACHED, False): (
        "it is tried again every second; if the reason above does not tell, see `synguard doctor`, and "
        "restart the daemon"
    ),
    (BlindCause.DETACHED, True): (
        "nothing now; if it comes again, find out who resets the interface: a network manager's reload, or "
        "another eBPF agent"
    ),
    (BlindCause.REPLACED, False): (
        "take the other program off {name} (ip link set dev {name} xdp off, or xdpgeneric off), and the "
        'probe returns by itself; or allow it to observe from tc: probe.xdp_mode = "auto"'
    ),
    (BlindCause.REPLACED, True): (
        "to have drops enforced on {name} again, take the other program off (ip link set dev {name} xdp off, "
        'or xdpgeneric off), and the probe returns by itself; to leave it so, set probe.xdp_mode = "tc"'
    ),
    (BlindCause.MISSING, False): (
        "bring {name} back: it is guarded again within a second or two; if it has another name now, put that "
        "into probe.interfaces and restart the daemon"
    ),
    (BlindCause.MISSING, True): "nothing now",
}

#: What it means that an update fails, and which setting gives it room, by the counter's name.
FAILED_UPDATES = {
    "listeners_full": (
        "floods on listeners beyond the table's room, which only show under their address",
        "raise probe.max_listeners",
    ),
    "closed_buckets_full": (
        "floods on addresses beyond the table's room where nothing answers",
        "raise probe.max_listeners, or guard an interface with fewer addresses behind it",
    ),
    "entries_insert_failed": (
        "sources that found no room in the table, whose floods only show at their listeners",
        "raise probe.max_sources",
    ),
}


def trouble(name: str, found: Trouble) -> Words:
    """Say that the probe did not sit on an interface as it should."""
    to_do = _TROUBLE_TO_DO[found.cause, found.until_ns is not None]
    return Words(f"{name}: {found.found}", found.outcome, to_do.format(name=name))


def stalled(name: str, ingress: str | None) -> Words:
    """Say that an interface receives and the probe sees none of it."""
    if ingress == "tc-ingress":
        where = (
            "something before the probe's tc filter takes them: an XDP program "
            f"(ip -details link show dev {name}), or an earlier filter that ends the search "
            f"(tc filter show dev {name} ingress); remove it, or have it let pass what is to be guarded"
        )
    else:
        where = (
            "restart the daemon; if it stays so, this driver hands its packets to no XDP program: set "
            'probe.xdp_mode = "generic" or "tc"'
        )
    return Words(
        f"{name}: everything that comes in; the interface receives, and the probe counts none of it",
        "",
        where,
    )


def egress_hidden(*, one_way: bool) -> Words:
    """Say that only one direction shows."""
    outcome = (
        "counting goes on by what comes in alone: completion is inferred from later data, and answered, "
        "completed and the half-open ratio are unknown (null)"
        if one_way
        else 'counting goes on as if both were seen (probe.visibility = "both", or too few new '
        "clients show that none is answered): of what is hidden, figures mean little"
    )
    return Words(
        "what leaves: connections seem alive of which egress shows nothing",
        outcome,
        "guard the interface by which answers leave as well (probe.interfaces); see whether an earlier tc "
        "filter takes them (tc filter show dev IF egress); where only one direction passes here by design "
        '(asymmetric routing, a mirror port), set probe.visibility = "ingress"; somebody who feigns '
        "connections may cause this as well, and it ends with the first answer that egress shows",
    )


def updates_failing(names: Sequence[str]) -> Words:
    """Say that the probe's maps have no room for what it sees."""
    unknown = ("some of what the probe counts", "see `synguard status`, losses")
    told = [FAILED_UPDATES.get(name, unknown) for name in names]
    return Words(
        "; ".join(dict.fromkeys(unseen for unseen, _ in told)),
        "the totals still count every packet",
        "; ".join(dict.fromkeys(to_do for _, to_do in told)) + ", and restart the daemon",
    )


def reader_behind(*, lost: bool) -> Words:
    """Say that the daemon reads too late."""
    return Words(
        "attempts that left the probe's memory of 4 s before they were read"
        if lost
        else "floods as they begin: alerts come seconds late",
        "the counters go on in the kernel; blocks in force stay in force",
        "give the daemon CPU time: look at the machine's load, and at CPUQuota= and Nice= of its service",
    )

"""Says whether a listener may be answered with SYN cookies from XDP, before the firewall saw the client.

XDP answers before NAT, firewall and connection tracking. So a cookie may go out only where every client's
SYN, and the ACK of a connection of which connection tracking never saw a SYN, would reach the listener.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from synguard.endpoint import Listener
from synguard.errors import SynguardError
from synguard.handshake import Answer
from synguard.probe.above import Above, above, is_local, strips_tags
from synguard.respond.firewall_match import Budget
from synguard.respond.firewall_packet import packets
from synguard.respond.firewall_reading import read_rules
from synguard.respond.firewall_rules import Ruleset
from synguard.respond.firewall_walk import stopped
from synguard.respond.listening import has_listening_socket

#: Rules and elements that are looked at, for all packets together: about half a second's worth.
STEPS_MAX = 200_000
_SYSCTL = Path("/proc/sys/net")
_TC_INGRESS = "tc-ingress"


@dataclass(frozen=True, slots=True)
class Way:
    """How the probe sits on an interface by which a listener's clients come, as ``status`` tells."""

    name: str
    #: ``xdp-native``, ``xdp-generic``, ``tc-ingress``; None while the probe is not there.
    ingress: str | None
    #: None: what goes out is not seen.
    egress: str | None = "tc-egress"


def cookie_obstacle(listener: Listener, answer: Answer | None, ways: Sequence[Way]) -> str | None:
    """Return why a listener cannot be answered with cookies now, for the alert; None when it can.

    Blocks, for about as long as ``nft list ruleset`` takes. What cannot be read is an obstacle, too. As long
    as there are cookies it is to be asked again and again: people change firewalls.
    """
    try:
        return (
            _setting_obstacle()
            or _answer_obstacle(listener, answer)
            or _listener_obstacle(listener)
            or _ways_obstacle(listener, ways)
        )
    except (SynguardError, OSError) as error:
        return f"whether cookies would break something cannot be told: {error}"


def cookie_answer(answer: Answer) -> Answer:
    """Return what a listener's cookies look like: its own SYN-ACKs, less what a cookie has no room for.

    That is all but the MSS, unless tcp_timestamps is 2: the rest goes into the timestamp then. With 1, later
    segments bear timestamps of a random offset that XDP cannot know, and clients drop them as old (PAWS).
    """
    if answer.timestamps and _sysctl("ipv4/tcp_timestamps") == 2:
        return answer
    return replace(answer, window_scale=None, sack=False, timestamps=False)


def cookie_loss(answer: Answer | None) -> str | None:
    """Return what a listener's clients have to do without when it answers with cookies; None: nothing."""
    if answer is None:
        return None
    told = [_lost_options(answer)]
    if _sysctl("ipv4/tcp_syncookies") == 1:
        told.append(
            "the kernel gives cookies only while the SYN queue is full, which the greylist keeps it from: "
            "till then clients get in about a second late (sysctl net.ipv4.tcp_syncookies=2 spares them)"
        )
    return "; ".join(filter(None, told)) or None


def _lost_options(answer: Answer) -> str | None:
    left = cookie_answer(answer)
    options = {
        "window scaling": answer.window_scale != left.window_scale,
        "SACK": answer.sack != left.sack,
        "timestamps": answer.timestamps != left.timestamps,
    }
    lost = [name for name, is_lost in options.items() if is_lost]
    if not lost:
        return None
    words = " and ".join(filter(None, (", ".join(lost[:-1]), lost[-1])))
    return f"connections made by cookies have no {words} (sysctl net.ipv4.tcp_timestamps=2 keeps them)"


def _sysctl(name: str) -> int | None:
    try:
        return int((_SYSCTL / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _setting_obstacle() -> str | None:
    value = _sysctl("ipv4/tcp_syncookies")
    if value is None:
        return "net.ipv4.tcp_syncookies cannot be read"
    if value == 0:
        return "the kernel's SYN cookies are off: sysctl net.ipv4.tcp_syncookies=1, or 2"
    return None


def _answer_obstacle(listener: Listener, answer: Answer | None) -> str | None:
    if answer is None:
        return f"{listener}'s own SYN-ACKs have not been seen, and cookies have to look like them"
    if answer.foreign > 0 or answer.local == 0:
        return f"{listener} is forwarded or NATed: what answers is no socket of that address and port"
    return None


def _listener_obstacle(listener: Listener) -> str | None:
    if not is_local(listener.address):
        return f"{listener.address} is not an address of this machine"
    return None


def _ways_obstacle(listener: Listener, ways: Sequence[Way]) -> str | None:
    answering = [way for way in ways if way.ingress not in {None, _TC_INGRESS}]
    if not answering:
        return "no interface has the probe as XDP program, so nothing can be answered"
    blind = [way.name for way in answering if way.egress is None]
    if blind:
        return f"what goes out by {', '.join(blind)} is not seen, so cookies could not be watched"
    tops = {way.name: above(way.name) for way in answering}
    if not has_listening_socket(listener, frozenset[int]().union(*(top.indices for top in tops.values()))):
        return f"no socket of this network namespace listens on {listener}"
    for name, top in tops.items():
        obstacle = _vlan_obstacle(name, top)
        if obstacle is not None:
            return obstacle
    return _firewall_obstacle(listener, list(tops.values()), read_rules())


def _vlan_obstacle(name: str, top: Above) -> str | None:
    if not top.vlan_devices:
        return None
    stripped = strips_tags(name)
    users = ", ".join(top.vlan_devices)
    if stripped is None:
        return f"{name} does not tell whether it strips VLAN tags, which {users} needs"
    if stripped:
        return (
            f"{name} strips VLAN tags before XDP sees them, and {users} needs them in the answers: "
            f"ethtool -K {name} rxvlan off"
        )
    return None


def _firewall_obstacle(listener: Listener, tops: Sequence[Above], rules: Ruleset) -> str | None:
    """Return what in the firewall stands against it. Raises TooManyRulesError."""
    budget = Budget(STEPS_MAX)
    picks_up = _sysctl("netfilter/nf_conntrack_tcp_loose") != 0
    for top in tops:
        for packet in packets(listener, top.interfaces, picks_up=picks_up):
            obstacle = stopped(packet, top.interfaces, rules, budget, is_bridged=bool(top.bridges))
            if obstacle is not None:
                return obstacle
    return None

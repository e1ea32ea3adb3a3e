"""What is known of the packets between any client and a listener that is answered with cookies."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from synguard.endpoint import Listener
from synguard.respond.firewall_fields import CT_STATES, TCP_FLAGS
from synguard.respond.firewall_match import Facts, Truth
from synguard.respond.firewall_rules import Chain

_SYN, _ACK, _PSH, _FIN = (TCP_FLAGS[name] for name in ("syn", "ack", "psh", "fin"))
#: A SYN that offers ECN has both; its SYN-ACK has the former.
_ECN, _CWR = TCP_FLAGS["ecn"], TCP_FLAGS["cwr"]
#: ``DF`` of the IP header's field for fragments; no client sends SYNs in pieces.
_DO_NOT_FRAGMENT = 0x4000
#: Where connection tracking looks at packets (``NF_IP_PRI_CONNTRACK``); chains before it find no state.
_TRACKED_HOOKS = frozenset({"prerouting", "output"})
_CONNTRACK_PRIORITY = -200


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet to or from a listener, as the firewall would see it."""

    #: What becomes of a client when it is dropped.
    lost: str
    is_incoming: bool
    #: ``new``, ``established`` or ``invalid``, once connection tracking has looked at it.
    state: str
    facts: Facts


def packets(listener: Listener, interfaces: Collection[str], *, picks_up: bool) -> tuple[Packet, ...]:
    """Return the packets of a cookie's handshake, and of what follows it.

    Connection tracking never sees the SYN that XDP answers. ``picks_up``: whether it takes the ACK for the
    beginning of a connection (nf_conntrack_tcp_loose), or for an invalid packet, and the answers, too.
    """
    arriving = _common(listener, "d") | {
        "meta iif": frozenset(interfaces),
        "meta iifname": frozenset(interfaces),
        "meta mark": frozenset({0}),
        "meta pkttype": frozenset({"host"}),
        "fib daddr type": frozenset({"local"}),
    }
    leaving = _common(listener, "s") | {
        "meta oif": frozenset(interfaces),
        "meta oifname": frozenset(interfaces),
        "fib saddr type": frozenset({"local"}),
    }
    after = ("new", "established") if picks_up else ("invalid", "invalid")
    syn, ack = _flags(_SYN, _ECN | _CWR), _flags(_ACK, _PSH)
    syn_ack, data = _flags(_SYN | _ACK, _ECN), _flags(_ACK, _PSH, _FIN)
    return (
        Packet("SYN", True, "new", arriving | {"tcp flags": syn}),
        Packet("ACK", True, after[0], arriving | {"tcp flags": ack}),
        Packet("SYN-ACK", False, "established", leaving | {"tcp flags": syn_ack}),
        Packet("data", False, after[1], leaving | {"tcp flags": data}),
    )


def _flags(always: int, *sometimes: int) -> frozenset[int | str]:
    """Return every set of flags that has those of ``always``, with or without each of the others."""
    found = {always}
    for more in sometimes:
        found |= {flags | more for flags in found}
    return frozenset(found)


def _common(listener: Listener, side: str) -> Facts:
    """Return what packets have of the protocol and the listener, which is their ``s``ource or ``d``est."""
    is_ipv4 = listener.address.version == 4
    header = "ip" if is_ipv4 else "ip6"
    return {
        "ip": frozenset({header}),
        "meta nfproto": frozenset({"ipv4" if is_ipv4 else "ipv6"}),
        "meta protocol": frozenset({header}),
        "meta l4proto": frozenset({"tcp"}),
        "ip protocol": frozenset({"tcp"}),
        "ip6 nexthdr": frozenset({"tcp"}),
        "ip frag-off": frozenset({0, _DO_NOT_FRAGMENT}),
        f"{header} {side}addr": frozenset({listener.address}),
        f"tcp {side}port": frozenset({listener.port}),
    }


def tracking(packet: Packet, chain: Chain, is_untracked: Truth) -> Facts:
    """Return what ``ct`` tells of a packet at a chain; an earlier one may have asked for no tracking."""
    if chain.stage.startswith("bridge"):
        return {}
    normal = _tracked(packet, packet.state)
    if is_untracked is not False:
        untracked = _tracked(packet, "untracked")
        normal = untracked if is_untracked else _either(normal, untracked)
    if chain.hook in _TRACKED_HOOKS and chain.priority > _CONNTRACK_PRIORITY:
        return normal
    if chain.hook in {"input", "postrouting", "egress"}:
        return normal
    before = _tracked(packet, "untracked" if is_untracked else "invalid")
    is_unordered = chain.hook in _TRACKED_HOOKS and chain.priority == _CONNTRACK_PRIORITY
    return _either(normal, before) if is_unordered else before


def _tracked(packet: Packet, state: str) -> Facts:
    """Return what is told of a packet in a state; what is not tracked has nothing but its state."""
    found: Facts = {"ct state": frozenset({CT_STATES[state]})}
    if state in {"invalid", "untracked"}:
        return found | {key: frozenset() for key in ("ct status", "ct direction", "ct mark")}
    found["ct direction"] = frozenset({"original" if packet.is_incoming else "reply"})
    if state == "new":
        found["ct status"] = frozenset({0})
    return found


def _either(one: Facts, other: Facts) -> Facts:
    """Return what is known where one of two holds; a field that only one of them has may be anything."""
    shared = {key for key in one.keys() & other.keys() if one[key] and other[key]}
    return {key: one[key] | other[key] for key in shared}

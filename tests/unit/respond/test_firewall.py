"""How rules are read and walked through, by what libnftables and iptables-save print."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest

from synguard.endpoint import Listener
from synguard.probe import above
from synguard.respond import firewall
from synguard.respond.firewall_iptables import parse as parse_saved
from synguard.respond.firewall_match import Budget, NamedSet, Surroundings, Truth, holds
from synguard.respond.firewall_packet import packets, tracking
from synguard.respond.firewall_rules import Chain, parse
from synguard.respond.firewall_text import statement_text
from synguard.respond.firewall_walk import stopped

LISTENER = Listener(ip_address("198.18.0.1"), 8080)
FLAGS = {"payload": {"protocol": "tcp", "field": "flags"}}
STATE = {"ct": {"key": "state"}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
DADDR = {"payload": {"protocol": "ip", "field": "daddr"}}
EVERYBODY = {"prefix": {"addr": str(IPv4Address(0)), "len": 0}}
SETS = {
    "ports": NamedSet((22, {"range": [8000, 8100]})),
    "nobody": NamedSet(()),
    "soon": NamedSet((), is_fed=True),
    "pairs": NamedSet(({"concat": ["192.0.2.7", 443]},)),
    "mine": NamedSet(({"concat": ["192.0.2.7", {"elem": {"val": 8080, "timeout": 60}}]},)),
}
CHAIN = Chain(("inet", "filter"), "input", hook="input")


def truth(place: int, operation: str, left: Any, right: Any) -> Truth:
    """Judge a match for one of the packets of a handshake: 0 is the SYN, 1 the late ACK."""
    packet = packets(LISTENER, {"eth0"}, picks_up=True)[place]
    facts = packet.facts | tracking(packet, CHAIN, is_untracked=False)
    return holds({"left": left, "op": operation, "right": right}, facts, Surroundings(SETS, Budget(1000)))


@pytest.mark.parametrize(
    ("place", "left", "operation", "right", "expected"),
    [
        (0, FLAGS, "in", "syn", True),
        (1, FLAGS, "in", "syn", False),
        (0, FLAGS, "!", ["fin", "rst"], True),
        (0, FLAGS, "==", "syn", None),  # a client that offers ECN has more
        (0, {"&": [FLAGS, ["fin", "syn", "rst", "ack"]]}, "==", "syn", True),
        (0, {"&": [FLAGS, {"|": ["fin", "syn"]}]}, "==", ["fin", "syn"], False),
        (1, {"&": [FLAGS, ["fin", "syn", "rst", "ack"]]}, "!=", "syn", True),
        (0, STATE, "in", ["new", "established"], True),
        (0, STATE, "==", {"set": ["new", "untracked"]}, True),
        (0, STATE, "in", "invalid", False),
        (0, {"ct": {"key": "status"}}, "in", "dnat", False),
        (0, {"ct": {"key": "helper"}}, "==", "ftp", None),
        (0, DPORT, "==", "@ports", True),
        (0, DPORT, "!=", {"set": [22, 443]}, True),
        (0, DPORT, ">", 1023, True),
        (0, {"payload": {"protocol": "th", "field": "dport"}}, "==", {"range": [1, 80]}, False),
        (0, {"payload": {"protocol": "udp", "field": "dport"}}, "!=", 53, False),
        (0, SADDR, "==", "192.0.2.7", None),
        (0, SADDR, "==", "@nobody", False),
        (0, SADDR, "==", "@soon", None),
        (0, SADDR, "==", "@lost", None),
        (0, SADDR, "==", {"prefix": {"addr": "127.0.0.0", "len": 8}}, False),
        (0, SADDR, "==", EVERYBODY, True),
        (0, {"concat": [SADDR, DPORT]}, "==", "@pairs", False),
        (0, {"concat": [SADDR, DPORT]}, "==", "@mine", None),
        (0, {"payload": {"protocol": "ip6", "field": "saddr"}}, "!=", "2001:db8::1", False),
        (0, DADDR, "==", {"prefix": {"addr": "198.18.0.0", "len": 15}}, True),
        (0, DADDR, "==", {"range": ["198.18.0.2", "198.18.0.9"]}, False),
        (0, {"meta": {"key": "iifname"}}, "==", "eth*", True),
        (0, {"meta": {"key": "iif"}}, "==", "lo", False),
        (0, {"meta": {"key": "l4proto"}}, "==", {"set": [6, 17]}, True),
        (0, {"meta": {"key": "mark"}}, "==", 7, False),
        (0, {"fib": {"result": "type", "flags": ["daddr"]}}, "==", {"set": ["local", "broadcast"]}, True),
        (0, {"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, "==", False, None),
        (0, {"numgen": {"mode": "random", "mod": 2}}, "==", 0, None),
        (0, {"&": [{"payload": {"protocol": "ip", "field": "frag-off"}}, 8191]}, "!=", 0, False),
    ],
)
def test_what_a_match_says_of_every_client(
    place: int, left: Any, operation: str, right: Any, expected: Truth
) -> None:
    """A match holds, does not, or depends on what is not known of a client."""
    assert truth(place, operation, left, right) is expected


def rules_of(
    *expressions: list[dict[str, Any]], policy: str = "accept", **other: Any
) -> list[dict[str, Any]]:
    """Return what libnftables tells of a table with one chain at the hook for input, and other chains."""
    base = {"family": "inet", "table": "t"}
    hook = {"name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": policy}
    found: list[dict[str, Any]] = [{"table": {"family": "inet", "name": "t"}}, {"chain": base | hook}]
    found += [{"chain": base | {"name": name}} for name in other]
    named = [("c", expressions), *other.items()]
    return found + [{"rule": base | {"chain": name, "expr": one}} for name, all_of in named for one in all_of]


def outcome(objects: list[dict[str, Any]], place: int = 0) -> str | None:
    """Walk one of the packets through."""
    packet = packets(LISTENER, {"eth0"}, picks_up=True)[place]
    return stopped(packet, {"eth0"}, parse(objects), Budget(1000))


SOME: dict[str, Any] = {"match": {"left": SADDR, "op": "==", "right": "192.0.2.7"}}
ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}
RETURN: dict[str, Any] = {"return": None}


def to(kind: str, name: str) -> dict[str, Any]:
    """Return a jump or goto."""
    return {kind: {"target": name}}


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        (rules_of([ACCEPT], [DROP]), None),
        (rules_of([to("jump", "x")], [DROP], x=[[ACCEPT]]), None),
        (rules_of([to("jump", "x")], [ACCEPT], policy="drop", x=[[RETURN], [DROP]]), None),
        (
            rules_of([to("goto", "x")], [ACCEPT], policy="drop", x=[]),
            "lets no client in: inet t c: policy drop",
        ),
        (rules_of([SOME, to("goto", "x")], [ACCEPT], policy="drop", x=[]), "policy drop, but for"),
        (rules_of([SOME, to("jump", "x")], [ACCEPT], x=[[DROP]]), "inet t x: drop, after inet t c: ip saddr"),
        (
            rules_of([to("jump", "x")], [DROP], x=[[SOME, RETURN], [ACCEPT]]),
            "differently: inet t c: drop, but for",
        ),
        (
            rules_of([SOME, ACCEPT], [DROP]),
            "differently: inet t c: drop, but for inet t c: ip saddr 192.0.2.7",
        ),
        (rules_of([{"xt": {"type": "target", "name": "LOG"}}]), None),
        (rules_of([{"xt": {"type": "target", "name": "DNAT"}}]), "elsewhere: inet t c: xt target DNAT"),
        (rules_of([{"xt": None}]), "differently: inet t c: xt"),
        (rules_of([{"mangle": {"key": DPORT, "value": 81}}]), "elsewhere"),
        (rules_of([{"mangle": {"key": {"tcp option": {"name": "maxseg"}}, "value": 1400}}]), None),
        (rules_of([{"something new": {}}]), "differently: inet t c: something new"),
        (rules_of([to("jump", "c")]), "more than 16 jumps"),
    ],
)
def test_which_way_a_syn_takes(objects: list[dict[str, Any]], said: str | None) -> None:
    """Jumps come back, gotos do not, and where only some are let pass it is told for whom."""
    found = outcome(objects)
    assert said in (found or "") if said else found is None


def test_a_set_that_packets_fill_is_never_empty() -> None:
    """A set that some rule puts addresses into may hold anybody's next."""
    elements = {"set": {"family": "inet", "table": "t", "name": "s", "type": "ipv4_addr"}}
    drop = [{"match": {"left": SADDR, "op": "==", "right": "@s"}}, DROP]
    fill = [{"set": {"op": "add", "elem": SADDR, "set": "@s"}}]
    assert outcome([elements, *rules_of(drop)]) is None
    assert "differently" in (outcome([elements, *rules_of(drop, fill)]) or "")


def test_before_connection_tracking_nothing_has_a_state() -> None:
    """A chain ahead of connection tracking finds every packet invalid."""
    objects = rules_of([{"match": {"left": STATE, "op": "in", "right": "invalid"}}, DROP])
    assert outcome(objects) is None
    objects[1]["chain"] |= {"hook": "prerouting", "prio": -300}
    assert "lets no client in" in (outcome(objects) or "")


def test_options_of_iptables() -> None:
    """Negations, ranges and comments are read; what is not known is a match that may hold or not."""
    saved = "*filter\n:INPUT DROP [0:0]\n:M - [0:0]\n" + "\n".join(
        (
            '-A INPUT ! -s 10.0.0.0/8 -i eth+ -p tcp -m tcp ! --dport 80:90 -m comment --comment "-j" -g M',
            "-A INPUT -m recent --update --seconds 60 --name x -j DROP",
            "-A M -p tcp -m conntrack ! --ctstate NEW,INVALID -j NFLOG --nflog-group 2",
            "COMMIT",
        )
    )
    chains = parse_saved(saved, "ip").chains
    first, second = chains[("ip", "filter"), "INPUT"].rules
    (mine,) = chains[("ip", "filter"), "M"].rules
    assert chains[("ip", "filter"), "INPUT"].drops_by_default
    assert [statement_text(one) for one in first.statements] == [
        "ip saddr != 10.0.0.0/8",
        "iifname eth*",
        "meta l4proto tcp",
        "tcp dport != { 80-90 }",
        "goto M",
    ]
    assert {"xt": {"type": "match", "name": "update"}} in second.statements
    assert statement_text(mine.statements[1]) == "ct state ! new,invalid"
    with pytest.raises(ValueError, match="what it never prints"):
        parse_saved("-A INPUT -j DROP", "ip")


def link(index: int, name: str, **attributes: Any) -> Any:
    """Return a netlink message about an interface, as pyroute2 reads it."""

    class Message(dict[str, Any]):
        def get_attr(self, wanted: str) -> Any:
            return name if wanted == "IFLA_IFNAME" else attributes.get(wanted)

        def get_nested(self, *path: str) -> Any:
            return attributes.get(path[-1])

    return Message(index=index)


def test_vlans_on_top_of_an_interface() -> None:
    """A VLAN of a bond above the card counts, a bridge only if it filters VLANs, a veth's far end never."""
    links = [
        link(1, "eth0", IFLA_MASTER=2),
        link(2, "bond0", IFLA_INFO_KIND="bond"),
        link(3, "bond0.7", IFLA_INFO_KIND="vlan", IFLA_LINK=2, IFLA_MASTER=4),
        link(4, "br0", IFLA_INFO_KIND="bridge", IFLA_BR_VLAN_FILTERING=0),
        link(5, "veth0", IFLA_INFO_KIND="veth", IFLA_LINK=1),
        link(6, "eth1.9", IFLA_INFO_KIND="vlan", IFLA_LINK=1, IFLA_LINK_NETNSID=3),
    ]
    found = above.describe(links[0], links)
    assert found.interfaces == {"eth0", "bond0", "bond0.7", "br0"}
    assert found.vlan_devices == ("bond0.7",)
    assert found.bridges == ("br0",)


@pytest.mark.parametrize(
    ("strips", "said"), [(True, "ethtool -K eth0 rxvlan off"), (None, "does not tell"), (False, None)]
)
def test_tags_that_the_card_strips(
    monkeypatch: pytest.MonkeyPatch, strips: bool | None, said: str | None
) -> None:
    """With VLANs on top of an interface, its tags have to reach XDP, or the answers would bear none."""
    monkeypatch.setattr(firewall, "strips_tags", lambda _name: strips)
    top = above.Above(frozenset({"eth0", "eth0.7"}), frozenset({2, 3}), ("eth0.7",), ())
    found = firewall._vlan_obstacle("eth0", top)
    assert said in (found or "") if said else found is None
    assert firewall._vlan_obstacle("eth0", above.Above(frozenset({"eth0"}), frozenset({2}), (), ())) is None

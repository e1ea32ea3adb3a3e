"""Firewalls that people have, as their tools write them, and who gets through them to port 8080."""

from __future__ import annotations

from typing import NamedTuple

PORT = 8080
NATTED_PORT = 9090
#: One client of all, in the network of the topology's.
SINGLED_OUT = "198.19.10.7"

DIFFERENTLY = "treats clients of this port differently"
ELSEWHERE = "sends this port's clients elsewhere"
NOBODY = "lets no client in"
LATE_ACK = "drops the ACK to a cookie"


class Firewall(NamedTuple):
    """Rules for one of the tools, and what stands against cookies then."""

    tool: str
    rules: str
    #: A piece of the reason; None: nothing stands against them.
    obstacle: str | None
    #: Where the reason is to point at.
    where: str = ""
    #: Whether the kernel shows it to a plain SYN and a late ACK of two clients.
    shows: bool = True
    picks_up: bool = True


def table(name: str, head: str, *rules: str, also: str = "") -> str:
    """Return an nft table with one base chain, and what else it is to have."""
    return "\n".join([f"table {name} {{", also, "chain base {", f"type {head};", *rules, "}", "}", ""])


def input_chain(*rules: str, policy: str = "accept") -> str:
    """Return an nft table with a chain of these rules at the hook for input."""
    return table("inet filter", f"filter hook input priority 0; policy {policy}", *rules)


def prerouting(*rules: str, kind: str = "nat", priority: str = "dstnat") -> str:
    """Return an nft table for IPv4 with a chain of these rules at the hook before routing."""
    return table("ip early", f"{kind} hook prerouting priority {priority}", *rules)


def saved(*rules: str, of: str = "filter", chains: str = "", policy: str = "ACCEPT") -> str:
    """Return what iptables-restore reads."""
    builtin = {
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    }
    declared = [f":{name} {policy if name == 'INPUT' else 'ACCEPT'} [0:0]" for name in builtin[of]]
    declared += [f":{name} - [0:0]" for name in chains.split()]
    return "\n".join([f"*{of}", *declared, *(f"-A {rule}" for rule in rules), "COMMIT", ""])


UFW = saved(
    "INPUT -j ufw-before-logging-input",
    "INPUT -j ufw-before-input",
    "INPUT -j ufw-after-input",
    "INPUT -j ufw-after-logging-input",
    "INPUT -j ufw-reject-input",
    "INPUT -j ufw-track-input",
    "OUTPUT -j ufw-before-output",
    "ufw-before-input -i lo -j ACCEPT",
    "ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny",
    "ufw-before-input -m conntrack --ctstate INVALID -j DROP",
    "ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT",
    "ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT",
    "ufw-before-input -j ufw-not-local",
    "ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT",
    "ufw-before-input -j ufw-user-input",
    "ufw-before-output -o lo -j ACCEPT",
    "ufw-before-output -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "ufw-after-input -p udp -m udp --dport 137 -j ufw-skip-to-policy-input",
    "ufw-after-input -m addrtype --dst-type BROADCAST -j ufw-skip-to-policy-input",
    'ufw-after-logging-input -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "',
    "ufw-logging-deny -m conntrack --ctstate INVALID -m limit --limit 3/min --limit-burst 10 -j RETURN",
    'ufw-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "',
    "ufw-not-local -m addrtype --dst-type LOCAL -j RETURN",
    "ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN",
    "ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny",
    "ufw-not-local -j DROP",
    "ufw-skip-to-policy-input -j DROP",
    'ufw-user-input -p tcp -m tcp --dport 8080 -m comment --comment "the shop -j DROP" -j ACCEPT',
    chains="ufw-before-logging-input ufw-before-input ufw-after-input ufw-after-logging-input "
    "ufw-reject-input ufw-track-input ufw-before-output ufw-logging-deny ufw-not-local "
    "ufw-skip-to-policy-input ufw-user-input",
    policy="DROP",
)
FIREWALLD = """
table inet firewalld {
 chain filter_IN_public_allow { tcp dport 22 accept; tcp dport 8080 accept; }
 chain filter_IN_public { jump filter_IN_public_allow; meta l4proto { icmp, ipv6-icmp } accept; }
 chain filter_INPUT_ZONES { iifname "net0" goto filter_IN_public; goto filter_IN_public; }
 chain filter_PREROUTING { type filter hook prerouting priority 10; policy accept;
  icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
  meta nfproto ipv6 fib saddr . mark . iif oif missing drop
 }
 chain nat_PRE_public { return; }
 chain nat_PREROUTING { type nat hook prerouting priority -90; policy accept;
  iifname "net0" goto nat_PRE_public
 }
 chain filter_INPUT { type filter hook input priority 10; policy accept;
  ct state { established, related } accept
  ct status dnat accept
  iifname "lo" accept
  ct state invalid drop
  jump filter_INPUT_ZONES
  reject with icmpx admin-prohibited
 }
 chain filter_OUTPUT { type filter hook output priority 10; policy accept;
  ct state { established, related } accept
  oifname "lo" accept
 }
}
"""
DOCKER = saved(
    "PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
    "DOCKER -i docker0 -j RETURN",
    f"DOCKER ! -i docker0 -p tcp -m tcp --dport {NATTED_PORT} -j DNAT --to-destination 198.18.0.1:8080",
    of="nat",
    chains="DOCKER",
)


def fail2ban(port: int) -> str:
    """Return fail2ban's table, which rejects one client on a port."""
    elements = f"set addr-set-shop {{ type ipv4_addr; elements = {{ {SINGLED_OUT} }}; }}"
    rule = f"tcp dport {port} ip saddr @addr-set-shop reject with icmp port-unreachable"
    return table("inet f2b-table", "filter hook input priority -1", rule, also=elements)


ESTABLISHED = "ct state established,related accept"
ACCEPT_PORT = "tcp dport { 22, 8000-8100 } accept"

FIREWALLS = {
    "none": Firewall("nft", "", None),
    "a DNATed port with a local listener behind it": Firewall(
        "nft",
        prerouting("tcp dport 8080 dnat to 198.18.0.1:9090"),
        ELSEWHERE,
        "ip early base: tcp dport 8080 dnat",
        shows=False,
    ),
    "what is new and no SYN is dropped": Firewall(
        "nft",
        input_chain("ct state new tcp flags & (fin|syn|rst|ack) != syn drop"),
        LATE_ACK,
        "inet filter base: ct state new tcp flags & fin,syn,rst,ack != syn drop",
    ),
    "one client is dropped": Firewall(
        "nft",
        input_chain(f"ip saddr {SINGLED_OUT} tcp dport 8080 drop"),
        DIFFERENTLY,
        f"inet filter base: ip saddr {SINGLED_OUT} tcp dport 8080 drop",
    ),
    "one client is let in": Firewall(
        "nft",
        input_chain(f"ip saddr {SINGLED_OUT} tcp dport 8080 accept", policy="drop"),
        DIFFERENTLY,
        f"policy drop, but for inet filter base: ip saddr {SINGLED_OUT} tcp dport 8080 accept",
    ),
    "ufw": Firewall("iptables-nft", UFW, None),
    "ufw, with connections never picked up": Firewall(
        "iptables-nft", UFW, LATE_ACK, "-m conntrack --ctstate INVALID -j DROP", picks_up=False
    ),
    "firewalld": Firewall("nft", FIREWALLD, None),
    "firewalld, with connections never picked up": Firewall(
        "nft", FIREWALLD, LATE_ACK, "inet firewalld filter_INPUT: ct state invalid drop", picks_up=False
    ),
    "docker": Firewall("iptables-nft", DOCKER, None),
    "fail2ban, of this port": Firewall("nft", fail2ban(PORT), DIFFERENTLY, "ip saddr @addr-set-shop reject"),
    "fail2ban, of another port": Firewall("nft", fail2ban(22), None),
    "all but the port is dropped": Firewall(
        "nft", input_chain(ESTABLISHED, ACCEPT_PORT, policy="drop"), None
    ),
    "all is dropped": Firewall(
        "nft", input_chain(ESTABLISHED, policy="drop"), NOBODY, "inet filter base: policy"
    ),
    "what is invalid is dropped": Firewall("nft", input_chain("ct state invalid drop"), None),
    "what is invalid is dropped, and connections never picked up": Firewall(
        "nft", input_chain("ct state invalid drop"), LATE_ACK, "ct state invalid drop", picks_up=False
    ),
    "answers that are invalid are dropped, and connections never picked up": Firewall(
        "nft",
        table("inet filter", "filter hook output priority 0", "ct state invalid drop"),
        "drops what the listener sends",
        "inet filter base: ct state invalid drop",
        picks_up=False,
    ),
    "verdicts by map": Firewall(
        "nft",
        input_chain(
            "ct state vmap { established : accept, related : accept, invalid : drop }",
            "tcp dport vmap { 22 : accept, 8080 : accept, 443 : drop }",
            policy="drop",
        ),
        None,
    ),
    "iptables-nft": Firewall(
        "iptables-nft",
        saved(
            "INPUT -m conntrack --ctstate INVALID -j DROP",
            "INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE -j DROP",
            "INPUT -p tcp -m multiport --dports 22,8000:8100 -j ACCEPT",
            policy="DROP",
        ),
        None,
    ),
    "iptables-nft that drops what is new and no SYN": Firewall(
        "iptables-nft",
        saved("INPUT -p tcp ! --syn -m state --state NEW -j DROP"),
        LATE_ACK,
        "ip filter INPUT: -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m state --state NEW -j DROP",
    ),
    "iptables-legacy": Firewall(
        "iptables-legacy",
        saved("INPUT -p tcp -m tcp --dport 8080 -j ACCEPT", "INPUT -p icmp -j ACCEPT", policy="DROP"),
        None,
    ),
    "iptables-legacy that drops one client": Firewall(
        "iptables-legacy",
        saved(f"INPUT -s {SINGLED_OUT}/32 -p tcp -m tcp --dport 8080 -j REJECT"),
        DIFFERENTLY,
        f"ip legacy filter INPUT: -s {SINGLED_OUT}/32",
    ),
    "so many a second": Firewall(
        "nft",
        input_chain("tcp dport 8080 ct state new limit rate over 5/second drop"),
        DIFFERENTLY,
        "limit rate over 5/second drop",
        shows=False,
    ),
    "so many a second of each client": Firewall(
        "iptables-nft",
        saved(
            "INPUT -p tcp --dport 8080 -m hashlimit --hashlimit-above 5/sec --hashlimit-mode srcip "
            "--hashlimit-name shop -j DROP"
        ),
        DIFFERENTLY,
        "-m hashlimit --hashlimit-above 5/sec",
        shows=False,
    ),
    "one client is dropped at ingress": Firewall(
        "nft",
        table("netdev edge", "filter hook ingress device net0 priority 0", f"ip saddr {SINGLED_OUT} drop"),
        DIFFERENTLY,
        f"netdev edge base: ip saddr {SINGLED_OUT} drop",
    ),
    "bogons are dropped at ingress": Firewall(
        "nft",
        table("netdev edge", "filter hook ingress device net0 priority 0", "ip saddr 127.0.0.0/8 drop"),
        None,
    ),
    "a redirected port": Firewall(
        "nft", prerouting("tcp dport 8080 redirect to :9090"), ELSEWHERE, "redirect", shows=False
    ),
    "a transparent proxy": Firewall(
        "nft",
        prerouting("tcp dport 8080 tproxy to 127.0.0.1:3128", kind="filter", priority="mangle"),
        ELSEWHERE,
        "tproxy",
        shows=False,
    ),
    "SYNPROXY": Firewall(
        "nft",
        prerouting("tcp dport 8080 tcp flags syn notrack", kind="filter", priority="raw")
        + "\n"
        + input_chain(
            "tcp dport 8080 ct state invalid,untracked synproxy mss 1460 wscale 7", "ct state invalid drop"
        ),
        ELSEWHERE,
        "synproxy",
        shows=False,
    ),
    "a port that is not tracked": Firewall(
        "nft",
        prerouting("tcp dport 8080 notrack", kind="filter", priority="raw")
        + "\n"
        + input_chain("ct state established,untracked accept", policy="drop"),
        None,
    ),
    "marked on the way": Firewall(
        "nft",
        prerouting("tcp dport 8080 meta mark set 1", kind="filter", priority="mangle")
        + "\n"
        + input_chain("meta mark 1 accept", policy="drop"),
        DIFFERENTLY,
        "policy drop, but for inet filter base: meta mark 1 accept",
        shows=False,
    ),
    "one client gets no answers": Firewall(
        "nft",
        table("ip filter", "filter hook output priority 0", f"ip daddr {SINGLED_OUT} drop"),
        DIFFERENTLY,
        f"ip filter base: ip daddr {SINGLED_OUT} drop",
    ),
    "another interface's port is closed": Firewall(
        "nft", input_chain('iifname { "wan0", "ppp*" } tcp dport 8080 drop', "iif lo accept"), None
    ),
}

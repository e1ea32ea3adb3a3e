"""Whether the kernel's own TCP holds out until synguard answers, and is not mistaken for attacked."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from synguard.doctor.finding import Finding, ok, unknown, warning
from synguard.doctor.machine import MIN_ACCEPT_QUEUE, ListeningSocket, Machine

#: ``somaxconn``, and without SYN cookies ``tcp_max_syn_backlog``, should not be smaller.
MIN_SYN_QUEUE = 1024
#: Linux's own default: a half-open handshake is held for 63 s.
MAX_SYNACK_RETRIES = 5
#: The share of the table of connections from which on it is said to be nearly full.
NEARLY_FULL = 0.8
_NAMED_MAX = 8


def syncookies(machine: Machine) -> Iterator[Finding]:
    """Judge the kernel's own defence."""
    name, why = "tcp_syncookies", "SYN cookies keep listeners reachable when their SYN queue is full"
    mend = "sysctl -w net.ipv4.tcp_syncookies=1, and the same in /etc/sysctl.d"
    if machine.tcp_syncookies is None:
        yield unknown(name, "the setting cannot be read", why, "sysctl net.ipv4.tcp_syncookies")
    elif machine.tcp_syncookies == 0:
        yield warning(name, "SYN cookies are off: a small flood shuts a listener", why, mend)
    elif machine.tcp_syncookies == 2:
        what = "every connection gets a SYN cookie, so the kernel's counters cannot tell an attack"
        yield warning(name, what, why, mend)
    else:
        yield ok(name, "SYN cookies are sent when a SYN queue is full", why)


def somaxconn(machine: Machine) -> Iterator[Finding]:
    """Judge what caps each listener's queues."""
    name, sysctl, value = "somaxconn", "net.core.somaxconn", machine.somaxconn
    why = "it caps both queues of a listener: handshakes under way, and connections that wait for accept()"
    if value is None:
        yield unknown(name, "the setting cannot be read", why, f"sysctl {sysctl}")
    elif value < MIN_SYN_QUEUE:
        remedy = f"sysctl -w {sysctl}=4096, and the same in /etc/sysctl.d; then restart what listens"
        yield warning(name, f"{sysctl} is {value}, below {MIN_SYN_QUEUE}", why, remedy)
    else:
        yield ok(name, f"{sysctl} is {value}", why)


def max_syn_backlog(machine: Machine) -> Iterator[Finding]:
    """Judge what caps the SYN queue while there are no cookies."""
    name, sysctl, value = "tcp_max_syn_backlog", "net.ipv4.tcp_max_syn_backlog", machine.tcp_max_syn_backlog
    why = "without SYN cookies, three quarters of it cap the handshakes that a listener may have under way"
    if value is None:
        yield unknown(name, "the setting cannot be read", why, f"sysctl {sysctl}")
    elif value >= MIN_SYN_QUEUE:
        yield ok(name, f"{sysctl} is {value}", why)
    elif machine.tcp_syncookies:
        yield ok(name, f"{sysctl} is {value}, which caps nothing while SYN cookies are on", why)
    else:
        remedy = f"sysctl -w {sysctl}=4096, and the same in /etc/sysctl.d"
        yield warning(name, f"{sysctl} is {value}, below {MIN_SYN_QUEUE}", why, remedy)


def synack_retries(machine: Machine) -> Iterator[Finding]:
    """Judge how long a handshake that nobody completes is held."""
    name, value = "tcp_synack_retries", machine.tcp_synack_retries
    why = "each half-open handshake keeps its place in the queue, and sends SYN-ACKs, until they are used up"
    if value is None:
        yield unknown(name, "the setting cannot be read", why, "sysctl net.ipv4.tcp_synack_retries")
        return
    what = f"a SYN-ACK is repeated {value} times: a half-open handshake is held {_held_s(value)} s"
    if value > MAX_SYNACK_RETRIES:
        remedy = "sysctl -w net.ipv4.tcp_synack_retries=5 (or 3, for 15 s), and the same in /etc/sysctl.d"
        yield warning(name, what, why, remedy)
    else:
        yield ok(name, what, why)


def _held_s(retries: int) -> int:
    """Return when the last of these retries has had its time: 1, 2, 4 s and so on, none above 120 s."""
    return sum(min(1 << number, 120) for number in range(retries + 1))


def accept_queues(machine: Machine) -> Iterator[Finding]:
    """Judge the accept queues of the listeners that others can reach."""
    name, why = (
        "accept_queues",
        "it overflows at an ordinary burst, which looks like an attack; and the SYN queue has the same limit",
    )
    if machine.listeners is None:
        yield unknown(name, "sock_diag cannot be asked", why, "look at `ss -ltn`, column Send-Q")
        return
    reachable = [one for one in machine.listeners if not ip_address(one.address).is_loopback]
    short = [one for one in reachable if one.accept_queue_limit < MIN_ACCEPT_QUEUE]
    if not short:
        yield ok(name, f"of {len(reachable)} listeners none has a short accept queue", why)
        return
    named = list(dict.fromkeys(_named(one) for one in short))
    more = f" and {len(named) - _NAMED_MAX} more" if len(named) > _NAMED_MAX else ""
    what = f"accept queues below {MIN_ACCEPT_QUEUE}: {', '.join(named[:_NAMED_MAX])}{more}"
    remedy = "raise the backlog that the application gives listen() (nginx: `listen 443 backlog=4096`)"
    if any(one.accept_queue_limit == machine.somaxconn for one in short):
        remedy = "raise net.core.somaxconn, which caps them; then restart what listens"
    yield warning(name, what, why, remedy)


def _named(one: ListeningSocket) -> str:
    """Return a listener as `ss` names it, with what its queue holds, and who it belongs to."""
    address = "*" if one.dual_stack else f"[{one.address}]" if ":" in one.address else one.address
    owner = f": {one.owner}" if one.owner else ""
    return f"{address}:{one.port} ({one.accept_queue_limit}{owner})"


def conntrack(machine: Machine) -> Iterator[Finding]:
    """Judge how full the table of tracked connections is."""
    name, why = "conntrack", "every SYN takes an entry; when the table is full, new connections are dropped"
    if machine.conntrack_problem is not None:
        remedy = "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max"
        yield unknown(name, f"the table of connections: {machine.conntrack_problem}", why, remedy)
    elif machine.conntrack is None:
        yield ok(name, "connections are not tracked here", why)
    elif machine.conntrack.limit == 0:
        yield ok(name, f"{machine.conntrack.entries:,} connections are tracked, without limit", why)
    else:
        entries, limit = machine.conntrack.entries, machine.conntrack.limit
        what = f"{entries:,} of {limit:,} entries are in use ({entries / limit:.0%})"
        if entries < NEARLY_FULL * limit:
            yield ok(name, what, why)
            return
        remedy = (
            f"sysctl -w net.netfilter.nf_conntrack_max={2 * limit} (about 0.4 kB each), and the same in "
            "/etc/sysctl.d; or exempt the listeners' ports from tracking (nftables: notrack)"
        )
        yield warning(name, f"the table of connections is nearly full: {what}", why, remedy)

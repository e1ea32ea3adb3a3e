"""The frozen records of what the kernel that answers SYNs says of itself: its queues, counters and conntrack.

They are those of the daemon's own network namespace. A gateway or a container's host knows nothing of the
listeners behind it, and has no queues for them here. ``*_ns`` is the kernel's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from synguard.endpoint import Listener


@dataclass(frozen=True, slots=True)
class ListenerQueues:
    """The queues of the sockets that answer for one listener, summed where several share it."""

    #: Handshakes in SYN-RECEIVED, and how many have room. The kernel takes one more than it is told to.
    syn_queue: int
    syn_queue_limit: int
    #: Completed connections that the application has not accepted yet, and how many have room, less that one.
    accept_queue: int
    accept_queue_limit: int
    #: The fullest single socket's share of what its own accept queue holds: 1 is full (more, after its limit
    #: was lowered).
    accept_queue_worst: float
    sockets: int = 1
    #: The same of the SYN queue, as far as it is known.
    syn_queue_worst: float = 0.0
    #: What the sockets have dropped, whatever for, cumulative; None if not known.
    drops: int | None = None


@dataclass(frozen=True, slots=True)
class ServerReading:
    """One look at the stack. Counters are cumulative, by their names in /proc/net/netstat (``TcpExt``)."""

    read_ns: int
    counters: Mapping[str, int]
    #: ``net.ipv4.tcp_syncookies``: with 2 cookies are sent without any need.
    syncookies: int
    #: Of the listeners that were asked for, those that sockets of this namespace answer.
    queues: Mapping[Listener, ListenerQueues] = field(default_factory=dict)
    #: When ``queues`` was read: at most once a second; None before the first time.
    queues_read_ns: int | None = None
    #: Entries of the conntrack table and its size; None where this kernel has none.
    conntrack_entries: int | None = None
    conntrack_limit: int | None = None

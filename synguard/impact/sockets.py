"""Finds the sockets that answer for a listener, as the kernel's own lookup would, and their queues.

All of it is of this network namespace. One dump has the listening sockets and the half-open handshakes of
both families; the kernel chooses by state, so that established connections are walked past and not handed
over. Measured: 2.5 ms with a table of 262,144 buckets and nothing in it, 9 ms with 10,000 half-open
handshakes, 14 ms with 18,000 established connections beside them.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from synguard import sockdiag
from synguard.endpoint import Address, Listener
from synguard.server import ListenerQueues

#: Of ``struct inet_diag_msg``: state at 1, local port at 4, local address at 8, then both queues.
_STATE = 1
_LOCAL_PORT = slice(4, 6)
_LOCAL_ADDRESS = slice(8, 24)
_QUEUES = struct.Struct("=II")
_QUEUES_AT = 56
#: ``SK_MEMINFO_DROPS``, include/uapi/linux/sock_diag.h.
_DROPS = struct.Struct("=I")
_DROPS_AT = 4 * 8


class ListeningSocket(NamedTuple):
    """One socket in LISTEN."""

    #: An IPv4 address also where an IPv6 socket is bound to a mapped one; a wildcard is all zero.
    address: Address
    port: int
    ipv6_socket: bool
    #: It takes no IPv4, not even as the wildcard.
    ipv6_only: bool
    accept_queue: int
    accept_queue_limit: int
    #: What it has dropped, for whatever reason; None if the kernel does not say.
    drops: int | None


@dataclass(frozen=True, slots=True)
class SocketTable:
    """The TCP sockets of this namespace that matter to a SYN."""

    #: By port.
    listening: Mapping[int, Sequence[ListeningSocket]] = field(default_factory=dict)
    #: Handshakes in SYN-RECEIVED by their local end.
    half_open: Mapping[Listener, int] = field(default_factory=dict)

    def answering(self, listener: Listener) -> tuple[ListeningSocket, ...]:
        """Return the sockets of which one takes a SYN to this listener: several where they share its port.

        An exact address beats the wildcard, and an IPv4 socket an IPv6 one that takes IPv4 as well
        (``__inet_lookup_listener``). The kernel also prefers sockets bound to the interface that the SYN came
        in by; that is not known here, and such a socket counts as one of those that share the port.
        """
        found: dict[int, list[ListeningSocket]] = {}
        for one in self.listening.get(listener.port, ()):
            found.setdefault(_closeness(one, listener.address), []).append(one)
        best = max(found, default=0)
        return tuple(found[best]) if best else ()


def read_sockets() -> SocketTable:
    """Return the sockets of the calling thread's network namespace. Raises OSError if the kernel refuses."""
    listening: dict[int, list[ListeningSocket]] = {}
    half_open: Counter[tuple[int, bytes, bytes]] = Counter()
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in sockdiag.dump(
            family,
            sockdiag.TCP_LISTEN,
            sockdiag.TCP_SYN_RECV,
            extensions=(sockdiag.INET_DIAG_SKMEMINFO,),
        ):
            if message[_STATE] == sockdiag.TCP_LISTEN:
                found = _listening(message)
                listening.setdefault(found.port, []).append(found)
            else:
                half_open[message[0], message[_LOCAL_PORT], message[_LOCAL_ADDRESS]] += 1
    by_listener: Counter[Listener] = Counter()
    for (kind, port, address), count in half_open.items():
        by_listener[Listener(_address(kind, address), int.from_bytes(port))] += count
    return SocketTable(listening, by_listener)


def queues_of(
    table: SocketTable, wanted: Collection[Listener], settings: Mapping[str, int]
) -> dict[Listener, ListenerQueues]:
    """Return the queues of those listeners that sockets of this namespace answer.

    Args:
        table: the sockets.
        wanted: the listeners asked for. Two that the same wildcard socket answers share its queues.
        settings: ``tcp_syncookies`` and ``tcp_max_syn_backlog``.

    """
    answering = {listener: table.answering(listener) for listener in {*wanted, *table.half_open}}
    half_open: Counter[tuple[ListeningSocket, ...]] = Counter()
    for listener, count in table.half_open.items():
        half_open[answering[listener]] += count
    return {
        listener: _queues(answering[listener], half_open[answering[listener]], settings)
        for listener in wanted
        if answering[listener]
    }


def syn_queue_limit(accept_queue_limit: int, settings: Mapping[str, int]) -> int:
    """Return how many half-open handshakes a socket holds before the next SYN finds its queue full.

    That is its accept queue's limit (``inet_csk_reqsk_queue_is_full``). Without cookies, also three quarters
    of ``tcp_max_syn_backlog``: the rest is for peers known from before (``tcp_conn_request``).
    """
    if settings["tcp_syncookies"]:
        return accept_queue_limit
    most = settings["tcp_max_syn_backlog"]
    return min(accept_queue_limit, most - (most >> 2))


def _queues(
    sockets: tuple[ListeningSocket, ...], half_open: int, settings: Mapping[str, int]
) -> ListenerQueues:
    limits = [syn_queue_limit(one.accept_queue_limit, settings) for one in sockets]
    drops = [one.drops for one in sockets if one.drops is not None]
    return ListenerQueues(
        syn_queue=half_open,
        syn_queue_limit=sum(limits),
        accept_queue=sum(one.accept_queue for one in sockets),
        accept_queue_limit=sum(one.accept_queue_limit for one in sockets),
        accept_queue_worst=max(one.accept_queue / (one.accept_queue_limit + 1) for one in sockets),
        sockets=len(sockets),
        # Which socket of several holds a handshake is not told, but the kernel shares SYNs out evenly.
        syn_queue_worst=half_open / len(sockets) / (min(limits) + 1),
        drops=sum(drops) if len(drops) == len(sockets) else None,
    )


def _closeness(one: ListeningSocket, address: Address) -> int:
    """Return how close a socket is to an address, as the kernel ranks it; 0: it does not answer."""
    if one.address == address:
        return 3 if one.ipv6_socket and address.version == 4 else 4
    if int(one.address) != 0:
        return 0
    if address.version == 6:
        return 1 if one.ipv6_socket else 0
    if not one.ipv6_socket:
        return 2
    return 0 if one.ipv6_only else 1


def _listening(message: bytes) -> ListeningSocket:
    family = message[0]
    found = sockdiag.attributes(message)
    accept_queue, limit = _QUEUES.unpack_from(message, _QUEUES_AT)
    memory = found.get(sockdiag.INET_DIAG_SKMEMINFO, b"")
    return ListeningSocket(
        _address(family, message[_LOCAL_ADDRESS]),
        int.from_bytes(message[_LOCAL_PORT]),
        family == socket.AF_INET6,
        any(found.get(sockdiag.INET_DIAG_SKV6ONLY, b"")),
        accept_queue,
        limit,
        _DROPS.unpack_from(memory, _DROPS_AT)[0] if len(memory) >= _DROPS_AT + _DROPS.size else None,
    )


def _address(family: int, local: bytes) -> Address:
    if family == socket.AF_INET:
        return IPv4Address(local[:4])
    address = IPv6Address(local)
    return address.ipv4_mapped or address

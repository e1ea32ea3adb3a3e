"""Reads what the kernel counted: frames on the guarded's wire, and the TCP of a host.

The guarded's wire is a veth whose far end is the switch's port. Of its drivers' statistics
(``ethtool -S``), the port's ``tx_queue_0_xdp_xmit`` counts frames that XDP put into the guarded's ring,
``tx_queue_0_xdp_xmit_errors`` those that it refused because it was full, and the guarded's
``rx_queue_0_xdp_packets`` all frames that its NAPI took off the ring, whoever put them there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.net import ethtool, links
from bench.net.enter import call_in
from bench.net.links import Endpoint
from bench.net.namespaces import Topology

#: Of the calling thread's namespace; /proc/net is that of the process's first thread.
_PROC_NET = Path("/proc/thread-self/net")


class WireReading(msgspec.Struct, frozen=True):
    """Frames on their way into the guarded since its interface was made. Subtract an earlier reading."""

    #: Put into the guarded's ring by XDP: by the generator.
    offered_frames: int
    #: Refused to XDP by the full ring. The generator sent ``offered_frames`` and these.
    refused_frames: int
    #: Taken off the ring by the guarded's NAPI, whoever sent them.
    received_frames: int
    #: Lost otherwise, flood or not: refused to the bridge by the full ring, or for want of memory.
    other_dropped_frames: int

    def __sub__(self, earlier: WireReading) -> WireReading:
        return WireReading(
            self.offered_frames - earlier.offered_frames,
            self.refused_frames - earlier.refused_frames,
            self.received_frames - earlier.received_frames,
            self.other_dropped_frames - earlier.other_dropped_frames,
        )


def read_wire(topology: Topology) -> WireReading:
    """Return the readings of the guarded's wire; a quiet one is read exactly, a busy one roughly at once."""
    guarded = topology.guarded
    port = ethtool.statistics(topology.switch, guarded.port)
    bridged = links.read_link(topology.switch, guarded.port)
    taken = ethtool.statistics(guarded.namespace, guarded.interface)
    refused = port["tx_queue_0_xdp_xmit_errors"]
    return WireReading(
        port["tx_queue_0_xdp_xmit"],
        refused,
        taken["rx_queue_0_xdp_packets"],
        # The port's dropped frames include those refused to XDP.
        bridged.send_dropped_frames - refused + taken["rx_queue_0_drops"],
    )


def lost_in_queues() -> int:
    """Return how many frames the CPUs' receive queues have refused, on the whole machine.

    Between hosts without NAPI every frame waits in such a queue, and a flood's answers may fill it.
    """
    lines = (_PROC_NET / "softnet_stat").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1], 16) for line in lines)


def tcp_counters(endpoint: Endpoint) -> dict[str, int]:
    """Return a host's counters of /proc/net/snmp, netstat and snmp6 by protocol and name, as nstat does.

    For instance ``TcpActiveOpens``, ``TcpExtTCPSynRetrans``, ``Ip6InReceives``.
    """
    return call_in(endpoint.namespace, lambda: dict(_tables()) | dict(_pairs()))


def syns_sent(endpoint: Endpoint) -> int:
    """Return how many SYNs a host's own kernel has sent, repeated ones included."""
    counters = tcp_counters(endpoint)
    return counters["TcpActiveOpens"] + counters["TcpExtTCPSynRetrans"]


def _tables() -> Iterator[tuple[str, int]]:
    for name in ("snmp", "netstat"):
        lines = (_PROC_NET / name).read_text(encoding="ascii").splitlines()
        for titles, values in zip(lines[::2], lines[1::2], strict=True):
            protocol, *names = titles.split()
            for title, value in zip(names, values.split()[1:], strict=True):
                yield protocol.rstrip(":") + title, int(value)


def _pairs() -> Iterator[tuple[str, int]]:
    for line in (_PROC_NET / "snmp6").read_text(encoding="ascii").splitlines():
        name, value = line.split()
        yield name, int(value)

"""What the tests of the generator share: plans, and a capture of what arrives at the server."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from bench.flood.plan import FloodPlan
from bench.net.namespaces import Topology, run_in, wait_until

_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33
_SOL_PACKET = 263
_PACKET_AUXDATA = 8
#: status, three lengths and two offsets, the tag that the kernel took out, and its EtherType.
_AUXDATA = struct.Struct("=IIIHHHH")
_TAG_VALID = 1 << 4
#: Python's socket module does not know it.
_SO_TIMESTAMPNS = 35


def plan_for(*sources: str, **changes: Any) -> FloodPlan:
    """Return a plan of 23 frames within a second from these sources to the server, with changes."""
    fields: dict[str, Any] = {
        "destination": "2001:2:0:1::1" if ":" in sources[0] else "198.18.0.1",
        "destination_port": 4321,
        "sources": sources,
        "frames": 23,
        "syn_per_s": 1000.0,
        "duration_s": 1.0,
    }
    return FloodPlan(**fields | changes)


class Capture:
    """The frames that come to the server, or that leave it."""

    def __init__(self, wire: socket.socket, kind: int) -> None:
        """Read those of that kind from a packet socket that is open already."""
        self._wire = wire
        self._kind = kind
        #: When each frame returned so far came, in seconds since the epoch.
        self.times_s: list[float] = []

    def frames(self, count: int) -> list[bytes]:
        """Return the TCP segments that came, once there are ``count``."""
        came: list[bytes] = []

        def take() -> bool:
            with suppress(BlockingIOError):
                while True:
                    frame, kind, time_s = self._next()
                    # What the kernel sends, and neighbour discovery, is not the generator's.
                    if kind == self._kind and TCP in Ether(frame):
                        came.append(frame)
                        self.times_s.append(time_s)
            return len(came) >= count

        wait_until(take, f"{count} frames")
        return came

    def decoded(self, count: int) -> list[Packet]:
        """Return the TCP segments that came, once there are ``count``, as scapy reads them."""
        return [Ether(frame) for frame in self.frames(count)]

    def _next(self) -> tuple[bytes, int, float]:
        """Return a frame, with the outer tag where the sender had put it, its kind and its time."""
        frame, ancillary, _, (_, _, kind, _, _) = self._wire.recvmsg(2048, 256)
        time_s = 0.0
        for level, name, data in ancillary:
            if (level, name) == (_SOL_PACKET, _PACKET_AUXDATA):
                status, *_, control, protocol = _AUXDATA.unpack(data[: _AUXDATA.size])
                if status & _TAG_VALID:
                    frame = frame[:12] + struct.pack("!HH", protocol, control) + frame[12:]
            elif (level, name) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack("=qq", data)
                time_s = seconds + nanoseconds / 1e9
        return frame, int(kind), time_s


@contextmanager
def capture_at_server(topology: Topology, kind: int = socket.PACKET_HOST) -> Iterator[Capture]:
    """Capture on the server's interface while the block lasts."""
    wire = run_in(
        topology.server, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    )
    with wire:
        wire.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
        wire.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        wire.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        wire.bind((topology.server.interface, _ETH_P_ALL))
        wire.setblocking(False)
        yield Capture(wire, kind)


def ip_of(frame: Packet) -> Packet:
    """Return the frame's IP header and what follows it."""
    packet: Packet = frame[IP if IP in frame else IPv6]
    return packet


def rebuilt(frame: Packet) -> bytes:
    """Return the frame's bytes with every checksum and length computed anew by scapy."""
    copy = frame.copy()
    if IP in copy:
        del copy[IP].chksum, copy[IP].len
    else:
        del copy[IPv6].plen
    del copy[TCP].chksum
    return bytes(copy)

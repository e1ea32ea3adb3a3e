"""Records what passes an interface, as tcpdump does, into lists of packets and files of them."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.defences.guard import synguard_command
from bench.net.links import Endpoint
from bench.net.namespaces import run_in
from tests.unit.replay.making import pcap

_ETH_P_ALL = 3
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_RECEIVE_BYTES = 64 << 20
#: Of sockaddr_ll: 4 is what the interface itself sends.
OUTGOING = 4
#: What passed before it can be read so much later at most.
SETTLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Recorded:
    """One packet as the kernel handed it over."""

    time_ns: int
    packet_type: int
    frame: bytes


class Recorder:
    """Records an endpoint's interface while the ``with`` block lasts."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.packets: list[Recorded] = []
        self._socket = run_in(
            endpoint, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        )
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.settimeout(0.1)
        run_in(endpoint, lambda: self._socket.bind((endpoint.interface, 0)))
        self._thread = threading.Thread(target=self._record)
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        time.sleep(SETTLE_S)
        self._stopping.set()
        self._thread.join()
        self._socket.close()

    def _record(self) -> None:
        while not self._stopping.is_set():
            try:
                frame, ancillary, _, sender = self._socket.recvmsg(65536, 64)
            except TimeoutError:
                continue
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            self.packets.append(Recorded(seconds * 10**9 + nanoseconds, sender[2], frame))

    def lost(self) -> int:
        """Return how many packets found no room."""
        _, dropped = struct.unpack("II", self._socket.getsockopt(263, 6, 8))  # SOL_PACKET, PACKET_STATISTICS
        return int(dropped)


def as_ethernet(packets: Iterable[Recorded]) -> bytes:
    """Return a pcap file of the frames."""
    return pcap([(one.time_ns, one.frame) for one in packets], nano=True)


def as_cooked(packets: Iterable[Recorded]) -> bytes:
    """Return a pcap file of cooked packets, which tell their direction, cut to their headers."""
    records = []
    for one in packets:
        header = struct.pack("!HHH8s", one.packet_type, 1, 6, one.frame[6:12] + bytes(2))
        records.append((one.time_ns, header + one.frame[12:]))
    return pcap(records, link_type=113, nano=True, snap=96)


def replayed(folder: Path, content: bytes, *options: str) -> dict[str, Any]:
    """Return what ``synguard replay --format json`` says of a capture."""
    path = folder / "recorded.pcap"
    path.write_bytes(content)
    argv = synguard_command("replay", str(path), "--format", "json", *options)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report

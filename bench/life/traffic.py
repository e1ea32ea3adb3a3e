"""A day's packets on the wire: clients for a while, a flood, and then nothing, again and again.

Whoever plays it is at both ends: it sends what comes to the guarded from its port of the switch, and answers
what passes the probe as a server would, without a socket. Frames have no checksums, so the guarded's own
stack discards them.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address

from bench.cost.frames import Segment, build_frame
from bench.net.enter import call_in

_NS_PER_S = 10**9
#: One round: clients come in its first part, and a flood in a part of that; then all is still.
ROUND_S = 600
_CLIENTS_S = 240
_FLOOD_BEGINS_S, _FLOOD_ENDS_S = 60, 75
_CLIENTS_PER_S, _FLOOD_PER_S = 2, 400
#: What comes within so long has the same time.
_STEP_NS = _NS_PER_S // 20
_CLIENTS = 40
_FIRST_CLIENT = int(IPv4Address("10.0.0.1"))
_FIRST_FLOODER = int(IPv4Address("10.99.0.1"))
_RECEIVE_BYTES = 1 << 22
_FRAME_BYTES_MAX = 256
_ETH_P_IP = 0x0800
#: Where in a frame of IPv4 these lie: source, destination, ports and numbers of the segment, its flags.
_SOURCE, _DESTINATION, _SEGMENT, _FLAGS = 26, 30, 34, 47
_SYN = 0x02
_ADDRESS, _ENDS = struct.Struct("!I"), struct.Struct("!HHII")
_PORT = 443


class Traffic:
    """Sends what is due, and knows how many SYNs and floods there were."""

    def __init__(self, switch: str, port: str, interface: str, begin_ns: int) -> None:
        """Open the wire's ends: ``port`` of the namespace ``switch``, and ``interface`` in this one.

        Raises OSError.
        """
        self.syns = 0
        self._begin_ns = self._done_ns = begin_ns
        self._random = random.Random(1)
        # Both stay open as long as the process that lives the day.
        self._far = call_in(switch, lambda: _wire(port, 0))
        self._near = _wire(interface, _ETH_P_IP)
        self._syn, self._answer, self._ack = (
            bytearray(build_frame(4, segment)) for segment in (Segment.SYN, Segment.SYN_ACK, Segment.ACK)
        )

    def floods(self, until_ns: int) -> int:
        """Return how many floods have ended by then."""
        rounds, rest = divmod((until_ns - self._begin_ns) / _NS_PER_S, ROUND_S)
        return int(rounds) + (rest > _FLOOD_ENDS_S)

    def play(self, until_ns: int, set_clock: Callable[[int], None]) -> None:
        """Send what is due by then; ``set_clock`` is told when each packet comes."""
        while self._done_ns < until_ns:
            began_ns = self._done_ns
            self._done_ns = min(began_ns + _STEP_NS, until_ns) if self._is_busy(began_ns) else until_ns
            set_clock(self._done_ns)
            for _ in range(self._due(began_ns, _CLIENTS_PER_S, 0, _CLIENTS_S)):
                self._send_syn(_FIRST_CLIENT + self.syns % _CLIENTS)
            for _ in range(self._due(began_ns, _FLOOD_PER_S, _FLOOD_BEGINS_S, _FLOOD_ENDS_S)):
                self._send_syn(self._flooder())
            self._serve()

    def _is_busy(self, at_ns: int) -> bool:
        return (at_ns - self._begin_ns) / _NS_PER_S % ROUND_S < _CLIENTS_S

    def _due(self, began_ns: int, per_s: int, begins_s: int, ends_s: int) -> int:
        """Return how many of so many a second come in this step of a round's part."""
        at_s = (began_ns - self._begin_ns) / _NS_PER_S % ROUND_S
        if not begins_s <= at_s < ends_s:
            return 0
        lasts_s = (self._done_ns - began_ns) / _NS_PER_S
        return int((at_s + lasts_s) * per_s) - int(at_s * per_s)

    def _flooder(self) -> int:
        """Return whom a SYN of the flood claims to come from: each second flood has one source, a new one."""
        number = int((self._done_ns - self._begin_ns) / _NS_PER_S // ROUND_S)
        return self._random.randrange(11 << 24, 99 << 24) if number % 2 else _FIRST_FLOODER + number

    def _send_syn(self, source: int) -> None:
        self.syns += 1
        port = 1024 + self.syns % 60_000
        _ADDRESS.pack_into(self._syn, _SOURCE, source)
        _ENDS.pack_into(self._syn, _SEGMENT, port, _PORT, self._random.getrandbits(32), 0)
        self._far.send(self._syn)

    def _serve(self) -> None:
        """Answer each SYN that came through; clients go on, flooders do not."""
        with suppress(BlockingIOError):
            while True:
                frame = self._near.recv(_FRAME_BYTES_MAX)
                if frame[_FLAGS] != _SYN:
                    continue
                (source,) = _ADDRESS.unpack_from(frame, _SOURCE)
                port, _, number, _ = _ENDS.unpack_from(frame, _SEGMENT)
                own = number ^ 0x5A5A5A5A
                _ADDRESS.pack_into(self._answer, _DESTINATION, source)
                _ENDS.pack_into(self._answer, _SEGMENT, _PORT, port, own, (number + 1) & 0xFFFFFFFF)
                self._near.send(self._answer)
                if 0 <= source - _FIRST_CLIENT < _CLIENTS:
                    _ADDRESS.pack_into(self._ack, _SOURCE, source)
                    _ENDS.pack_into(self._ack, _SEGMENT, port, _PORT, number + 1, (own + 1) & 0xFFFFFFFF)
                    self._far.send(self._ack)


def _wire(interface: str, protocol: int) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    wire.bind((interface, protocol))
    wire.setblocking(False)
    return wire

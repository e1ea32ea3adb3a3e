"""The child process that calls: real TCP connects to one or many targets, ended in the manner asked for."""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from itertools import cycle
from math import inf
from typing import Literal

import msgspec

from bench.peers.calls import Call, Caller
from bench.peers.messages import Outcome, Visit
from bench.peers.pace import Pace
from bench.peers.visit import become_client
from bench.talk import Parent

#: ``ask``: one request and its answer, then FIN. ``reset``: RST as soon as the connection is there.
Manner = Literal["ask", "reset"]

_REPORT_EVERY_NS = 50_000_000
#: ``struct linger``: close(2) sends RST.
_AT_ONCE = struct.pack("=ii", 1, 0)


class Dialling(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to call from where, how fast, and how patiently."""

    namespace: str
    #: Addresses of one family with their ports, called in turn.
    targets: tuple[tuple[str, int], ...]
    #: Bound to in turn; where there is none, the kernel chooses.
    sources: tuple[str, ...] = ()
    per_s: float
    #: Calls in all; None: until there are no more orders.
    most: int | None = None
    #: Begin none while so many go on, which is what a crowd does that has come as a whole. None: never wait.
    at_once: int | None = None
    #: How long a connection is waited for, and an answer. The kernel sends its SYN again meanwhile.
    patience_s: float
    manner: Manner = "ask"
    #: As in ``ServerSpec.kind``: it decides what is asked.
    server_kind: str = "accept-loop"


class Dialled(msgspec.Struct):
    """What has become of the calls so far."""

    begun: int = 0
    #: Connections established, whatever came after.
    connected: int = 0
    answered: int = 0
    #: By RST to the SYN.
    refused: int = 0
    #: No connection in time, or none because the network said so.
    unfinished: int = 0
    #: Connected, and not answered as asked.
    unserved: int = 0
    #: This host had no port or no route for it.
    not_begun: int = 0
    #: Calls that were never begun, because the process was late by more than ``Pace`` catches up with.
    skipped: int = 0
    over: bool = False


class Dialler(Caller):
    """Calls at its pace, whatever becomes of earlier calls."""

    def __init__(self, dialling: Dialling, poll: select.epoll, pace: Pace) -> None:
        address, port = dialling.targets[0]
        visit = Visit(
            namespace=dialling.namespace,
            address=address,
            port=port,
            server_kind=dialling.server_kind,
            sources=list(dialling.sources),
            kind="plain",
            per_s=dialling.per_s,
            connections=1,
        )
        super().__init__(visit, poll, dialling.patience_s)
        self._targets = cycle(dialling.targets)
        self._most = inf if dialling.most is None else dialling.most
        self._at_once = inf if dialling.at_once is None else dialling.at_once
        self._resets = dialling.manner == "reset"
        self._pace = pace
        self.so_far = Dialled()

    def begin(self, now_ns: int) -> float:
        """Begin the calls that are due; return when more are, infinity when none will be."""
        so_far = self.so_far
        if self.going_on >= self._at_once:
            # An end of one wakes the poll.
            return inf
        for _ in range(self._pace.take(now_ns)):
            if so_far.begun + so_far.not_begun >= self._most:
                return inf
            self._server = next(self._targets)
            if self.call() is None:
                so_far.not_begun += 1
            else:
                so_far.begun += 1
        so_far.skipped = self._pace.skipped
        return self._pace.next_ns()

    def connected(self, call: Call) -> None:
        """Go on in the manner asked for."""
        self.so_far.connected += 1
        if self._resets:
            call.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self._forget(call)
        else:
            self.ask(call, time.monotonic_ns())

    def answered(self, call: Call, asked_ns: int) -> None:  # noqa: ARG002 - there was one request only
        """Count it and hang up."""
        self.so_far.answered += 1
        self.hang_up(call)

    def lost(self, call: Call, outcome: Outcome) -> None:
        """Count what a call ended by."""
        if outcome is Outcome.REFUSED:
            self.so_far.refused += 1
        elif call.connect_ns is None:
            self.so_far.unfinished += 1
        else:
            self.so_far.unserved += 1


def main(argument: str) -> None:
    """Call until the parent has no more orders, and every call is over."""
    dialling = msgspec.json.decode(argument, type=Dialling)
    become_client(dialling.namespace)
    # Kept, for its descriptor is among those that are polled.
    parent = Parent()
    dialler = Dialler(dialling, select.epoll(), Pace(dialling.per_s, time.monotonic_ns()))
    dialler.attend(lambda: dialler.idle, lambda: parent.say(dialler.so_far), _REPORT_EVERY_NS)
    dialler.so_far.over = True
    parent.say(dialler.so_far)


if __name__ == "__main__":
    main(sys.argv[1])

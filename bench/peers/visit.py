"""The good client's child process: visits a server until its parent has no more orders."""

from __future__ import annotations

import gc
import select
import sys
import time
from math import inf
from pathlib import Path

import msgspec

from bench.net.enter import enter
from bench.peers.descriptors import allow_descriptors
from bench.peers.messages import Progress, Visit
from bench.peers.pace import Pace
from bench.peers.visitors import KeepAliveVisitor, PlainVisitor, Visitor
from bench.talk import Parent

_REPORT_EVERY_NS = 100_000_000
_ORDERS = 0
#: Below /proc/sys/net: nearly all ports, used again after a second where timestamps allow it (RFC 6191),
#: and elsewhere because only so many are ever held in TIME_WAIT.
_MANY_PORTS = {
    "ipv4/ip_local_port_range": "1024 65535",
    "ipv4/tcp_tw_reuse": "1",
    "ipv4/tcp_max_tw_buckets": "20000",
}
_VISITORS: dict[str, type[Visitor]] = {"plain": PlainVisitor, "keep-alive": KeepAliveVisitor}


def use_many_ports() -> None:
    """Let this process's network namespace begin as many connections as the busiest client does."""
    for path, value in _MANY_PORTS.items():
        (Path("/proc/sys/net") / path).write_text(value, encoding="ascii")


class _Reports:
    """Tells the parent several times a second what has ended."""

    def __init__(self, parent: Parent, visitor: Visitor, pace: Pace) -> None:
        self._parent = parent
        self._diary = visitor.diary
        self._pace = pace
        self.next_ns = 0

    def say(self, now_ns: int, *, over: bool = False) -> None:
        diary = self._diary
        records = diary.tear_out()
        self._parent.say(
            Progress(diary.attempted, diary.succeeded, diary.broken, self._pace.skipped, records, over)
        )
        self.next_ns = now_ns + _REPORT_EVERY_NS


def _visit(visit: Visit, parent: Parent) -> None:
    poll = select.epoll()
    poll.register(_ORDERS, select.EPOLLIN)
    pace = Pace(visit.per_s, time.monotonic_ns())
    visitor = _VISITORS[visit.kind](visit, poll, pace)
    reports = _Reports(parent, visitor, pace)
    ending = False
    while not (ending and visitor.wind_up()):
        now_ns = time.monotonic_ns()
        begin_ns = inf if ending else visitor.begin(now_ns)
        expire_ns = visitor.expire(now_ns) or inf
        if now_ns >= reports.next_ns:
            reports.say(now_ns)
        wait_ns = min(begin_ns, expire_ns, reports.next_ns) - now_ns
        for descriptor, events in poll.poll(max(wait_ns, 0) / 1e9):
            if descriptor == _ORDERS:
                # There is one order only: the end of the input.
                ending = True
                poll.unregister(_ORDERS)
            else:
                visitor.happened(descriptor, events)
    reports.say(0, over=True)


def main(argument: str) -> None:
    """Visit until the parent has no more orders."""
    visit = msgspec.json.decode(argument, type=Visit)
    enter(visit.namespace)
    use_many_ports()
    allow_descriptors()
    # Nothing here forms cycles, and a search for them stops the client in the middle of its pace.
    gc.disable()
    _visit(visit, Parent())


if __name__ == "__main__":
    main(sys.argv[1])

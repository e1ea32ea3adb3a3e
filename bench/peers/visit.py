"""The good client's child process: visits a server until its parent has no more orders."""

from __future__ import annotations

import gc
import os
import select
import sys
import time
from pathlib import Path

import msgspec

from bench.net.enter import enter
from bench.peers.descriptors import allow_descriptors
from bench.peers.messages import Progress, Visit
from bench.peers.pace import Pace
from bench.peers.visitors import KeepAliveVisitor, PlainVisitor, Visitor
from bench.talk import Parent

_REPORT_EVERY_NS = 100_000_000
#: Below /proc/sys/net: nearly all ports, used again after a second where timestamps allow it (RFC 6191),
#: and elsewhere because only so many are ever held in TIME_WAIT.
_MANY_PORTS = {
    "ipv4/ip_local_port_range": "1024 65535",
    "ipv4/tcp_tw_reuse": "1",
    "ipv4/tcp_max_tw_buckets": "20000",
}
_VISITORS: dict[str, type[Visitor]] = {"plain": PlainVisitor, "keep-alive": KeepAliveVisitor}


def become_client(namespace: str) -> None:
    """Move this process into a namespace, and let both have all the connections that they may."""
    enter(namespace)
    for path, value in _MANY_PORTS.items():
        (Path("/proc/sys/net") / path).write_text(value, encoding="ascii")
    allow_descriptors()
    # Nothing here forms cycles, and a search for them stops the client in the middle of its pace.
    gc.disable()


class _Reports:
    """Tells the parent several times a second what has ended."""

    def __init__(self, parent: Parent, visitor: Visitor, pace: Pace) -> None:
        self._parent = parent
        self._diary = visitor.diary
        self._pace = pace

    def say(self, *, over: bool = False) -> None:
        diary = self._diary
        records = diary.tear_out()
        self._parent.say(
            Progress(diary.attempted, diary.succeeded, diary.broken, self._pace.skipped, records, over)
        )


def main(argument: str) -> None:
    """Visit until the parent has no more orders."""
    visit = msgspec.json.decode(argument, type=Visit)
    become_client(visit.namespace)
    if visit.cpu is not None:
        os.sched_setaffinity(0, {visit.cpu})
    # Kept, for its descriptor is among those that are polled.
    parent = Parent()
    poll = select.epoll()
    pace = Pace(visit.per_s, time.monotonic_ns())
    visitor = _VISITORS[visit.kind](visit, poll, pace)
    reports = _Reports(parent, visitor, pace)
    visitor.attend(visitor.wind_up, reports.say, _REPORT_EVERY_NS)
    reports.say(over=True)


if __name__ == "__main__":
    main(sys.argv[1])

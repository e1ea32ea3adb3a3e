"""Watches the kernel that answers SYNs: counters at each read, queues once a second where asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from structlog.typing import FilteringBoundLogger

from synguard.endpoint import Listener
from synguard.impact.conntrack import read_conntrack
from synguard.impact.counters import Counters, read_settings
from synguard.impact.sockets import queues_of, read_sockets
from synguard.server import ListenerQueues, ServerReading

#: Sockets are asked for at most so often, as is what seldom changes.
SLOW_INTERVAL_NS = 10**9

_Result = TypeVar("_Result")


class _Queues(NamedTuple):
    read_ns: int
    by_listener: Mapping[Listener, ListenerQueues]


class ServerWatch:
    """Reads this network namespace; what cannot be read is left out, logged once, and named in ``problems``.

    Counters take some 70 µs. Sockets take a millisecond to tens of them, the most just in a flood, and are
    read by a thread of their own: a reading carries what the last look found.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        #: What cannot be read now, and why.
        self.problems: dict[str, str] = {}
        self._log = log
        self._counters = Counters()
        self._settings: Mapping[str, int] | None = None
        self._conntrack: tuple[int, int] | None = None
        self._slowly_read_ns: int | None = None
        self._queues: _Queues | None = None
        self._asked_ns: int | None = None
        self._looking: Future[_Queues] | None = None
        self._thread = ThreadPoolExecutor(1, "sockets")

    def close(self) -> None:
        """End the thread that reads sockets, once it has what it asked for, and close what is open."""
        self._thread.shutdown()
        self._counters.close()

    def read(self, now_ns: int, wanted: Collection[Listener]) -> ServerReading | None:
        """Return what is known at a moment of the monotonic clock; None without counters or their settings.

        Queues are those of the ``wanted`` listeners, and no older than the look before the last; while nobody
        wants any, no socket is looked at.
        """
        self._read_slowly(now_ns)
        self._read_queues(now_ns, wanted)
        counters = self._try("counters", self._counters.read)
        if counters is None or self._settings is None:
            return None
        entries, limit = self._conntrack or (None, None)
        return ServerReading(
            read_ns=now_ns,
            counters=counters,
            syncookies=self._settings["tcp_syncookies"],
            queues=self._queues.by_listener if self._queues else {},
            queues_read_ns=self._queues.read_ns if self._queues else None,
            conntrack_entries=entries,
            conntrack_limit=limit,
        )

    def _read_slowly(self, now_ns: int) -> None:
        if self._slowly_read_ns is not None and now_ns - self._slowly_read_ns < SLOW_INTERVAL_NS:
            return
        self._slowly_read_ns = now_ns
        self._settings = self._try("settings", read_settings)
        self._conntrack = self._try("conntrack", read_conntrack)

    def _read_queues(self, now_ns: int, wanted: Collection[Listener]) -> None:
        """Take what the last look found, and begin another one if it is due."""
        if self._looking is not None:
            if not self._looking.done():
                return
            self._queues = self._try("queues", self._looking.result)
            self._looking = None
        if not wanted or self._settings is None:
            self._queues = None
            return
        if self._asked_ns is None or now_ns - self._asked_ns >= SLOW_INTERVAL_NS:
            self._asked_ns = now_ns
            self._looking = self._thread.submit(_look, now_ns, frozenset(wanted), self._settings)

    def _try(self, what: str, read: Callable[[], _Result]) -> _Result | None:
        """Return what is read, or None if that fails, which is told when it begins and when it ends."""
        try:
            found = read()
        except (OSError, ValueError) as error:
            if what not in self.problems:
                self._log.error("server.unreadable", what=what, error=str(error))
            self.problems[what] = str(error)
            return None
        if self.problems.pop(what, None) is not None:
            self._log.info("server.readable", what=what)
        return found


def _look(now_ns: int, wanted: Collection[Listener], settings: Mapping[str, int]) -> _Queues:
    return _Queues(now_ns, queues_of(read_sockets(), wanted, settings))

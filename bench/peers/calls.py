"""Many TCP connections in one thread: opens them, times them, and tells what becomes of each.

An epoll loop without asyncio, because a crowd of thousands a second has to come from a fraction of a
core. Connections are closed as ordinary clients close theirs: FIN first, then wait for the server's.
"""

from __future__ import annotations

import abc
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from errno import EADDRNOTAVAIL, ECONNREFUSED, EINPROGRESS
from itertools import cycle
from math import inf

from bench.peers.messages import Outcome, Visit
from bench.peers.speech import SPEECHES

#: A client whose new connection takes longer is cut off; so is one whose answer does.
CUT_OFF_S = 1.5

_CHUNK_BYTES = 1 << 16
_ORDERS = 0
_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_FAILED = select.EPOLLERR | select.EPOLLHUP
_ENDED = select.EPOLLRDHUP | _FAILED
_HEARD = select.EPOLLIN | _ENDED

#: linux/in.h and linux/in6.h; the socket module knows them only from Python 3.12 on, or not at all.
_IP_FREEBIND = 15
_IP_BIND_ADDRESS_NO_PORT = 24
_IPV6_FREEBIND = 78

CONNECTING, UP, CLOSING, GONE = range(4)


class Call:
    """One connection, and what waits for an answer in it."""

    __slots__ = ("asked_ns", "connect_ns", "heard", "phase", "since_ns", "slot", "socket")

    def __init__(self, opened: socket.socket, since_ns: int) -> None:
        self.socket = opened
        self.phase = CONNECTING
        #: When its first SYN was sent; once it is being closed, since when.
        self.since_ns = since_ns
        #: From the first SYN to the established connection.
        self.connect_ns: int | None = None
        #: When each request was due whose answer is not here yet, the oldest first.
        self.asked_ns: deque[int] = deque()
        self.heard = b""
        #: A keep-alive client's number for it.
        self.slot = 0

    def overdue(self, began_ns: int) -> bool:
        """Return whether what began by then is still waited for."""
        if self.phase == UP:
            return bool(self.asked_ns) and self.asked_ns[0] <= began_ns
        return self.phase != GONE and self.since_ns <= began_ns


class Caller(abc.ABC):
    """Calls one server from one or several addresses.

    Args:
        visit: whom to call.
        poll: tells what happens to the sockets; others may use it too.
        patience_s: how long a connection is waited for, an answer, and the other's FIN.

    """

    def __init__(self, visit: Visit, poll: select.epoll, patience_s: float = CUT_OFF_S) -> None:
        self._server = (visit.address, visit.port)
        self._patience_ns = int(patience_s * 1e9)
        self._family = socket.AF_INET6 if ":" in visit.address else socket.AF_INET
        self._sources = cycle(visit.sources) if visit.sources else None
        self._speech = SPEECHES[visit.server_kind]
        self._poll = poll
        self._calls: dict[int, Call] = {}
        #: What must be over when patience ends that began then, the oldest first.
        self._limits: deque[tuple[int, Call]] = deque()

    @abc.abstractmethod
    def begin(self, now_ns: int) -> float:
        """Begin what is due; return when more is, infinity when nothing will be unless something happens."""

    @abc.abstractmethod
    def connected(self, call: Call) -> None:
        """Take in that a call is established."""

    @abc.abstractmethod
    def answered(self, call: Call, asked_ns: int) -> None:
        """Take in that the oldest request of a call was answered."""

    @abc.abstractmethod
    def lost(self, call: Call, outcome: Outcome) -> None:
        """Take in that a call ended before it was hung up; what it still asked gets no answer."""

    def attend(self, wound_up: Callable[[], bool], report: Callable[[], None], every_ns: int) -> None:
        """Begin what is due until this process's input ends, then go on until ``wound_up``, asked often.

        ``report`` is called every so often from the beginning on.
        """
        self._poll.register(_ORDERS, select.EPOLLIN)
        ending, report_ns = False, 0
        while not (ending and wound_up()):
            now_ns = time.monotonic_ns()
            begin_ns = inf if ending else self.begin(now_ns)
            expire_ns = self.expire(now_ns) or inf
            if now_ns >= report_ns:
                report()
                report_ns = now_ns + every_ns
            wait_ns = min(begin_ns, expire_ns, report_ns) - now_ns
            for descriptor, events in self._poll.poll(max(wait_ns, 0) / 1e9):
                if descriptor == _ORDERS:
                    # There is one order only: the end of the input.
                    ending = True
                    self._poll.unregister(_ORDERS)
                else:
                    self.happened(descriptor, events)

    @property
    def going_on(self) -> int:
        """How many calls are not over."""
        return len(self._calls)

    @property
    def idle(self) -> bool:
        """Whether every call is over."""
        return not self._calls

    def call(self) -> Call | None:
        """Begin a connection; return None when this host has nothing to begin it with."""
        try:
            opened = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            return None
        try:
            if self._sources is not None:
                self._bind(opened, next(self._sources))
            since_ns = time.monotonic_ns()
            error = opened.connect_ex(self._server)
        except OSError:
            error = EADDRNOTAVAIL
        if error not in (0, EINPROGRESS):
            opened.close()
            return None
        call = Call(opened, since_ns)
        self._calls[opened.fileno()] = call
        self._limits.append((since_ns, call))
        self._poll.register(opened.fileno(), _EVENTS)
        return call

    def _bind(self, opened: socket.socket, source: str) -> None:
        opened.setsockopt(socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        if self._family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            opened.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)
        opened.bind((source, 0))

    def ask(self, call: Call, due_ns: int) -> None:
        """Say the request, or keep it until the call is established; it counts from ``due_ns`` on."""
        call.asked_ns.append(due_ns)
        self._limits.append((due_ns, call))
        if call.phase == UP:
            self._send(call, self._speech.request)

    def _send(self, call: Call, requests: bytes) -> None:
        try:
            call.socket.send(requests)
        except OSError:
            self._lose(call, Outcome.CUT)

    def hang_up(self, call: Call) -> None:
        """Close a call from this side, and wait for the other's FIN as long as for anything else.

        So this side holds TIME_WAIT. A server that did would let a SYN from the same port pass by its
        full SYN queue (tcp_conn_request() in net/ipv4/tcp_input.c).
        """
        try:
            call.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._forget(call)
            return
        call.phase = CLOSING
        call.since_ns = time.monotonic_ns()
        self._limits.append((call.since_ns, call))

    def happened(self, descriptor: int, events: int) -> None:
        """Take in what the poll says of one of the sockets; what is not among them is ignored."""
        call = self._calls.get(descriptor)
        if call is None:
            return
        if call.phase == CONNECTING:
            self._establish(call, events)
        if call.phase == UP and events & _HEARD:
            self._hear(call)
        if events & _ENDED and call.phase != GONE:
            if call.phase == CLOSING:
                self._forget(call)
            else:
                self._lose(call, Outcome.CUT)

    def _establish(self, call: Call, events: int) -> None:
        if events & _FAILED:
            refused = call.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == ECONNREFUSED
            self._lose(call, Outcome.REFUSED if refused else Outcome.NOT_CONNECTED)
            return
        connect_ns = time.monotonic_ns() - call.since_ns
        if connect_ns > self._patience_ns:
            self._lose(call, Outcome.NOT_CONNECTED)
            return
        call.connect_ns = connect_ns
        call.phase = UP
        if call.asked_ns:
            self._send(call, self._speech.request * len(call.asked_ns))
        if call.phase == UP:
            self.connected(call)

    def _hear(self, call: Call) -> None:
        try:
            call.heard += call.socket.recv(_CHUNK_BYTES)
            while call.phase == UP and (answer_bytes := self._answer_bytes(call)):
                call.heard = call.heard[answer_bytes:]
                self.answered(call, call.asked_ns.popleft())
        except BlockingIOError:
            return
        except OSError:
            self._lose(call, Outcome.CUT)
        except ValueError:
            self._lose(call, Outcome.WRONG_ANSWER)

    def _answer_bytes(self, call: Call) -> int:
        if call.heard and not call.asked_ns:
            raise ValueError("an answer to nothing")
        return self._speech.answer_bytes(call.heard) if call.heard else 0

    def expire(self, now_ns: int) -> int | None:
        """Give up what has taken too long; return when the next may have, None when nothing goes on."""
        limits = self._limits
        while limits and limits[0][0] + self._patience_ns <= now_ns:
            began_ns, call = limits.popleft()
            if not call.overdue(began_ns):
                continue
            if call.phase == CLOSING:
                self._forget(call)
            else:
                self._lose(call, Outcome.NO_ANSWER if call.phase == UP else Outcome.NOT_CONNECTED)
        return limits[0][0] + self._patience_ns if limits else None

    def _lose(self, call: Call, outcome: Outcome) -> None:
        self._forget(call)
        self.lost(call, outcome)

    def _forget(self, call: Call) -> None:
        del self._calls[call.socket.fileno()]
        call.socket.close()
        call.phase = GONE

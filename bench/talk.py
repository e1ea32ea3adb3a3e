"""How the bench talks to the child processes it starts: JSON, one object a line, over a socket pair.

The socket is the child's standard input and output. When the parent ends, however it ends, the child
reads the end of its input and ends too.
"""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec

from bench.net.enter import child_environment
from synguard.errors import SynguardError

_END_TIMEOUT_S = 5.0
_CHUNK_BYTES = 1 << 16
_Said = TypeVar("_Said")


class _Lines:
    """A socket's lines, waited for with a time limit."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._pending = b""
        self.ended = False

    def next(self, timeout_s: float | None) -> bytes | None:
        """Return the next line; None when none came in time, or when ``ended``."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            remaining_s = None if deadline_s is None else max(deadline_s - time.monotonic(), 0.0)
            ready, _, _ = select.select([self._channel], [], [], remaining_s)
            chunk = self._receive() if ready else b""
            self.ended = bool(ready) and not chunk
            if not chunk:
                return None
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _receive(self) -> bytes:
        try:
            return self._channel.recv(_CHUNK_BYTES)
        except ConnectionResetError:  # the other side ended with our last words unread
            return b""


class Child(Generic[_Said]):
    """A Python module run as a child process, while the ``with`` block lasts.

    Args:
        module: what ``python -m`` runs.
        argument: its one argument, sent as JSON.
        said: the type of the lines it says.

    """

    def __init__(self, module: str, argument: Any, said: type[_Said]) -> None:
        self._argv = [sys.executable, "-m", module, msgspec.json.encode(argument).decode()]
        self._said = said
        self._name = module

    def __enter__(self) -> Self:
        self._channel, theirs = socket.socketpair()
        self._lines = _Lines(self._channel)
        with theirs:
            self._process = subprocess.Popen(
                self._argv,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                env=child_environment(),
                # A Ctrl-C reaches the parent alone, which then ends its children in order.
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def order(self, line: Any) -> None:
        """Tell the child something; raises SynguardError when it has ended."""
        try:
            self._channel.sendall(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise SynguardError(f"{self._name} has ended") from error

    def hear(self, timeout_s: float) -> _Said:
        """Return what the child says next; raises SynguardError when it says nothing in time."""
        line = self._lines.next(timeout_s)
        if line is None:
            why = "ended" if self._lines.ended else f"said nothing within {timeout_s:g} s"
            raise SynguardError(f"{self._name} {why}")
        return msgspec.json.decode(line, type=self._said)

    def heard(self) -> Iterator[_Said]:
        """Yield all that the child says until it ends."""
        while (line := self._lines.next(None)) is not None:
            yield msgspec.json.decode(line, type=self._said)

    def no_more_orders(self) -> None:
        """Let the child read the end of its input; what it still says can be heard."""
        # A child that has ended has no more orders either.
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """Kill the child; what it had said can still be heard. Harmless when it has ended."""
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """Close the child's input and wait for its end; return its exit code."""
        self._channel.close()
        try:
            return self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Parent(_Lines):
    """The child's side of the conversation."""

    def __init__(self) -> None:
        super().__init__(socket.socket(fileno=0))

    def say(self, line: Any) -> None:
        """Tell the parent something; one that has ended hears nothing, and its child ends next."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._channel.sendall(msgspec.json.encode(line) + b"\n")

"""Runs a program inside a namespace and follows the JSON log that it prints, one object a line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from bench.net.enter import child_environment, command_in
from synguard.errors import SynguardError, UnsupportedError, UsageError

_STOP_TIMEOUT_S = 10.0
#: The end of a log comes with the end of its program, unless something else has it open too.
_LOG_TIMEOUT_S = 2.0
_ERRORS = {error.exit_code: error for error in (SynguardError, UsageError, UnsupportedError)}


class LogEvent(NamedTuple):
    """One line of a detector's log, with the moment at which it could be read (CLOCK_MONOTONIC)."""

    seen_ns: int
    name: str
    fields: dict[str, Any]


class Followed:
    """A program that logs to its standard output, while the ``with`` block lasts.

    Args:
        name: what messages call it.
        namespace: where it runs.
        argv: its command line.
        errors: a file for what it writes to its error output.
        on_event: called with each log event, in a thread of its own, before anyone who waits is told.

    """

    def __init__(
        self,
        name: str,
        namespace: str,
        argv: Sequence[str],
        errors: Path,
        on_event: Callable[[LogEvent], None] | None = None,
    ) -> None:
        self._name = name
        self._argv = command_in(namespace, argv)
        self._errors = errors
        self._on_event = on_event
        self._heard = threading.Condition()
        self._events: list[LogEvent] = []
        self._ended = False

    def __enter__(self) -> Self:
        """Start it; returns at once."""
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=child_environment(),
                # A Ctrl-C reaches the parent alone, which then stops it in order.
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read_log, name=f"{self._name}-log", daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def events(self) -> list[LogEvent]:
        """Every log event so far."""
        with self._heard:
            return list(self._events)

    def named(self, name: str) -> list[LogEvent]:
        """Return the events of that name so far."""
        return [event for event in self.events if event.name == name]

    def tell(self, line: str) -> None:
        """Write a line to its standard input; raises SynguardError when it has ended."""
        assert self._process.stdin is not None  # noqa: S101 - tells the type checker of PIPE
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise SynguardError(f"{self._name} has ended: {self.last_words()}") from error

    def _read_log(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - tells the type checker of PIPE
        for line in self._process.stdout:
            seen_ns = time.monotonic_ns()
            try:
                fields = msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.DecodeError:
                continue  # a warning that some library printed
            event = LogEvent(seen_ns, str(fields.get("event")), fields)
            if self._on_event:
                self._on_event(event)
            with self._heard:
                self._events.append(event)
                self._heard.notify_all()
        with self._heard:
            self._ended = True
            self._heard.notify_all()

    def wait_for(self, ready: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until ``ready``, asked after each log event, says yes.

        Raises the error of its exit code when it ends first, SynguardError when it takes too long; both
        name ``what``.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._heard:
            while not ready():
                if self._ended:
                    break
                if time.monotonic() > deadline_s:
                    raise SynguardError(f"{self._name} did not come to {what} within {timeout_s:g} s")
                self._heard.wait(max(deadline_s - time.monotonic(), 0.0))
            else:
                return
        kind = _ERRORS.get(self.wait(), SynguardError)
        raise kind(f"{self._name} ended before {what}: {self.last_words()}")

    def last_words(self) -> str:
        """Return the end of what it wrote to its error output, or of its log."""
        text = self._errors.read_text(encoding="utf-8", errors="replace").strip()
        return text[-2000:] or (str(self._events[-1].fields) if self._events else "it said nothing")

    def stop(self) -> int:
        """Stop it as ``kill`` would, wait, and return its exit code. Harmless when repeated."""
        if self._process.poll() is None:
            self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Wait for the end of a program that was told to stop, and return its exit code.

        What it started and left running is killed; raises SynguardError when even then its log has no end.
        """
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._read_to_the_end()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        return self._process.returncode

    def _read_to_the_end(self) -> None:
        self._reader.join(_LOG_TIMEOUT_S)
        if self._reader.is_alive():
            # Its session is its own, so this reaches what it left behind and nobody else.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reader.join(_LOG_TIMEOUT_S)
        if self._reader.is_alive():
            raise SynguardError(f"{self._name} has ended, but something that it started keeps its log open")

"""A terminal with a screen that can be read, and the real command line on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import pyte

#: The emulator knows no such sequences, and would print what follows their first letters.
_UNKNOWN = re.compile(rb"\x1b\[[<>=][0-9;]*[a-z]|\x1b\[\?[0-9;]*\$p|\x1b[PX_][^\x1b]*\x1b\\\\")
#: Until something is on the screen, on a machine that has much to do.
PATIENCE_S = 30.0


class Screen:
    """A command on a terminal of its own, while the ``with`` block lasts.

    Args:
        argv: the command.
        columns, lines: the terminal's size.
        environment: what is set beside this process's own.

    """

    def __init__(
        self,
        argv: Sequence[str],
        columns: int = 120,
        lines: int = 30,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.received = b""
        self._ours, self._theirs = os.openpty()
        self.before = termios.tcgetattr(self._theirs)
        self._set_size(columns, lines)
        inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
        self.process = subprocess.Popen(
            argv,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            env={**inherited, "TERM": "xterm-256color", **(environment or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size, as its user does."""
        self._screen.resize(lines, columns)
        self._set_size(columns, lines)
        self.process.send_signal(signal.SIGWINCH)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._ours, keys.encode())

    def lines(self) -> list[str]:
        """Return the screen's lines, without blanks at their ends."""
        self._read(0.0)
        return [line.rstrip() for line in self._screen.display]

    def text(self) -> str:
        """Return what is on the screen."""
        return "\n".join(self.lines())

    def colours(self) -> set[str]:
        """Return the colours of all that is on the screen, but for the terminal's own."""
        self._read(0.0)
        cells = [cell for line in self._screen.buffer.values() for cell in line.values()]
        return {colour for cell in cells for colour in (cell.fg, cell.bg)} - {"default"}

    def wait_for(self, words: str | Callable[[str], bool]) -> str:
        """Wait until some words are on the screen, or what is there passes; return it."""
        passes = words if callable(words) else lambda text: words in text
        deadline_s = time.monotonic() + PATIENCE_S
        while not passes(text := self.text()):
            if time.monotonic() > deadline_s:
                raise AssertionError(f"not on the screen: {words!r}; it shows:\n{text}")
            self._read(0.05)
        return text

    def end(self) -> int:
        """Wait until the command has ended, and return its exit code."""
        deadline_s = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline_s:
            self._read(0.05)
        code = self.process.wait(1.0)
        self._read(0.0)
        return code

    def is_restored(self) -> bool:
        """Tell whether the terminal is as it was: its modes, its cursor, and its own screen."""
        hidden_last = self.received.rfind(b"\x1b[?25l") > self.received.rfind(b"\x1b[?25h")
        other_last = self.received.rfind(b"\x1b[?1049h") > self.received.rfind(b"\x1b[?1049l")
        return termios.tcgetattr(self._theirs) == self.before and not hidden_last and not other_last

    def _read(self, wait_s: float) -> None:
        while select.select([self._ours], [], [], wait_s)[0]:
            wait_s = 0.0
            with contextlib.suppress(OSError):
                chunk = os.read(self._ours, 65536)
                self.received += chunk
                self._stream.feed(_UNKNOWN.sub(b"", chunk))


def synguard(*arguments: str) -> list[str]:
    """Return the command line of ``synguard`` under this Python."""
    return [sys.executable, "-m", "synguard", *arguments]

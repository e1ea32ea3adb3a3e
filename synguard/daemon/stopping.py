"""Remembers that a signal asked the daemon to stop, or to reload, from its first moment to its last.

Nothing is interrupted: a probe that is half on or half off an interface would be left behind.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopRequest:
    """While the ``with`` block lasts, SIGTERM and SIGINT only set :attr:`asked`.

    SIGHUP asks a service to reload. To what was started in a terminal it says that the terminal is gone, and
    stops it; one that is ignored already stays so: ``nohup synguard run`` outlives its terminal. A SIGINT
    does not: shells ignore it for what a script starts with ``&``, and nobody means that.
    """

    def __init__(self) -> None:
        self.asked = False
        self._asked_to_reload = False
        self._in_terminal = _has_terminal()
        self._notify: Callable[[], object] | None = None
        self._notify_of_reload: Callable[[], object] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def tell(self, notify: Callable[[], object] | None) -> None:
        """Call ``notify`` once when asked to stop, at once if that was before; None for nobody."""
        self._notify = notify
        if self.asked and notify is not None:
            notify()

    def tell_reload(self, notify: Callable[[], object] | None) -> None:
        """Call ``notify`` each time when asked to reload, at once if that was before; None for nobody."""
        self._notify_of_reload = notify
        if self._asked_to_reload and notify is not None:
            self._asked_to_reload = False
            notify()

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            return
        if number == signal.SIGHUP and not self._in_terminal:
            self._asked_to_reload = self._notify_of_reload is None
            if self._notify_of_reload is not None:
                self._notify_of_reload()
            return
        self.asked = True
        if self._notify is not None:
            self._notify()


def _has_terminal() -> bool:
    """Tell whether a terminal controls this process: its end would be a SIGHUP."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True

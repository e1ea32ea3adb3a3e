"""Remembers that a signal asked the daemon to stop, from its first moment to its last.

Nothing is interrupted: a probe that is half on or half off an interface would be left behind.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopRequest:
    """While the ``with`` block lasts, SIGTERM, SIGINT and SIGHUP only set :attr:`asked`.

    A SIGHUP that is ignored already stays so: ``nohup synguard run`` outlives its terminal. A SIGINT does
    not: shells ignore it for what a script starts with ``&``, and nobody means that.
    """

    def __init__(self) -> None:
        self.asked = False
        self._notify: Callable[[], object] | None = None
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

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            return
        self.asked = True
        if self._notify is not None:
            self._notify()

"""Drives the time of a process: it stands while anything works, and leaps to what is due next.

The clock takes the place of what ``time`` tells, so it must be installed before anything is imported that
keeps a reference to those functions. asyncio's loop sleeps by it, and threads in a :class:`DrivenCondition`.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

_NS_PER_S = 10**9
#: How long the loop waits, in real time, for what works elsewhere.
_LOOK_AGAIN_S = 0.0005

_FOREVER_S = 365 * 86400.0

_Result = TypeVar("_Result")


def _whole_ns(seconds: float) -> int:
    """Return a nanosecond more rather than less: who wakes too early would never get on."""
    return int(seconds * _NS_PER_S) + 1


class DrivenClock:
    """A process's monotonic and wall clock; both go on from the real ones."""

    def __init__(self) -> None:
        self.now_ns = time.monotonic_ns()
        #: Called with the time at which it leaves off and the one to which it leaps, before it does.
        self.passing: Callable[[int, int], None] = lambda _from_ns, _to_ns: None
        self._wall_ahead_ns = time.time_ns() - self.now_ns
        self._lock = threading.Lock()
        self._working = 0
        self._conditions: list[DrivenCondition] = []

    def install(self) -> None:
        """Let the whole process go by this clock."""
        time.monotonic_ns = lambda: self.now_ns
        time.monotonic = lambda: self.now_ns / _NS_PER_S
        time.time_ns = lambda: self.now_ns + self._wall_ahead_ns
        time.time = lambda: (self.now_ns + self._wall_ahead_ns) / _NS_PER_S

    def work(self, change: int) -> None:
        """Say that something has begun, 1, or ended, -1, during which no time passes."""
        with self._lock:
            self._working += change

    def heed(self, condition: DrivenCondition) -> None:
        """Let no time pass unless the condition's thread sleeps."""
        self._conditions.append(condition)

    @property
    def stands(self) -> bool:
        """Whether something works yet."""
        return self._working > 0 or any(one.wakes_at_ns is None for one in self._conditions)

    def leap(self, at_most_s: float) -> None:
        """Let the time pass until so far from now, or until the first thread that sleeps is to wake."""
        until_ns = self.now_ns + _whole_ns(at_most_s)
        wakes_ns = [one.wakes_at_ns for one in self._conditions if one.wakes_at_ns is not None]
        until_ns = max(self.now_ns, min([until_ns, *wakes_ns]))
        self.passing(self.now_ns, until_ns)
        self.now_ns = until_ns
        for condition in self._conditions:
            if condition.wakes_at_ns is not None and condition.wakes_at_ns <= until_ns:
                with condition:
                    condition.notify_all()

    def run(self, main: Coroutine[Any, Any, _Result]) -> _Result:
        """Do what asyncio.run() does, by this clock."""
        with asyncio.Runner(loop_factory=lambda: _Loop(self)) as runner:
            return runner.run(main)


class DrivenCondition(threading.Condition):
    """One thread's condition, which waits by the clock."""

    def __init__(self, clock: DrivenClock) -> None:
        super().__init__()
        self._clock = clock
        #: None while its thread does not sleep.
        self.wakes_at_ns: int | None = None
        clock.heed(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait to be notified, or until the clock has come so far."""
        self.wakes_at_ns = self._clock.now_ns + _whole_ns(_FOREVER_S if timeout is None else timeout)
        return super().wait()

    def notify(self, n: int = 1) -> None:
        """Wake the thread."""
        self.wakes_at_ns = None
        super().notify(n)


class _Selector(selectors.EpollSelector):
    def __init__(self, clock: DrivenClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if timeout is None or self._clock.stands:
            return super().select(_LOOK_AGAIN_S)
        self._clock.leap(timeout)
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: DrivenClock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock

    def run_in_executor(self, executor: Executor | None, func: Callable[..., _Result], *args: Any) -> Any:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self._clock.work(1)
        future.add_done_callback(lambda _done: self._clock.work(-1))
        return future

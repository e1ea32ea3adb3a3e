"""Counts what alerts brought about in the last minute, so that a storm of them stays within its cap."""

from __future__ import annotations

from collections import deque

#: What a minute is here, in seconds.
WINDOW_S = 60


class Pacing:
    """How many responses were brought about lately. Times are seconds of any clock, the caller's.

    They are kept by whole seconds, so the window is up to a second longer than a minute, never shorter. When
    the clock is set back, what was done after its new present counts as done now: not until it is caught up.
    """

    def __init__(self) -> None:
        #: Whole seconds with what was done in each, oldest first: at most one more than the window has.
        self._done: deque[tuple[int, int]] = deque()

    def took(self, actions: int, now_s: float) -> None:
        """Take in that so many responses were brought about."""
        second = int(now_s)
        self._forget(second)
        if self._done and self._done[-1][0] == second:
            actions += self._done.pop()[1]
        self._done.append((second, actions))

    def last_min(self, now_s: float) -> int:
        """Return how many were brought about in the minute before ``now_s``."""
        self._forget(int(now_s))
        return sum(actions for _, actions in self._done)

    def _forget(self, second: int) -> None:
        later = 0
        while self._done and self._done[-1][0] > second:
            later += self._done.pop()[1]
        if later:
            self._done.append((second, later + (self._done.pop()[1] if self._is_last(second) else 0)))
        while self._done and self._done[0][0] < second - WINDOW_S:
            self._done.popleft()

    def _is_last(self, second: int) -> bool:
        return bool(self._done) and self._done[-1][0] == second

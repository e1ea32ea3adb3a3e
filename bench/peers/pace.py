"""Holds a client to its schedule: how many attempts are due, whatever became of the earlier ones."""

from __future__ import annotations

#: Attempts begun at a stretch; between stretches the answers of earlier ones are heard.
STRETCH = 32
#: A process that was kept from running catches up with this long a time's attempts at most.
CATCH_UP_S = 1.0


class Pace:
    """So many attempts a second from ``start_ns`` on, the first of them at once."""

    def __init__(self, per_s: float, start_ns: int) -> None:
        self._per_ns = per_s / 1e9
        self._start_ns = start_ns
        self._catch_up = max(int(per_s * CATCH_UP_S), 1)
        self._taken = 0
        #: Attempts that were never begun, because the process was late by more than ``CATCH_UP_S``.
        self.skipped = 0

    def take(self, now_ns: int) -> int:
        """Return how many attempts to begin now, 0 to ``STRETCH``; they count as begun."""
        due = int((now_ns - self._start_ns) * self._per_ns) + 1 - self._taken
        late = due - self._catch_up
        if late > 0:
            self.skipped += late
            self._taken += late
            due -= late
        taken = min(due, STRETCH)
        self._taken += taken
        return taken

    def next_ns(self) -> int:
        """Return when the next attempt is due."""
        return self._start_ns + int(self._taken / self._per_ns)

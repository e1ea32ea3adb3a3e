"""What responses go by between two decisions: how the listeners fare, as the last snapshot says."""

from __future__ import annotations

from collections.abc import Callable

from synguard.endpoint import Listener
from synguard.handshake import Answer
from synguard.model import ListenerReading, Snapshot


class Figures:
    """The last snapshot, from which single listeners can be asked for."""

    def __init__(self) -> None:
        #: Asks the probe itself about a listener that is idle.
        self.ask: Callable[[Listener], ListenerReading | None] = lambda _listener: None
        self._snapshot: Snapshot | None = None
        #: Made when it is first asked for.
        self._by_listener: dict[Listener, ListenerReading] | None = None

    def take(self, snapshot: Snapshot) -> None:
        """Take in what was read."""
        self._snapshot, self._by_listener = snapshot, None

    def reading(self, listener: Listener) -> ListenerReading | None:
        """Return what is known of a listener; None for one that the probe does not know."""
        if self._by_listener is None:
            known = self._snapshot.listeners if self._snapshot is not None else ()
            self._by_listener = {reading.listener: reading for reading in known}
        return self._by_listener.get(listener) or self.ask(listener)

    def counter(self, name: str) -> int | None:
        """Return one of the kernel's own counters (``TcpExt`` of /proc/net/netstat); None if not known."""
        server = self._snapshot.server if self._snapshot is not None else None
        return server.counters.get(name) if server is not None else None

    def caught(self, listener: Listener) -> int:
        """Return how many SYNs of a listener we have greylisted or answered since the probe is there."""
        reading = self.reading(listener)
        return reading.greylisted + reading.cookies_sent if reading is not None else 0

    def answer(self, listener: Listener) -> Answer | None:
        """Return how a listener answers by itself; None where that was not seen."""
        reading = self.reading(listener)
        return reading.answer if reading is not None else None

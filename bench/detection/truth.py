"""What really happened in a case, against which the daemon's alerts are held."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Truth:
    """Noted by the case while it plays; all addresses as text. Times are CLOCK_MONOTONIC."""

    #: Who was attacked: ``203.0.113.5:443``, an address alone for closed ports.
    listeners: set[str] = field(default_factory=set)
    #: The address, or the prefix, that an alert has to name exactly.
    source: str | None = None
    #: Real users' addresses or networks, which neither source, top sources nor the target of a response name.
    users: set[str] = field(default_factory=set)
    #: When the attack's first packet left, and its last.
    first_ns: int | None = None
    last_ns: int | None = None

    def began(self, first_ns: int | None = None) -> None:
        """Note the attack's first packet, which is now where it is not given; the earliest counts."""
        moment_ns = time.monotonic_ns() if first_ns is None else first_ns
        self.first_ns = moment_ns if self.first_ns is None else min(self.first_ns, moment_ns)

    def ended(self, last_ns: int | None = None) -> None:
        """Note the attack's last packet, which is now where it is not given; the latest counts."""
        moment_ns = time.monotonic_ns() if last_ns is None else last_ns
        self.last_ns = moment_ns if self.last_ns is None else max(self.last_ns, moment_ns)

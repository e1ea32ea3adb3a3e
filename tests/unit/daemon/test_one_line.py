"""What `systemctl status` has for the daemon."""

from __future__ import annotations

from dataclasses import replace

from synguard.daemon.one_line import OneLine
from synguard.model import Snapshot

EMPTY = Snapshot(time_ns=0, wall_s=0.0, listener_cohort_ns=10**9, source_cohort_ns=10**9)


def snapshot(at_s: float, attempts: int) -> Snapshot:
    """Return a snapshot with nothing but that."""
    return replace(EMPTY, time_ns=round(at_s * 1e9), totals={"attempts": attempts})


def test_it_says_what_came_since_the_last_time() -> None:
    """SYNs a second, and how many alerts and blocks there are; at first nobody knows how many came."""
    line = OneLine()
    assert line.text(["eth0"], snapshot(10, 500), 0, 0) == "Guarding eth0: 0 SYN/s, 0 open alerts, 0 blocks"
    said = line.text(["eth0", "eth1"], snapshot(12, 8500), 1, 1)
    assert said == "Guarding eth0, eth1: 4,000 SYN/s, 1 open alert, 1 block"
    said = line.text(["eth0"], snapshot(12, 8500), 2, 10_000)
    assert said == "Guarding eth0: 0 SYN/s, 2 open alerts, 10,000 blocks"

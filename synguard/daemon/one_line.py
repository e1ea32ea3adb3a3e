"""How the daemon fares, in the one line that ``systemctl status`` has for it."""

from __future__ import annotations

from collections.abc import Sequence

from synguard.model import Snapshot


class OneLine:
    """Knows the snapshot before, so that it can say how many SYNs a second came since."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    def text(self, names: Sequence[str], snapshot: Snapshot, open_alerts: int, blocks: int) -> str:
        """Return such as ``Guarding eth0: 1,204 SYN/s, 1 open alert, 2 blocks``."""
        figures = [f"{self._syn_per_s(snapshot):,} SYN/s", _counted(open_alerts, "open alert")]
        return f"Guarding {', '.join(names)}: {', '.join([*figures, _counted(blocks, 'block')])}"

    def _syn_per_s(self, snapshot: Snapshot) -> int:
        attempts = snapshot.totals["attempts"]
        before_ns, before = self._before or (snapshot.time_ns, attempts)
        self._before = snapshot.time_ns, attempts
        span_s = (snapshot.time_ns - before_ns) / 1e9
        return round((attempts - before) / span_s) if span_s > 0 else 0


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"

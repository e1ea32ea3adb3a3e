"""A detector that is shown nothing but what the probe can see, a snapshot every 50 ms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from synguard.detect import Detector, Thresholds
from synguard.model import Action, Alert, AlertClosed, AlertOpened, AlertUpdated, Evidence, Snapshot
from synguard.sight import BlindCause, InterfaceReading, Sight, Trouble
from tests.unit.detect.simulation import BOOT_NS, BOOT_WALL_S, LISTENER_SLICE_NS, MS, SOURCE_SLICE_NS

POLL_MS = 50
#: How often the daemon looks at its interfaces.
LOOK_MS = 1000


def at(ms: int) -> int:
    """Return a millisecond of the test as the kernel's clock has it."""
    return BOOT_NS + ms * MS


def trouble(cause: BlindCause, since_ms: int, until_ms: int | None = None) -> Trouble:
    """Return a trouble with net0."""
    until_ns = None if until_ms is None else at(until_ms)
    return Trouble(cause, at(since_ms), "what was found", "what came of it", until_ns)


class Gaze:
    """Shows a detector snapshots with some sight, and keeps what it says with the time of it."""

    def __init__(self, close_after_s: float = 10.0) -> None:
        self.detector = Detector(Thresholds(close_after_s=close_after_s), next_alert_id=41)
        self.now_ms = 0
        self.actions: list[tuple[int, Action]] = []

    def show(self, sight: Sight, totals: Mapping[str, int] | None = None, *, one_way: bool = False) -> None:
        """Show one snapshot of this moment."""
        snapshot = Snapshot(
            at(self.now_ms),
            BOOT_WALL_S + self.now_ms / 1000,
            LISTENER_SLICE_NS,
            SOURCE_SLICE_NS,
            totals=totals or {},
            one_way=one_way,
            sight=sight,
        )
        self.actions += [(self.now_ms, action) for action in self.detector.observe(snapshot)]

    def run(self, until_ms: int, sight: Sight | Callable[[int], Sight]) -> Gaze:
        """Show snapshots until a moment, all alike or each as of its millisecond; returns itself."""
        while self.now_ms < until_ms:
            self.now_ms += POLL_MS
            self.show(sight(self.now_ms) if callable(sight) else sight)
        return self

    def counted(self, until_ms: int, received: Callable[[int], int], probed: Callable[[int], int]) -> Gaze:
        """Show an interface whose packets both count as told for each millisecond, read every second."""

        def sight(ms: int) -> Sight:
            read_ms = ms // LOOK_MS * LOOK_MS
            reading = InterfaceReading(
                "net0", at(read_ms), None, "xdp-native", received(read_ms), probed(read_ms)
            )
            return Sight(interfaces=(reading,))

        return self.run(until_ms, sight)

    def opened(self) -> list[tuple[int, Alert]]:
        """Return the alerts as they were opened."""
        return [(ms, action.alert) for ms, action in self.actions if isinstance(action, AlertOpened)]

    def updated(self) -> list[tuple[int, Alert]]:
        """Return what updates said."""
        return [(ms, action.alert) for ms, action in self.actions if isinstance(action, AlertUpdated)]

    def closed(self) -> list[tuple[int, Alert]]:
        """Return the alerts as they were closed."""
        return [(ms, action.alert) for ms, action in self.actions if isinstance(action, AlertClosed)]


def with_trouble(found: Trouble | None) -> Sight:
    """Return the sight of one interface with that trouble."""
    return Sight(interfaces=(replace(InterfaceReading("net0", at(0)), trouble=found),))


def evidence(alert: Alert) -> dict[str, Evidence]:
    """Return an alert's evidence by name."""
    return {item.name: item for item in alert.evidence}


def told(alert: Alert) -> dict[str, float | int | str]:
    """Return the values of an alert's evidence by name."""
    return {item.name: item.value for item in alert.evidence}

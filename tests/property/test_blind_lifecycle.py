"""A state machine on blindness: whatever comes and goes unseen, its alerts obey their order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from synguard.model import AlertClosed, AlertOpened, AlertUpdated
from synguard.sight import BlindCause, FlowReading, InterfaceReading, Sight, Trouble
from tests.unit.detect.gaze import POLL_MS, Gaze, at, told, trouble, with_trouble
from tests.unit.detect.simulation import BOOT_WALL_S

NAMES = ("net0", "net1")
TROUBLES = (BlindCause.DETACHED, BlindCause.REPLACED, BlindCause.MISSING)


class BlindLife(RuleBasedStateMachine):
    """Moves every fact that a snapshot may tell of sight, and follows each alert that comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.gaze = Gaze(close_after_s=2.0)
        self.heard = 0
        self.told_ms: dict[int, int] = {}
        self.ever: set[int] = set()

    @initialize()
    def begin(self) -> None:
        """Begin with everything in order."""
        self.troubles: dict[str, Trouble | None] = dict.fromkeys(NAMES)
        self.received = dict.fromkeys(NAMES, 0)
        self.probed = dict.fromkeys(NAMES, 0)
        self.moving: set[str] = set()
        self.flows: FlowReading | None = None
        self.failing = self.failed = self.late_reads = 0

    def sight(self) -> Sight:
        """Return what the daemon would tell of now."""
        interfaces = tuple(
            InterfaceReading(
                name, at(self.gaze.now_ms), self.troubles[name], None, self.received[name], self.probed[name]
            )
            for name in NAMES
        )
        return Sight(interfaces, self.flows, False, {"listeners_full": self.failed}, 0.0, self.late_reads)

    @rule(name=st.sampled_from(NAMES), cause=st.sampled_from(TROUBLES), over=st.booleans())
    def come_into_trouble(self, name: str, cause: BlindCause, over: bool) -> None:
        """Let somebody take the probe away; perhaps it is back at once."""
        now_ns = at(self.gaze.now_ms)
        self.troubles[name] = Trouble(cause, now_ns + 1, "found", "outcome", now_ns + 2 if over else None)

    @rule(name=st.sampled_from(NAMES))
    def mend(self, name: str) -> None:
        """Let the daemon put the probe back."""
        found = self.troubles[name]
        if found is not None and found.until_ns is None:
            self.troubles[name] = Trouble(
                found.cause, found.since_ns, "found", "outcome", max(found.since_ns, at(self.gaze.now_ms))
            )

    @rule(name=st.sampled_from(NAMES), moving=st.booleans())
    def stall(self, name: str, moving: bool) -> None:
        """Let the probe see nothing of an interface, or all of it again."""
        (self.moving.add if moving else self.moving.discard)(name)

    @rule(live=st.integers(0, 60), shown=st.integers(0, 60))
    def look_at_flows(self, live: int, shown: int) -> None:
        """Let flows be counted."""
        self.flows = FlowReading(at(self.gaze.now_ms), live, min(live, shown))

    @rule(failing=st.sampled_from([0, 0, 1, 20]))
    def fail_updates(self, failing: int) -> None:
        """Let so many updates fail between two snapshots from now on."""
        self.failing = failing

    @rule()
    def read_late(self) -> None:
        """Let the daemon sleep through everything."""
        self.gaze.now_ms += 7000
        self.late_reads += 1
        self.gaze.show(self.sight())

    @rule()
    def jump_back(self) -> None:
        """Let the kernel's clock become another one, of which nothing open may be forgotten."""
        self.gaze.now_ms = max(0, self.gaze.now_ms - 3000)
        self.gaze.show(self.sight())
        self.told_ms = dict.fromkeys(self.told_ms, self.gaze.now_ms)

    @rule(length_ms=st.integers(POLL_MS, 4000))
    def play(self, length_ms: int) -> None:
        """Let time pass."""
        end_ms = self.gaze.now_ms + length_ms
        while self.gaze.now_ms < end_ms:
            self.gaze.now_ms += POLL_MS
            self.failed += self.failing
            for name in NAMES:
                self.received[name] += 5
                self.probed[name] += 0 if name in self.moving else 3
            self.gaze.show(self.sight())

    @invariant()
    def alerts_live_in_order(self) -> None:
        """Hold that each is opened once, updated only while open and once a second, and closed once."""
        for at_ms, action in self.gaze.actions[self.heard :]:
            alert = action.alert
            if isinstance(action, AlertOpened):
                assert alert.id == max(self.ever, default=40) + 1
                self.ever.add(alert.id)
            else:
                assert alert.id in self.told_ms
            if isinstance(action, AlertUpdated):
                assert at_ms - self.told_ms[alert.id] >= 1000
            self.told_ms[alert.id] = at_ms
            if isinstance(action, AlertClosed):
                assert alert.ended_at_s is not None
                assert alert.ended_at_s >= alert.started_at_s
                del self.told_ms[alert.id]
        self.heard = len(self.gaze.actions)
        assert {alert.id for alert in self.gaze.detector.open_alerts()} == set(self.told_ms)

    @invariant()
    def nothing_is_told_of_twice(self) -> None:
        """Hold that one cause at one interface is one open alert at most."""
        about = [
            (told(alert)["cause"], told(alert).get("interface")) for alert in self.gaze.detector.open_alerts()
        ]
        assert len(about) == len(set(about))

    def teardown(self) -> None:
        """Once everything is mended, every alert ends."""
        for name in NAMES:
            self.mend(name)
        self.moving, self.failing = set(), 0
        self.flows = FlowReading(at(self.gaze.now_ms), 40, 40)
        self.play(9000)
        self.alerts_live_in_order()
        assert self.gaze.detector.open_alerts() == ()


def test_a_trouble_told_of_by_a_clock_that_is_gone_holds_no_alert_open() -> None:
    """Found anew or open already, what ended at a moment yet to come has ended by now, and began by now."""
    found, open_already = Gaze(), Gaze().run(55_000, with_trouble(trouble(BlindCause.DETACHED, 50_000)))
    open_already.now_ms = 0
    for gaze in (found, open_already):
        gaze.run(8000, with_trouble(trouble(BlindCause.DETACHED, 50_000, 60_000)))
        assert (len(gaze.opened()), len(gaze.closed())) == (1, 1)
    assert found.opened()[0][1].started_at_s == BOOT_WALL_S + POLL_MS / 1000


TestBlindLife = BlindLife.TestCase
TestBlindLife.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)

"""A state machine on the alert's life: floods begin, change and end at will; alerts obey their order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from synguard.detect import Detector, Thresholds
from synguard.model import AlertOpened, AlertState, AlertUpdated
from tests.unit.detect.simulation import CLOSED, FLOODER, MAIL, WEB, Stream, World, crowd

FOREVER_MS = 1_000_000_000


class AlertLife(RuleBasedStateMachine):
    """Plays a world whose floods are switched on and off, and follows every alert in it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Detector(Thresholds(close_after_s=2.0), 1), crowd(100, sources=20))
        self.heard = 0
        #: When each open alert was last told of, by its number.
        self.told_ms: dict[int, int] = {}
        self.classes: dict[int, object] = {}
        self.ever: set[int] = set()

    @rule(
        listener=st.sampled_from([WEB, MAIL, CLOSED]),
        per_s=st.sampled_from([30, 80, 900, 9000]),
        single=st.booleans(),
        refused=st.booleans(),
    )
    def begin_flood(self, listener: object, per_s: int, single: bool, refused: bool) -> None:
        """Let a flood begin, of one source or of many."""
        stream = Stream(
            listener=listener,  # type: ignore[arg-type]
            per_s=per_s,
            start_ms=self.world.now_ms,
            lost=1.0,
            watched=FLOODER if single else None,
            refused=refused,
        )
        if len(self.world.streams) < 6:
            self.world.streams.append(stream)

    @rule()
    def end_floods(self) -> None:
        """Let all floods end."""
        del self.world.streams[1:]

    @rule(length_ms=st.integers(1, 1500))
    def play(self, length_ms: int) -> None:
        """Let time pass."""
        self.world.run(self.world.now_ms + length_ms)

    @rule(length_ms=st.integers(500, 6000))
    def stall(self, length_ms: int) -> None:
        """Let time pass without a snapshot."""
        poll_ms, self.world.poll_ms = self.world.poll_ms, FOREVER_MS
        self.world.run(self.world.now_ms + length_ms)
        self.world.poll_ms = poll_ms

    @rule()
    def forget(self) -> None:
        """Let the probe forget all that it counted."""
        self.world._listeners.clear()
        self.world._sources.clear()

    @invariant()
    def alerts_live_in_order(self) -> None:
        """Hold that each is opened once, updated only while open and once a second, and closed once."""
        for at_ms, action in self.world.actions[self.heard :]:
            alert = action.alert
            if isinstance(action, AlertOpened):
                assert alert.id not in self.ever
                assert alert.id == max(self.ever, default=0) + 1
                self.ever.add(alert.id)
            else:
                assert alert.id in self.told_ms
            if isinstance(action, AlertUpdated) and alert.alert_class == self.classes[alert.id]:
                assert at_ms - self.told_ms[alert.id] >= 1000 or alert.source is not None
            self.told_ms[alert.id], self.classes[alert.id] = at_ms, alert.alert_class
            if alert.state is AlertState.CLOSED:
                assert alert.ended_at_s is not None
                assert alert.ended_at_s >= alert.started_at_s
                del self.told_ms[alert.id]
        self.heard = len(self.world.actions)
        assert {alert.id for alert in self.world.detector.open_alerts()} == set(self.told_ms)

    @invariant()
    def no_two_alerts_tell_of_one_listener_and_source(self) -> None:
        """Hold that what an open alert is about, no other open alert is about."""
        about = [(alert.listener, alert.source) for alert in self.world.detector.open_alerts()]
        assert len(about) == len(set(about))

    def teardown(self) -> None:
        """Once all floods end, every alert does."""
        self.end_floods()
        self.world.run(self.world.now_ms + 12_000)
        self.alerts_live_in_order()
        assert self.world.detector.open_alerts() == ()


TestAlertLife = AlertLife.TestCase
TestAlertLife.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)

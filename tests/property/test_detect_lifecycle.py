"""A state machine on alerts of every kind: whatever begins, changes and ends, their lives obey an order."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from synguard.detect import Detector, Thresholds
from synguard.model import (
    Alert,
    AlertClass,
    AlertClosed,
    AlertKind,
    AlertOpened,
    AlertState,
    AlertUpdated,
    Snapshot,
)
from synguard.server import ServerReading
from synguard.sight import BlindCause, Sight, Trouble
from tests.property.mixes import TICK_MS, SlowServer, Streams, timed, wrongs
from tests.unit.detect.gaze import with_trouble
from tests.unit.detect.simulation import BOOT_NS, MAIL, MS, WEB, World, crowd

FOREVER_MS = 1_000_000_000
CLOSE_AFTER_S = 2.0
PORTS = (AlertClass.HALF_OPEN, AlertClass.CLOSED_PORTS)


class Street(World):
    """A world in which servers may become slow, and the probe be taken away."""

    def __init__(self) -> None:
        detector = Detector(Thresholds(close_after_s=CLOSE_AFTER_S), 1)
        super().__init__(detector, crowd(100, sources=20), poll_ms=60, tick_ms=TICK_MS, server=self.told)
        self.slow = SlowServer(WEB, 0, 0, 0.0)
        self.trouble: Trouble | None = None

    def told(self, now_ms: int) -> ServerReading:
        """Return what the kernel says of itself."""
        return self.slow.reading(now_ms)

    def snapshot(self) -> Snapshot:
        """Return what would be read now."""
        sight = with_trouble(self.trouble) if self.trouble else Sight()
        return replace(super().snapshot(), sight=sight)


def told_of(alert: Alert) -> tuple[object, ...]:
    """Return what an alert is about: no other open one is about the same."""
    if alert.kind is AlertKind.BLIND:
        return (alert.kind,)
    what = None
    if alert.kind is AlertKind.SCAN:
        what = "ports" if alert.alert_class in PORTS else alert.alert_class
    return alert.kind, what, alert.listener, alert.source


def assert_timeline_tells(alert: Alert, opened: Alert) -> None:
    """Hold that the timeline leads, in order of time, from the alert as it opened to what it says now."""
    times_s = [change.at_s for change in alert.timeline]
    assert times_s == sorted(times_s), alert.timeline
    now = {
        "state": str(alert.state),
        "class": None if alert.alert_class is None else str(alert.alert_class),
        "severity": str(alert.severity),
        "impact": alert.impact,
    }
    for what, value in now.items():
        changes = [change for change in alert.timeline if change.what == what]
        assert all(one.after == other.before for one, other in pairwise(changes)), (what, changes)
        assert all(change.before != change.after for change in changes)
        then = {
            "state": "open",
            "class": opened.alert_class,
            "severity": opened.severity,
            "impact": opened.impact,
        }
        assert value == (changes[-1].after if changes else then[what]), (what, value, changes)
    assert (alert.timeline[0].what, alert.timeline[0].before, alert.timeline[0].after) == (
        "state",
        None,
        "open",
    )


class AlertLife(RuleBasedStateMachine):
    """Lets everything that alerts tell of begin and end, and follows every alert that comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Street()
        self.heard = 0
        #: When each open alert was last told of, by its number, and how it opened.
        self.told_ms: dict[int, int] = {}
        self.last: dict[int, Alert] = {}
        self.opened: dict[int, Alert] = {}

    @rule(streams=wrongs, instead=st.booleans(), length_ms=st.sampled_from([TICK_MS, 1500, 4000]))
    def begin(self, streams: Streams, instead: bool, length_ms: int) -> None:
        """Let a flood or a scan begin, perhaps instead of all others, and go on for some time."""
        if instead:
            self.end_all()
        new = timed(streams, self.world.now_ms, FOREVER_MS)
        if len(self.world.streams) < 8:
            self.world.streams += [stream for stream in new if stream not in self.world.streams]
        self.play(length_ms)

    @rule()
    def end_all(self) -> None:
        """Let all floods and scans end."""
        del self.world.streams[1:]

    @rule(listener=st.sampled_from([WEB, MAIL]), per_s=st.sampled_from([0.5, 5.0, 80.0]))
    def stop_accepting(self, listener: object, per_s: float) -> None:
        """Let an application stand still."""
        start_ms = self.world.now_ms
        self.world.slow = SlowServer(listener, start_ms, FOREVER_MS, per_s)  # type: ignore[arg-type]

    @rule()
    def accept(self) -> None:
        """Let applications go on."""
        self.world.slow = replace(self.world.slow, stop_ms=min(self.world.slow.stop_ms, self.world.now_ms))

    @rule()
    def take_the_probe_away(self) -> None:
        """Let somebody detach the probe."""
        if self.world.trouble is None or self.world.trouble.until_ns is not None:
            now_ns = BOOT_NS + self.world.now_ms * MS
            self.world.trouble = Trouble(BlindCause.DETACHED, now_ns, "found", "outcome")

    @rule()
    def put_the_probe_back(self) -> None:
        """Let the daemon mend that."""
        if self.world.trouble is not None and self.world.trouble.until_ns is None:
            now_ns = BOOT_NS + self.world.now_ms * MS
            self.world.trouble = replace(self.world.trouble, until_ns=now_ns)

    @rule(length_ms=st.sampled_from([TICK_MS, 500, 1500, 4000]))
    def play(self, length_ms: int) -> None:
        """Let time pass."""
        self.world.run(self.world.now_ms + length_ms)

    @rule(length_ms=st.sampled_from([500, 2000, 6000]))
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
        self.world._prefixes.clear()

    @invariant()
    def alerts_live_in_order(self) -> None:
        """Hold that each is opened once, updated only while open and once a second, and closed once."""
        for at_ms, action in self.world.actions[self.heard :]:
            alert = action.alert
            if isinstance(action, AlertOpened):
                assert alert.id == max(self.opened, default=0) + 1
                self.opened[alert.id] = self.last[alert.id] = alert
            else:
                assert alert.id in self.told_ms
            last = self.last[alert.id]
            if isinstance(action, AlertUpdated) and (alert.alert_class, alert.source) == (
                last.alert_class,
                last.source,
            ):
                assert at_ms - self.told_ms[alert.id] >= 1000
            assert (alert.state is AlertState.CLOSED) == isinstance(action, AlertClosed)
            assert alert.listener == (alert.listeners[0] if alert.listeners else None)
            assert alert.attempts >= last.attempts
            assert_timeline_tells(alert, self.opened[alert.id])
            self.told_ms[alert.id], self.last[alert.id] = at_ms, alert
            if isinstance(action, AlertClosed):
                assert alert.ended_at_s is not None
                assert alert.ended_at_s >= alert.started_at_s
                del self.told_ms[alert.id]
        self.heard = len(self.world.actions)
        assert {alert.id for alert in self.world.detector.open_alerts()} == set(self.told_ms)

    @invariant()
    def nothing_is_told_of_twice(self) -> None:
        """Hold that what an open alert is about, no other open alert is about."""
        about = [told_of(alert) for alert in self.world.detector.open_alerts()]
        assert len(about) == len(set(about))

    def teardown(self) -> None:
        """Once everything ends, every alert does."""
        self.end_all()
        self.accept()
        self.put_the_probe_back()
        self.play(12_000)
        self.alerts_live_in_order()
        assert self.world.detector.open_alerts() == ()


TestAlertLife = AlertLife.TestCase
TestAlertLife.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)

"""What holds for any traffic: nothing depends on order, no alert without its sample, each ends."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from synguard.detect import Detector, Thresholds
from synguard.model import Action, AlertClosed, AlertOpened, Snapshot
from tests.unit.detect.simulation import CLOSED, FLOODER, MAIL, WEB, Stream, World, single

SOURCES = [FLOODER, *(ip_network(f"192.0.2.{number}/32") for number in range(1, 7))]

streams = st.builds(
    Stream,
    listener=st.sampled_from([WEB, MAIL, CLOSED]),
    per_s=st.sampled_from([3, 20, 45, 60, 300, 2000, 20_000]),
    start_ms=st.integers(0, 1500),
    stop_ms=st.integers(1600, 4000),
    rtt_ms=st.sampled_from([1, 40, 300, 900, 1900]),
    lost=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    sources=st.sampled_from([None, 5, 300]),
    watched=st.sampled_from([None, *SOURCES]),
    targets=st.sampled_from([1, 2, 12, 60_000]),
    bare=st.booleans(),
    refused=st.booleans(),
)
worlds = st.lists(streams, min_size=1, max_size=5, unique=True)


class Recorder(Detector):
    """A detector that also keeps the snapshots that it was shown."""

    def __init__(self, thresholds: Thresholds) -> None:
        super().__init__(thresholds, next_alert_id=1)
        self.snapshots: list[Snapshot] = []

    def observe(self, snapshot: Snapshot) -> tuple[Action, ...]:
        """Keep the snapshot, then judge it."""
        self.snapshots.append(snapshot)
        return super().observe(snapshot)


@settings(max_examples=40, deadline=None)
@given(worlds, st.randoms(use_true_random=False))
def test_the_order_of_sources_and_listeners_changes_nothing(
    given_streams: list[Stream], dice: random.Random
) -> None:
    """The same snapshots with their readings shuffled give the same actions."""
    recorder = Recorder(Thresholds())
    played = World(recorder, *given_streams).run(5000)
    again = Detector(Thresholds(), next_alert_id=1)
    actions: list[Action] = []
    for snapshot in recorder.snapshots:
        listeners = tuple(dice.sample(snapshot.listeners, len(snapshot.listeners)))
        sources = tuple(dice.sample(snapshot.sources, len(snapshot.sources)))
        actions += again.observe(replace(snapshot, listeners=listeners, sources=sources))
    assert actions == [action for _, action in played.actions]


@settings(max_examples=60, deadline=None)
@given(worlds)
def test_no_alert_without_its_minimum_sample(given_streams: list[Stream]) -> None:
    """Whatever is raised, its window held the minimum of attempts and passed every bound it names."""
    thresholds = Thresholds(min_attempts=80)
    for _, alert in World(Detector(thresholds, 1), *given_streams).run(5000).opened():
        measured = {item.name: item for item in alert.measurements}
        assert measured["attempts"].observed >= 80
        assert alert.attempts >= 80
        assert alert.evidence or alert.source is None
        for item in alert.measurements:
            assert item.threshold is None or item.observed >= item.threshold


@settings(max_examples=40, deadline=None)
@given(worlds)
def test_every_alert_closes_once_traffic_stops(given_streams: list[Stream]) -> None:
    """Each is opened once and closed once, with counts that never fall."""
    played = World(Detector(Thresholds(), 1), *given_streams).run(30_000)
    assert played.detector.open_alerts() == ()
    opened = [action.alert.id for _, action in played.actions if isinstance(action, AlertOpened)]
    closed = [action.alert.id for _, action in played.actions if isinstance(action, AlertClosed)]
    assert sorted(opened) == sorted(closed) == sorted(set(opened))
    attempts: dict[int, int] = {}
    for _, action in played.actions:
        assert action.alert.attempts >= attempts.get(action.alert.id, 0)
        attempts[action.alert.id] = action.alert.attempts


good = st.builds(
    Stream,
    listener=st.sampled_from([WEB, MAIL]),
    per_s=st.sampled_from([50, 1000, 8000, 60_000]),
    start_ms=st.integers(0, 4000),
    stop_ms=st.just(1_000_000),
    rtt_ms=st.sampled_from([1, 30, 200, 800]),
    sources=st.sampled_from([None, 10, 500]),
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([70, 200, 1500, 10_000]), st.lists(good, max_size=4, unique=True), st.integers(500, 600)
)
def test_good_traffic_of_others_never_hides_a_sources_flood(
    flood_per_s: int, others: list[Stream], start_ms: int
) -> None:
    """However much good traffic there is, a flooding source is found, and named."""
    played = World(Detector(Thresholds(), 1), single(flood_per_s, start_ms), *others).run(start_ms + 6000)
    alerts = played.detector.open_alerts()
    named = {alert.source for alert in alerts} | {top.source for alert in alerts for top in alert.top_sources}
    assert FLOODER in named
    assert len(alerts) == 1

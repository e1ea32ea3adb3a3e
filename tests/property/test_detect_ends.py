"""What holds of every alert, whatever its kind: it opens on its minimum sample, and ends with its traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synguard.detect import Detector, Thresholds
from synguard.endpoint import Network
from synguard.model import Alert, AlertClass, AlertKind, Measurement
from tests.property.mixes import PREFIXES, SOURCES, TICK_MS, Mix, mixes
from tests.unit.detect.simulation import CLOSED, WEB, Stream, World

#: Figures of what an attack does to the server: told beside the bound from which on they hurt, passed or not.
IMPACT_FIGURES = {
    "syn_queue_fill",
    "accept_queue_fill",
    "listen_overflows_per_s",
    "syn_drops_per_s",
    "full_queue_cookies_per_s",
    "conntrack_fill",
}
#: What is sent now is judged until it has left the rings.
RING_MS = 4300
CLOSED_WITHIN_MS = 30_000


def samples(alert: Alert, thresholds: Thresholds) -> Mapping[str, float]:
    """Return the least that the figures of an alert's kind must have been when it opened."""
    if alert.kind is AlertKind.OVERLOAD:
        return {"turned_away_per_s": 1.0}
    if alert.kind is AlertKind.REFLECTION:
        return {"half_open_per_min": thresholds.reflection_per_min}
    if alert.kind is AlertKind.SCAN:
        of_ports = {
            AlertClass.HALF_OPEN: {"scanned_targets": thresholds.scan_targets},
            AlertClass.CLOSED_PORTS: {"closed_targets": thresholds.scan_closed_ports},
        }
        of_probes = {f"{alert.alert_class}_probes": thresholds.scan_probes}
        return of_ports.get(alert.alert_class, of_probes) if alert.alert_class else {}
    measured = {item.name for item in alert.measurements}
    if "cusum_score" in measured:
        return {"cusum_score": 21.7, "half_open_per_s": 5.0}
    return {"attempts": thresholds.min_attempts}


def assert_sampled(alert: Alert, thresholds: Thresholds) -> None:
    """Hold that an alert that has just opened was made by what it measured."""
    measured = {item.name: item for item in alert.measurements}
    for name, least in samples(alert, thresholds).items():
        assert measured[name].observed >= least, alert
    for item in alert.measurements:
        assert item.name in IMPACT_FIGURES or _is_passed(item), alert
    assert any(item.threshold is not None for item in alert.measurements)
    if alert.kind is AlertKind.SYN_FLOOD and "attempts" in measured:
        assert alert.attempts >= thresholds.min_attempts
    assert alert.evidence or alert.source is None


def _is_passed(item: Measurement) -> bool:
    return item.threshold is None or item.observed >= item.threshold


def assert_ended(world: World, end_ms: int) -> None:
    """Hold that nothing opened once all had left the rings, and that all is closed 30 s after the end."""
    for at_ms, alert in world.opened():
        assert at_ms <= end_ms + RING_MS, alert
    assert world.detector.open_alerts() == ()
    assert sorted(alert.id for _, alert in world.opened()) == [alert.id for _, alert in world.opened()]
    assert sorted(alert.id for _, alert in world.closed()) == [alert.id for _, alert in world.opened()]


def played_out(mix: Mix, thresholds: Thresholds) -> World:
    """Return a world after its traffic has ended, and as long again as closing may take."""
    world = mix.world(Detector(thresholds, 1)).run(mix.end_ms + RING_MS + 100)
    world.poll_ms = 10 * TICK_MS
    return world.run(mix.end_ms + CLOSED_WITHIN_MS)


@settings(max_examples=70, deadline=None)
@given(mixes, st.sampled_from([40, 80]))
def test_every_alert_opens_on_its_sample_and_closes_once_traffic_stops(mix: Mix, min_attempts: int) -> None:
    """Whatever is played: each alert passed the bounds that it names, and closes within 30 s of the end."""
    thresholds = Thresholds(min_attempts=min_attempts)
    world = played_out(mix, thresholds)
    for _, alert in world.opened():
        assert_sampled(alert, thresholds)
    assert_ended(world, mix.end_ms)
    attempts: dict[int, int] = {}
    for _, action in world.actions:
        assert action.alert.attempts >= attempts.get(action.alert.id, 0)
        attempts[action.alert.id] = action.alert.attempts


@settings(max_examples=4, deadline=None)
@given(st.sampled_from([12.0, 20.0, 35.0]), st.sampled_from([0, 40]))
def test_a_slow_flood_passes_its_bounds_and_ends(per_s: float, clients_per_s: int) -> None:
    """What only a lasting shift shows opens on its sum, and closes within 30 s of its end."""
    quiet = Stream(WEB, clients_per_s, stop_ms=200_000, sources=20)
    slow = Stream(WEB, per_s, 80_000, 200_000, lost=1.0)
    world = World(Detector(Thresholds(), 1), quiet, slow, tick_ms=TICK_MS, poll_ms=500).run(260_000)
    ((_, alert),) = world.opened()
    assert "cusum_score" in {item.name for item in alert.measurements}
    assert_sampled(alert, Thresholds())
    assert_ended(world, 200_000)


@settings(max_examples=4, deadline=None)
@given(st.sampled_from(PREFIXES), st.sampled_from([1, 6]), st.sampled_from([2.0, 12.0]))
def test_a_reflection_passes_its_bounds_and_ends(
    prefixes: tuple[Network, ...], many: int, per_s: float
) -> None:
    """Few SYNs for long in a prefix's name: opened on a minute's count, closed within 30 s of the end."""
    streams = [Stream(WEB, per_s / many, 0, 120_000, lost=1.0, prefix=prefix) for prefix in prefixes[:many]]
    world = World(Detector(Thresholds(), 1), *streams, tick_ms=TICK_MS, poll_ms=500).run(160_000)
    ((_, alert),) = world.opened()
    assert alert.kind is AlertKind.REFLECTION
    assert_sampled(alert, Thresholds())
    assert_ended(world, 120_000)


@pytest.mark.parametrize("resumed_per_s", [2.0, 60.0])
def test_a_scan_that_is_over_begins_anew_only_with_a_sample_of_its_own(resumed_per_s: float) -> None:
    """While its source is still watched for what it did: a few more SYNs are no second scan, many are."""
    scan = Stream(CLOSED, 60.0, 0, 5000, lost=1.0, watched=SOURCES[0], targets=60_000, refused=True)
    more = replace(scan, per_s=resumed_per_s, start_ms=30_000, stop_ms=34_000)
    world = World(Detector(Thresholds(), 1), scan, more, tick_ms=TICK_MS, poll_ms=100).run(70_000)
    closed = [alert for _, alert in world.closed()]
    assert len(world.opened()) == len(closed) == (2 if resumed_per_s > 10 else 1)
    assert [alert.attempts for alert in closed] == [300, 240][: len(closed)]


def test_an_alert_on_a_crowd_from_afar_ends_while_the_crowd_goes_on() -> None:
    """More than a cold listener believes, from 800 ms away: told of once at most, over once it is sure."""
    crowd = Stream(WEB, 60_000, rtt_ms=800)
    world = World(Detector(Thresholds(), 1), crowd, tick_ms=TICK_MS, poll_ms=60).run(40_000)
    assert len(world.opened()) <= 1
    assert all(at_ms <= 15_000 for at_ms, _ in world.closed())
    assert world.detector.open_alerts() == ()

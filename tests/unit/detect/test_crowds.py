"""Real clients, in every way in which their traffic may start, end, fail and be fast: nothing is raised."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.detect import Detector, Thresholds
from synguard.endpoint import Listener
from synguard.model import AlertKind
from tests.unit.detect.simulation import CLOSED, FLOODER, NAT, WEB, Stream, World, crowd, flood, single

NEARBY = crowd(200, rtt_ms=1, sources=50)


def world(*streams: Stream) -> World:
    """Return a world with a fresh detector of default thresholds."""
    return World(Detector(Thresholds(), next_alert_id=1), *streams)


@pytest.mark.parametrize("rtt_ms", [1, 20, 49, 51, 120, 200, 350, 499, 501, 650, 800])
def test_a_crowd_that_starts_is_no_flood(rtt_ms: int) -> None:
    """5,000 clients a second arrive at a listener of which nothing is known, from near and far."""
    assert world(crowd(5000, rtt_ms, start_ms=505, stop_ms=3000)).run(7000).actions == []


@pytest.mark.parametrize("rtt_ms", [50, 120, 200, 350, 500, 650, 800])
def test_a_crowd_from_far_away_is_no_flood_where_clients_were_near(rtt_ms: int) -> None:
    """A listener that learned 1 ms meets 5,000 clients a second from far away."""
    played = world(NEARBY, crowd(5000, rtt_ms, start_ms=2005, stop_ms=4000))
    played.run(2000)
    assert played.detector.listener_view(WEB).allowance_ms == pytest.approx(50)
    assert played.run(9000).actions == []


def test_clients_from_far_away_all_at_once_are_no_flood() -> None:
    """5,000 clients from 500 ms away arrive within 50 ms where clients were near."""
    assert world(NEARBY, crowd(100_000, 500, start_ms=3003, stop_ms=3053)).run(9000).actions == []


def test_a_crowd_that_ends_is_no_flood() -> None:
    """2,000 clients a second stop from one millisecond to the next."""
    assert world(crowd(2000, rtt_ms=80, stop_ms=3011)).run(9000).actions == []


def test_a_step_in_rate_is_no_flood() -> None:
    """Good traffic that grows to twenty times its rate and falls back is no flood."""
    assert world(crowd(200), crowd(4000, start_ms=2507, stop_ms=5003)).run(9000).actions == []


def test_lossy_clients_are_no_flood() -> None:
    """Clients of which 5 % fail raise nothing at 3,000 attempts a second, hence 150 half-open a second."""
    assert world(crowd(3000, lost=0.05), crowd(100, 300, lost=0.05)).run(12_000).actions == []


def test_a_carriers_nat_with_a_few_bad_clients_is_no_flooder() -> None:
    """One address with 3,000 good connections a second and 60 bad ones is not blamed."""
    assert world(crowd(3000, watched=NAT, lost=0.02)).run(8000).actions == []


def test_a_nat_with_half_its_clients_failing_is_not_blamed_as_a_source() -> None:
    """One address of a busy listener that completes most of its attempts is never a single source."""
    played = world(crowd(20_000), crowd(400, watched=NAT, lost=0.4)).run(8000)
    assert played.opened() == []


def test_97_unfinished_in_ten_seconds_are_nothing() -> None:
    """A peer-to-peer client that fails 97 times in 10 s on a quiet listener raises nothing."""
    assert world(single(9.7, stop_ms=10_000), crowd(5)).run(16_000).actions == []


@pytest.mark.parametrize("offset_ms", range(0, 17, 4))
def test_a_burst_shorter_than_50_ms_is_no_flood(offset_ms: int) -> None:
    """300 SYNs within 45 ms beside a few failing clients raise nothing, wherever the slices lie."""
    start_ms = 3000 + offset_ms
    burst = flood(300 / 0.045, start_ms, start_ms + 45, bare=True)
    assert world(crowd(100, lost=0.03), burst).run(10_000).actions == []


@pytest.mark.parametrize("per_s", [50, 500, 5000])
def test_a_scan_of_closed_ports_raises_no_flood(per_s: int) -> None:
    """One source that asks each of 60,000 ports once is not a flood, refused or not answered."""
    scan = Stream(CLOSED, per_s, 500, 6000, lost=1.0, watched=FLOODER, targets=60_000, bare=True)
    for played in (world(scan).run(9000), world(replace(scan, refused=True)).run(9000)):
        assert {alert.kind for _, alert in played.opened()} == {AlertKind.SCAN}


def test_a_server_restart_is_no_flood() -> None:
    """500 known clients a second that are refused for some seconds raise nothing, then or afterwards."""
    down = Stream(WEB, 500, 3000, 9000, lost=1.0, refused=True, sources=80)
    up = crowd(500, stop_ms=3000), crowd(500, start_ms=9000)
    assert world(*up, down).run(16_000).actions == []


def test_clients_whose_stack_sends_no_options_are_not_held_against_them() -> None:
    """Where bare SYNs complete as a rule, a crowd of such clients from far away is no flood."""
    devices = crowd(200, rtt_ms=5, bare=True), crowd(3000, 600, start_ms=3003, stop_ms=5000, bare=True)
    assert world(*devices).run(9000).actions == []


def test_health_of_many_listeners_is_judged_each_on_its_own() -> None:
    """Thirty listeners with ten failing attempts a second each are thirty quiet listeners."""
    failing = [Stream(Listener(WEB.address, port), 20, lost=0.5) for port in range(8000, 8030)]
    assert world(*failing).run(6000).actions == []

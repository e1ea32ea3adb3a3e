"""Floods of every form: found in time, and called what they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.detect import Detector, Thresholds
from synguard.endpoint import Listener
from synguard.model import Alert, AlertClass, AlertKind, Severity
from tests.unit.detect.simulation import (
    BOOT_WALL_S,
    CLOSED,
    FLOODER,
    MAIL,
    NAT,
    WEB,
    Stream,
    World,
    crowd,
    flood,
    single,
)

NEARBY = crowd(200, rtt_ms=1, sources=50)


def only_alert(*streams: Stream, until_ms: int) -> tuple[int, Alert, World]:
    """Play streams; return when the one alert opened, how it opened, and the world."""
    played = World(Detector(Thresholds(), next_alert_id=7), *streams).run(until_ms)
    assert len(played.opened()) == 1
    at_ms, alert = played.opened()[0]
    return at_ms, alert, played


@pytest.mark.parametrize("offset_ms", range(0, 50, 7))
def test_a_single_source_is_found_and_classed_within_700_ms_at_a_cold_start(offset_ms: int) -> None:
    """10,000 SYN/s from one address at a listener never seen before."""
    start_ms = 1000 + offset_ms
    at_ms, alert, _ = only_alert(single(10_000, start_ms), until_ms=6000)
    assert at_ms - start_ms <= 700
    assert alert.alert_class is AlertClass.SINGLE_SOURCE
    assert (alert.listener, alert.source) == (WEB, FLOODER)


@pytest.mark.parametrize("offset_ms", range(0, 50, 7))
def test_a_single_source_is_found_in_150_ms_where_clients_are_near(offset_ms: int) -> None:
    """10,000 SYN/s from one address at a listener that learned 1 ms."""
    start_ms = 4000 + offset_ms
    at_ms, alert, _ = only_alert(NEARBY, single(10_000, start_ms), until_ms=8000)
    assert at_ms - start_ms <= 150
    assert alert.alert_class is AlertClass.SINGLE_SOURCE
    assert (alert.listener, alert.source) == (WEB, FLOODER)


def test_a_source_the_probe_names_late_is_not_mistaken_for_many() -> None:
    """An alert waits a moment for the source's name rather than opening as something else."""
    played = World(
        Detector(Thresholds(), 1), NEARBY, single(10_000, 4000, bare=True), watch_after_ms=180
    ).run(7000)
    classes = {alert.alert_class for _, alert in played.opened() + played.updated()}
    assert classes == {AlertClass.SINGLE_SOURCE}


def test_a_slow_single_source_is_one_alert() -> None:
    """100 SYN/s from one address, beside twice as much good traffic, is found once within 2 s."""
    at_ms, alert, _ = only_alert(NEARBY, single(100, 4000, 8000), until_ms=22_000)
    assert at_ms <= 6000
    assert alert.source == FLOODER


@pytest.mark.parametrize("bare", [False, True])
def test_a_spoofed_flood_is_found_and_classed_within_1300_ms(bare: bool) -> None:
    """50,000 SYN/s, each from another address, with TCP options or without."""
    at_ms, alert, _ = only_alert(flood(50_000, 1003, bare=bare), until_ms=5000)
    assert at_ms - 1003 <= (700 if bare else 1300)
    assert alert.alert_class is AlertClass.SPOOFED
    assert alert.source is None
    assert sum(item.weight for item in alert.evidence) >= 0.5
    assert {item.name for item in alert.evidence} >= {"syns_per_source", "silent_sources"}


def test_a_spoofed_flood_beside_usual_clients_is_classed_by_the_sources_beyond_the_usual() -> None:
    """2,500 SYN/s of random sources are called spoofed beside 600 good ones of usual clients."""
    clients = crowd(600, sources=60)
    _, alert, _ = only_alert(clients, flood(2500, 65_000), until_ms=68_000)
    assert alert.alert_class is AlertClass.SPOOFED


def test_a_flood_of_some_real_addresses_is_called_distributed() -> None:
    """2,000 SYN/s from forty addresses, each asking again and again, is not called spoofed."""
    at_ms, alert, _ = only_alert(flood(2000, 1000, sources=40), until_ms=5000)
    assert alert.alert_class is AlertClass.DISTRIBUTED
    assert at_ms <= 2400


@pytest.mark.parametrize("flood_per_s", [100, 500, 3000])
def test_a_flood_under_five_times_as_much_good_traffic_is_found(flood_per_s: int) -> None:
    """One attempt in six is a flood's: found within 5 s, within 2 s where it is strong."""
    at_ms, _, _ = only_alert(crowd(5 * flood_per_s), flood(flood_per_s, 5000), until_ms=11_000)
    assert at_ms - 5000 <= (2000 if flood_per_s >= 500 else 5000)


def test_a_flood_beside_twice_as_much_good_traffic_is_found_within_two_seconds() -> None:
    """2,500 flood SYN/s beside 6,000 good connections a second from 80 ms away."""
    at_ms, alert, _ = only_alert(crowd(6000, rtt_ms=80), flood(2500, 5000), until_ms=9000)
    assert at_ms - 5000 < 2000
    assert alert.listener == WEB


def test_a_source_hidden_by_a_busy_listener_is_named_on_its_own() -> None:
    """500 SYN/s from one address are found under 20,000 good ones, of which they are 2 %."""
    at_ms, alert, _ = only_alert(crowd(20_000, sources=900), single(500, 3000, 6000), until_ms=20_000)
    assert at_ms - 3000 <= 1500
    assert alert.source == FLOODER
    assert alert.attempts < 1000


def test_a_source_inside_a_listeners_flood_is_no_second_alert() -> None:
    """One address with 300 SYN/s in a spoofed flood of 5,000 is folded into it, and is a top source."""
    _, alert, played = only_alert(flood(5000, 1000), single(300, 1500), until_ms=8000)
    assert alert.alert_class is AlertClass.SPOOFED
    now = played.detector.open_alerts()[0]
    assert [top.source for top in now.top_sources] == [FLOODER]
    assert now.top_sources[0].attempts == pytest.approx(300 * 6.5, rel=0.01)


def test_a_live_user_in_a_flood_is_never_named() -> None:
    """An address that completes what it asks is no top source of a flood."""
    _, _, played = only_alert(flood(5000, 1000), crowd(100, rtt_ms=300, watched=NAT), until_ms=6000)
    named = {top.source for _, alert in played.updated() for top in alert.top_sources}
    assert named == set()


def test_two_listeners_under_two_floods_are_two_alerts() -> None:
    """A single source on one listener and spoofed ones on another are told apart at equal rates."""
    mail = Stream(MAIL, 5000, 1000, lost=1.0)
    played = World(Detector(Thresholds(), 1), single(5000, 1000), mail).run(5000)
    found = {alert.listener: (alert.alert_class, alert.source) for _, alert in played.opened()}
    assert found == {WEB: (AlertClass.SINGLE_SOURCE, FLOODER), MAIL: (AlertClass.SPOOFED, None)}


def test_unanswered_ports_asked_by_many_are_a_flood_on_the_address() -> None:
    """2,000 unanswered SYN/s from many sources name the address alone."""
    _, alert, _ = only_alert(Stream(CLOSED, 2000, 1000, lost=1.0), until_ms=5000)
    assert str(alert.listener) == "203.0.113.5"
    assert alert.alert_class is AlertClass.SPOOFED


def test_refused_attempts_have_a_threshold_of_their_own() -> None:
    """800 refused SYN/s are no flood; 1,500 are, by the refused threshold."""
    refused = Stream(CLOSED, 1500, 1000, lost=1.0, refused=True)
    slow = Stream(CLOSED, 800, 1000, lost=1.0, refused=True)
    assert World(Detector(Thresholds(), 1), slow).run(6000).actions == []
    _, alert, _ = only_alert(refused, until_ms=6000)
    assert {m.name: m.threshold for m in alert.measurements}["half_open_per_s"] == 1000.0
    assert alert.refused > 1000


def test_a_flood_beside_a_scan_of_the_same_address_is_found() -> None:
    """What a scanning source asked is set aside, not what many others asked meanwhile."""
    scan = Stream(CLOSED, 2000, 500, lost=1.0, watched=FLOODER, targets=60_000)
    played = World(Detector(Thresholds(), 7), scan, Stream(CLOSED, 1000, 3000, lost=1.0)).run(7000)
    alert = next(alert for _, alert in played.opened() if alert.kind is AlertKind.SYN_FLOOD)
    assert (alert.listener, alert.source) == (CLOSED, None)


def test_one_closed_port_hammered_by_one_source_is_a_flood_of_that_source() -> None:
    """3,000 refused SYN/s of one source on one port are its flood, not a scan."""
    hammer = Stream(CLOSED, 3000, 1000, lost=1.0, refused=True, watched=FLOODER)
    _, alert, _ = only_alert(hammer, until_ms=5000)
    assert (alert.alert_class, alert.source) == (AlertClass.SINGLE_SOURCE, FLOODER)


def test_pulses_are_a_flood() -> None:
    """A thousand SYNs within 30 ms, once a second, are found though each is a short burst."""
    pulses = [flood(33_000, at_ms, at_ms + 30) for at_ms in range(1000, 7000, 1000)]
    at_ms, _, _ = only_alert(*pulses, until_ms=8000)
    assert at_ms <= 4500


@pytest.mark.parametrize(
    ("per_s", "severity"),
    [(60, Severity.LOW), (700, Severity.MEDIUM), (7000, Severity.HIGH), (70_000, Severity.CRITICAL)],
)
def test_severity_goes_by_the_margin_over_the_threshold(per_s: int, severity: Severity) -> None:
    """1, 10, 100 and 1,000 times the threshold are low, medium, high and critical."""
    _, _, played = only_alert(flood(per_s, 1000), until_ms=6000)
    assert played.detector.open_alerts()[0].severity is severity


def test_an_alert_says_by_how_much_each_bound_was_passed() -> None:
    """Every condition of a listener's alert has its measurement beside its threshold, passed."""
    _, alert, _ = only_alert(crowd(200, sources=20), flood(2000, 70_000), until_ms=73_000)
    measured = {item.name: item for item in alert.measurements}
    for name in ("half_open_per_s", "half_open_ratio", "half_open_ratio_at_least", "attempts"):
        assert measured[name].observed > (measured[name].threshold or 0.0)
    assert measured["half_open_per_s"].baseline == pytest.approx(0.0)
    assert measured["allowance_ms"].observed == pytest.approx(50.0)
    assert measured["window_age_ms"].observed >= 1000
    assert measured["window_length_ms"].observed == pytest.approx(1000, rel=0.02)


def test_counts_begin_with_the_flood() -> None:
    """The alert counts the flood whole: also what came before it was found, not what came before it."""
    quiet, start_ms, stop_ms = crowd(100, stop_ms=2900), 3000, 6000
    _, opened, played = only_alert(quiet, flood(2000, start_ms, stop_ms), until_ms=20_000)
    closed = played.closed()[0][1]
    assert closed.attempts == pytest.approx(6000, abs=30)
    assert opened.started_at_s == pytest.approx(BOOT_WALL_S + 3.0, abs=0.02)
    assert closed.ended_at_s == pytest.approx(BOOT_WALL_S + 6.0, abs=0.02)
    assert closed.half_open_ratio == pytest.approx(1.0, abs=0.01)
    assert closed.peak_syn_per_s == pytest.approx(2000, rel=0.05)


def test_syns_that_we_drop_keep_the_alert_open() -> None:
    """An attempt is an attempt whether answered or not: a blocked flood is still seen."""
    _, _, played = only_alert(single(5000, 1000), until_ms=30_000)
    assert played.closed() == []


def test_a_far_crowd_at_one_listener_is_not_blamed_on_a_source_that_floods_another() -> None:
    """Unfinished attempts of distant clients beside a flood elsewhere raise nothing for their listener."""
    far = Stream(MAIL, 6000, 4000, 6000, rtt_ms=600, sources=3000)
    near = Stream(MAIL, 200, rtt_ms=1, sources=50)
    played = World(Detector(Thresholds(), 1), near, far, NEARBY, single(5000, 3900)).run(9000)
    assert [alert.listener for _, alert in played.opened()] == [Listener(WEB.address, WEB.port)]


@pytest.mark.parametrize(("flood_per_s", "crowd_start_ms"), [(200, 900), (200, 1040), (70, 1438), (70, 1700)])
def test_a_far_crowd_that_follows_a_single_source_does_not_hide_it(
    flood_per_s: int, crowd_start_ms: int
) -> None:
    """8,000 new clients from 800 ms away, soon after a flood began: one alert, of that source."""
    far = Stream(WEB, per_s=8000, start_ms=crowd_start_ms, stop_ms=1_000_000, rtt_ms=800)
    _, alert, _ = only_alert(single(flood_per_s, 550), far, until_ms=5000)
    assert (alert.alert_class, alert.source) == (AlertClass.SINGLE_SOURCE, FLOODER)


def test_a_known_client_may_not_flood_refusals_at_any_rate() -> None:
    """Who completed handshakes lately may ask a closed port often, and not 50,000 times a second."""
    client = crowd(50, stop_ms=4000, watched=FLOODER)
    hammer = Stream(CLOSED, 50_000, 4000, lost=1.0, refused=True, watched=FLOODER)
    played = World(Detector(Thresholds(), 1), client, hammer).run(12_000)
    assert AlertKind.SYN_FLOOD in {alert.kind for _, alert in played.opened()}


def test_where_no_answer_can_be_seen_nobody_waits_for_one() -> None:
    """5,000 SYN/s of one source, sent again after a second, are that source's flood in one direction, too."""
    world = World(Detector(Thresholds(), 1), single(5000, 1000, silent_from_ms=0, retries=True))
    whole = world.snapshot
    world.snapshot = lambda: replace(whole(), one_way=True)  # type: ignore[method-assign]
    (_, alert) = world.run(6000).opened()[0]
    assert (alert.alert_class, alert.source) == (AlertClass.SINGLE_SOURCE, FLOODER)

"""Our own responses mislead nobody: floods are seen under them, and good clients are none."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.detect import Detector, Thresholds
from synguard.detect.responses import Late, booked_back, counted_once
from synguard.model import AlertClass, AlertKind, Cohort
from tests.unit.detect.responding import How, Responding, Rule
from tests.unit.detect.simulation import FLOODER, NAT, WEB, Stream, crowd, flood, single

LISTENER_HOWS = (How.GREYLIST, How.COOKIE)
SLICE_NS = 1 << 24


def world(
    *streams: Stream, rules: tuple[Rule, ...] = (), respond: How | None = None, loss: float = 0.01
) -> Responding:
    """Return a world with a fresh detector of default thresholds."""
    return Responding(Detector(Thresholds(), 1), *streams, rules=rules, respond=respond, loss=loss)


@pytest.mark.parametrize("how", LISTENER_HOWS)
@pytest.mark.parametrize("rtt_ms", [0, 20, 100, 300])
@pytest.mark.parametrize("per_s", [100, 500, 2000])
def test_good_clients_alone_are_no_flood_under_a_response(how: How, rtt_ms: int, per_s: int) -> None:
    """Neither while a response begins, lasts and ends, nor when it comes again, nor as the clients leave."""
    rules = (Rule(how, WEB, 2000, 6000), Rule(how, WEB, 9000, 10_000))
    assert world(crowd(per_s, rtt_ms, stop_ms=14_000), rules=rules).run(19_000).actions == []


def test_clients_who_take_their_time_to_ask_again_are_no_flood() -> None:
    """A greylist leaves time for retransmissions that come after 1.4 seconds."""
    rules = (Rule(How.GREYLIST, WEB, 2000, 6000),)
    played = Responding(Detector(Thresholds(), 1), crowd(500), rules=rules, again_ms=(1400, 3000))
    assert played.run(11_000).actions == []


@pytest.mark.parametrize("how", LISTENER_HOWS)
@pytest.mark.parametrize("rtt_ms", [20, 300])
@pytest.mark.parametrize("watched", [None, NAT])
def test_a_crowd_that_arrives_under_a_response_is_no_flood(how: How, rtt_ms: int, watched: object) -> None:
    """Clients who come all at once while nobody is answered as usual, be they of one address, are good."""
    comers = crowd(2000, rtt_ms, start_ms=5000, stop_ms=9000, watched=watched)
    played = world(crowd(50, 10), comers, rules=(Rule(how, WEB, 3000, 12_000),))
    assert played.run(18_000).actions == []


@pytest.mark.parametrize("how", LISTENER_HOWS)
@pytest.mark.parametrize("good_per_s", [0, 200, 2000])
def test_a_flood_that_begins_under_a_response_is_seen(how: How, good_per_s: int) -> None:
    """2,000 SYN/s beside good clients are told of within two seconds, and a slice or two."""
    streams = [flood(2000, 6003), *([crowd(good_per_s)] if good_per_s else [crowd(5)])]
    ((at_ms, alert),) = world(*streams, rules=(Rule(how, WEB, 2000),)).run(9000).opened()
    assert alert.listener == WEB
    assert at_ms - 6003 <= 2100


ENDS = [
    (How.GREYLIST, flood(5000, 3000, 15_000)),
    (How.GREYLIST, flood(5000, 3000, 15_000, bare=True, aborted=0.3)),
    (How.GREYLIST, flood(3000, 3000, 15_000, retries=True, sources=300)),
    (How.COOKIE, flood(3000, 3000, 15_000, sources=300, aborted=0.2)),
    (How.GREYLIST, single(300, 3000, 15_000)),
    (How.GREYLIST, single(4000, 3000, 15_000, retries=True)),
    (How.COOKIE, flood(300, 3000, 15_000)),
    (How.COOKIE, flood(5000, 3000, 15_000, bare=True)),
    (How.COOKIE, single(3000, 3000, 15_000)),
    (How.DROP, single(300, 3000, 15_000)),
    (How.DROP, single(20_000, 3000, 15_000, bare=True)),
]


@pytest.mark.parametrize(("how", "attack"), ENDS)
@pytest.mark.parametrize(("good_per_s", "rtt_ms"), [(0, 20), (300, 300), (2000, 20)])
def test_an_alert_lasts_as_long_as_its_flood(how: How, attack: Stream, good_per_s: int, rtt_ms: int) -> None:
    """It is one alert, of one class and source, that closes within 16 s after its flood under a response."""
    good = [crowd(good_per_s, rtt_ms)] if good_per_s else []
    played = world(attack, *good, respond=how).run(45_000)
    ((_, opened),) = played.opened()
    ((closed_ms, closed),) = played.closed()
    assert 15_000 < closed_ms - 10_000 <= 21_000
    assert (closed.alert_class, closed.source) == (opened.alert_class, opened.source)
    assert not [change for change in closed.timeline if change.what in ("class", "source", "listener")]
    assert (closed.source == FLOODER) == (attack.watched is not None)
    lasted_s = (attack.stop_ms - attack.start_ms) / 1000
    if how is not How.COOKIE:
        assert closed.dropped_by_us >= attack.per_s * (lasted_s - 6)
    else:
        assert closed.dropped_by_us == 0


def test_a_prefixs_alert_counts_what_was_dropped_of_it() -> None:
    """A greylisted prefix's flood is one alert until it ends, with what was dropped."""
    prefix = ip_network("198.51.100.0/24")
    attack = flood(2000, 3000, 15_000, prefix=prefix, sources=200)
    played = world(attack, crowd(20_000), respond=How.GREYLIST).run(45_000)
    ((opened_ms, opened),) = played.opened()
    ((closed_ms, closed),) = played.closed()
    assert (opened.alert_class, closed.alert_class) == (AlertClass.PREFIX, AlertClass.PREFIX)
    expected = 2000 * (15_000 - opened_ms) / 1000
    assert closed.dropped_by_us == pytest.approx(expected, rel=0.05)
    assert closed_ms <= 31_000


def test_a_live_client_whose_syns_we_drop_lives_there_still() -> None:
    """An address of which handshakes complete stays unnamed when a block keeps it from completing any."""
    lives, floods = crowd(20, watched=NAT), replace(single(3000, 3000, 30_000), watched=NAT)
    played = world(lives, floods, rules=(Rule(How.DROP, NAT, 6000),)).run(28_000)
    ((_, opened),) = played.opened()
    (alert,) = played.detector.open_alerts()
    assert (opened.alert_class, opened.source) == (AlertClass.SPOOFED, None)
    assert (alert.alert_class, alert.source) == (AlertClass.SPOOFED, None)


def test_resets_that_a_response_keeps_away_are_not_forgotten() -> None:
    """A flood called spoofed for the resets of live hosts, too, stays so when nobody gets a SYN-ACK."""
    attack = flood(5000, 3000, 20_000, bare=True, aborted=0.3, sources=1500, ttl=250)
    played = world(attack, crowd(200, ttl=60), respond=How.GREYLIST).run(18_000)
    (alert,) = played.detector.open_alerts()
    assert alert.alert_class is AlertClass.SPOOFED
    assert "class" not in {change.what for change in alert.timeline}


def test_a_scan_that_a_block_drops_goes_on() -> None:
    """A blocked scanner's alert stays open as long as it scans on."""
    scanner = Stream(WEB, 4, 1000, 40_000, lost=1.0, watched=FLOODER, targets=60_000)
    played = world(scanner, rules=(Rule(How.DROP, FLOODER, 8000),)).run(38_000)
    assert [alert.kind for _, alert in played.opened()] == [AlertKind.SCAN]
    assert played.closed() == []


def test_what_we_drop_is_reflected_to_nobody() -> None:
    """A prefix whose SYNs a block drops is sent no SYN-ACK, so there is no reflection."""
    prefix = ip_network("198.51.100.0/24")
    asks = Stream(WEB, 3, lost=1.0, prefix=prefix, sources=60)
    told = [alert.kind for _, alert in world(asks, crowd(20)).run(90_000).opened()]
    assert told == [AlertKind.REFLECTION]
    assert world(asks, crowd(20), rules=(Rule(How.DROP, prefix),)).run(90_000).opened() == []


@pytest.mark.parametrize("how", LISTENER_HOWS)
def test_nothing_is_learned_under_a_response(how: How) -> None:
    """What is usual at a listener is the same whether or not its clients came under a response of ours."""
    usual = {}
    for rules in ((), (Rule(how, WEB, 70_000, 100_000),)):
        played = world(crowd(100), rules=rules, loss=0.0).run(130_000)
        state = played.detector.baselines()[str(WEB)]
        usual[bool(rules)] = state["slow"][2] / state["slow"][0], state["peak_per_s"]
    assert usual[True] == pytest.approx(usual[False], rel=0.05)


def test_completions_in_their_own_slices_stay_there() -> None:
    """Where no completion is late nothing is moved, however the number of clients changes."""
    cohorts = tuple(Cohort(place * SLICE_NS, 30 + place % 7, 30 + place % 7) for place in range(200))
    assert booked_back(cohorts, SLICE_NS, 240 * SLICE_NS) == cohorts


def test_late_completions_are_booked_back() -> None:
    """A crowd whose every completion is booked twenty slices late leaves nothing half-open that is old."""
    cohorts = tuple(
        Cohort(place * SLICE_NS, 30 if place >= 60 else 0, 30 if place >= 80 else 0) for place in range(200)
    )
    back = booked_back(cohorts, SLICE_NS, 200 * SLICE_NS)
    assert sum(one.attempts - one.completed for one in back[:140]) == 0
    assert sum(one.completed for one in back) == sum(one.completed for one in cohorts)


def test_what_was_booked_in_time_before_stays_where_it_was() -> None:
    """From the slice on in which cookies begin completions are ten slices late, and no earlier ones are."""
    booked = [30] * 100 + [0] * 10 + [30] * 90
    cohorts = tuple(Cohort(place * SLICE_NS, 30, count) for place, count in enumerate(booked))
    back = booked_back(cohorts, SLICE_NS, 200 * SLICE_NS, Late(since_ns=100 * SLICE_NS))
    assert sum(one.attempts - one.completed for one in back[:140]) == 0


def test_a_flood_stays_half_open_wherever_completions_are_booked() -> None:
    """Beside clients whose completions are booked late as many attempts stay half-open as are a flood's."""
    cohorts = tuple(Cohort(place * SLICE_NS, 40, 30) for place in range(240))
    back = booked_back(cohorts, SLICE_NS, 240 * SLICE_NS)
    assert sum(one.attempts - one.completed for one in back[:180]) == pytest.approx(1800, rel=0.15)


def test_attempts_in_two_slices_are_counted_once() -> None:
    """Of completed attempts that a greylist has in two slices one is left, and all that are half-open."""
    cohorts = tuple(Cohort(place * SLICE_NS, 50, 40) for place in range(100))
    once = counted_once(cohorts, 2000, 0)
    assert sum(one.attempts for one in once) == pytest.approx(3000, abs=1)
    assert [one.attempts - one.completed for one in once] == [10] * 100
    assert counted_once(cohorts, 0, 0) == cohorts

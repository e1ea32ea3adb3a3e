"""An alert's life: opened once, told of at most once a second, closed once; and time that misbehaves."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from itertools import pairwise

import pytest

from synguard.detect import Detector, Thresholds
from synguard.detect.lifecycle import TRANSITIONS, Phase, Word
from synguard.endpoint import Listener
from synguard.model import AlertClass, AlertKind, AlertOpened, AlertState, ClosedBecause
from synguard.server import ListenerQueues, ServerReading
from tests.unit.detect.simulation import (
    BOOT_NS,
    BOOT_WALL_S,
    FLOODER,
    MAIL,
    MS,
    WEB,
    Stream,
    World,
    crowd,
    flood,
    single,
)


def world(*streams: Stream, thresholds: Thresholds | None = None) -> World:
    """Return a world with a fresh detector."""
    return World(Detector(thresholds or Thresholds(), next_alert_id=41), *streams)


def test_no_phase_leads_out_of_closed() -> None:
    """What is closed stays so, and every other phase can be closed."""
    assert not [phase for phase, _ in TRANSITIONS if phase is Phase.CLOSED]
    assert {phase for (phase, word) in TRANSITIONS if word is Word.STOPPED} == {Phase.OPEN, Phase.CLOSING}


def test_an_alert_closes_soon_after_its_flood() -> None:
    """It closes within close_after and a few seconds, and says when the flood was last seen."""
    played = world(crowd(200, sources=20), flood(5000, 1000, 4000)).run(30_000)
    (at_ms, closed), *more = played.closed()
    assert not more
    assert 14_000 <= at_ms <= 19_000
    assert (closed.state, closed.closed_because) == (AlertState.CLOSED, ClosedBecause.ENDED)
    assert closed.ended_at_s == pytest.approx(BOOT_WALL_S + 4.0, abs=0.02)
    assert played.detector.open_alerts() == ()


@pytest.mark.parametrize("close_after_s", [0.5, 3.0, 30.0])
def test_the_closing_time_is_the_settings(close_after_s: float) -> None:
    """A lasting flood is one alert under any closing time, and closes that much after it."""
    thresholds = Thresholds(close_after_s=close_after_s)
    played = world(flood(3000, 1000, 6000), thresholds=thresholds).run(45_000)
    assert len(played.opened()) == 1
    assert close_after_s <= played.closed()[0][0] / 1000 - 6.0 <= close_after_s + 5.0


def test_an_alert_found_early_lasts_until_it_can_be_judged_surely() -> None:
    """Found after 100 ms, with a closing time shorter than the second that surety takes: one alert."""
    nearby = crowd(200, rtt_ms=1, sources=20)
    played = world(nearby, single(10_000, 3000, 8000), thresholds=Thresholds(close_after_s=0.5)).run(20_000)
    assert (len(played.opened()), len(played.closed())) == (1, 1)


def test_a_short_flood_is_one_alert_under_a_short_closing_time() -> None:
    """200 ms of flood, found after 100 ms and surely seen only after a second, is not found twice."""
    nearby = crowd(200, rtt_ms=1, sources=20)
    thresholds = Thresholds(close_after_s=0.5)
    assert len(world(nearby, single(10_000, 3000, 3200), thresholds=thresholds).run(12_000).opened()) == 1


def test_a_source_that_joins_a_flood_after_its_pause_is_no_second_alert() -> None:
    """A flood that has come back is as open as it was before: what joins it is part of it."""
    played = world(flood(5000, 1000, 3000), flood(5000, 9000), single(300, 12_000)).run(17_000)
    assert len(played.opened()) == 1


def test_gaps_of_five_seconds_do_not_split_an_alert() -> None:
    """A flood of a second every six seconds, for a minute, is one alert."""
    pulses = [flood(5000, at_ms, at_ms + 1000) for at_ms in range(1000, 61_000, 6000)]
    played = world(*pulses).run(85_000)
    assert (len(played.opened()), len(played.closed())) == (1, 1)


def test_a_flood_after_the_close_is_a_new_alert() -> None:
    """The next flood gets the next number, and its own counts."""
    played = world(flood(1000, 1000, 3000), flood(1000, 40_000, 42_000)).run(65_000)
    assert [alert.id for _, alert in played.opened()] == [41, 42]
    assert [alert.attempts for _, alert in played.closed()] == pytest.approx([2000, 2000], abs=20)


def test_a_flood_near_its_threshold_does_not_flicker() -> None:
    """One that falls to 60 % of the threshold stays open; at 8 % it closes."""
    played = world(flood(100, 1000, 6000), flood(30, 6000, 40_000), flood(2, 40_000)).run(65_000)
    assert len(played.opened()) == 1
    ((closed_ms, _),) = played.closed()
    assert 50_000 <= closed_ms <= 56_000


def test_updates_come_at_most_once_a_second() -> None:
    """Twenty snapshots a second make one update of the alert a second."""
    played = world(flood(5000, 1000)).run(12_000)
    times_ms = [played.opened()[0][0], *(at_ms for at_ms, _ in played.updated())]
    assert 8 <= len(played.updated()) <= 10
    assert all(later - earlier >= 1000 for earlier, later in pairwise(times_ms))


def test_an_alert_that_says_nothing_new_is_not_told_again() -> None:
    """While a flood pauses and nothing else comes, there are no updates."""
    played = world(flood(5000, 1000, 2000)).run(20_000)
    assert [at_ms for at_ms, _ in played.updated() if at_ms > 7000] == []


def test_the_class_is_refined_once_the_picture_has_held_for_a_second() -> None:
    """A single source whose flood goes on from random addresses: one alert, refined and told at once."""
    played = world(single(10_000, 1000, 6000), flood(10_000, 6000)).run(12_000)
    assert len(played.opened()) == 1
    refined = [at_ms for at_ms, alert in played.updated() if alert.alert_class is AlertClass.SPOOFED]
    assert 7000 <= refined[0] <= 9000
    assert played.detector.open_alerts()[0].source is None


def test_the_class_does_not_change_as_the_flood_ends() -> None:
    """The last seconds of a spoofed flood, beside good traffic, do not rename it."""
    for last in (flood(8000, 1000, 5000), single(8000, 1000, 5000)):
        played = world(crowd(1500, rtt_ms=60, sources=300), last).run(20_000)
        classes = {alert.alert_class for _, alert in played.opened() + played.updated() + played.closed()}
        assert len(classes) == 1


def test_good_clients_alone_keep_no_alert_open() -> None:
    """Clients from 400 ms away do not prolong an alert on a listener that had learned 1 ms."""
    played = world(
        crowd(100, rtt_ms=1, sources=20), single(10_000, 3000, 5000), crowd(3000, rtt_ms=400, start_ms=4000)
    ).run(25_000)
    assert len(played.opened()) == 1
    assert played.closed()[0][0] <= 20_000


def test_an_open_alert_teaches_nothing() -> None:
    """Handshake times seen during an alert do not move the listener's allowance; those after it do."""
    slow = crowd(2000, rtt_ms=900, start_ms=5000)
    played = world(crowd(200, rtt_ms=1, stop_ms=3000), flood(5000, 3000, 12_000), slow)
    played.run(12_000)
    assert played.detector.listener_view(WEB).allowance_ms == pytest.approx(50)
    played.run(40_000)
    assert played.detector.listener_view(WEB).allowance_ms == pytest.approx(1073.7, abs=0.1)


def test_stop_closes_all_that_is_open_as_stopped() -> None:
    """Every open alert is closed once, at the moment of the stop; nothing is left."""
    played = world(flood(2000, 1000), single(2000, 1000, listener=MAIL)).run(4000)
    closed = played.detector.stop(BOOT_WALL_S + 4.2)
    assert {act.alert.listener for act in closed} == {WEB, MAIL}
    assert {act.alert.closed_because for act in closed} == {ClosedBecause.STOPPED}
    assert {act.alert.ended_at_s for act in closed} == {BOOT_WALL_S + 4.2}
    assert played.detector.stop(BOOT_WALL_S + 5.0) == ()
    assert played.detector.open_alerts() == ()


def test_a_listener_that_vanishes_takes_its_alert_with_it() -> None:
    """An alert on a listener that is in no snapshot any more closes like any other."""
    played = world(flood(2000, 1000)).run(5000)
    late = replace(played.snapshot(), listeners=())
    done = [
        act
        for second in range(1, 15)
        for act in played.detector.observe(replace(late, time_ns=late.time_ns + second * 1000 * MS))
    ]
    assert [act.alert.state for act in done][-1] is AlertState.CLOSED


def test_a_clock_that_jumps_back_neither_alarms_nor_loses_the_alert() -> None:
    """A snapshot from before the last one changes nothing, and the open alert still closes in its time."""
    played = world(flood(2000, 1000)).run(5000)
    earlier = replace(played.snapshot(), time_ns=played.snapshot().time_ns - 3_000_000 * MS)
    assert played.detector.observe(earlier) == ()
    assert len(played.detector.open_alerts()) == 1
    empty = replace(earlier, listeners=())
    acts = [
        act
        for second in range(1, 20)
        for act in played.detector.observe(replace(empty, time_ns=empty.time_ns + second * 1000 * MS))
    ]
    assert [type(act).__name__ for act in acts if act.alert.state is AlertState.CLOSED] == ["AlertClosed"]


def test_a_daemon_that_stalls_judges_what_the_ring_still_holds() -> None:
    """After twenty seconds without a snapshot, good traffic raises nothing and a flood is found at once."""
    good = world(crowd(2000, rtt_ms=80)).run(3000)
    good.poll_ms = 1_000_000
    good.run(23_000)
    assert good.observe() == ()
    bad = world(crowd(2000, rtt_ms=80), flood(2000, 10_000)).run(3000)
    bad.poll_ms = 1_000_000
    bad.run(23_000)
    assert [type(act) for act in bad.observe()] == [AlertOpened]


def test_counters_that_begin_anew_do_not_lower_an_alerts_counts() -> None:
    """When the probe forgets a listener and meets it again, what was counted stays counted."""
    played = world(flood(2000, 1000)).run(5000)
    before = played.detector.open_alerts()[0].attempts
    played._listeners.clear()
    played.run(6000)
    assert played.detector.open_alerts()[0].attempts == pytest.approx(before + 2000, abs=20)


def test_open_alerts_are_bounded_and_the_rest_is_counted() -> None:
    """Beyond the bound no alert opens, and the loss is told."""
    floods = [
        single(
            100 * 2 ** (port - 8000),
            500,
            listener=Listener(WEB.address, port),
            watched=ip_network(f"198.51.100.{port % 100}"),
        )
        for port in range(8000, 8005)
    ]
    played = world(*floods, thresholds=Thresholds(max_open_alerts=3)).run(4000)
    assert len(played.opened()) == 3
    assert played.detector.losses["alerts_not_opened"] > 0


def test_probes_in_many_names_take_no_room_from_floods() -> None:
    """However many sources scan, a quarter of the alerts may be theirs; each turned away is counted once."""
    scans = [Stream(WEB, 200, watched=ip_network(f"192.0.2.{n}"), probes="fin") for n in range(12)]
    played = world(*scans, single(1000, 2000), thresholds=Thresholds(max_open_alerts=8)).run(4000)
    assert [alert.kind for _, alert in played.opened()] == [*2 * [AlertKind.SCAN], AlertKind.SYN_FLOOD]
    assert played.detector.losses["alerts_not_opened"] == 10


def test_listeners_that_fare_differently_have_one_impact() -> None:
    """Of two attacked alike one has its sockets here: the worst that is known is told, and told once."""
    room = ListenerQueues(38, 128, 0, 128, 0.0, syn_queue_worst=0.3, drops=0)

    def server(ms: int) -> ServerReading:
        now_ns = BOOT_NS + ms * MS
        return ServerReading(now_ns, {}, 1, {WEB: room}, now_ns)

    floods = [flood(900, 1000, bogon=0.2, listener=listener) for listener in (WEB, MAIL)]
    played = World(Detector(Thresholds(), 1), *floods, server=server).run(6000)
    (alert,) = played.detector.open_alerts()
    assert (alert.impact, len(alert.listeners)) == ("none", 2)
    assert [change.after for change in alert.timeline if change.what == "impact"] in ([], ["none"])


def test_top_sources_are_at_most_fifty() -> None:
    """Ninety sources with part in a flood: the fifty with most attempts are named, greatest first."""
    sources = [
        replace(single(20 + number, 1000), watched=ip_network(f"198.51.100.{number}/32"))
        for number in range(90)
    ]
    top = world(*sources).run(6000).detector.open_alerts()[0].top_sources
    assert len(top) == 50
    assert [item.attempts for item in top] == sorted((item.attempts for item in top), reverse=True)
    assert FLOODER not in {item.source for item in top}

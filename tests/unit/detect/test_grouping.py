"""Which floods are one incident, which are two, and what is told of nobody yet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synguard.detect import Detector, Thresholds
from synguard.detect.incident import MOST_MEMBERS
from synguard.endpoint import Listener, ListenerPattern
from synguard.model import AlertClass, AlertKind
from tests.unit.detect.simulation import CLOSED, FLOODER, MAIL, NAT, WEB, Stream, World, crowd, flood, single

FIVE = tuple(Listener(WEB.address, port) for port in (25, 80, 443, 993, 8443))


def play(*streams: Stream, until_ms: int = 9000, **thresholds: object) -> World:
    """Return what a detector makes of these streams."""
    return World(Detector(Thresholds(**thresholds), 1), *streams).run(until_ms)  # type: ignore[arg-type]


def changes(played: World) -> list[tuple[str, str | None, str | None]]:
    """Return what changed in the one open alert."""
    (alert,) = played.detector.open_alerts()
    return [(change.what, change.before, change.after) for change in alert.timeline]


def test_an_attack_on_five_listeners_is_one_alert_that_lists_them() -> None:
    """Random sources flood five ports, which they reach one after the other; the hardest hit comes first."""
    floods = [
        flood(1000 + 200 * index, 1000 + 700 * index, listener=listener)
        for index, listener in enumerate(FIVE)
    ]
    played = play(*floods, until_ms=12_000)
    ((_, opened),) = played.opened()
    assert opened.listeners == (FIVE[0],)
    (now,) = played.detector.open_alerts()
    assert set(now.listeners) == set(FIVE)
    assert now.listener == now.listeners[0] == FIVE[4]
    joined = [after for what, before, after in changes(played) if (what, before) == ("listener", None)]
    assert joined == [str(listener) for listener in FIVE[1:]]


def test_a_groups_figures_are_the_sums_of_its_listeners() -> None:
    """Attempts and peak are all of theirs; it closes once the last of them is quiet."""
    floods = [flood(1000, 1000, 4000 + 2000 * i, listener=listener) for i, listener in enumerate(FIVE)]
    played = play(*floods, until_ms=40_000)
    ((at_ms, closed),) = played.closed()
    assert closed.attempts == pytest.approx(3000 + 5000 + 7000 + 9000 + 11_000, rel=0.01)
    assert closed.peak_syn_per_s == pytest.approx(5000, rel=0.05)
    assert closed.half_open_ratio == pytest.approx(1.0, abs=0.001)
    assert 22_000 <= at_ms <= 27_000
    assert len(played.opened()) == 1


def test_a_group_is_bounded() -> None:
    """Of a hundred listeners attacked alike one alert lists 64, and another the rest."""
    many = [Listener(WEB.address, 8000 + number) for number in range(100)]
    played = play(*(flood(200, 1000, listener=listener) for listener in many), until_ms=4000)
    groups = [set(alert.listeners) for alert in played.detector.open_alerts()]
    assert [len(group) for group in groups] == [MOST_MEMBERS, 100 - MOST_MEMBERS]
    assert groups[0] | groups[1] == set(many)


def test_one_source_on_several_listeners_is_one_alert() -> None:
    """One address floods web and mail at the same rate."""
    played = play(single(500, 1000, targets=2), single(500, 1000, targets=2, listener=MAIL))
    ((_, opened),) = played.opened()
    assert (opened.alert_class, opened.source) == (AlertClass.SINGLE_SOURCE, FLOODER)
    (now,) = played.detector.open_alerts()
    assert set(now.listeners) == {WEB, MAIL}


def test_another_kind_of_attack_meanwhile_is_its_own_alert() -> None:
    """A spoofed flood on the web server, then a single source on mail, then a scan: three alerts."""
    scanner = Stream(CLOSED, 100, 4000, lost=1.0, refused=True, targets=10_000, watched=NAT)
    played = play(flood(3000, 1000), single(3000, 2500, listener=MAIL), scanner)
    found = [(alert.kind, alert.alert_class, alert.listener) for _, alert in played.opened()]
    assert found == [
        (AlertKind.SYN_FLOOD, AlertClass.SPOOFED, WEB),
        (AlertKind.SYN_FLOOD, AlertClass.SINGLE_SOURCE, MAIL),
        (AlertKind.SCAN, AlertClass.CLOSED_PORTS, None),
    ]
    assert [alert.id for alert in played.detector.open_alerts()] == [1, 2, 3]


def test_a_second_attack_of_the_same_kind_after_the_first_has_paused_is_its_own() -> None:
    """Seven seconds after a spoofed flood on web ended, one on mail is no part of it."""
    played = play(flood(3000, 1000, 4000), flood(3000, 11_000, listener=MAIL), until_ms=14_000)
    assert [alert.listeners for _, alert in played.opened()] == [(WEB,), (MAIL,)]


def test_ten_minutes_with_gaps_of_five_seconds_are_one_alert() -> None:
    """Half a minute of flood, five seconds of nothing, over and over."""
    pulses = [flood(800, at_ms, at_ms + 30_000) for at_ms in range(1000, 600_000, 35_000)]
    played = World(Detector(Thresholds(), 1), *pulses, tick_ms=5, poll_ms=100).run(650_000)
    assert (len(played.opened()), len(played.closed())) == (1, 1)
    assert played.closed()[0][1].attempts == pytest.approx(800 * 30 * len(pulses), rel=0.01)


def test_what_is_only_suspected_is_told_to_nobody() -> None:
    """A distributed flood waits 150 ms for a name; its listener's queues are worth a look meanwhile."""
    world = World(Detector(Thresholds(), 1), crowd(200, rtt_ms=1, sources=50))
    world.streams.append(flood(5000, 4000, sources=40, patterned=1.0))
    suspected_ms = []
    while not world.opened():
        world.run(world.now_ms + 50)
        if WEB in world.detector._opening.suspected():
            suspected_ms.append(world.now_ms)
            assert WEB in world.detector.suspects()
            assert world.detector.open_alerts() == ()
    assert 100 <= world.opened()[0][0] - suspected_ms[0] <= 200
    assert list(world.detector._opening.suspected()) == []
    assert WEB in world.detector.suspects()


def test_a_suspicion_that_passes_leaves_nothing() -> None:
    """What is suspected is asked about in every snapshot; a clock set back forgets it."""
    world = World(Detector(Thresholds(), 1), crowd(200, rtt_ms=1, sources=50))
    world.streams.append(flood(5000, 4000, sources=40, patterned=1.0))
    while WEB not in world.detector._opening.suspected():
        world.run(world.now_ms + 50)
    snapshot = world.snapshot()
    world.detector.observe(replace(snapshot, time_ns=snapshot.time_ns + 1, listeners=()))
    assert list(world.detector._opening.suspected()) == []
    assert world.detector.open_alerts() == ()


def test_listeners_with_thresholds_of_their_own_are_grouped_all_the_same() -> None:
    """10 SYN/s at a strict listener, 5,000 at a usual one: each by its own bound, one attack."""
    strict = {ListenerPattern.parse("*:25"): {"half_open_per_s": 10.0, "min_attempts": 10}}
    played = play(flood(5000, 1000), flood(30, 1000, listener=MAIL), overrides=strict)
    assert len(played.opened()) == 1
    (now,) = played.detector.open_alerts()
    assert now.listeners == (WEB, MAIL)
    alone = play(flood(30, 1000, listener=MAIL), until_ms=4000, overrides=strict)
    measured = {item.name: item.threshold for item in alone.opened()[0][1].measurements}
    assert measured["half_open_per_s"] == 10.0
    assert play(flood(30, 1000, listener=MAIL), until_ms=4000).opened() == []

"""Scans: which source is one, by exact thresholds, and how its alert lives."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.detect import Detector, Thresholds
from synguard.detect.scans import judge_scan
from synguard.detect.source_memory import SourceMemory
from synguard.endpoint import Listener
from synguard.model import AlertClass, AlertKind, Cohort, HandshakeCounts, Severity, Snapshot, SourceReading
from tests.unit.detect.simulation import (
    BOOT_NS,
    BOOT_WALL_S,
    CLOSED,
    FLOODER,
    LISTENER_SLICE_NS,
    MS,
    NAT,
    SOURCE_SLICE_NS,
    WEB,
    Stream,
    World,
    crowd,
)

#: Old enough to have been sent again.
OLD_NS = BOOT_NS - 3000 * MS


def reading(targets: int, *, asked_ns: int = OLD_NS, probes: int = 0, **counts: int) -> SourceReading:
    """Return a source that asked so much at one moment, and has FIN segments besides."""
    attempts = counts.setdefault("attempts", sum(counts.get(name, 0) for name in ("answered", "refused")))
    ring = (Cohort(asked_ns, attempts, counts.get("completed", 0)),)
    return SourceReading(FLOODER, HandshakeCounts(**counts), ring, targets, fin_probes=probes)


def judged(one: SourceReading, *, one_way: bool = False) -> list[AlertClass]:
    """Return the scans that a source does, met now by a detector of default thresholds."""
    memory = SourceMemory(one)
    memory.meet(one, Snapshot(BOOT_NS, BOOT_WALL_S, LISTENER_SLICE_NS, SOURCE_SLICE_NS, sources=(one,)))
    return [scan.alert_class for scan in judge_scan(memory, Thresholds(), BOOT_NS, one_way=one_way)]


def scan(per_s: float, targets: int, **more: object) -> Stream:
    """Return one source that asks each of so many targets at one listener's address once, and stops."""
    stop_ms = 1000 + round(1000 * targets / per_s)
    kind = {"lost": 1.0, "watched": FLOODER, "targets": targets} | more
    return Stream(CLOSED, per_s, 1000, stop_ms, **kind)  # type: ignore[arg-type]


def play(*streams: Stream, until_ms: int, **more: float) -> World:
    """Return what a detector of default thresholds makes of these streams."""
    return World(Detector(Thresholds(**more), 1), *streams).run(until_ms)  # type: ignore[arg-type]


@pytest.mark.parametrize(("answered", "found"), [(15, []), (16, [AlertClass.HALF_OPEN])])
def test_sixteen_targets_that_answer_are_a_half_open_scan(answered: int, found: list[AlertClass]) -> None:
    """Fifteen are not, each asked once."""
    assert judged(reading(answered, answered=answered)) == found


@pytest.mark.parametrize(("refused", "found"), [(99, []), (100, [AlertClass.CLOSED_PORTS])])
def test_a_hundred_closed_targets_are_a_scan_of_closed_ports(refused: int, found: list[AlertClass]) -> None:
    """Ninety-nine are not, each asked once."""
    assert judged(reading(refused, refused=refused)) == found


@pytest.mark.parametrize(("attempts", "found"), [(99, []), (100, [AlertClass.CLOSED_PORTS])])
def test_targets_that_say_nothing_are_closed_ones(attempts: int, found: list[AlertClass]) -> None:
    """A firewall that drops what is asked of closed ports hides no scan."""
    assert judged(reading(attempts, attempts=attempts)) == found


def test_what_may_still_be_answered_or_sent_again_is_not_counted() -> None:
    """A hundred attempts of the last second are no scan yet; a second later they are."""
    young = BOOT_NS - 1150 * MS // SOURCE_SLICE_NS * SOURCE_SLICE_NS
    assert judged(reading(100, attempts=100, asked_ns=young)) == []
    assert judged(reading(100, attempts=100, asked_ns=young - 2 * SOURCE_SLICE_NS)) == [
        AlertClass.CLOSED_PORTS
    ]


@pytest.mark.parametrize(("retransmits", "found"), [(29, [AlertClass.CLOSED_PORTS]), (30, [])])
def test_dead_peers_are_asked_again_and_scanned_ports_are_not(
    retransmits: int, found: list[AlertClass]
) -> None:
    """Three in ten unanswered SYNs sent again are a stack's; of a hundred, 29 are too few."""
    assert judged(reading(100, attempts=100, syn_retransmits=retransmits)) == found


@pytest.mark.parametrize(("probes", "found"), [(15, []), (16, [AlertClass.FIN])])
def test_sixteen_probes_are_a_scan(probes: int, found: list[AlertClass]) -> None:
    """Fifteen are not, whatever their targets."""
    assert judged(reading(1, probes=probes)) == found


@pytest.mark.parametrize("kind", ["fin", "null", "xmas"])
def test_each_kind_of_probe_has_its_class(kind: str) -> None:
    """And a source that sends all three kinds does three scans."""
    one = replace(reading(1), **{f"{kind}_probes": 20})  # type: ignore[arg-type]
    assert judged(one) == [AlertClass(kind)]
    all_kinds = replace(one, fin_probes=16, null_probes=17, xmas_probes=18)
    assert judged(all_kinds) == [AlertClass.FIN, AlertClass.NULL, AlertClass.XMAS]


@pytest.mark.parametrize(("attempts", "found"), [(300, [AlertClass.CLOSED_PORTS]), (301, [])])
def test_each_target_is_asked_three_times_at_most(attempts: int, found: list[AlertClass]) -> None:
    """Who asks a hundred targets more often than that floods, or wants to get in."""
    assert judged(reading(100, refused=attempts)) == found


@pytest.mark.parametrize("targets", [199, 200])
def test_a_full_estimate_of_targets_says_many(targets: int) -> None:
    """Of 200 and more targets the probe knows no number: who asks ten thousand times scans then."""
    found = [AlertClass.CLOSED_PORTS] if targets == 200 else []
    assert judged(reading(targets, refused=10_000)) == found


@pytest.mark.parametrize(("completed", "found"), [(40, [AlertClass.CLOSED_PORTS]), (41, [])])
def test_who_completes_more_than_a_fifth_is_a_client(completed: int, found: list[AlertClass]) -> None:
    """A peer-to-peer client with some living peers, or a crawler of sites of which some are gone."""
    assert judged(reading(200, refused=200 - completed, answered=completed, completed=completed)) == found


def test_few_targets_are_no_scan_however_often_they_refuse() -> None:
    """A monitor that asks twenty closed ports, three times each and more, is none."""
    assert judged(reading(20, refused=60)) == []
    assert judged(reading(59, refused=100)) == []
    assert judged(reading(60, refused=100)) == [AlertClass.CLOSED_PORTS]


def test_a_scan_of_both_is_called_after_what_it_mostly_found() -> None:
    """Open ports beside more closed ones are part of the scan; more open ones make it half-open."""
    assert judged(reading(120, refused=90, answered=30)) == [AlertClass.CLOSED_PORTS]
    assert judged(reading(120, refused=30, answered=90)) == [AlertClass.HALF_OPEN]


def test_where_answers_cannot_be_seen_no_scan_is_half_open() -> None:
    """In one direction only, nobody knows what was answered and not completed."""
    assert judged(reading(50, answered=50)) == [AlertClass.HALF_OPEN]
    assert judged(reading(50, answered=50), one_way=True) == []


@pytest.mark.parametrize("per_s", [2, 40, 1000, 50_000])
def test_a_scan_is_one_at_any_rate(per_s: float) -> None:
    """240 closed ports at two a second or at fifty thousand: one alert, which names the source alone."""
    played = play(scan(per_s, 240, refused=True), until_ms=min(130_000, 4000 + round(240_000 / per_s)))
    ((_, alert),) = played.opened()
    assert (alert.kind, alert.alert_class) == (AlertKind.SCAN, AlertClass.CLOSED_PORTS)
    assert (alert.source, alert.listener, alert.severity) == (FLOODER, None, Severity.LOW)
    assert alert.sources_estimated == 1


def test_a_slow_client_of_few_targets_never_adds_up_to_a_scan() -> None:
    """Nine targets of which none completes, asked again every minute for ten minutes, are no scan."""
    asks = [
        Stream(WEB, 9, at_ms, at_ms + 1000, lost=1.0, watched=FLOODER, targets=9)
        for at_ms in range(1000, 600_000, 60_000)
    ]
    played = World(Detector(Thresholds(slow_floods=False), 1), *asks, tick_ms=10, poll_ms=500)
    assert played.run(610_000).actions == []


def test_what_was_asked_minutes_ago_is_forgotten() -> None:
    """Ninety closed ports now and ninety in ten minutes are no scan; within a minute they are."""

    def played(again_ms: int) -> World:
        asks = [
            Stream(CLOSED, 3, at_ms, at_ms + 30_000, lost=1.0, refused=True, watched=FLOODER, targets=180)
            for at_ms in (1000, again_ms)
        ]
        # A client otherwise, who is met often enough to be remembered.
        rest = crowd(0.02, watched=FLOODER)
        world = World(Detector(Thresholds(), 1), *asks, rest, tick_ms=10, poll_ms=500)
        return world.run(again_ms + 40_000)

    assert played(600_000).opened() == []
    assert len(played(60_000).opened()) == 1


def test_an_old_client_that_begins_to_scan_is_found() -> None:
    """Ten thousand connections of yesterday do not excuse a hundred closed ports of today."""
    old = HandshakeCounts(attempts=10_000, answered=10_000, completed=10_000)
    memory = SourceMemory(SourceReading(FLOODER, old, (), 3))
    for at_ns, one in (
        (BOOT_NS, SourceReading(FLOODER, old, (), 3)),
        (
            BOOT_NS + 5000 * MS,
            SourceReading(FLOODER, replace(old, attempts=10_100, refused=100), (), 103),
        ),
    ):
        memory.meet(one, Snapshot(at_ns, BOOT_WALL_S, LISTENER_SLICE_NS, SOURCE_SLICE_NS, sources=(one,)))
    found = judge_scan(memory, Thresholds(), BOOT_NS + 5000 * MS, one_way=False)
    assert [one.alert_class for one in found] == [AlertClass.CLOSED_PORTS]


def test_scanning_again_while_the_alert_is_open_is_the_same_alert() -> None:
    """Two scans of one source five seconds apart are one alert; a third, after its close, is a second one."""
    scans = [
        replace(scan(500, 500, refused=True), start_ms=at_ms, stop_ms=at_ms + 1000)
        for at_ms in (1000, 7000, 40_000)
    ]
    played = play(*scans, until_ms=70_000)
    assert [alert.id for _, alert in played.opened()] == [1, 2]
    assert [alert.attempts for _, alert in played.closed()] == [1000, 500]
    (closed_ms, first), _ = played.closed()
    assert 17_500 <= closed_ms <= 19_000
    assert first.ended_at_s == pytest.approx(BOOT_WALL_S + 8.0, abs=0.1)
    assert (first.refused, first.completed, first.half_open_ratio) == (1000, 0, 1.0)


def test_a_scan_may_turn_out_to_be_of_another_class() -> None:
    """First open ports, then twice as many closed ones: one alert, and its timeline has both names."""
    open_ones = replace(scan(10, 30), listener=WEB)
    closed_ones = replace(scan(200, 200, refused=True), start_ms=5000, stop_ms=6000)
    played = play(open_ones, closed_ones, until_ms=9000)
    ((_, opened),) = played.opened()
    assert opened.alert_class is AlertClass.HALF_OPEN
    (now,) = played.detector.open_alerts()
    assert now.alert_class is AlertClass.CLOSED_PORTS
    changes = [(change.what, change.before, change.after) for change in now.timeline]
    assert changes == [("state", None, "open"), ("class", "half-open", "closed-ports")]


def test_probes_and_ports_of_one_source_are_two_alerts() -> None:
    """Each is told for itself: FIN segments are not SYNs."""
    fin = Stream(CLOSED, 50, 1000, 3000, watched=FLOODER, targets=250, probes="fin")
    played = play(fin, scan(200, 200, refused=True), until_ms=5000)
    found = {alert.alert_class for _, alert in played.opened()}
    assert found == {AlertClass.FIN, AlertClass.CLOSED_PORTS}


@pytest.mark.parametrize("kind", ["fin", "null", "xmas"])
def test_a_scan_by_probes_closes_after_its_last_one(kind: str) -> None:
    """What a source sends besides, as a client, does not keep it open."""
    probes = Stream(CLOSED, 50, 1000, 3000, watched=FLOODER, targets=250, probes=kind)
    client = crowd(20, watched=FLOODER)
    played = play(probes, client, until_ms=16_000)
    ((closed_ms, closed),) = played.closed()
    assert 12_900 <= closed_ms <= 13_200
    assert (closed.alert_class, closed.source) == (AlertClass(kind), FLOODER)


def test_a_peer_to_peer_client_whose_peers_are_dead_is_none() -> None:
    """Three hundred dead peers, each asked again after a second, and a few that live."""
    dead = Stream(WEB, 30, 1000, 11_000, lost=1.0, watched=NAT, targets=250, silent_from_ms=0, retries=True)
    assert play(dead, crowd(5, watched=NAT), until_ms=20_000).actions == []


def test_a_trusted_source_may_scan() -> None:
    """A scanner of one's own, trusted in the settings, raises nothing."""
    stream = scan(500, 500, refused=True)
    trusted = (ip_network("198.51.100.0/24"),)
    assert World(Detector(Thresholds(trusted=trusted), 1), stream).run(5000).actions == []
    assert len(World(Detector(Thresholds(), 1), stream).run(5000).opened()) == 1


def test_who_has_scanned_is_found_flooding_beside_much_good_traffic() -> None:
    """No scan of many ports beforehand excuses a flood of one, and the scan is told of, too."""
    flood = Stream(WEB, 2500, 3000, lost=1.0, watched=FLOODER, targets=250)
    alerts = [alert for _, alert in play(crowd(30_000), flood, until_ms=6000).opened()]
    assert [(alert.alert_class, alert.source) for alert in alerts] == [
        (AlertClass.HALF_OPEN, FLOODER),
        (AlertClass.SINGLE_SOURCE, FLOODER),
    ]


@pytest.mark.parametrize(("sources", "flooded"), [(8, False), (40, True)])
def test_random_ports_from_many_sources_are_a_flood_on_the_address(sources: int, *, flooded: bool) -> None:
    """The scans of some sources at a time excuse no more than they are, however many others join."""
    scanners = [
        Stream(CLOSED, 300, 1000, lost=1.0, watched=ip_network(f"192.0.2.{n}"), targets=250, refused=True)
        for n in range(sources)
    ]
    opened = [alert for _, alert in play(*scanners, until_ms=6000).opened()]
    assert [alert.kind for alert in opened].count(AlertKind.SCAN) == sources
    assert [alert.listener for alert in opened if alert.kind is AlertKind.SYN_FLOOD] == [CLOSED] * flooded


def test_a_scan_that_ended_before_the_clock_was_set_back_ends_after_it_began() -> None:
    """An hour back on the wall while an alert is open makes no alert end before its beginning."""

    class SetBack(World):
        def snapshot(self) -> Snapshot:
            found = super().snapshot()
            return replace(found, wall_s=found.wall_s - (3600 if self.now_ms > 3000 else 0))

    probes = Stream(WEB, 200, 0, 4000, watched=FLOODER, probes="fin")
    ((_, closed),) = SetBack(Detector(Thresholds(), 1), probes).run(20_000).closed()
    assert closed.ended_at_s == closed.started_at_s


def test_checks_that_are_reset_again_and_again_make_no_new_scan_each_time() -> None:
    """A load balancer checks 20 ports each 2 s by SYN and RST: at most its first round looks like a scan."""
    checks = [
        Stream(Listener(WEB.address, 8000 + n), 0.5, 100 * n, lost=1.0, aborted=1.0, watched=NAT, targets=20)
        for n in range(20)
    ]
    played = World(Detector(Thresholds(), 1), *checks, tick_ms=20, poll_ms=100).run(300_000)
    assert len(played.opened()) <= 1

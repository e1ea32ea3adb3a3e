"""Floods of a prefix: no address of it is above a threshold, all of them together are."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.detect import Detector, Thresholds
from synguard.detect.prefixes import narrowed, widest
from synguard.endpoint import Listener, Network
from synguard.model import Alert, AlertClass, AlertKind
from tests.unit.detect.simulation import CLOSED, MAIL, WEB, Stream, World, crowd, flood

HOME = ip_network("198.51.100.0/24")
BUSY = crowd(600, rtt_ms=20, sources=200)


def play(*streams: Stream, until_ms: int = 6000, **thresholds: object) -> World:
    """Return what a detector makes of these streams."""
    return World(Detector(Thresholds(**thresholds), 1), *streams).run(until_ms)  # type: ignore[arg-type]


def only_alert(played: World) -> Alert:
    """Return the one alert as it opened."""
    ((_, alert),) = played.opened()
    return alert


def of_prefix(prefix: str | Network, per_s: float, start_ms: int = 1000, **more: object) -> Stream:
    """Return SYNs of 200 addresses of a prefix, each with as many."""
    kind: dict[str, object] = {"prefix": ip_network(prefix), "sources": 200} | more
    return replace(flood(per_s, start_ms), **kind)  # type: ignore[arg-type]


def named(played: World) -> set[Network | None]:
    """Return whom alerts ever named as their source."""
    return {action.alert.source for _, action in played.actions}


@pytest.mark.parametrize("beside", [(), (BUSY,)])
def test_200_addresses_of_a_24_are_its_flood(beside: tuple[Stream, ...]) -> None:
    """Each asks five times a second; with and without good clients beside."""
    played = play(*beside, of_prefix(HOME, 1000))
    alert = only_alert(played)
    assert (alert.kind, alert.alert_class) == (AlertKind.SYN_FLOOD, AlertClass.PREFIX)
    assert (alert.source, alert.listener) == (HOME, WEB)
    told = {item.name: item.value for item in alert.evidence}
    assert told["addresses"] == 200
    assert told["share_of_half_open"] == pytest.approx(1.0, abs=0.05)
    assert named(played) == {HOME}


def test_a_prefix_is_named_under_a_listener_that_hides_it() -> None:
    """300 SYN/s of a /24 under 20,000 good connections a second, of which they are 1.5 %."""
    played = play(crowd(20_000, sources=900), of_prefix(HOME, 300, 2000), until_ms=7000)
    alert = only_alert(played)
    assert (alert.alert_class, alert.source) == (AlertClass.PREFIX, HOME)
    assert alert.sources_estimated == 200
    measured = {item.name: item for item in alert.measurements}
    assert measured["prefix_half_open_per_s"].threshold == 50.0
    assert 50.0 <= measured["prefix_half_open_per_s"].observed <= 310


@pytest.mark.parametrize(("per_s", "alerts"), [(45, 0), (55, 1)])
def test_the_threshold_of_prefixes_is_the_settings(per_s: float, alerts: int) -> None:
    """50 half-open handshakes a second of all its addresses by default, beside much that is good."""
    played = play(crowd(5000, sources=900), of_prefix(HOME, per_s, 2000), until_ms=9000)
    assert len(played.opened()) == alerts
    lower = play(
        crowd(5000, sources=900), of_prefix(HOME, per_s, 2000), until_ms=9000, prefix_half_open_per_s=30.0
    )
    assert len(lower.opened()) == 1


def test_a_16_is_merged_of_its_24s() -> None:
    """A hundred /24s, each with ten SYN/s: one alert, on the /16, under a listener that hides it."""
    parts = [of_prefix(f"198.51.{third}.0/24", 10, 2000 + third) for third in range(0, 200, 2)]
    played = play(crowd(12_000, sources=900), *parts)
    alert = only_alert(played)
    assert alert.alert_class is AlertClass.PREFIX
    assert alert.source == ip_network("198.51.0.0/16")
    assert named(played) == {ip_network("198.51.0.0/16")}


def test_ipv6_floods_are_merged_to_a_32() -> None:
    """From within one /48 that is named; from sixty of them their /32."""
    one = only_alert(play(BUSY, of_prefix("2001:db8:7::/48", 1000)))
    assert (one.alert_class, one.source) == (AlertClass.PREFIX, ip_network("2001:db8:7::/48"))
    parts = [of_prefix(f"2001:db8:{group:x}::/48", 20, 1500) for group in range(0, 0xFFFF, 0x440)]
    many = only_alert(play(crowd(300), *parts))
    assert (many.alert_class, many.source) == (AlertClass.PREFIX, ip_network("2001:db8::/32"))


def test_two_floods_of_far_prefixes_are_not_merged() -> None:
    """Two /24s of different /16s, both above the threshold, hidden by good traffic: two alerts."""
    far = ip_network("203.0.113.0/24")
    played = play(crowd(20_000, sources=900), of_prefix(HOME, 200, 2000), of_prefix(far, 250, 2000))
    assert {alert.source for _, alert in played.opened()} == {HOME, far}


def test_narrowing_stops_where_a_tenth_would_be_lost() -> None:
    """The smallest prefix with nine tenths of it; widest are /16 and /32."""
    networks = [ip_network(f"198.51.{third}.0/24") for third in (100, 101, 102, 200)]
    assert narrowed(dict(zip(networks, (40.0, 5.0, 50.0, 5.0), strict=True))) == ip_network("198.51.100.0/22")
    assert narrowed(dict(zip(networks, (95.0, 1.0, 2.0, 2.0), strict=True))) == networks[0]
    assert narrowed(dict(zip(networks, (30.0, 20.0, 30.0, 20.0), strict=True))) == ip_network("198.51.0.0/16")
    assert widest(networks[0]) == ip_network("198.51.0.0/16")
    assert widest(ip_network("2001:db8:7::/48")) == ip_network("2001:db8::/32")
    assert widest(ip_network("198.0.0.0/8")) == ip_network("198.0.0.0/8")


def test_one_flooder_of_a_prefix_does_not_make_it_the_prefix_flood() -> None:
    """2,000 SYN/s of one address beside nine neighbours that fail now and then: that address is named."""
    flooder = ip_network("198.51.100.77/32")
    some = of_prefix(HOME, 10, 500, sources=9)
    played = play(some, flood(2000, 1000, watched=flooder), until_ms=9000)
    assert named(played) == {flooder}


def test_one_flooder_of_a_hidden_prefix_is_named_himself() -> None:
    """The same where the listener's good traffic hides it: no second alert for its prefix."""
    flooder = ip_network("198.51.100.77/32")
    neighbours = of_prefix(HOME, 10, 500, sources=9)
    played = play(crowd(20_000, sources=900), neighbours, flood(500, 2000, watched=flooder), until_ms=9000)
    assert only_alert(played).source == flooder


def test_a_scanner_of_a_prefix_does_not_make_it_the_prefix_flood() -> None:
    """A scan of closed ports at 400 a second raises a scan alone, though its prefix has other addresses."""
    scan = Stream(
        CLOSED, 400, 1000, lost=1.0, refused=True, watched=ip_network("198.51.100.9/32"), targets=10_000
    )
    played = play(scan, of_prefix(HOME, 10, sources=9, listener=MAIL), until_ms=9000)
    assert {alert.kind for _, alert in played.opened()} == {AlertKind.SCAN}


def test_a_scanner_of_many_listeners_does_not_either() -> None:
    """Twenty open ports asked at 100 a second in all, by one of ten addresses: a half-open scan alone."""
    scanner = ip_network("198.51.100.9/32")
    scan = [
        Stream(Listener(WEB.address, 8000 + port), 5, 1000, lost=1.0, watched=scanner, targets=250)
        for port in range(20)
    ]
    played = play(*scan, of_prefix(HOME, 10, sources=9), until_ms=9000)
    assert {alert.kind for _, alert in played.opened()} == {AlertKind.SCAN}


@pytest.mark.parametrize("sources", [2, 3])
def test_two_addresses_are_no_prefix(sources: int) -> None:
    """Of three and more addresses a prefix is named."""
    played = play(crowd(20_000, sources=900), of_prefix(HOME, 80, 2000, sources=sources))
    assert named(played) == (set() if sources == 2 else {HOME})


def test_a_prefix_of_clients_of_which_some_fail_is_none() -> None:
    """An access network with 300 connections a second of which a third fails is not blamed."""
    clients = crowd(300, lost=0.33, prefix=HOME, sources=200)
    assert play(crowd(20_000, sources=900), clients, until_ms=9000).actions == []


def test_trusted_aggregators_are_left_out() -> None:
    """A CDN's flood is the listener's alone; nobody of the CDN is named, no prefix and no address."""
    cdn = of_prefix(HOME, 1000)
    single = flood(500, 1000, watched=ip_network("198.51.100.7/32"))
    played = play(cdn, single, trusted=(ip_network("198.51.100.0/22"),))
    alert = only_alert(played)
    assert alert.listener == WEB
    assert alert.alert_class is not AlertClass.PREFIX
    assert named(played) == {None}
    assert all(action.alert.top_sources == () for _, action in played.actions)
    assert named(play(cdn, single)) != {None}


def test_an_aggregator_that_a_busy_listener_hides_raises_nothing() -> None:
    """For trusted sources only listeners are judged."""
    busy, cdn = crowd(20_000, sources=900), of_prefix(HOME, 300, 2000)
    assert play(busy, cdn, trusted=(HOME,)).actions == []
    assert len(play(busy, cdn).opened()) == 1


@pytest.mark.parametrize("start_ms", [1000, 1300, 3000])
def test_a_prefix_flood_on_several_listeners_is_one_alert(start_ms: int) -> None:
    """A /24 that floods web and mail, together or one after the other: one alert, both listed."""
    played = play(BUSY, of_prefix(HOME, 1000), of_prefix(HOME, 800, start_ms, listener=MAIL), until_ms=8000)
    alert = only_alert(played)
    assert (alert.alert_class, alert.source) == (AlertClass.PREFIX, HOME)
    (now,) = played.detector.open_alerts()
    assert (now.alert_class, now.listeners) == (AlertClass.PREFIX, (WEB, MAIL))


@pytest.mark.parametrize("spoofed_per_s", [400, 1500, 5000])
def test_a_spoofed_flood_elsewhere_is_not_the_prefixs(spoofed_per_s: int) -> None:
    """While a /24 floods the web server, random addresses flood the mail server: two alerts."""
    spoofed = Stream(MAIL, spoofed_per_s, 1000, lost=1.0)
    played = play(of_prefix(HOME, 1500), spoofed, until_ms=8000)
    found = {alert.listener: (alert.alert_class, alert.source) for _, alert in played.opened()}
    assert found == {WEB: (AlertClass.PREFIX, HOME), MAIL: (AlertClass.SPOOFED, None)}
    assert {alert.listeners for alert in played.detector.open_alerts()} == {(WEB,), (MAIL,)}


def test_a_small_flood_is_not_a_large_prefixs_by_chance() -> None:
    """A /24 that asks forty listeners a little has no part in a spoofed flood on a forty-first."""
    thin = [
        of_prefix(HOME, 7.5, 1000, listener=Listener(WEB.address, 8000 + port), sources=5)
        for port in range(40)
    ]
    played = play(*thin, flood(80, 1000), until_ms=6000)
    found = {alert.source: alert.listener for _, alert in played.opened()}
    assert found == {HOME: None, None: WEB}


def test_a_prefix_flood_ends_like_any_other() -> None:
    """It closes within its time, with the counts of its whole length."""
    stopped = replace(of_prefix(HOME, 300, 2000), stop_ms=6000)
    for beside in ([], [crowd(20_000, sources=900)]):
        played = play(*beside, stopped, until_ms=22_000)
        ((at_ms, closed),) = played.closed()
        assert 16_000 <= at_ms <= 21_000
        assert closed.source == HOME
        assert closed.attempts == pytest.approx(1200, abs=20)


def test_a_hidden_prefix_flood_tells_how_many_addresses_it_has_grown_to() -> None:
    """Ten addresses begin and 150 join. What of it was answered is not counted, and null instead of none."""
    joining = replace(of_prefix(HOME, 600, 5000), sources=150)
    (alert,) = play(
        crowd(30_000, sources=900), replace(of_prefix(HOME, 600, 2000), sources=10), joining, until_ms=9000
    ).detector.open_alerts()
    assert (alert.source, alert.sources_estimated, alert.answered) == (HOME, 160, None)

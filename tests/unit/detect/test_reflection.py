"""Reflections: our answers sent to a prefix whose addresses never asked, few to each, for long."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.detect import Detector, Thresholds
from synguard.endpoint import Network
from synguard.model import Alert, AlertClass, AlertKind, Severity
from synguard.server import ListenerQueues, ServerReading
from tests.unit.detect.simulation import BOOT_NS, CLOSED, MAIL, MS, WEB, Stream, World, crowd, flood

HOME = ip_network("198.51.100.0/24")


def of_prefix(per_min: float, prefix: Network = HOME, sources: int = 100, **more: object) -> Stream:
    """Return SYNs in the name of so many addresses of a prefix, from the first second on."""
    kind: dict[str, object] = {"prefix": prefix, "sources": sources} | more
    return replace(flood(per_min / 60, 1000), **kind)  # type: ignore[arg-type]


def play(*streams: Stream, until_s: int = 120, **more: object) -> World:
    """Return what a detector of default thresholds makes of these streams, looking five times a second."""
    played = World(Detector(Thresholds(), 1), *streams, tick_ms=10, poll_ms=200, **more)  # type: ignore[arg-type]
    return played.run(until_s * 1000)


def only_alert(played: World) -> Alert:
    """Return the one alert as it opened."""
    ((_, alert),) = played.opened()
    return alert


def test_100_half_open_a_minute_towards_97_addresses_of_a_22_are_a_reflection() -> None:
    """As it was seen in the wild: told within a minute and a half, with the /22 and our listener."""
    parts = [of_prefix(30, ip_network(f"198.51.{third}.0/24"), 24) for third in range(100, 104)]
    played = play(crowd(20, sources=9), *parts, until_s=100)
    alert = only_alert(played)
    assert (alert.kind, alert.alert_class, alert.severity) == (AlertKind.REFLECTION, None, Severity.LOW)
    assert (alert.source, alert.listener, alert.listeners) == (ip_network("198.51.100.0/22"), WEB, (WEB,))
    assert alert.sources_estimated is not None
    assert 64 <= alert.sources_estimated <= 96
    assert alert.top_sources == ()
    assert played.opened()[0][0] <= 90_000
    told = {item.name: item for item in alert.measurements}["half_open_per_min"]
    assert told.threshold == 60.0 <= told.observed <= 130.0


@pytest.mark.parametrize(("per_min", "alerts"), [(54, 0), (64, 1)])
@pytest.mark.parametrize("clients", [0, 20])
def test_the_threshold_is_60_a_minute(per_min: int, alerts: int, clients: int) -> None:
    """Below there is nothing, above it an alert; at a listener that others ask and at a quiet one."""
    assert len(play(crowd(clients, sources=9), of_prefix(per_min)).opened()) == alerts


@pytest.mark.parametrize(("sources", "alerts"), [(15, 0), (16, 1)])
def test_fewer_than_sixteen_addresses_are_no_prefix(sources: int, alerts: int) -> None:
    """Fifteen may be fifteen broken clients."""
    assert len(play(of_prefix(300, sources=sources)).opened()) == alerts


@pytest.mark.parametrize(("per_min", "alerts"), [(16 * 58, 1), (16 * 100, 0)])
def test_each_address_asks_seldom(per_min: int, alerts: int) -> None:
    """Up to once a second; whoever asks more often is not one of many."""
    found = play(of_prefix(per_min, sources=16, aborted=1.0)).opened()
    assert [alert.kind for _, alert in found] == [AlertKind.REFLECTION] * alerts


@pytest.mark.parametrize(("lost", "alerts"), [(0.94, 0), (0.97, 1)])
def test_a_prefix_of_clients_is_none(lost: float, alerts: int) -> None:
    """Where more than one in twenty completes somebody lives."""
    assert len(play(of_prefix(300, lost=lost)).opened()) == alerts


def test_a_burst_is_none() -> None:
    """200 SYNs within ten seconds, which a minute holds as well: it must last."""
    assert play(of_prefix(1200, stop_ms=11_000)).opened() == []


def test_answers_to_nobody_are_none() -> None:
    """Closed ports that say nothing or refuse send no SYN-ACK to anybody."""
    assert play(of_prefix(300, listener=CLOSED)).opened() == []
    assert play(of_prefix(300, listener=CLOSED, refused=True)).opened() == []


@pytest.mark.parametrize("aborted", [0.0, 1.0])
def test_below_the_flood_thresholds_it_is_no_flood_though_it_is_a_shift(aborted: float) -> None:
    """20 SYN/s of one /24, silent or answering RST, are told as a reflection alone."""
    alert = only_alert(play(crowd(20, sources=9), of_prefix(20 * 60, aborted=aborted)))
    assert (alert.kind, alert.source) == (AlertKind.REFLECTION, HOME)
    assert alert.half_open_ratio == 1.0


def test_above_the_flood_threshold_it_is_a_flood() -> None:
    """100 SYN/s of one /24 are its flood, and nothing else."""
    alert = only_alert(play(crowd(20, sources=9), of_prefix(100 * 60)))
    assert (alert.kind, alert.alert_class) == (AlertKind.SYN_FLOOD, AlertClass.PREFIX)


@pytest.mark.parametrize(("full", "alerts"), [(False, 1), (True, 0)])
def test_what_hurts_us_is_no_reflection(full: bool, alerts: int) -> None:
    """While the listener's SYN queue is full and cookies are sent, it does not only hurt others."""

    def server(ms: int) -> ServerReading:
        fill = 1.0 if full else 0.2
        queues = ListenerQueues(128, 128, 0, 128, 0.0, syn_queue_worst=fill, drops=0)
        now_ns = BOOT_NS + ms * MS
        return ServerReading(now_ns, {"SyncookiesSent": ms if full else 0}, 1, {WEB: queues}, now_ns)

    found = play(of_prefix(300), server=server).opened()
    assert [alert.kind for _, alert in found] == [AlertKind.REFLECTION] * alerts
    assert [alert.impact for _, alert in found] == ["none"] * alerts


def test_two_prefixes_are_two_reflections() -> None:
    """Far from each other, on different listeners: each names its own."""
    far = ip_network("192.0.2.0/24")
    played = play(of_prefix(300), of_prefix(220, far, listener=MAIL))
    assert {(alert.source, alert.listener) for _, alert in played.opened()} == {(HOME, WEB), (far, MAIL)}


def test_it_is_one_alert_that_counts_and_closes() -> None:
    """Ten minutes of it are one alert, over a minute after its end at the latest."""
    played = play(of_prefix(300, stop_ms=601_000), until_s=700)
    assert len(played.opened()) == 1
    ((at_ms, closed),) = played.closed()
    assert 611_000 <= at_ms <= 671_000
    assert closed.attempts == pytest.approx(3000, abs=5)
    assert (closed.completed, closed.half_open_ratio) == (0, 1.0)


def test_ipv6_prefixes_are_reflected_to_as_well() -> None:
    """A few /48s are merged upward, at most to a /32."""
    parts = [of_prefix(60, ip_network(f"2001:db8:{group:x}::/48"), 40) for group in range(8)]
    alert = only_alert(play(*parts))
    assert (alert.kind, alert.source) == (AlertKind.REFLECTION, ip_network("2001:db8::/45"))


def test_a_trusted_prefix_is_none() -> None:
    """An aggregator's health checks that never complete raise nothing."""
    trusted = Detector(Thresholds(trusted=(ip_network("198.51.100.0/22"),)), 1)
    assert World(trusted, of_prefix(300), tick_ms=10, poll_ms=200).run(120_000).opened() == []

"""Slow applications: told as overload where the kernel shows it, and nowhere taken for a flood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from synguard.detect import Detector, Thresholds
from synguard.model import Alert, AlertKind, Severity
from synguard.server import ListenerQueues, ServerReading
from tests.unit.detect.simulation import BOOT_NS, BOOT_WALL_S, MAIL, MS, WEB, Stream, World, crowd, flood

Server = Callable[[int], ServerReading]
IDLE = ListenerQueues(0, 128, 0, 128, 0.0, syn_queue_worst=0.0, drops=0)
STUCK = replace(IDLE, accept_queue=129, accept_queue_worst=1.0)
FLOODED = replace(IDLE, syn_queue=129, syn_queue_worst=1.0)


def stack(
    start_ms: int,
    stop_ms: int = 10**9,
    per_s: float = 0.0,
    *,
    queues: ListenerQueues = STUCK,
    counter: str = "ListenOverflows",
) -> Server:
    """Return a stack whose web server has these queues for a time, with so many packets dropped a second."""

    def server(ms: int) -> ServerReading:
        dropped = round(per_s * max(0, min(ms, stop_ms) - start_ms) / 1000)
        now = replace(queues if start_ms <= ms < stop_ms else IDLE, drops=dropped)
        now_ns = BOOT_NS + ms * MS
        return ServerReading(now_ns, {counter: dropped, "ListenDrops": dropped}, 1, {WEB: now}, now_ns)

    return server


def clients(per_s: float, silent_from_ms: int | None = 5000, **more: object) -> Stream:
    """Return clients who get no answer from a moment on, and ask again after a second."""
    kind: dict[str, object] = {"silent_from_ms": silent_from_ms, "retries": True, "sources": 40} | more
    return replace(crowd(per_s), **kind)  # type: ignore[arg-type]


def play(*streams: Stream, until_ms: int = 15_000, server: Server | None = None) -> World:
    """Return what a detector of default thresholds makes of these streams and that stack."""
    return World(Detector(Thresholds(), 1), *streams, server=server).run(until_ms)


def kinds(played: World) -> list[AlertKind]:
    """Return the kinds of the alerts in the order in which they opened."""
    return [alert.kind for _, alert in played.opened()]


def only_alert(played: World) -> tuple[int, Alert]:
    """Return the one alert as it opened, and when."""
    (opened,) = played.opened()
    return opened


@pytest.mark.parametrize("per_s", [30, 200, 2000])
def test_a_full_accept_queue_with_real_clients_is_an_overload(per_s: int) -> None:
    """An application that stops accepting is told as that, after three seconds, whatever its load."""
    played = play(clients(per_s), server=stack(5000, per_s=2 * per_s))
    at_ms, alert = only_alert(played)
    assert (alert.kind, alert.alert_class, alert.impact) == (AlertKind.OVERLOAD, None, "accept-queue-full")
    assert (alert.listener, alert.source, alert.top_sources) == (WEB, None, ())
    assert 8000 <= at_ms <= 8500
    told = {item.name: item for item in alert.evidence}
    assert told["accept_queue_full"].weight == 0.6
    assert told["clients_send_again"].value != 0
    assert {action.alert.kind for _, action in played.actions} == {AlertKind.OVERLOAD}


def test_clients_who_get_through_now_and_then_show_it_as_well() -> None:
    """An application that is merely slow: most complete, five a second are turned away."""
    _, alert = only_alert(play(clients(100, None), server=stack(5000, per_s=5)))
    assert alert.kind is AlertKind.OVERLOAD
    told = {item.name: item.value for item in alert.evidence}
    assert told["clients_complete"] == pytest.approx(300, abs=10)
    assert told["clients_send_again"] == 0


@pytest.mark.parametrize(("overflows_per_s", "found"), [(0.0, 0), (0.5, 0), (2.0, 1)])
def test_a_full_queue_that_turns_nobody_away_is_none(overflows_per_s: float, found: int) -> None:
    """Three turned away in three seconds are needed."""
    assert len(play(clients(100, None), server=stack(5000, per_s=overflows_per_s)).opened()) == found


def test_a_queue_full_for_a_moment_is_none() -> None:
    """A burst of clients fills it for one and a half seconds."""
    server = stack(5000, 6500, per_s=60)
    assert play(clients(100, None), server=server).opened() == []
    assert kinds(play(clients(100, None), server=stack(5000, 12_000, per_s=60))) == [AlertKind.OVERLOAD]


def test_a_flood_of_first_syns_over_a_full_accept_queue_is_a_flood() -> None:
    """Nobody sends again and nobody completes: the application may be slow, but not for its clients."""
    silent = flood(2000, 5000, silent_from_ms=0)
    played = play(crowd(20, stop_ms=5000, sources=9), silent, server=stack(5000, per_s=2000))
    assert kinds(played) == [AlertKind.SYN_FLOOD]
    assert played.detector.open_alerts()[0].impact == "accept-queue-full"


def test_a_flood_beside_waiting_clients_is_a_flood() -> None:
    """2,000 first SYNs a second beside 100 clients who wait are found within three seconds."""
    played = play(clients(100), flood(2000, 6000, silent_from_ms=0), server=stack(5000, per_s=100))
    flood_ms = next(at_ms for at_ms, alert in played.opened() if alert.kind is AlertKind.SYN_FLOOD)
    assert flood_ms <= 9000


def test_a_hung_server_behind_a_gateway_is_no_flood() -> None:
    """Of a listener elsewhere no queue is known; clients whom nobody answers, up to 100 a second, wait."""
    played = play(clients(60), until_ms=30_000)
    assert played.actions == []
    assert {alert.impact for _, alert in play(flood(500, 1000), until_ms=4000).opened()} == {"unknown"}


@pytest.mark.parametrize(("served_per_s", "asking_per_s", "found"), [(10, 95, 0), (10, 190, 1), (90, 250, 0)])
def test_so_many_may_wait_at_an_unknown_listener(served_per_s: int, asking_per_s: int, found: int) -> None:
    """100 a second, or three times those served before, and what makes a flood on top."""
    before = crowd(served_per_s, stop_ms=5000, sources=9)
    later = clients(asking_per_s, 0, start_ms=5000)
    assert kinds(play(before, later)) == [AlertKind.SYN_FLOOD] * found


def test_any_number_may_wait_before_a_full_accept_queue() -> None:
    """Where the kernel shows who is to blame, 1,500 clients a second at a quiet listener are an overload."""
    later = clients(1500, 0, start_ms=5000)
    assert kinds(play(later, server=stack(5000, per_s=1500))) == [AlertKind.OVERLOAD]
    assert kinds(play(later)) == [AlertKind.SYN_FLOOD]


@pytest.mark.parametrize("answered_per_s", [0, 30])
def test_where_somebody_is_answered_nobody_merely_waits(answered_per_s: int) -> None:
    """Behind a gateway, SYNs unanswered beside answered ones are a flood's, though they come twice."""
    others = crowd(answered_per_s, sources=9)
    played = play(others, clients(90, 0, start_ms=5000))
    assert kinds(played) == ([AlertKind.SYN_FLOOD] if answered_per_s else [])


def test_clients_kept_out_by_a_full_syn_queue_do_not_hide_the_flood() -> None:
    """Where the SYN queue is full and the accept queue is not, what is unanswered is not left out."""
    server = stack(5000, per_s=90, queues=FLOODED, counter="TCPReqQFullDrop")
    assert kinds(play(clients(90, 5000), server=server)) == [AlertKind.SYN_FLOOD]
    assert play(clients(90, 5000), server=stack(5000, queues=IDLE)).opened() == []


def test_a_stall_of_a_minute_is_no_slow_flood_either() -> None:
    """30 clients a second who wait for a minute, and are served again: nothing but the overload."""
    server = stack(20_000, 80_000, per_s=60)
    stalled = clients(30, 20_000, stop_ms=80_000)
    again = crowd(30, start_ms=80_000, sources=40)
    played = World(Detector(Thresholds(), 1), stalled, again, server=server, tick_ms=10, poll_ms=100)
    assert kinds(played.run(120_000)) == [AlertKind.OVERLOAD]


def test_an_overload_ends_when_the_application_accepts_again() -> None:
    """One alert over stalls five seconds apart, closed ten seconds and some after the last."""

    def server(ms: int) -> ServerReading:
        first, second = stack(5000, 9000, per_s=50)(ms), stack(14_000, 18_000, per_s=50)(ms)
        counters = {name: first.counters[name] + second.counters[name] for name in first.counters}
        drops = counters["ListenDrops"]
        queues = second.queues if ms >= 10_000 else first.queues
        return replace(second, counters=counters, queues={WEB: replace(queues[WEB], drops=drops)})

    played = play(clients(100, None), until_ms=40_000, server=server)
    ((at_ms, closed),) = played.closed()
    assert kinds(played) == [AlertKind.OVERLOAD]
    assert 28_000 <= at_ms <= 33_000
    assert closed.ended_at_s == pytest.approx(BOOT_WALL_S + at_ms / 1000 - 10, abs=0.2)
    assert closed.completed is not None
    assert closed.completed > 1000


@pytest.mark.parametrize(
    ("per_s", "severity"), [(5, Severity.MEDIUM), (300, Severity.HIGH), (3000, Severity.CRITICAL)]
)
def test_severity_goes_by_those_turned_away(per_s: int, severity: Severity) -> None:
    """Five, hundreds and thousands a second, in the column of a full accept queue."""
    played = play(clients(per_s, None), server=stack(5000, per_s=per_s))
    assert played.detector.open_alerts()[0].severity is severity


def test_an_overload_of_one_listener_is_not_anothers() -> None:
    """The mail server's clients are served meanwhile, and its alerts are not hidden."""
    attacked = flood(500, 6000, listener=MAIL)
    played = play(clients(100), attacked, server=stack(5000, per_s=100))
    found = {alert.kind: alert.listener for _, alert in played.opened()}
    assert found == {AlertKind.OVERLOAD: WEB, AlertKind.SYN_FLOOD: MAIL}

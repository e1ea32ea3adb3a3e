"""What people may look at beyond the counts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from synguard.detect import Detector, Thresholds
from synguard.detect.view import view_source
from synguard.model import Cohort, HandshakeCounts, SourceReading
from synguard.server import ListenerQueues, ServerReading
from tests.unit.detect.simulation import BOOT_NS, MS, WEB, World, crowd

S = 1000 * MS


def test_half_open_attempts_are_counted_and_not_only_their_share() -> None:
    """Those of the matured part of the ring, which is what the share is of."""
    played = World(Detector(Thresholds(), 1), crowd(400, rtt_ms=90, lost=0.5)).run(5000)
    view = played.detector.listener_view(WEB)
    assert view.half_open is not None
    assert view.half_open_ratio == pytest.approx(0.5, abs=0.02)
    # The ring holds 4.1 s, of which the allowance is no part.
    assert view.half_open == pytest.approx(400 * 0.5 * 3.9, rel=0.05)


def test_every_remembered_listener_is_shown_once() -> None:
    """Also one to which nothing comes any more, with its last counts and no rate."""
    world = World(Detector(Thresholds(), 1), crowd(100)).run(3000)
    attempts = world.snapshot().listeners[0].counts.attempts
    world.detector.observe(replace(world.snapshot(), time_ns=BOOT_NS + 60 * S, listeners=()))
    (reading,) = world.detector.views().readings()
    assert (reading.listener, reading.counts.attempts) == (WEB, attempts)
    view = world.detector.views().listener(WEB)
    assert (view.attempts_per_s, view.half_open, view.half_open_ratio) == (0.0, None, None)


def test_a_source_is_shown_by_its_old_attempts_and_its_last_second() -> None:
    """What is younger than a second is no half-open attempt yet, and is a part of the rate."""
    snapshot = World(Detector(Thresholds(), 1), crowd(10)).run(4000).snapshot()
    slice_ns, now_ns = snapshot.source_cohort_ns, snapshot.time_ns
    newest = now_ns // slice_ns - 1
    cohorts = (Cohort((newest - 30) * slice_ns, 10, 4), Cohort(newest * slice_ns, 100, 0))
    reading = SourceReading(ip_network("198.51.100.7"), HandshakeCounts(attempts=110), cohorts)
    view = view_source(reading, snapshot)
    assert (view.half_open, view.half_open_ratio) == (6, 0.6)
    assert view.attempts_per_s == pytest.approx(100, rel=0.07)
    silent = view_source(replace(reading, cohorts=()), snapshot)
    assert (silent.half_open, silent.half_open_ratio, silent.attempts_per_s) == (None, None, 0.0)


def reading_at(time_ns: int, cookies: int, syn_queue_worst: float) -> ServerReading:
    """Return a look at the stack behind the listener."""
    queues = {WEB: ListenerQueues(128, 128, 0, 128, 0.0, syn_queue_worst=syn_queue_worst)}
    return ServerReading(time_ns, {"SyncookiesSent": cookies}, 1, queues, time_ns)


def test_impact_is_told_where_it_was_looked_for_and_for_no_longer_than_it_is_known() -> None:
    """Without a look nothing is known; a queue that was full is an impact; what was long ago is not now."""
    detector = Detector(Thresholds(), 1)
    snapshot = World(detector, crowd(50)).run(1000).snapshot()
    assert detector.views().impact(WEB) is None
    for second, fill in ((2, 0.0), (3, 1.0)):
        time_ns = BOOT_NS + second * S
        detector.observe(replace(snapshot, time_ns=time_ns, server=reading_at(time_ns, 5 * second, fill)))
        told = detector.views().impact(WEB)
        assert told == ("cookies" if fill else "none")
    detector.observe(replace(snapshot, time_ns=BOOT_NS + 7 * S, server=None))
    assert detector.views().impact(WEB) is None

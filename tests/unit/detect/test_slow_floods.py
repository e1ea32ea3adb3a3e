"""Floods slower than any threshold, through the whole detector: found by what is usual at their listener."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from synguard.detect import Detector, Thresholds
from synguard.endpoint import ListenerPattern
from synguard.model import AlertKind, Severity
from tests.unit.detect.seconds import old_quiet
from tests.unit.detect.simulation import BOOT_NS, BOOT_WALL_S, MAIL, MS, NAT, WEB, Stream, World, crowd, flood

OTHERS = ListenerPattern.parse("*:443")


def slowly(*streams: Stream, detector: Detector | None = None, **thresholds: object) -> World:
    """Return a world of seconds and minutes, played in steps of 10 ms and looked at four times a second."""
    settings = Thresholds(**thresholds)  # type: ignore[arg-type]
    return World(detector or Detector(settings, 1), *streams, tick_ms=10, poll_ms=250)


def found_after_s(played: World, start_ms: int) -> float:
    """Return how many seconds after a moment the one alert opened."""
    ((at_ms, _),) = played.opened()
    return (at_ms - start_ms) / 1000


def known_for(days: int, clients_per_s: float) -> dict[str, Any]:
    """Return the saved baseline of a listener that served so many clients for days, and lost none."""
    state = old_quiet(days).to_state()
    watched_s = state["slow"][0]
    return {**state, "slow": [watched_s, 0.0, clients_per_s * watched_s, clients_per_s * watched_s]}


@pytest.mark.parametrize(
    ("start_ms", "clients"), [(0, 0), (5000, 0), (120_000, 0), (120_000, 1), (120_000, 20), (300_000, 150)]
)
def test_20_syn_per_s_at_a_quiet_listener_are_found_within_a_minute(start_ms: int, clients: int) -> None:
    """By a daemon just started and by one that knows the listener, alone and beside its few clients."""
    played = slowly(crowd(clients, sources=20), flood(20, start_ms)).run(start_ms + 60_000)
    assert 20.0 <= found_after_s(played, start_ms) <= 60.0
    ((_, alert),) = played.opened()
    assert (alert.kind, alert.listener, alert.severity) == (AlertKind.SYN_FLOOD, WEB, Severity.LOW)
    measured = {item.name: item for item in alert.measurements}
    assert measured["cusum_score"].observed > (measured["cusum_score"].threshold or 1e9)
    assert measured["half_open_per_s"].observed == pytest.approx(20.0, abs=0.5)
    assert (measured["half_open_per_s"].threshold or 0.0) < 20.0


@pytest.mark.parametrize(("clients", "days"), [(0, 0), (10, 1), (10, 7)])
def test_a_ramp_over_an_hour_is_found(clients: int, days: int) -> None:
    """From nothing to 20 SYN/s, at a new listener and at known ones: nobody learns to live with it."""
    known = {str(WEB): known_for(days, clients)} if days else {}
    ramp = flood(20, 60_000, ramp_ms=3_600_000)
    detector = Detector(Thresholds(), 1, known)
    played = World(detector, crowd(clients, sources=9), ramp, tick_ms=50, poll_ms=1000)
    assert found_after_s(played.run(2_460_000), 60_000) <= 2400


def test_the_usual_loss_is_no_slow_flood() -> None:
    """200 clients a second of which 3 % fail, then 5 % for two minutes, are nothing in ten minutes."""
    usual = crowd(200, lost=0.03, stop_ms=480_000, sources=90)
    more = crowd(200, lost=0.05, start_ms=480_000, sources=90)
    assert slowly(usual, more).run(600_000).actions == []


@pytest.mark.parametrize("silent_from_ms", [None, 0])
def test_97_unfinished_in_ten_seconds_are_no_slow_flood(silent_from_ms: int | None) -> None:
    """At a listener known for minutes: a client that fails 97 times, answered or not."""
    dead = flood(9.7, 200_000, 210_000, watched=NAT, silent_from_ms=silent_from_ms)
    assert slowly(crowd(2), dead).run(260_000).actions == []


def test_what_is_usual_is_frozen_while_an_alert_is_open() -> None:
    """Ten minutes of a flood teach nothing: neither what is half-open nor how many attempts are usual."""
    played = slowly(crowd(20, sources=9), flood(30, 200_000, 800_000)).run(200_000)
    before = played.detector.baselines()[str(WEB)]
    played.run(790_000)
    assert len(played.opened()) == 1
    after = played.detector.baselines()[str(WEB)]
    usual = {name: [state["slow"][1] / state["slow"][0] for state in (before, after)] for name in ("held",)}
    assert usual["held"] == pytest.approx([0.0, 0.0], abs=0.02)
    assert after["peak_per_s"] <= before["peak_per_s"] * 1.01
    assert after["slow"][0] == pytest.approx(before["slow"][0], abs=12.0)
    played.run(900_000)
    assert len(played.closed()) == 1
    assert played.detector.baselines()[str(WEB)]["slow"][0] >= before["slow"][0] + 30.0


def test_a_slow_flood_is_one_alert_over_its_pauses() -> None:
    """Ten minutes at 25 SYN/s with a gap of five seconds in each minute: opened once, closed once."""
    pulses = [flood(25, at_ms, at_ms + 55_000) for at_ms in range(100_000, 700_000, 60_000)]
    played = slowly(crowd(5, sources=5), *pulses).run(740_000)
    assert (len(played.opened()), len(played.closed())) == (1, 1)
    ((closed_ms, closed),) = played.closed()
    assert 695_000 + 8000 <= closed_ms <= 695_000 + 30_000
    assert closed.attempts >= 13_000


def test_baselines_are_given_back_at_the_start() -> None:
    """What one detector learned, through JSON, is usual for the next one from its first snapshot on."""
    lossy = crowd(60, lost=0.05, sources=30)
    before = slowly(lossy).run(200_000).detector
    saved = json.loads(json.dumps(before.baselines()))
    assert list(saved) == [str(WEB)]
    knowing, new = Detector(Thresholds(), 1, saved), Detector(Thresholds(), 1)
    for detector in (knowing, new):
        slowly(lossy, detector=detector).run(2000)
    usual, anew = (detector._memory.listeners[WEB].usual for detector in (knowing, new))
    assert (usual.is_known, anew.is_known) == (True, False)
    assert usual.half_open_per_s(BOOT_WALL_S) == pytest.approx(3.0, rel=0.2)
    assert knowing.losses["baselines_unreadable"] == 0


def test_a_listener_not_seen_again_keeps_its_baseline() -> None:
    """What was given for others is handed on unchanged, so that a restart on a quiet day loses nothing."""
    learned = slowly(crowd(60, sources=30)).run(100_000).detector.baselines()
    learned[str(MAIL)] = learned[str(WEB)]
    later = Detector(Thresholds(), 1, learned)
    slowly(crowd(60, sources=30), detector=later).run(1000)
    assert later.baselines()[str(MAIL)] == learned[str(MAIL)]


def test_a_damaged_baseline_is_counted_and_learned_anew() -> None:
    """It neither stops the detector nor that of others."""
    learned = slowly(crowd(60, sources=30)).run(100_000).detector.baselines()
    damaged = {str(WEB): {"version": 1, "fast": "no"}, str(MAIL): learned[str(WEB)]}
    detector = Detector(Thresholds(), 1, damaged)
    slowly(crowd(60), crowd(60, listener=MAIL), detector=detector).run(1000)
    assert detector.losses["baselines_unreadable"] == 1
    assert detector._memory.listeners[MAIL].usual.is_known
    assert not detector._memory.listeners[WEB].usual.is_known


def test_a_listener_may_do_without() -> None:
    """``slow_floods = false`` for one listener: 20 SYN/s raise nothing there, and do at another."""
    streams = (flood(20, 1000), flood(20, 1000, listener=MAIL))
    played = slowly(*streams, overrides={OTHERS: {"slow_floods": False}}).run(70_000)
    assert [alert.listener for _, alert in played.opened()] == [MAIL]
    assert slowly(*streams, slow_floods=False).run(70_000).actions == []


def test_a_listeners_own_threshold_is_its_own() -> None:
    """10 SYN/s are a flood where a listener's threshold is 8, and where it is 500 200 are none at once."""
    strict = slowly(flood(10, 1000), overrides={OTHERS: {"half_open_per_s": 8.0, "min_attempts": 8}})
    assert found_after_s(strict.run(20_000), 1000) <= 6.0
    streams = (flood(200, 1000), flood(200, 1000, listener=MAIL))
    lax = slowly(*streams, overrides={OTHERS: {"half_open_per_s": 500.0, "slow_floods": False}})
    assert [alert.listeners for alert in lax.run(20_000).detector.open_alerts()] == [(MAIL,)]


def test_after_the_kernels_clock_began_anew_what_was_usual_is_known() -> None:
    """A reboot of the guest under the same daemon keeps what was learned, as baselines do."""
    played = slowly(crowd(60, lost=0.05, sources=30)).run(100_000)
    before = played.detector.baselines()
    earlier = replace(played.snapshot(), time_ns=BOOT_NS - 3_000_000 * MS)
    assert played.detector.observe(earlier) == ()
    assert played.detector.baselines() == before

"""What is learned of a listener, and what windows hold."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from synguard.detect import Detector, Thresholds
from synguard.detect.allowance import HandshakeTimes
from synguard.detect.counts import Counted, CountHistory, Tally
from synguard.detect.windows import matured, measure
from synguard.endpoint import Listener
from synguard.model import Cohort, HandshakeCounts
from tests.unit.detect.simulation import BOOT_NS, MS, WEB, Stream, World, crowd

S = 1_000_000_000
MINUTE_NS = 60 * S


def histogram(**bins: int) -> tuple[int, ...]:
    """Return a histogram with some bins filled: ``b3=5`` puts five into bin 3."""
    return tuple(bins.get(f"b{number}", 0) for number in range(16))


def test_the_allowance_is_the_cold_one_until_a_hundred_handshakes() -> None:
    """99 handshakes teach nothing yet, 100 do."""
    times = HandshakeTimes()
    times.learn(histogram(b7=99), S, frozen=False)
    assert times.allowance_ns(Thresholds()) == 500 * MS
    times.learn(histogram(b7=100), 2 * S, frozen=False)
    assert times.allowance_ns(Thresholds()) == 1 << 27


@pytest.mark.parametrize(
    ("bins", "expected_ns"),
    [
        ({"b0": 1000}, 50 * MS),
        ({"b0": 991, "b8": 9}, 50 * MS),
        ({"b0": 985, "b8": 15}, 1 << 28),
        ({"b14": 1000}, 3000 * MS),
    ],
)
def test_the_allowance_is_the_99th_percentile_between_floor_and_cap(
    bins: dict[str, int], expected_ns: int
) -> None:
    """The upper edge of the bin that holds it, at least 50 ms and at most 3 s."""
    times = HandshakeTimes()
    times.learn(histogram(**bins), S, frozen=False)
    assert times.allowance_ns(Thresholds()) == expected_ns


def test_old_handshakes_weigh_less() -> None:
    """Clients that moved far away an hour ago are believed over those of before."""
    times = HandshakeTimes()
    times.learn(histogram(b9=100_000), S, frozen=False)
    times.learn(histogram(b9=100_000, b2=5000), 30 * MINUTE_NS, frozen=False)
    assert times.percentile_ns(0.5) == 1 << 22
    assert times.allowance_ns(Thresholds()) == 1 << 29
    times.learn(histogram(b9=100_000, b2=10_000), 90 * MINUTE_NS, frozen=False)
    assert times.allowance_ns(Thresholds()) == 50 * MS


def test_a_histogram_that_begins_anew_is_learned_whole() -> None:
    """When the probe forgot the listener, its new counts are added to what was learned."""
    times = HandshakeTimes()
    times.learn(histogram(b5=1000), S, frozen=False)
    times.learn(histogram(b10=1000), 2 * S, frozen=False)
    assert times.allowance_ns(Thresholds()) == 1 << 30


def test_the_view_of_a_listener_shows_what_was_learned() -> None:
    """Allowance, percentiles, ratio and rate, as status prints them."""
    played = World(Detector(Thresholds(), 1), crowd(400, rtt_ms=90, lost=0.04)).run(5000)
    view = played.detector.listener_view(WEB)
    assert view.allowance_ms == pytest.approx(134.2, abs=0.1)
    assert view.handshake_p50_ms == view.handshake_p99_ms == pytest.approx(134.2, abs=0.1)
    assert view.half_open_ratio == pytest.approx(0.04, abs=0.005)
    assert view.attempts_per_s == pytest.approx(400, rel=0.03)


def test_the_view_of_an_unknown_listener_is_empty() -> None:
    """Nothing is known of a listener that was never seen, but the time it would be given."""
    view = Detector(Thresholds(), 1).listener_view(WEB)
    assert (view.allowance_ms, view.half_open_ratio, view.attempts_per_s) == (500.0, None, 0.0)
    assert view.handshake_p50_ms is view.handshake_p99_ms is None


def test_memory_is_bounded_by_what_snapshots_name() -> None:
    """Ten thousand listeners that come and go leave no more than the bound, and after a month nothing."""
    detector = Detector(Thresholds(), 1)
    snapshot = World(detector, crowd(10)).run(1000).snapshot()
    reading = snapshot.listeners[0]
    for turn in range(1, 200):
        readings = tuple(
            replace(reading, listener=Listener(WEB.address, 1 + turn * 50 + number)) for number in range(50)
        )
        detector.observe(replace(snapshot, time_ns=BOOT_NS + turn * S, listeners=readings))
        assert len(detector._memory.listeners) <= 50 + 512
    detector.observe(replace(snapshot, time_ns=BOOT_NS + 31 * 86_400 * S, listeners=()))
    assert len(detector._memory.listeners) == 0


def test_a_cohort_is_matured_only_when_its_end_is_old_enough() -> None:
    """The slice in which the allowance falls is left out; the one before it is in."""
    cohorts = tuple(Cohort(start, 10, 0) for start in range(0, 1000, 100))
    window = matured(cohorts, 100, 1000, age_ns=250, length_ns=300)
    assert (window.start_ns, window.end_ns, window.attempts) == (400, 700, 30)


def test_a_window_counts_busy_slices_not_the_background() -> None:
    """Slices with less than a tenth of the fullest one's half-open attempts do not make a burst long."""
    cohorts = (Cohort(0, 9, 8), Cohort(100, 60, 10), Cohort(200, 50, 0), Cohort(900, 5, 1))
    window = measure(cohorts, 100, 0, 1000)
    assert (window.busy_slices, window.busy_from_ns, window.busy_until_ns) == (2, 100, 300)
    assert window.half_open == 105


def test_more_completions_than_attempts_are_not_negative_half_opens() -> None:
    """A torn read that shows more completions than attempts does not cancel others' half-opens."""
    window = measure((Cohort(0, 5, 9), Cohort(100, 7, 0)), 100, 0, 200)
    assert window.half_open == 7


def test_a_tally_survives_counters_that_begin_anew() -> None:
    """What was counted before the probe forgot is kept."""
    tally = Tally(HandshakeCounts(attempts=100, completed=50))
    tally.absorb(HandshakeCounts(attempts=130, completed=60))
    tally.absorb(HandshakeCounts(attempts=7, completed=2))
    assert (tally.total.attempts, tally.total.completed) == (37, 12)


def test_a_history_forgets_what_is_out_of_reach() -> None:
    """The oldest entry kept is the newest at or before the reach, and the latest is always there."""
    history = CountHistory(spacing_ns=100, reach_ns=1000)
    for time_ns in range(0, 5000, 50):
        history.add(Counted(time_ns, HandshakeCounts(attempts=time_ns)), counted_from_zero=False)
    assert history.before(4000).time_ns == pytest.approx(4000, abs=100)
    assert history.before(0).time_ns >= 3800
    assert history.before(9999).counts.attempts == 4950


def test_clumsy_failures_raise_no_alert() -> None:
    """Clients that fail in clumps of three to eight, 6 % of all, raise nothing in a minute."""
    dice = random.Random(20)  # noqa: S311 – a reproducible world, no secret
    streams = [crowd(250, rtt_ms=40)]
    for _ in range(180):
        at_ms = dice.randrange(60_000)
        size, length_ms = dice.randint(3, 8), dice.randint(5, 60)
        streams.append(Stream(WEB, size * 1000 / length_ms, at_ms, at_ms + length_ms, lost=1.0))
    played = World(Detector(Thresholds(), 1), *sorted(streams, key=lambda stream: stream.start_ms))
    assert played.run(62_000).opened() == []

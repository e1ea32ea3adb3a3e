"""The times of a capture as the probe sees them, and when the probe is read."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from synguard.probe.layout import LISTENER_COHORT_SHIFT, LISTENER_COHORTS
from synguard.replay import pace
from synguard.replay.clock import NS_PER_S, SET_BACK_NS, START_NS, Clock
from synguard.replay.formats import TIME_NS_MAX

from .making import BEGIN_S

NS_PER_MS = 10**6
BEGIN_NS = BEGIN_S * NS_PER_S


@pytest.mark.parametrize("first_ns", [0, 5 * NS_PER_S, BEGIN_NS])
def test_any_capture_begins_at_a_sane_time(first_ns: int) -> None:
    """Relative times and those of our days alike; distances stay, and the wall's clock is the capture's."""
    clock = Clock()
    assert clock.at(first_ns) == START_NS > 137 * NS_PER_S
    assert clock.at(first_ns + 123) == START_NS + 123
    assert clock.wall_s(START_NS) == pytest.approx(first_ns / NS_PER_S)


def test_time_never_runs_backwards() -> None:
    """What is out of order has the time of the packet before it, and is counted."""
    clock = Clock()
    times_ns = [0, 300, 100, 200, 400, 399, 500]
    assert [clock.at(BEGIN_NS + time_ns) - START_NS for time_ns in times_ns] == [
        0,
        300,
        300,
        300,
        400,
        400,
        500,
    ]
    assert (clock.out_of_order, clock.set_back) == (3, 0)


def test_a_clock_that_was_set_back_goes_on() -> None:
    """After a second of packets that are all behind, time goes on from there."""
    clock = Clock()
    clock.at(BEGIN_NS + 3600 * NS_PER_S)
    before_ns = clock.now_ns
    for tenth in range(31):
        clock.at(BEGIN_NS + tenth * NS_PER_S // 10)
    assert clock.set_back == 1
    assert clock.now_ns - before_ns == 2 * NS_PER_S
    assert clock.wall_s(clock.now_ns) == pytest.approx(BEGIN_S + 3)


def test_times_that_leap_ahead_again_and_again_stay_within_what_the_probe_can_hold() -> None:
    """A damaged capture between the first time and the last that there is: 64 bits hold the probe's."""
    clock = Clock()
    for _ in range(5):
        for first_ns in (0, TIME_NS_MAX - 4 * NS_PER_S):
            for second in range(4):
                assert clock.at(first_ns + second * NS_PER_S) < 1 << 64
    assert clock.set_back > 1
    assert clock.wall_s(clock.now_ns) < TIME_NS_MAX / NS_PER_S + 1


def test_two_interfaces_with_different_clocks_set_nothing_back() -> None:
    """Packets of a lagging clock among those of another are out of order, however long it goes on."""
    clock = Clock()
    for tenth in range(100):
        clock.at(BEGIN_NS + tenth * SET_BACK_NS // 10)
        clock.at(BEGIN_NS + tenth * SET_BACK_NS // 10 - 7 * NS_PER_S)
    assert (clock.set_back, clock.out_of_order) == (0, 100)


def test_packets_without_times_follow_those_before_them() -> None:
    """They come at the same moment, also as the very first."""
    clock = Clock()
    assert clock.at(None) == START_NS
    clock.at(BEGIN_NS)
    assert clock.at(BEGIN_NS + 5) == clock.at(None) == START_NS + 5


def test_busy_captures_are_read_as_often_as_a_daemon_reads() -> None:
    """Every 50 ms from 1,000 packets a second on, and at least once a second."""
    assert pace.is_due(50 * NS_PER_MS, 50)
    assert not pace.is_due(50 * NS_PER_MS, 49)
    assert not pace.is_due(49 * NS_PER_MS, 10_000)
    assert pace.is_due(250 * NS_PER_MS, 40)
    assert pace.is_due(NS_PER_S, 0)


def test_a_silence_is_read_until_everything_is_settled() -> None:
    """At most 250 ms apart for six seconds, which is more than any ring holds; without alerts no longer."""
    moments = list(pace.through_silence(START_NS, None, 10.0, lambda: False))
    distances = [after - before for before, after in itertools.pairwise([START_NS, *moments])]
    assert max(distances) <= 250 * NS_PER_MS
    assert moments[-1] - START_NS > (LISTENER_COHORTS << LISTENER_COHORT_SHIFT) + NS_PER_S
    assert len(moments) < 30


def test_a_silence_ends_with_the_next_packet() -> None:
    """No read is later than what comes next."""
    end_ns = START_NS + 3 * NS_PER_S
    for alerts_open in (False, True):
        moments = list(pace.through_silence(START_NS, end_ns, 10.0, partial(bool, alerts_open)))
        assert START_NS + 2 * NS_PER_S < moments[-1] < end_ns


@pytest.mark.parametrize("close_after_s", [1.0, 10.0, 86_400.0])
def test_a_silence_lasts_until_alerts_have_closed(close_after_s: float) -> None:
    """Reads go on for twice the closing time, and are never more than some hundreds."""
    moments = list(pace.through_silence(START_NS, None, close_after_s, lambda: True))
    assert moments[-1] - START_NS > 1.9 * close_after_s * NS_PER_S
    assert len(moments) <= pace.WAITING_READS_MAX + 30
    assert moments == sorted(set(moments))


def test_hours_of_silence_cost_a_few_reads() -> None:
    """Once alerts have closed there is nothing to read."""
    left = iter(range(20))
    moments = pace.through_silence(
        START_NS, START_NS + 10**9 * NS_PER_S, 10.0, lambda: next(left, None) is not None
    )
    assert len(list(moments)) < 60

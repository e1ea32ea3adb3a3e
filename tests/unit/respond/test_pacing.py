"""Actions per minute: what counts as lately."""

from __future__ import annotations

from synguard.respond.pacing import WINDOW_S, Pacing


def test_what_was_done_in_the_last_minute_counts() -> None:
    """Responses add up, and each is forgotten after its minute."""
    pacing = Pacing()
    pacing.took(3, 100.0)
    pacing.took(2, 130.5)
    assert [pacing.last_min(at_s) for at_s in (131.0, 160.0, 161.5, 190.0, 192.0)] == [5, 5, 2, 2, 0]


def test_a_minute_is_never_shorter() -> None:
    """What was done at the very end of a second counts for a whole minute."""
    pacing = Pacing()
    pacing.took(1, 100.999)
    assert pacing.last_min(100.999 + WINDOW_S) == 1


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    """What was done before the clock was set back counts as long as that lasts."""
    pacing = Pacing()
    pacing.took(3, 100.0)
    pacing.took(2, 40.0)
    assert pacing.last_min(40.0) == 5
    for _ in range(500):
        pacing.took(0, 100.0)
        pacing.took(0, 40.0)
    assert len(pacing._done) == 1


def test_a_clock_that_is_set_back_an_hour_costs_a_minute() -> None:
    """What was done before the clock was set back an hour is forgotten a minute later, not an hour later."""
    pacing = Pacing()
    pacing.took(120, 7200.0)
    assert [pacing.last_min(at_s) for at_s in (3600.0, 3660.0, 3661.0)] == [120, 120, 0]


def test_the_memory_is_bounded() -> None:
    """An hour of responses without anybody asking leaves a minute's worth of them."""
    pacing = Pacing()
    for tenth in range(36_000):
        pacing.took(1, tenth / 10)
    assert len(pacing._done) <= WINDOW_S + 1
    assert pacing.last_min(3600.0) <= 10 * (WINDOW_S + 1)

"""Curves: what is zero, what is a rate, and what nobody knows."""

from __future__ import annotations

import math

import pytest

from synguard.report.asking import Span, life, watched
from synguard.report.clock import date_label, ticks
from synguard.report.curves import curve, gaps, share_curve, total
from tests.unit.cli.conftest import SPOOFED, STARTED_AT_S

from .reading import as_json, run, step

SHOWN = Span(STARTED_AT_S, STARTED_AT_S + 10.0)


def at(found: tuple[list[float], list[float]], moment_s: float) -> float | None:
    """Return a curve's value at a moment, None where it has none."""
    times_s, values = found
    for begin_s, end_s, value in zip(times_s[::2], times_s[1::2], values[::2], strict=True):
        if begin_s <= moment_s < end_s:
            return None if math.isnan(value) else value
    raise AssertionError(f"nothing at {moment_s}")


def test_what_is_missing_is_zero_only_while_somebody_looked() -> None:
    """Seconds without a row are 0 within a run, and unknown before and after it."""
    steps = [step(STARTED_AT_S + 4, attempts=23)]
    found = curve(steps, "attempts", SHOWN, [Span(STARTED_AT_S + 2, STARTED_AT_S + 7)])
    values = [at(found, STARTED_AT_S + 0.5 + second) for second in range(10)]
    assert values == [None, None, 0.0, 0.0, 23.0, 0.0, 0.0, None, None, None]


def test_an_unknown_figure_is_not_zero() -> None:
    """A step that does not know a figure leaves a gap in its curve."""
    found = curve([step(STARTED_AT_S, completed=None)], "completed", SHOWN, [SHOWN])
    assert at(found, STARTED_AT_S) is None
    assert at(found, STARTED_AT_S + 1) == 0.0
    assert total([step(STARTED_AT_S, completed=None)], "completed") is None


def test_counts_become_rates_and_peaks_stay() -> None:
    """A minute's count is shown per second; the busiest second is one already."""
    steps = [step(STARTED_AT_S, 60, attempts=1200, peak_attempts_per_s=900.0)]
    shown = Span(STARTED_AT_S, STARTED_AT_S + 60)
    assert curve(steps, "attempts", shown, []).highest == 20.0
    assert curve(steps, "peak_attempts_per_s", shown, [], per_s=False).highest == 900.0


def test_steps_of_several_widths_never_overlap() -> None:
    """Where a minute and its seconds are both kept, time goes on from left to right."""
    steps = [
        step(STARTED_AT_S - 30, 60, attempts=60),
        step(STARTED_AT_S + 2, attempts=5),
        step(STARTED_AT_S + 8),
    ]
    times_s = curve(steps, "attempts", SHOWN, []).times_s
    assert times_s == sorted(times_s)
    assert (times_s[0], times_s[-1]) == SHOWN


def test_a_share_needs_both_its_figures() -> None:
    """The fill of a queue is unknown where its limit is."""
    steps = [step(STARTED_AT_S, syn_queue=5, syn_queue_limit=10), step(STARTED_AT_S + 1, syn_queue=5)]
    found = share_curve(steps, "syn_queue", "syn_queue_limit", SHOWN)
    assert (at(found, STARTED_AT_S), at(found, STARTED_AT_S + 1)) == (0.5, None)


def test_a_run_without_an_end_goes_on_if_it_was_seen_lately() -> None:
    """One that was last seen long ago is believed to have ended then."""
    now_s = STARTED_AT_S
    lately = run(last_seen_at="2026-11-22T09:59:50.000Z")
    long_ago = run(last_seen_at="2026-11-22T09:59:29.000Z")
    assert watched([lately], now_s)[0].until_s == now_s
    assert watched([long_ago], now_s)[0].until_s == now_s - 31


@pytest.mark.parametrize(
    ("runs", "missing"),
    [
        ([], [(0.0, 10.0)]),
        ([(-5.0, 20.0)], []),
        ([(2.0, 4.0), (3.0, 6.0)], [(0.0, 2.0), (6.0, 10.0)]),
        ([(6.0, 8.0), (-1.0, 3.0)], [(3.0, 6.0), (8.0, 10.0)]),
        ([(12.0, 14.0)], [(0.0, 10.0)]),
    ],
)
def test_gaps_are_what_no_run_covers(
    runs: list[tuple[float, float]], missing: list[tuple[float, float]]
) -> None:
    """Runs in any order, within or beyond the time, leave these gaps."""
    assert gaps(Span(0.0, 10.0), [Span(*one) for one in runs]) == missing


def test_an_open_alert_lasts_until_now() -> None:
    """Its life goes on to the moment of asking."""
    (alert,) = as_json(SPOOFED)
    assert life(alert, STARTED_AT_S + 700.0) == (STARTED_AT_S + 600.0, STARTED_AT_S + 700.0)


@pytest.mark.parametrize("length_s", [3.0, 61.0, 900.0, 90_000.0, 9e6, 4e8])
def test_ticks_are_few_round_and_in_order(length_s: float) -> None:
    """However long a time is, its axis has a handful of round moments."""
    shown = Span(STARTED_AT_S + 0.7, STARTED_AT_S + 0.7 + length_s)
    found = list(ticks(shown, 9, local=False))
    assert 1 <= len(found) <= 10
    assert all(
        tick.at_s == round(tick.at_s) and shown.since_s <= tick.at_s <= shown.until_s for tick in found
    )
    assert len({tick.label for tick in found}) == len(found)


def test_the_axis_names_its_days_and_zone() -> None:
    """A time over midnight names both days."""
    assert date_label(SHOWN, local=False) == "2026-11-22, UTC"
    over = Span(STARTED_AT_S, STARTED_AT_S + 86400)
    assert date_label(over, local=False) == "2026-11-22 to 2026-11-23, UTC"

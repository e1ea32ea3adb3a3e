"""Whatever a baseline is shown, and whatever state it is given: bounded, finite, read whole or not at all."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synguard.detect.baseline import Baseline, Second
from synguard.detect.shift import Shift

seconds = st.builds(
    lambda wall_s, length_s, attempts, lost, refused, aborted: Second(
        wall_s, length_s, attempts, int(attempts * lost), refused, aborted, attempts
    ),
    wall_s=st.floats(-1e10, 1e11),
    length_s=st.sampled_from([0.0, 0.001, 1.0, 1.0066, 12.0]),
    attempts=st.sampled_from([0, 1, 100, 10**6, 10**9]),
    lost=st.floats(0, 1),
    refused=st.sampled_from([0, 1, 10**6]),
    aborted=st.sampled_from([0, 1, 10**6]),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=25) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)


def play(shown: list[Second]) -> tuple[Baseline, Shift]:
    """Show seconds, each several times over, to a baseline and a shift."""
    baseline, shift = Baseline(), Shift()
    for second in shown:
        for _ in range(12):
            shift.observe(second, baseline)
            baseline.learn(second)
    return baseline, shift


@settings(max_examples=60, deadline=None)
@given(st.lists(seconds, max_size=20))
def test_every_figure_stays_finite_and_in_its_range(shown: list[Second]) -> None:
    """No input makes a figure that is negative, infinite or not a number."""
    baseline, shift = play(shown)
    wall_s = shown[-1].wall_s if shown else 0.0
    assert 0.0 <= (baseline.half_open_ratio or 0.0) <= 1.0
    assert 1.0 <= baseline.dispersion <= 60.0
    assert 50.0 <= baseline.threshold_per_s(wall_s, 50.0) <= 250.0
    for figure in (
        baseline.half_open_per_s(wall_s) or 0.0,
        baseline.attempts_per_s(wall_s) or 0.0,
        baseline.highest_attempts_per_s or 0.0,
        baseline.completed_per_s,
        baseline.sources,
        shift.score,
        shift.reference_per_s,
        shift.excess_per_s,
    ):
        assert math.isfinite(figure)
        assert figure >= 0.0


@settings(max_examples=60, deadline=None)
@given(st.lists(seconds, max_size=20))
def test_a_state_comes_back_as_it_was_saved(shown: list[Second]) -> None:
    """Through JSON, in less than 4 KiB, and saved again it is the same."""
    baseline, _ = play(shown)
    text = json.dumps(baseline.to_state(), allow_nan=False)
    assert len(text) < 4096
    assert Baseline.from_state(json.loads(text)).to_state() == json.loads(text)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_state_is_refused_or_is_a_state(data: st.DataObject) -> None:
    """Anything in the place of any part: ValueError, or a baseline that can be saved again."""
    state: dict[str, Any] = Baseline().to_state()
    part = data.draw(st.sampled_from(sorted(state)))
    damage = data.draw(anything)
    if part == "hours" and data.draw(st.booleans()):
        state["hours"][data.draw(st.integers(0, 23))] = damage
    else:
        state[part] = damage
    try:
        baseline = Baseline.from_state(state)
    except ValueError:
        return
    assert len(json.dumps(baseline.to_state(), allow_nan=False)) < 4096


@given(anything)
def test_anything_else_is_no_state(thing: object) -> None:
    """What is not a saved baseline is refused with a word why."""
    with pytest.raises(ValueError, match=r"JSON object|version"):
        Baseline.from_state(thing)

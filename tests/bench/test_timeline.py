"""The time line of a flood."""

from __future__ import annotations

import threading

import pytest

from bench.run.timeline import Sampler
from synguard.errors import SynguardError


def test_rates_are_told_for_each_step_and_unknown_ones_are_null() -> None:
    """Growing counts become rates; what nobody counts stays unknown."""
    counts = iter(range(0, 10_000, 100))
    third = threading.Event()

    def read() -> dict[str, float | None]:
        count = next(counts)
        if count >= 200:
            third.set()
        return {"received": count, "dropped": None}

    with Sampler(read) as sampler:
        assert third.wait(5)
    columns = sampler.columns(0, [])
    assert len(columns["at_s"]) >= 2
    assert all(rate is not None and rate > 0 for rate in columns["received_per_s"])
    assert set(columns["dropped_per_s"]) == {None}


def test_a_reading_that_fails_is_no_short_line() -> None:
    """What the detector could not be asked is an error of the trial, not a flood that seems to end."""
    asked = threading.Event()

    def read() -> dict[str, float | None]:
        asked.set()
        raise SynguardError("the daemon does not answer")

    with pytest.raises(SynguardError, match="does not answer"), Sampler(read):
        assert asked.wait(5)

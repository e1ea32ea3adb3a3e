"""Moments and durations as people write them."""

from __future__ import annotations

import pytest

from synguard.errors import UsageError
from synguard.timespec import parse_duration, parse_time

NOW_S = 1_795_000_000.0


@pytest.mark.parametrize(
    ("text", "ago_s"),
    [("30m", 1800), ("1h", 3600), ("2d", 172_800), ("1h30m", 5400), ("0s", 0), (" 1w ", 604_800)],
)
def test_a_duration_is_that_long_ago(text: str, ago_s: float) -> None:
    """``--since 1h`` means an hour before now."""
    assert parse_time(text, NOW_S) == NOW_S - ago_s


@pytest.mark.parametrize(
    ("text", "epoch_s"),
    [
        ("2026-11-22", 1_795_305_600),
        ("2026-11-22T10:00Z", 1_795_341_600),
        ("2026-11-22t10:00z", 1_795_341_600),
        ("2026-11-22T10:00", 1_795_341_600),
        ("2026-11-22 10:00:30", 1_795_341_630),
        ("2026-11-22T12:00+02:00", 1_795_341_600),
    ],
)
def test_a_date_is_utc_unless_it_says_otherwise(text: str, epoch_s: float) -> None:
    """A date without a zone is UTC; one with a zone is honoured."""
    assert parse_time(text, NOW_S) == epoch_s


@pytest.mark.parametrize("text", ["", "yesterday", "1x", "1", "-1h", "2026-13-01", "9" * 9 + "w"])
def test_anything_else_lists_the_forms(text: str) -> None:
    """What is no time is refused with examples of what is."""
    with pytest.raises(UsageError, match=r"1h, 2d or 30m .* 2026-11-22T10:00Z"):
        parse_time(text, NOW_S)


@pytest.mark.parametrize(("text", "duration_s"), [("90s", 90), ("10m", 600), ("1d12h", 129_600)])
def test_a_duration_in_seconds(text: str, duration_s: float) -> None:
    """``--ttl 10m`` means 600 seconds."""
    assert parse_duration(text) == duration_s


@pytest.mark.parametrize("text", ["", "0s", "10", "m", "1.5h", "-5m", "999999999w", "2026-11-22"])
def test_no_duration_lists_the_forms(text: str) -> None:
    """What is no duration, or none at all, is refused with examples."""
    with pytest.raises(UsageError, match="90s, 10m, 1h, 2d, 1w or 1h30m"):
        parse_duration(text)

"""Moments and durations as people write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("10", "10s or 10m"),
        ("1hr", "1h"),
        ("1 hour", "1h"),
        ("90 sec", "90s"),
        ("2days", "2d"),
        ("1.5h", "1h30m"),
        ("-5m", "5m"),
        ("10M", "10m"),
    ],
)
def test_the_nearest_duration(text: str, nearest: str) -> None:
    """A slip in a duration is refused with what was probably meant."""
    with pytest.raises(UsageError, match=rf"did you mean {nearest}\?"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("1hr", "1h"),
        ("1 h ago", "1h"),
        ("10", "10m or 10h"),
        ("now", "0s"),
        ("today", "2026-11-18"),
        ("yesterday", "1d, or 2026-11-17"),
        ("10:00", "2026-11-18T10:00Z"),
        ("10pm", None),
        ("2026-11-22 10pm", "2026-11-22T22:00Z"),
        ("2026-11-22T10:00UTC", "2026-11-22T10:00Z"),
        ("2026-11-22T10:00+1", r"2026-11-22T10:00\+01:00"),
        ("22.11.2026", "2026-11-22"),
        ("11/22/2026", "2026-11-22"),
        ("2026/11/22 10:00", "2026-11-22T10:00Z"),
        ("2026-22-11", "2026-11-22"),
        ("2026-11-31", "2026-11-30"),
        ("2026-11", "2026-11-01"),
        ("1795341600", "2026-11-22T10:00:00Z"),
    ],
)
def test_the_nearest_time(text: str, nearest: str | None) -> None:
    """A slip in a time is refused with what was probably meant, or with the forms where that is unclear."""
    said = "write it as 1h" if nearest is None else rf"did you mean {nearest}\?"
    with pytest.raises(UsageError, match=said):
        parse_time(text, NOW_S)


@pytest.mark.parametrize(
    ("text", "said"),
    [("2026-13-45", "no month 13"), ("2026-12-45", "no day 45"), ("2026-12-05T25:00", "no hour 25")],
)
def test_the_part_that_cannot_be(text: str, said: str) -> None:
    """A date that cannot be is refused with the part that cannot."""
    with pytest.raises(UsageError, match=said):
        parse_time(text, NOW_S)


@pytest.mark.parametrize("text", ["٣h", "٢٠٢٦-11-22", "1h\0", "9999-12-31T23:59:60"])
def test_odd_text_is_no_crash(text: str) -> None:
    """Digits of other scripts and moments beyond the calendar are refused like any other text."""
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text, NOW_S)


LETTERS = st.text(alphabet="0123456789:-/. +TZhdmwsap", max_size=22)


@given(LETTERS)
def test_what_is_suggested_is_right(text: str) -> None:
    """Whatever is suggested instead of a wrong duration or time is taken when written."""
    for parse in (parse_duration, lambda text: parse_time(text, NOW_S)):
        try:
            parse(text)
        except UsageError as error:
            for nearest in re.findall(r"did you mean (.*?)(?:, or | or |\?)(?:(.*?)\?)?", str(error)):
                for one in filter(None, nearest):
                    parse(one)

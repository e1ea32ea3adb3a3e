"""Figures over time as a line of blocks: what each column stands for, and what is not known."""

from __future__ import annotations

from typing import Any

import pytest

from synguard.telling import sparkline
from synguard.telling.sparkline import Line, Window, captioned, line, widened, window

#: A whole day, and so a whole hour and minute.
DAY = 20_000 * 86_400


def _steps(*attempts: float | None, step_s: int = 1, since_s: int = DAY) -> list[dict[str, Any]]:
    """Return steps one after the other; those of -1 are missing."""
    return [
        {"at": sparkline.iso(since_s + index * step_s), "step_s": step_s, "attempts": count}
        for index, count in enumerate(attempts)
        if count != -1
    ]


def _line(shown: Window, *steps: dict[str, Any], seen: tuple[float, float] = (0, 2 * DAY)) -> Line | None:
    return line("attempts", steps, "attempts", shown, [seen])


def test_levels_go_from_nothing_to_the_most() -> None:
    """Nothing is the lowest block, the most the highest, and a little is more than nothing."""
    told = _line(Window(DAY, DAY + 6, 1), *_steps(0, 1, 500, 1000, -1, 999))
    assert told == Line("attempts", "▁▂▅█▁█", 1000.0)
    assert told.label == "attempts, at most 1,000/s"


def test_the_unknown_is_blank() -> None:
    """What is unknown, and what nobody looked at, is no nothing: it is a gap."""
    shown = Window(DAY, DAY + 6, 1)
    told = _line(shown, *_steps(-1, -1, 7, None, 7, -1), seen=(DAY + 1, DAY + 5))
    assert told is not None
    assert told.columns == " ▁█ █ "
    assert _line(shown, *_steps(None, None, None, None, None, None)) is None
    halves = _line(Window(DAY, DAY + 6, 2), *_steps(-1, -1, -1, -1, 8), seen=(DAY + 1, DAY + 6))
    assert halves == Line("attempts", " ▁█", 4.0)
    assert _line(shown, *_steps(-1, None, -1)) is None
    assert _line(shown, seen=(0, 1)) is None


def test_nothing_at_all_is_said() -> None:
    """Seconds in which somebody looked and nothing came are a line, too."""
    assert _line(Window(DAY, DAY + 4, 1)) == Line("attempts", "▁▁▁▁", 0.0)


def test_a_column_is_the_mean_of_its_seconds() -> None:
    """Seconds are put together to columns, and their counts become rates."""
    told = _line(Window(DAY, DAY + 10, 5), *_steps(10, 20, 30, 20, 20, -1, -1, 50))
    assert told == Line("attempts", "█▅", 20.0)


def test_ascii_says_the_same() -> None:
    """Where blocks cannot be written, other signs go up as they do."""
    told = line("attempts", _steps(0, 1, 500, 1000), "attempts", Window(DAY, DAY + 4, 1), [(0, 2 * DAY)],
                levels=sparkline.ASCII)  # fmt: skip
    assert told is not None
    assert told.columns == "_.=#"
    assert len(sparkline.ASCII) == len(sparkline.BLOCKS)


@pytest.mark.parametrize(
    ("lasted_s", "column_s", "most"),
    [
        (2.5, 1, 60),
        (40, 1, 60),
        (72, 2, 60),
        (72, 5, 20),
        (3600, 120, 60),
        (86400, 1800, 60),
        (9e6, 172_800, 60),
    ],
)
def test_a_window_has_no_more_columns_than_there_is_room_for(
    lasted_s: float, column_s: int, most: int
) -> None:
    """A life and a little around it fit the columns, whose length is a usual one as long as there is one."""
    started_s = DAY + 1234.5
    shown = window(started_s, started_s + lasted_s, started_s + 10 * lasted_s, most)
    assert shown.column_s == column_s
    assert shown.since_s <= started_s - 5
    assert shown.until_s >= started_s + lasted_s + 5
    assert (shown.until_s - shown.since_s) / column_s <= most
    assert shown.since_s % column_s == shown.until_s % column_s == 0


def test_nothing_is_shown_of_what_is_to_come() -> None:
    """The line of an open alert ends now, with whole columns; so does that of one that has just ended."""
    assert window(DAY + 100.5, None, DAY + 110.7).until_s == DAY + 110
    assert window(DAY + 100.5, DAY + 109.0, DAY + 110.7).until_s == DAY + 110
    assert window(DAY, None, DAY + 109.0) == Window(DAY - 6, DAY + 108, 2)


def test_what_is_kept_in_wider_steps_makes_wider_columns() -> None:
    """Where only minutes are kept, a column is a minute, at the minutes' own borders."""
    asked = Window(DAY + 50, DAY + 130, 2)
    steps = _steps(600, 1200, step_s=60, since_s=DAY)
    shown = widened(asked, steps)
    assert shown == Window(DAY, DAY + 180, 60)
    assert _line(shown, *steps) == Line("attempts", "▅█▁", 20.0)
    assert widened(asked, _steps(5, step_s=2)) == asked


def test_a_caption_says_from_when_to_when() -> None:
    """The moments stand under the first and the last column, or beside each other where there is no room."""
    lines = [Line("attempts", "▁█" * 6, 5.0)]
    shown = Window(DAY, DAY + 12, 1)
    assert [*captioned(lines, shown, ("10:00", "10:12"))] == [
        "▁█" * 6 + "  attempts, at most 5/s",
        "10:00  10:12",
    ]
    assert [*captioned(lines, shown, ("10:00:00", "10:12:00"))][1] == "10:00:00 to 10:12:00"

"""Figures over time as one line of blocks each: what came, what was completed, and when nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import ceil, floor
from typing import Any, NamedTuple

from synguard.telling.figures import duration, figure

#: What a column of a line may stand for; the history answers in the same steps.
COLUMN_LENGTHS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)
MOST_COLUMNS = 60
#: Fewer columns than these say nothing.
LEAST_COLUMNS = 3
#: What stands before and after an alert's life: its twentieth, and no less than these seconds.
MARGIN_SHARE, MARGIN_S = 0.05, 5

#: Nothing, and from a little to the most; the unknown is a blank.
BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.:-=+*#"

Step = Mapping[str, Any]
#: From one moment to another, seconds since the Unix epoch.
Span = tuple[float, float]


class Window(NamedTuple):
    """What a line shows: whole columns of a length, seconds since the Unix epoch."""

    since_s: int
    until_s: int
    column_s: int


class Line(NamedTuple):
    """A line and what it is called; ``most_per_s`` is what its highest column stands for."""

    words: str
    columns: str
    most_per_s: float

    @property
    def label(self) -> str:
        """Return ``attempts, at most 12,300/s``."""
        return f"{self.words}, at most {figure(self.most_per_s, '/s')}"


def window(started_s: float, ended_s: float | None, now_s: float, most_columns: int = MOST_COLUMNS) -> Window:
    """Return what to show of a life and a little around it, but nothing of what is yet to come."""
    last_s = now_s if ended_s is None else ended_s
    margin_s = max(MARGIN_SHARE * (last_s - started_s), MARGIN_S)
    since_s, until_s = started_s - margin_s, min(last_s + margin_s, now_s)
    # Begin and end are moved to the borders of columns, which takes one more.
    least_s = (until_s - since_s) / (most_columns - 1)
    days = ceil(least_s / COLUMN_LENGTHS_S[-1])
    column_s = next((one for one in COLUMN_LENGTHS_S if one >= least_s), days * COLUMN_LENGTHS_S[-1])
    return _aligned(since_s, until_s, column_s, now_s)


def _aligned(since_s: float, until_s: float, column_s: int, now_s: float) -> Window:
    until_s = min(ceil(until_s / column_s), floor(now_s / column_s)) * column_s
    return Window(floor(since_s / column_s) * column_s, int(until_s), column_s)


def widened(asked: Window, steps: Iterable[Step]) -> Window:
    """Return the window in columns no shorter than the steps, which may have been kept in wider ones."""
    longest_s = max((int(step["step_s"]) for step in steps), default=asked.column_s)
    if longest_s <= asked.column_s:
        return asked
    return _aligned(asked.since_s, asked.until_s, longest_s, ceil(asked.until_s / longest_s) * longest_s)


def line(
    words: str,
    steps: Iterable[Step],
    name: str,
    shown: Window,
    seen: Sequence[Span],
    *,
    levels: str = BLOCKS,
) -> Line | None:
    """Return the steps' figure ``name`` as a line, or None where nothing of it is known.

    A step is ``{at, step_s, NAME}``: its begin, its seconds, the count within it or None. One that is missing
    is one in which nothing happened, if it lies in one of the spans in which somebody looked. A column is
    the mean of its seconds; the unknown is blank.
    """
    steps = [*steps]
    per_s = _rates(steps, name, shown, seen)
    known = [rate for rate in per_s if rate is not None]
    if not known or (steps and all(step[name] is None for step in steps)):
        return None
    most = max(known)
    return Line(words, "".join(_level(rate, most, levels) for rate in per_s), most)


def _level(rate: float | None, most: float, levels: str) -> str:
    if rate is None:
        return " "
    # Whatever is above nothing is seen to be.
    return levels[ceil(rate / most * (len(levels) - 1))] if rate > 0 else levels[0]


def _rates(steps: Iterable[Step], name: str, shown: Window, seen: Sequence[Span]) -> list[float | None]:
    """Return each column's figure in a second."""
    columns = range(shown.since_s, shown.until_s, shown.column_s)
    sums = [0.0 if _is_within(begin, begin + shown.column_s, seen) else None for begin in columns]
    unknown = set()
    for step in steps:
        begin = datetime.fromisoformat(step["at"]).timestamp()
        index = int((begin - shown.since_s) // shown.column_s)
        if not 0 <= index < len(sums):
            continue
        if step[name] is None:
            unknown.add(index)
        else:
            sums[index] = (sums[index] or 0.0) + step[name]
    return [
        None if total is None or index in unknown else total / shown.column_s
        for index, total in enumerate(sums)
    ]


def _is_within(begin: float, end: float, seen: Sequence[Span]) -> bool:
    """Tell whether all of a column was looked at, so that no step in it means that nothing happened."""
    return any(since <= begin and end <= until for since, until in seen)


def captioned(lines: Iterable[Line], shown: Window, moments: tuple[str, str]) -> Iterator[str]:
    """Yield the lines with their labels, and below them when they begin and end."""
    for one in lines:
        yield f"{one.columns}  {one.label}"
    begin, end = moments
    width = (shown.until_s - shown.since_s) // shown.column_s
    beneath = f"{begin}{end:>{max(width - len(begin), 0)}}"
    yield beneath if width > len(begin) + len(end) else f"{begin} to {end}"


def heading(shown: Window) -> str:
    """Say what a column is."""
    return f"each column {duration_words(shown.column_s)}"


def duration_words(seconds: int) -> str:
    """Return ``1 s``, ``the mean of 10 s`` or ``the mean of 5m 0s``."""
    if seconds == 1:
        return "1 s"
    return f"the mean of {f'{seconds} s' if seconds < 60 else duration(seconds)}"


def iso(at_s: float) -> str:
    """Return seconds since the Unix epoch as ISO 8601 in UTC."""
    return datetime.fromtimestamp(at_s, UTC).isoformat()

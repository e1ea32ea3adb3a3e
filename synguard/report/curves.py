"""From the steps that the history keeps to curves: what is zero, and what is not known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from synguard.history.records import time_from_json
from synguard.history.series import ALL_OR_NOTHING
from synguard.report.asking import Span

Steps = Sequence[Mapping[str, Any]]


class Curve(NamedTuple):
    """A line with a corner wherever its value changes; NaN where nothing is known."""

    times_s: list[float]
    values: list[float]

    @property
    def highest(self) -> float | None:
        """Return its highest value, or None where none is known."""
        return max((value for value in self.values if not math.isnan(value)), default=None)


def curve(steps: Steps, name: str, shown: Span, guarded: Iterable[Span], *, per_s: bool = True) -> Curve:
    """Return a column of the steps within ``shown``; counts become rates per second if ``per_s``.

    Steps that are missing are 0 while the daemon ran, and unknown while it did not.
    """
    pieces = _Pieces(shown, sorted(guarded))
    for step in steps:
        begin_s = time_from_json(step["at"])
        value = step[name]
        known = math.nan if value is None else value / (step["step_s"] if per_s else 1)
        pieces.add(Span(begin_s, begin_s + step["step_s"]), known)
    pieces.skip_to(shown.until_s)
    return Curve(pieces.times_s, pieces.values)


def share_curve(steps: Steps, part: str, whole: str, shown: Span) -> Curve:
    """Return one column as a share (0..1) of another; unknown where a step has not both, or is missing."""
    pieces = _Pieces(shown, [])
    for step in steps:
        begin_s = time_from_json(step["at"])
        known = step[part] / step[whole] if step[part] is not None and step[whole] else math.nan
        pieces.add(Span(begin_s, begin_s + step["step_s"]), known)
    pieces.skip_to(shown.until_s)
    return Curve(pieces.times_s, pieces.values)


def is_known(steps: Steps, name: str) -> bool:
    """Tell whether any step knows this figure."""
    return any(step.get(name) is not None for step in steps)


def total(steps: Steps, name: str) -> float | None:
    """Return the sum over the steps, or None where it is not known, of completions in part."""
    values: list[float] = [step[name] for step in steps if step.get(name) is not None]
    if not values or (name in ALL_OR_NOTHING and len(values) < len(steps)):
        return None
    return sum(values)


def gaps(shown: Span, guarded: Iterable[Span]) -> list[Span]:
    """Return the times in which no daemon ran."""
    found, cursor_s = [], shown.since_s
    for span in sorted(guarded):
        if span.since_s > cursor_s:
            found.append(Span(cursor_s, min(span.since_s, shown.until_s)))
        cursor_s = max(cursor_s, span.until_s)
    if cursor_s < shown.until_s:
        found.append(Span(cursor_s, shown.until_s))
    return [gap for gap in found if gap.length_s > 0]


class _Pieces:
    """The corners of a curve, from left to right."""

    def __init__(self, shown: Span, guarded: Sequence[Span]) -> None:
        self.times_s: list[float] = []
        self.values: list[float] = []
        self._cursor_s, self._end_s = shown
        self._guarded = guarded

    def add(self, span: Span, value: float) -> None:
        """Add a step, after what lies before it."""
        self.skip_to(span.since_s)
        self._piece(span.until_s, value)

    def skip_to(self, until_s: float) -> None:
        """Add what no step tells of: zeros while the daemon ran."""
        for guarded in self._guarded:
            if guarded.until_s <= self._cursor_s or guarded.since_s >= until_s:
                continue
            self._piece(guarded.since_s, math.nan)
            self._piece(min(guarded.until_s, until_s), 0.0)
        self._piece(until_s, math.nan)

    def _piece(self, until_s: float, value: float) -> None:
        until_s = min(until_s, self._end_s)
        if until_s <= self._cursor_s:
            return
        if self.values and _same(self.values[-1], value):
            self.times_s[-1] = until_s
        else:
            self.times_s += (self._cursor_s, until_s)
            self.values += (value, value)
        self._cursor_s = until_s


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
